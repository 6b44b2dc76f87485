"""Whether `mien serve` keeps its promises under more than it can do, for as long as is asked.

    python benchmarks/overload.py [PHOTOS] [--run RUN] [--minutes 10] [--excess 2] [--proxy] [--max-growth-mb 32]
                                  [--json]

Starts a server, measures how many images a second it answers, and sends twice as many: one by one, as forms and as
plain bytes, and several in a request; one in twenty damaged, or text, or empty, or too large. Some connections are
dropped half-way, and some clients send a byte now and then. Every reply is compared with what `mien predict --json`
says of the same file, exactly. Broken promises, each of which is printed and makes the exit code 1:

- an answer that differs, or an image that is refused in another way than it must be;
- a status other than 200, those of bad images, 408 for slow clients, 429 with Retry-After, and 503;
- a connection that ends without a reply, or a reply that does not come;
- accepted requests whose 99th percentile is beyond four times what a full queue takes at the rate of the storm;
- /healthz that does not say "alive" within two seconds;
- memory that grows by more than --max-growth-mb from the second third of the time to the last;
- when the clients are gone: files or connections that stay open, or places in the queue that stay taken;
- less than a third of the answers a second, when it is over;
- a traceback on stderr.

Without PHOTOS, people are drawn; without --run, one is trained on the images. With --proxy, nginx stands before the
server, as deploy/nginx.conf has it but without TLS and without the limit for one address. It waits for slow clients as
long as they send something: they hold no place in the server.
"""

import argparse
import asyncio
import getpass
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving import (
    Connection,
    Reply,
    Server,
    crowd,
    form_request,
    free_port,
    given_or_made,
    in_loop,
    percentile,
    request,
    running,
)
from timing import MIEN, readable

NUM_PHOTOS, NUM_SLOW = 60, 12
MAX_FILE_MB, MAX_WAITING, UPLOAD_TIMEOUT_S = 4, 256, 3.0
# A reply that has not come by then never comes: the server gives up on an answer after 30 s.
PATIENCE_S = 45.0
HEALTH_LIMIT_S, SAMPLE_EVERY_S, SETTLING_S = 2.0, 0.5, 2.0
# What the processes of the proxy keep open to the server, though nobody asks.
PROXY_CONNECTIONS = 2 * 64
DEPLOYED = Path(__file__).parents[1] / "deploy" / "nginx.conf"
NGINX = Path(__file__).parents[1] / "tests" / "nginx.conf"
# All that a server may reply here.
STATUSES = {200, 400, 408, 413, 415, 429, 503}
# Beyond so many requests under way the client sends no more, and counts them.
MAX_OPEN = 700
# What a request is, and how many of a hundred are.
KINDS = {"form": 55, "bytes": 19, "several": 12, "bad": 4, "huge": 1, "cut off": 5, "left alone": 4}
# Kinds of files that phones, cameras and instruments write.
WRITTEN = Path(__file__).parents[1] / "tests" / "kinds"
UNUSUAL = (
    *("heic-grid.heic", "heic-display-p3.heic", "jpeg-without-end.jpg", "png-rgb-12-bits-in-16.png", "png-rgba.png"),
    *("tiff-float.tif", "tga-rle.tga", "ppm-p3.ppm"),
)
# Of a request with several images: how many, and how often a bad one is among them.
SEVERAL, WITH_BAD = (2, 8), 0.2


@dataclass(frozen=True)
class Case:
    """A file, and what must be said of it.

    Attributes:
        content: Its bytes.
        answer: What `mien predict --json` says of it, without its name.
        status: Of the reply where it is sent alone.
    """

    content: bytes
    answer: Mapping[str, Any]
    status: int = 200


@dataclass
class Tally:
    """What came of the requests.

    Attributes:
        cases: What was sent, by name.
        kinds: How many requests were sent, by kind.
        statuses: How often each was replied.
        latencies: Of the requests that were accepted, in seconds.
        health_s: How long /healthz took, in seconds.
        memory_mb: Of the server, at equal times.
        num_answers: Images whose answers were compared with what they must be.
        num_held_back: Requests that were not sent, as too many were under way.
        faults: Broken promises, by what broke.
    """

    cases: Mapping[str, Case]
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    num_answers: int = 0
    num_held_back: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def growth_mb(self) -> float:
        """How much the memory grew from the second third of the time to the last."""
        third = len(self.memory_mb) // 3
        if not third:
            return 0.0
        return statistics.median(self.memory_mb[-third:]) - statistics.median(self.memory_mb[third : 2 * third])

    def expect(self, is_so: bool, fault: str) -> None:
        """Count a fault, unless what was promised is so."""
        if not is_so:
            self.faults[fault] += 1

    def compare(self, reply: Reply | None, names: Sequence[str], *, sent_as: str | None = None) -> None:
        """Compare a reply with what must be said of the files."""
        if reply is None or self._is_put_off(reply):
            return
        self.latencies.append(reply.seconds)
        self.num_answers += len(names)
        cases = [self.cases[name] for name in names]
        if len(cases) == 1 and cases[0].status != 200:
            self._expect_refusal(reply, cases[0].status, cases[0].answer["error"])
            return
        expected = [{"source": sent_as or name, **case.answer} for name, case in zip(names, cases, strict=True)]
        self.expect(reply.status == 200, f"status {reply.status} for good images")
        if reply.status == 200:
            self.expect(json.loads(reply.body) == {"predictions": expected}, "an answer that differs")

    def compare_huge(self, reply: Reply | None) -> None:
        """Make sure that a file that is too large was refused."""
        if reply is not None and not self._is_put_off(reply):
            self._expect_refusal(reply, 413)

    def _expect_refusal(self, reply: Reply, status: int, sentence: str | None = None) -> None:
        self.expect(reply.status == status, f"status {reply.status} where {status} must be")
        error = json.loads(reply.body).get("error")
        self.expect(bool(error) and sentence in (None, error), "a refusal in other words")

    def _is_put_off(self, reply: Reply) -> bool:
        """Say whether a request was refused for now, as it may be."""
        if reply.status == 429:
            self.expect(int(reply.headers.get("retry-after", 0)) > 0, "429 without Retry-After")
        return reply.status in (429, 503)


def bad_files(photo: bytes) -> dict[str, tuple[bytes, int]]:
    """Return files that cannot be used, with the status of each, by name."""
    return {
        "damaged.jpg": (photo[: len(photo) // 2], 400),
        "noise.jpg": (photo[:20] + bytes(range(256)) * 20, 400),
        "notes.txt": (b"This is a note, and not an image.\n" * 50, 415),
        "empty.png": (b"", 400),
        "cut.heic": ((WRITTEN / "heic-grid.heic").read_bytes()[:-100], 400),
        "video.mp4": ((WRITTEN / "video-h264.mp4").read_bytes(), 415),
    }


def make_cases(run_dir: Path, photos: Path, work_dir: Path) -> dict[str, Case]:
    """Copy some images and write bad ones; ask `mien predict` about all of them."""
    chosen = [Path(name).read_bytes() for name in readable(photos)]
    chosen = [content for content in chosen if len(content) < MAX_FILE_MB * 1024**2][
        :: max(1, len(chosen) // NUM_PHOTOS)
    ]
    files = {f"{number}.jpg": (content, 200) for number, content in enumerate(chosen)} | bad_files(chosen[0])
    files |= {name: ((WRITTEN / name).read_bytes(), 200) for name in UNUSUAL}
    folder = work_dir / "cases"
    folder.mkdir()
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    words = [*MIEN, "predict", str(run_dir), *(str(folder / name) for name in files), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if len(lines) != len(files):
        sys.exit(f"failed: mien predict\n{done.stderr[-2000:]}")
    answers = {Path(line.pop("source")).name: line for line in lines}
    return {name: Case(content, answers[name], status) for name, (content, status) in files.items()}


class Storm:
    """Clients that ask for more than a server can do."""

    def __init__(self, server: Server, tally: Tally, chance: random.Random, *, slow_are_told: bool = True) -> None:
        self._server, self._tally, self._chance = server, tally, chance
        self._slow_are_told = slow_are_told
        self._good = [name for name, case in tally.cases.items() if case.status == 200]
        self._bad = [name for name, case in tally.cases.items() if case.status != 200]
        self._free: list[Connection] = []
        self._num_open = 0

    async def rage(self, per_second: float, seconds: float) -> None:
        """Send requests at random moments, on average as often as is said; wait for the last reply."""
        moment = time.perf_counter()
        ends = moment + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(ends))
            for _ in range(NUM_SLOW):
                group.create_task(self._dawdle(ends))
            while moment < ends:
                await asyncio.sleep(moment - time.perf_counter())
                if self._num_open < MAX_OPEN:
                    group.create_task(self._visit())
                else:
                    self._tally.num_held_back += 1
                moment += self._chance.expovariate(per_second)
        self._leave()

    async def look_around(self) -> None:
        """Ask about every file once, a few at a time: when the storm is over, none may be put off."""
        waiting = list(self._tally.cases)

        async def visit() -> None:
            while waiting:
                name = waiting.pop()
                reply = await self._ask(self._form([name]))
                self._tally.expect(not reply or reply.status != 429, "refused as busy when the storm was over")
                self._tally.compare(reply, [name])

        await asyncio.gather(*(visit() for _ in range(8)))
        self._leave()

    async def _visit(self) -> None:
        kind = self._chance.choices(list(KINDS), list(KINDS.values()))[0]
        self._tally.kinds[kind] += 1
        self._num_open += 1
        if kind in ("cut off", "left alone"):
            await self._leave_early(kind)
        elif kind == "huge":
            self._tally.compare_huge(await self._ask(form_request(("huge.jpg", bytes(MAX_FILE_MB * 1024**2 + 1)))))
        elif kind == "bytes":
            name = self._chance.choice(self._good)
            reply = await self._ask(request(self._tally.cases[name].content))
            self._tally.compare(reply, [name], sent_as="-")
        else:
            names = self._names_of(kind)
            self._tally.compare(await self._ask(self._form(names)), names)
        self._num_open -= 1

    def _names_of(self, kind: str) -> list[str]:
        if kind != "several":
            return [self._chance.choice(self._bad if kind == "bad" else self._good)]
        names = self._chance.choices(self._good, k=self._chance.randint(*SEVERAL))
        if self._chance.random() < WITH_BAD:
            names[-1] = self._chance.choice(self._bad)
        return names

    def _form(self, names: Sequence[str]) -> bytes:
        return form_request(*((name, self._tally.cases[name].content) for name in names))

    async def _ask(self, request_: bytes) -> Reply | None:
        connection = self._free.pop() if self._free else Connection(self._server.port)
        try:
            async with asyncio.timeout(PATIENCE_S):
                reply = await connection.ask(request_)
        except (ConnectionError, TimeoutError) as error:
            connection.close()
            self._tally.faults[f"no reply: {str(error) or 'it did not come'}"] += 1
            return None
        self._free.append(connection)
        self._tally.statuses[reply.status] += 1
        return reply

    def _leave(self) -> None:
        while self._free:
            self._free.pop().close()

    async def _leave_early(self, kind: str) -> None:
        """Drop a connection half-way, or when all is sent."""
        whole = self._form([self._chance.choice(self._good)])
        connection = Connection(self._server.port)
        try:
            writer = await connection.open()
            writer.write(whole[: len(whole) // 2] if kind == "cut off" else whole)
            await asyncio.sleep(self._chance.uniform(0, 0.1))
        except ConnectionError:
            self._tally.faults["a connection that was refused"] += 1
        connection.close()

    async def _dawdle(self, ends: float) -> None:
        """Send a byte now and then, until the server has enough; do so again."""
        head = request(bytes(10_000))[:-9_990]
        while time.perf_counter() < ends:
            connection = Connection(self._server.port)
            started = time.perf_counter()
            try:
                (writer := await connection.open()).write(head)
                reply = asyncio.create_task(connection.reply(started))
                while not (await asyncio.wait([reply], timeout=0.3))[0]:
                    if time.perf_counter() - started > 3 * UPLOAD_TIMEOUT_S:
                        reply.cancel()
                        raise TimeoutError
                    writer.write(b"x")
                self._tally.statuses[reply.result().status] += 1
                fault = f"status {reply.result().status} for a slow client"
                self._tally.expect(reply.result().status in (408, 429, 503), fault)
            except ConnectionError as error:
                self._tally.faults[f"a slow client: {error}"] += 1
            except TimeoutError:
                self._tally.expect(not self._slow_are_told, "a slow client is never told to stop")
            connection.close()

    async def _watch(self, ends: float) -> None:
        """Ask whether the server is alive, and look at its memory, again and again."""
        connection = Connection(self._server.port)
        while time.perf_counter() < ends:
            self._tally.memory_mb.append(self._server.memory_mb)
            try:
                reply = await connection.ask(request(path="/healthz", content_type=""))
                self._tally.health_s.append(reply.seconds)
                is_alive = reply.status == 200 and reply.seconds < HEALTH_LIMIT_S
                self._tally.expect(is_alive, f"/healthz: status {reply.status} after {reply.seconds:.0f} s")
            except ConnectionError:
                self._tally.faults["/healthz without a reply"] += 1
            await asyncio.sleep(SAMPLE_EVERY_S)
        connection.close()


@contextmanager
def behind_nginx(port: int, work_dir: Path) -> Iterator[int]:
    """Put nginx before a server; give its port."""
    folder, own_port = work_dir / "nginx", free_port()
    folder.mkdir()
    text = re.sub(r"\n *(ssl_|limit_conn ).*", "", DEPLOYED.read_text("utf-8"))
    for old, new in {
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl;": f"listen 127.0.0.1:{own_port} backlog=2048;",
        "/run/mien-uploads": f"{folder}/uploads",
    }.items():
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    main = NGINX.read_text("utf-8").replace("FOLDER", str(folder)).replace("USER", getpass.getuser())
    (folder / "nginx.conf").write_text(main)
    log = folder / "error.log"
    with subprocess.Popen(["nginx", "-e", log, "-p", folder, "-c", folder / "nginx.conf"]) as process:
        try:
            yield own_port
        finally:
            process.terminate()


def capacity(server: Server, cases: Mapping[str, Case], seconds: float) -> float:
    """Measure how many images a second a server answers."""
    requests = [form_request((name, case.content)) for name, case in cases.items() if case.status == 200]
    load = in_loop(crowd(server.port, requests, num_clients=16, seconds=seconds))
    if set(load.statuses) != {200}:
        sys.exit(f"the server refused images in fair weather: {dict(load.statuses)}\n{server.log}")
    return load.rate


def weather(server: Server, cases: Mapping[str, Case], given: argparse.Namespace) -> dict[str, Any]:
    """Measure, overload, and look at what is left; return what came of it, as plain JSON values."""
    tally = Tally(cases)
    server.first_reply(form_request(("0.jpg", cases["0.jpg"].content)))
    calm_s, storm_s = min(5.0, given.minutes * 6), given.minutes * 60
    rate, files_before = capacity(server, cases, calm_s), server.num_open_files
    storm = Storm(server, tally, random.Random(given.seed), slow_are_told=not given.proxy)
    in_loop(storm.rage(given.excess * rate / mean_images(), storm_s))
    num_answers = tally.num_answers
    time.sleep(SETTLING_S)
    files_after = server.num_open_files
    in_loop(storm.look_around())
    # Of three, as something else may keep the machine busy for a moment.
    rate_after = max(capacity(server, cases, calm_s / 3) for _ in range(3))
    rates = {"before": rate, "in_the_storm": num_answers / storm_s, "after": rate_after}
    tally.expect(rate_after > rate / 3, f"{rate_after:.0f} answers/s after the storm, {rate:.0f} before")
    p99_s, limit_s = percentile(tally.latencies, 0.99), 4 * MAX_WAITING / max(1.0, rates["in_the_storm"])
    tally.expect(p99_s < limit_s, f"p99 of {p99_s:.1f} s, beyond {limit_s:.1f} s")
    tally.expect(tally.growth_mb < given.max_growth_mb, f"memory grew by {tally.growth_mb:.0f} MiB")
    # A thread that decodes HEIC may have begun a process for it, which it keeps, with a pipe each way.
    most = files_before + 4 + 2 * ((os.cpu_count() or 1) + 1) + (PROXY_CONNECTIONS if given.proxy else 0)
    tally.expect(files_after <= most, f"{files_after} open files, {files_before} before the storm")
    tally.expect(set(tally.statuses) <= STATUSES, f"statuses {sorted(tally.statuses)}")
    tally.expect("Traceback" not in server.log, f"a traceback: {server.log[-600:]}")
    return {"seconds": storm_s, "answers_per_s": rates, **told(tally)}


def mean_images() -> float:
    """Return how many images there are in a request, on average."""
    return 1 + KINDS["several"] / sum(KINDS.values()) * (statistics.mean(SEVERAL) - 1)


def told(tally: Tally) -> dict[str, Any]:
    """Return what was counted, as plain JSON values."""
    memory = tally.memory_mb or [0.0]
    return {
        "requests": dict(tally.kinds),
        "held_back": tally.num_held_back,
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "answers_compared": tally.num_answers,
        "accepted_s": {"p50": percentile(tally.latencies, 0.5), "p99": percentile(tally.latencies, 0.99)},
        "healthz_s": {"p50": percentile(tally.health_s, 0.5), "p99": percentile(tally.health_s, 0.99)},
        "memory_mb": {"first": memory[0], "last": memory[-1], "highest": max(memory), "growth": tally.growth_mb},
        "broken_promises": dict(tally.faults),
    }


def show(document: Mapping[str, Any]) -> None:
    """Print what came of it."""
    print("| what | |\n|---|---|")
    for name, value in document.items():
        pairs = value.items() if isinstance(value, dict) else [("", value)]
        cells = [f"{key} {number:.4g}" if isinstance(number, float) else f"{key} {number}" for key, number in pairs]
        print(f"| {name.replace('_', ' ')} | {', '.join(cell.strip() for cell in cells) or 'none'} |")
    num_broken = sum(document["broken_promises"].values())
    print(f"{document['answers_compared']} answers compared; {num_broken} promises broken")


def main() -> None:
    """Overload a server, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?", metavar="PHOTOS", help="a folder of class folders")
    parser.add_argument("--run", type=Path, help="a run folder; by default one is trained on PHOTOS")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: %(default)s)")
    parser.add_argument("--excess", type=float, default=2.0, help="times what it can do (default: %(default)s)")
    parser.add_argument("--max-growth-mb", type=float, default=32.0, help="MiB (default: %(default)s)")
    parser.add_argument("--proxy", action="store_true", help="with nginx before the server")
    parser.add_argument("--seed", type=int, default=0, help="decides what is sent (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work_dir:
        run_dir, photos = given_or_made(given.run, given.photos, Path(work_dir))
        cases = make_cases(run_dir, photos, Path(work_dir))
        limits = ["--max-file-mb", MAX_FILE_MB, "--max-waiting", MAX_WAITING, "--upload-timeout-s", UPLOAD_TIMEOUT_S]
        port = free_port()
        command = [*MIEN, "serve", str(run_dir), "--port", str(port), *map(str, limits)]
        proxy = behind_nginx(port, Path(work_dir)) if given.proxy else nullcontext(port)
        with running(command, port) as server, proxy as server.port:
            document = weather(server, cases, given)
    if given.json:
        print(json.dumps(document))
    else:
        show(document)
    sys.exit(1 if document["broken_promises"] else 0)


if __name__ == "__main__":
    main()
