"""How fast `mien serve` answers, beside servers that are written by hand.

    python benchmarks/serve.py [PHOTOS] [--run RUN] [--litserve-python PATH] [--clients 1 8 64] [--seconds 5] [--json]

The same model file and the same images behind several servers, by turns: mien; LitServe with batches of 8, with one
worker and with two; FastAPI with the recipe of the model card in an `async def` handler, as tutorials write it, in one
process and in one a core; and FastAPI with mien's decoder in a `def` handler, whose threads use all cores. They stand
in benchmarks/peers. In each round each is started anew, warmed up, and asked by 1, 8 and 64 clients, each of which
sends its next image when it has the answer to the last. Beside them, the limit: decoding and inference alone, in this
process, on all cores.

Prints answers per second with the lowest and highest, the processor time of an answer, the median and the 99th
percentile of how long an answer takes, the seconds from the start of the process to its first answer, and its memory
after the load: medians of the rounds. Then ratios. A server that refuses an image ends the benchmark. Without PHOTOS,
people are drawn; without --run, one is trained on the images, without faces, which the recipe does not look for.
LitServe is left out without --litserve-python; for one that has it, see requirements.txt. The clients run on the same
machine, in one process, and take their share of the cores from every server alike.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mien
from serving import crowd, form_request, free_port, given_or_made, in_loop, percentile, running
from timing import MIEN, arguments, readable, seconds_for

PEERS = Path(__file__).with_name("peers")
WARM_UP_S = 1.0
MINE, LIMIT, BATCHING = "mien", "limit", "LitServe, workers: {}"
RECIPE, RECIPES = "FastAPI, recipe", "FastAPI, recipe, one process a core"
DECODER = "FastAPI, mien's decoder, threads"
# What mien is to be, as a ratio of answers per second with the most clients.
GOALS = {RECIPE: 2.0, BATCHING.format(1): 1.3, BATCHING.format(2): 1.3}


@dataclass(frozen=True)
class Round:
    """What was measured of a server in one round.

    Attributes:
        rates: Predictions per second, by the number of clients.
        processor_ms: The processor time of an answer, in ms, likewise; 0 where the system does not tell.
        latencies: How long the answers took in seconds, likewise.
        first_s: From the start of the process to the first answer.
        memory_mb: After the load.
    """

    rates: dict[int, float]
    processor_ms: dict[int, float]
    latencies: dict[int, list[float]] = field(default_factory=dict)
    first_s: float | None = None
    memory_mb: float | None = None


def command_of(name: str, model: Path, port: int, litserve_python: str) -> list[str | Path]:
    """Return the words that start a server."""
    if name == MINE:
        return [*MIEN, "serve", model, "--port", str(port)]
    if name in (RECIPE, RECIPES, DECODER):
        app = "decoder:app" if name == DECODER else "recipe:app"
        workers = ["--workers", str(os.cpu_count())] if name == RECIPES else []
        return [sys.executable, "-m", "uvicorn", "--app-dir", PEERS, app, "--port", str(port), *workers]
    return [litserve_python, PEERS / "batching.py", str(port), name[-1]]


def measure(name: str, model: Path, requests: Sequence[bytes], given: Any) -> Round:
    """Start a server, let crowds of clients ask it, and end it."""
    port = free_port()
    command = command_of(name, model, port, given.litserve_python)
    result = Round({}, {})
    with running(command, port, environment={"MODEL": str(model)}) as server:
        first_s = server.first_reply(requests[0])
        in_loop(crowd(port, requests, num_clients=8, seconds=WARM_UP_S))
        for num_clients in given.clients:
            before_s = server.processor_s
            load = in_loop(crowd(port, requests, num_clients=num_clients, seconds=given.seconds))
            if set(load.statuses) != {200}:
                sys.exit(f"{name} refused images of {num_clients} clients: {dict(load.statuses)}\n{server.log}")
            result.rates[num_clients] = load.rate
            result.processor_ms[num_clients] = 1000 * (server.processor_s - before_s) / load.statuses[200]
            result.latencies[num_clients] = load.latencies
        return replace(result, first_s=first_s, memory_mb=server.memory_mb)


def measure_limit(classifier: "mien.Classifier", contents: Sequence[bytes], given: Any) -> Round:
    """Decode and judge images in this process, in as many threads as mien has."""
    from mien.core.parallel import in_threads
    from mien.model.prediction import predict_image

    def answer(content: bytes) -> object:
        return predict_image(classifier, classifier.prepare(content), source="-")

    def all_of(times: int) -> float:
        return seconds_for(lambda: list(in_threads(answer, list(contents) * times)))

    times = max(1, round(given.seconds / all_of(1)))
    before_s = time.process_time()
    rate = times * len(contents) / all_of(times)
    processor_ms = 1000 * (time.process_time() - before_s) / (times * len(contents))
    return Round(dict.fromkeys(given.clients, rate), dict.fromkeys(given.clients, processor_ms))


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the medians of some rounds, as plain JSON values."""
    document: dict[str, Any] = {"clients": {}}
    for num_clients in rounds[0].rates:
        rates = [each.rates[num_clients] for each in rounds]
        facts: dict[str, Any] = {"per_second": statistics.median(rates), "low": min(rates), "high": max(rates)}
        facts["processor_ms"] = statistics.median(each.processor_ms[num_clients] for each in rounds)
        if rounds[0].latencies:
            for key, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
                found = [1000 * percentile(each.latencies[num_clients], share) for each in rounds]
                facts[key] = statistics.median(found)
        document["clients"][num_clients] = facts
    for key in ("first_s", "memory_mb"):
        values = [value for each in rounds if (value := getattr(each, key)) is not None]
        document[key] = statistics.median(values) if values else None
    return document


def ratios(servers: Mapping[str, Any]) -> dict[str, float]:
    """Return mien / each other server, and / the limit, in answers per second with the most clients."""
    rates = {name: list(found["clients"].values())[-1]["per_second"] for name, found in servers.items()}
    return {f"mien / {name}": rates[MINE] / rate for name, rate in rates.items() if name != MINE}


def show(servers: Mapping[str, Any]) -> None:
    """Print a table, and the ratios."""
    print("| server | clients | answers/s | processor ms | p50 ms | p99 ms | first answer s | memory MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, found in servers.items():
        for num_clients, facts in found["clients"].items():
            rate = f"{facts['per_second']:.0f} ({facts['low']:.0f} to {facts['high']:.0f})"
            rate += f" | {facts['processor_ms']:.1f}"
            if name == LIMIT:
                print(f"| {name} | none | {rate} | | | | |")
                break
            process = f"{found['first_s']:.2f} | {found['memory_mb']:.0f}"
            print(f"| {name} | {num_clients} | {rate} | {facts['p50_ms']:.1f} | {facts['p99_ms']:.1f} | {process} |")
    for name, ratio in ratios(servers).items():
        goal = GOALS.get(name.removeprefix("mien / "))
        print(f"{name}: {ratio:.2f}" + (f", goal {goal}" if goal else ""))


def main() -> None:
    """Measure the servers, and print what came out."""
    parser = arguments(__doc__, rounds=3, photos=False)
    parser.add_argument("photos", type=Path, nargs="?", metavar="PHOTOS", help="a folder of class folders")
    parser.add_argument("--run", type=Path, help="a run folder; by default one is trained on PHOTOS")
    parser.add_argument("--litserve-python", default="", help="a Python that has LitServe")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], help="at a time (default: 1 8 64)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of every load (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    names = [MINE, *(BATCHING.format(number) for number in (1, 2) if given.litserve_python), RECIPE, RECIPES, DECODER]
    rounds: dict[str, list[Round]] = {name: [] for name in [*names, LIMIT]}
    with tempfile.TemporaryDirectory() as work_dir:
        run_dir, photos = given_or_made(given.run, given.photos, Path(work_dir), "--faces", "off")
        contents = [Path(name).read_bytes() for name in readable(photos)]
        random.Random(0).shuffle(contents)
        requests = [form_request(("image.jpg", content)) for content in contents]
        classifier = mien.load(run_dir)
        for _ in range(given.rounds):
            for name in names:
                rounds[name].append(measure(name, run_dir / "model.onnx", requests, given))
            rounds[LIMIT].append(measure_limit(classifier, contents, given))
    servers = {name: summary(measured) for name, measured in rounds.items()}
    if given.json:
        print(json.dumps({"num_images": len(contents), "servers": servers, "ratios": ratios(servers)}))
    else:
        show(servers)


if __name__ == "__main__":
    main()
