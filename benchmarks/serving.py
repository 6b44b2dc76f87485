"""What the benchmarks of the server share: servers as processes, requests made in advance, clients that cost little."""

import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import IO, Any, TypeVar

from timing import MIEN, run

Result = TypeVar("Result")
START_LIMIT_S, STOP_LIMIT_S = 60.0, 20.0
# Servers end connections on which nothing has come for five seconds, or more; a request must not cross that.
KEPT_S = 2.0
_BOUNDARY = b"a-boundary-that-is-in-no-image"


@dataclass(frozen=True)
class Reply:
    """What a server replied to a request.

    Attributes:
        status: The HTTP status.
        headers: By name, in small letters.
        body: All of it.
        seconds: From the first byte sent to the last received.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class Connection:
    """A client with one connection, which is opened when it is needed, and kept.

    It costs a quarter of a millisecond a request: it writes bytes made in advance, and reads what it must.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._last_used = 0.0

    async def ask(self, request: bytes) -> Reply:
        """Send a request, and wait for its reply.

        Raises:
            ConnectionError: The server ended the connection without a whole reply.
        """
        started = time.perf_counter()
        (await self.open()).write(request)
        return await self.reply(started)

    async def open(self) -> asyncio.StreamWriter:
        """Connect, unless that was done a moment ago; return what to write to."""
        if time.perf_counter() - self._last_used > KEPT_S:
            self.close()
        if self._streams is None:
            self._last_used = time.perf_counter()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams[1]

    async def reply(self, started: float) -> Reply:
        """Wait for a reply, also while the request is still being sent; `started` is when that began.

        Raises:
            ConnectionError: The server ended the connection without a whole reply.
        """
        if self._streams is None:
            raise ConnectionError("not connected")
        reader = self._streams[0]
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except (EOFError, ConnectionError) as error:
            self.close()
            raise ConnectionError("the connection ended without a whole reply") from error
        self._last_used = time.perf_counter()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(int(first.split()[1]), headers, body, time.perf_counter() - started)

    def close(self) -> None:
        """End the connection at once, whatever is under way."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Load:
    """What a crowd of clients met.

    Attributes:
        seconds: How long it lasted.
        latencies: Of the replies with status 200, in seconds.
        statuses: How often each was replied; 0 where there was no reply.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Requests per second that were replied to with status 200."""
        return self.statuses[200] / self.seconds


async def crowd(port: int, requests: Sequence[bytes], *, num_clients: int, seconds: float) -> Load:
    """Let clients ask for some seconds, each anew as soon as it has its reply; wait for the last."""
    load, upcoming = Load(), cycle(requests)
    started = time.perf_counter()

    async def visit() -> None:
        connection = Connection(port)
        while time.perf_counter() - started < seconds:
            try:
                reply = await connection.ask(next(upcoming))
            except ConnectionError:
                load.statuses[0] += 1
                continue
            load.statuses[reply.status] += 1
            if reply.status == 200:
                load.latencies.append(reply.seconds)
        connection.close()

    await asyncio.gather(*(visit() for _ in range(num_clients)))
    load.seconds = time.perf_counter() - started
    return load


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values do not exceed; not a number where there are none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan


def in_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """Do asynchronous work to its end, in the fastest event loop that is installed."""
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop

        new_event_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


def request(body: bytes = b"", *, path: str = "/predict", content_type: str = "image/jpeg") -> bytes:
    """Return a request as its bytes: a POST where there is a content type, else a GET."""
    head = f"{'POST' if content_type else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if content_type:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def form_request(*files: tuple[str, bytes]) -> bytes:
    """Return a request with files, each with its name, as a form in a browser sends them."""
    lines = []
    for name, content in files:
        disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'.encode()
        lines += [b"--" + _BOUNDARY, disposition, b"Content-Type: application/octet-stream", b"", content]
    body = b"\r\n".join([*lines, b"--" + _BOUNDARY + b"--", b""])
    return request(body, content_type=f"multipart/form-data; boundary={_BOUNDARY.decode()}")


class Server:
    """A server that was started as a process.

    Attributes:
        port: Where it listens.
        started: When it was started, as time.perf_counter has it.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
        self.port = port
        self.started = time.perf_counter()
        self._process, self._log = process, log

    def first_reply(self, request_: bytes) -> float:
        """Ask until the first reply with status 200; return the seconds since the start."""

        async def ask() -> None:
            connection = Connection(self.port)
            while True:
                try:
                    if (await connection.ask(request_)).status == 200:
                        return connection.close()
                except ConnectionError:
                    connection.close()
                if self._process.poll() is not None or time.perf_counter() - self.started > START_LIMIT_S:
                    sys.exit(f"the server does not answer: {self._process.args!r}\n{self.log}")
                await asyncio.sleep(0.01)

        in_loop(ask())
        return time.perf_counter() - self.started

    @property
    def log(self) -> str:
        """What it wrote to stderr, the end of it."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4000:]

    @property
    def memory_mb(self) -> float:
        """The memory of all its processes, in MiB; what they share is counted once where the system tells (Linux)."""
        return sum(_memory_kb(process_id) for process_id in self.processes()) / 1024

    @property
    def processor_s(self) -> float:
        """The processor time that its processes have had, in seconds; 0 where the system does not tell."""
        return sum(map(_processor_s, self.processes()))

    @property
    def num_open_files(self) -> int:
        """How many files and connections its processes hold open; 0 where the system does not tell."""
        folders = [Path(f"/proc/{process_id}/fd") for process_id in self.processes()]
        return sum(len(os.listdir(folder)) for folder in folders if folder.exists())

    def processes(self) -> list[int]:
        """Return the ids of its processes: those of its session, which it was started with."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in listed.splitlines()]
        return [int(process_id) for process_id, group in pairs if int(group) == self._process.pid]

    def stop(self) -> int:
        """Ask it to end, and end it; return its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            _end_group(self._process)


@contextmanager
def running(
    command: Sequence[str | Path], port: int, *, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server; end it, with all processes that it started, at the end."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Server(process, port, log)
        finally:
            _end_group(process)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _memory_kb(process_id: int) -> int:
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except OSError:
        words = ["ps", "-o", "rss=", "-p", str(process_id)]
        return int(subprocess.run(words, capture_output=True, text=True, check=False).stdout or 0)


def _processor_s(process_id: int) -> float:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text("utf-8")
    except OSError:
        return 0.0
    # The name of the program may hold anything, and stands in brackets before the rest.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def given_or_made(run_dir: Path | None, photos: Path | None, work_dir: Path, *flags: str) -> tuple[Path, Path]:
    """Return a run folder and a folder of images: those given; else drawn, and trained on, with further flags."""
    if photos is None:
        from mien.data.samples import draw

        photos = draw(work_dir / "drawn", num_images=200)
    if run_dir is None:
        run_dir = work_dir / "run"
        run([*MIEN, "train", photos, "--out", run_dir, *flags])
    return run_dir, photos
