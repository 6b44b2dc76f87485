"""What the whole job takes on very many images, command by command.

    python benchmarks/whole_job.py [--num-images 10000 100000] [--num-classes 100] [--folder FOLDER]

Draws small images: the class is the colour and the size of the blobs in them. Then runs check, train, evaluate, predict
and report as processes, and prints the seconds, the processor time on all cores and the peak memory of each. The
training is killed (SIGKILL) once a third of the features are there; begun again, it makes the others. Of each stage of
the killed training that takes a minute or more, printed is what was said to be left after a tenth of it, and what it
then took.

FOLDER is kept and used again, the images and the runs; without it all is in a temporary folder. Let nothing else run.
"""

import argparse
import colorsys
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from timing import MIEN, run_with_usage

SIDE = 96
# Blobs of the size of the image down to a thirtieth of it.
BLOBS = (2, 3, 4, 5, 7, 9, 12, 16, 22, 30)
NUM_HUES = 10
PROGRESS = re.compile(r"^(?P<stage>\D+) (?P<done>\d+)/(?P<total>\d+).*?(?:  (?P<left>[\d.]+) (?P<unit>s|min|h) left)?$")
SECONDS_OF = {"s": 1, "min": 60, "h": 3600}
KILLED_AT, TOLD_AT, LONG_S = 1 / 3, 0.1, 60


def draw_one(folder: Path, num_classes: int, number: int) -> None:
    """Draw blobs that no other image has, in the colour and the size of the class."""
    import numpy as np
    from PIL import Image

    kind = number % num_classes
    side, hue = BLOBS[kind // NUM_HUES % len(BLOBS)], kind % NUM_HUES / NUM_HUES
    random = np.random.default_rng(number)
    blobs = Image.fromarray(random.integers(0, 256, (side, side), np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    shares = np.asarray(blobs, np.float32)[..., None] / 255
    colours = [
        np.array(colorsys.hsv_to_rgb((hue + random.normal(0, 0.02)) % 1, *tone)) for tone in ((0.9, 0.9), (0.4, 0.3))
    ]
    pixels = 255 * (shares * colours[0] + (1 - shares) * colours[1])
    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{kind:03}" / f"{number:07}.jpg", quality=85)


def draw(folder: Path, num_images: int, num_classes: int) -> None:
    """Draw the images, unless they are there."""
    from mien.core.parallel import in_threads

    mark = folder.with_suffix(".drawn")
    if mark.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    for kind in range(num_classes):
        (folder / f"{kind:03}").mkdir(parents=True)
    for _ in in_threads(partial(draw_one, folder, num_classes), range(num_images)):
        pass
    mark.touch()


@dataclass(frozen=True)
class Told:
    """A line that says how far a stage is, and when it came."""

    stage: str
    done: int
    total: int
    left_s: float | None
    at_s: float


def told_by(stderr: IO[str]) -> Iterator[Told]:
    """Yield what a process says of how far it is."""
    for line in stderr:
        if found := PROGRESS.match(line.strip()):
            left_s = float(found["left"]) * SECONDS_OF[found["unit"]] if found["left"] else None
            yield Told(found["stage"], int(found["done"]), int(found["total"]), left_s, time.monotonic())


def watched(command: Sequence[str | Path], is_enough: Callable[[Told], bool] = lambda told: False) -> list[Told]:
    """Run a command until it has said enough, and then kill it; return all that it has said of how far it is."""
    lines = []
    with subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for told in told_by(process.stderr or io.StringIO()):
            lines.append(told)
            if is_enough(told):
                process.kill()
                return lines
    if process.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return lines


def show_time_left(lines: list[Told]) -> None:
    """Print what was said to be left of each long stage after a tenth of it, and what it then took."""
    for stage in dict.fromkeys(told.stage for told in lines):
        of_stage = [told for told in lines if told.stage == stage]
        after_tenth = [told for told in of_stage if told.left_s is not None and told.done >= TOLD_AT * told.total]
        last = of_stage[-1]
        if not after_tenth or after_tenth[0].left_s is None or last.at_s - of_stage[0].at_s < LONG_S:
            continue
        first = after_tenth[0]
        # The last line comes up to ten seconds before the end.
        speed = (last.done - first.done) / max(last.at_s - first.at_s, 1)
        took_s = (first.total - first.done) / max(speed, 1e-9)
        print(f"  {stage}, {first.done} of {first.total}: {first.left_s:.0f} s left; it took {took_s:.0f} s")


def show(what: str, command: Sequence[str | Path]) -> None:
    """Run a command, and print what it took."""
    done = run_with_usage(command)
    print(
        f"{what}: {done.seconds:.1f} s, {done.processor_s:.1f} s on the processor, {done.peak_mb:.0f} MiB",
        flush=True,
    )


def whole_job(folder: Path, num_images: int, num_classes: int) -> None:
    """Run every command on as many drawn images, and print what each took."""
    data, run, cache = folder / f"data{num_images}", folder / f"run{num_images}", folder / f"cache{num_images}"
    print(f"{num_images} images of {num_classes} classes", flush=True)
    draw(data, num_images, num_classes)
    for made in (run, cache):
        shutil.rmtree(made, ignore_errors=True)
    show("check", [*MIEN, "check", data])
    train: list[str | Path] = [*MIEN, "train", data, "--out", run, "--cache-dir", cache]
    started = time.monotonic()
    lines = watched(train, lambda told: "eature" in told.stage and told.done >= KILLED_AT * told.total)
    print(
        f"train, killed at {lines[-1].done} of {lines[-1].total} features: {time.monotonic() - started:.1f} s",
        flush=True,
    )
    show_time_left(lines)
    show("train again, with the features of the first third", train)
    show("evaluate", [*MIEN, "evaluate", run])
    show("predict", [*MIEN, "predict", run, data, "--csv", folder / "predictions.csv"])
    show("report", [*MIEN, "report", run])


def main() -> None:
    """Run the whole job on each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-images", type=int, nargs="+", default=[10_000, 100_000], help="(default: %(default)s)")
    parser.add_argument("--num-classes", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where images are drawn, and kept, and runs are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for num_images in given.num_images:
            whole_job(folder, num_images, given.num_classes)


if __name__ == "__main__":
    main()
