"""How long training takes: `mien train` beside the well-known tutorial (tutorial.py) and a floor, whole processes.

    python benchmarks/train.py PHOTOS [--presets fast classic] [--rounds 3] [--no-tutorial]

By turns, after a warm-up of each; PHOTOS must hold two classes, unless --no-tutorial leaves that out. The floor
(floor.py) decodes every image and runs the backbone of `fast` on it once, and does nothing else. `fast` keeps the
features of images in a cache: it is timed with an empty one and with a filled one. Prints seconds, tutorial / mien,
mien / floor, and for each on how many images it trains and the accuracies that it reports; the tutorial's test batches
hold copies of its training images, mien's not.
"""

import json
import tempfile
from collections import defaultdict
from functools import partial
from itertools import count
from pathlib import Path

from timing import MIEN, arguments, by_turns, run, show_ratio, show_seconds

TUTORIAL, FLOOR = "tutorial", "floor"
# Presets that keep features in a cache.
CACHING = {"fast"}


class Trainings:
    """Trains on a folder in several ways, and keeps what they report.

    Attributes:
        accuracies: Of every training, with the warm-up's, by way.
        num_train: On how many images each way trains.
    """

    def __init__(self, photos: Path, work_dir: Path) -> None:
        self.accuracies: dict[str, list[float]] = defaultdict(list)
        self.num_train: dict[str, int] = {}
        self._photos, self._work_dir, self._numbers = photos, work_dir, count()
        self._cache_dir = work_dir / "cache"

    def follow_tutorial(self) -> float:
        """Return the seconds that tutorial.py takes, without its copying."""
        done = run([MIEN[0], Path(__file__).with_name("tutorial.py"), self._photos])
        report = json.loads(done.stdout.splitlines()[-1])
        self.accuracies[TUTORIAL].append(report["accuracy"])
        self.num_train[TUTORIAL] = report["num_train"]
        return done.seconds - float(report["copying_s"])

    def reach_the_floor(self) -> float:
        """Return the seconds that floor.py takes."""
        return run([MIEN[0], Path(__file__).with_name("floor.py"), self._photos]).seconds

    def train(self, name: str, preset: str, cache: str | None = None) -> float:
        """Return the seconds that `mien train` takes.

        Args:
            name: Under which the accuracy is kept.
            preset: Its preset.
            cache: "empty" for a new feature cache, "filled" for the newest; None to pass none.
        """
        number = next(self._numbers)
        out = self._work_dir / f"run{number}"
        command: list[str | Path] = [*MIEN, "train", self._photos, "--preset", preset, "--out", out]
        if cache == "empty":
            self._cache_dir = self._work_dir / f"cache{number}"
        if cache:
            command += ["--cache-dir", self._cache_dir]
        done = run(command)
        metrics = json.loads((out / "metrics.json").read_text("utf-8"))
        self.accuracies[name].append(metrics["test"]["accuracy"]["value"])
        self.num_train[name] = metrics["data"]["splits"]["train"]
        return done.seconds

    def tasks(self, presets: list[str], *, tutorial: bool) -> dict[str, partial[float]]:
        """Return every way to train, by name."""
        tasks = {TUTORIAL: partial(self.follow_tutorial)} if tutorial else {}
        tasks[FLOOR] = partial(self.reach_the_floor)
        for preset in presets:
            caches = {", empty cache": "empty", ", filled cache": "filled"} if preset in CACHING else {"": None}
            for suffix, cache in caches.items():
                name = f"mien {preset}{suffix}"
                tasks[name] = partial(self.train, name, preset, cache)
        return tasks


def known(presets: list[str]) -> list[str]:
    """Leave out, with a word, the presets that this mien does not have."""
    from mien.config import PRESETS

    for preset in presets:
        if preset not in PRESETS:
            print(f"left out: this mien has no preset {preset!r}")
    return [preset for preset in presets if preset in PRESETS]


def main() -> None:
    """Time them, and print what came out."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--presets", nargs="+", default=["fast", "classic"], help="presets of mien to time")
    parser.add_argument("--no-tutorial", dest="tutorial", action="store_false", help="leave the tutorial out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work_dir:
        trainings = Trainings(given.photos, Path(work_dir))
        medians = show_seconds(by_turns(trainings.tasks(known(given.presets), tutorial=given.tutorial), given.rounds))
    for name in medians.keys() - {TUTORIAL, FLOOR}:
        if TUTORIAL in medians:
            show_ratio(f"{TUTORIAL} / {name}", medians[TUTORIAL] / medians[name])
        show_ratio(f"{name} / {FLOOR}", medians[name] / medians[FLOOR])
    for name, values in trainings.accuracies.items():
        reported = ", ".join(f"{value:.0%}" for value in values)
        print(f"{name}: trains on {trainings.num_train[name]} images; accuracy {reported}")


if __name__ == "__main__":
    main()
