"""What a check of very many images takes, and whether it finds the copies planted among them.

    python benchmarks/scale.py [--num-images 100000] [--folder FOLDER] [--rounds 1]

Draws smooth random images of 200 by 200 pixels in two class folders; every hundredth is a near copy of the one before
it, saved again in lower quality or at nine tenths of its size. Then runs `mien check --json` as a process. Prints its
images/s and peak memory, how many planted copies were found, and how many images were called copies that are none;
then, within this process, the seconds for reading the images and those for grouping them.

FOLDER is kept and used again; without it the images are drawn to a temporary folder. There is no warm-up: the
images have just been written.
"""

import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from timing import MIEN, Finished, arguments, run_with_usage, seconds_for

if TYPE_CHECKING:
    from PIL import Image

CLASS_NAMES = ("even", "odd")
SIDE, NOISE_SIDE = 200, 12
COPY_EVERY = 100


def original_of(number: int) -> int:
    """Return the number of the drawing that a file shows: its own, or for a planted copy the one before."""
    return number - 1 if number % COPY_EVERY == COPY_EVERY - 1 else number


def draw_one(folder: Path, number: int) -> None:
    """Draw an image, or save its original in another way."""
    shown = original_of(number)
    image, quality = smooth_noise(shown), 85
    if number != shown and number // COPY_EVERY % 2:
        image = image.resize((SIDE * 9 // 10, SIDE * 9 // 10))
    elif number != shown:
        quality = 60
    image.save(folder / class_of(number) / f"{number:07}.jpg", quality=quality)


def class_of(number: int) -> str:
    """Return the class folder of an image; copies stand beside their originals."""
    return CLASS_NAMES[number // COPY_EVERY % len(CLASS_NAMES)]


def smooth_noise(seed: int) -> "Image.Image":
    """Return blobs of colour that differ from seed to seed."""
    import numpy as np
    from PIL import Image

    levels = np.random.default_rng(seed).integers(0, 256, (NOISE_SIDE, NOISE_SIDE, 3), np.uint8)
    return Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def draw(folder: Path, num_images: int) -> None:
    """Draw the images, unless they are there."""
    from mien.core.parallel import in_threads

    mark, heading = folder / "drawn.txt", f"{num_images} images drawn by benchmarks/scale.py\n"
    if mark.is_file() and mark.read_text("utf-8") == heading:
        return
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{str(folder)!r} holds something else: name another folder")
    for name in CLASS_NAMES:
        (folder / name).mkdir(parents=True)
    for _ in in_threads(partial(draw_one, folder), range(num_images)):
        pass
    mark.write_text(heading, "utf-8")


def show_check(checks: list[Finished], num_images: int) -> None:
    """Print what `mien check` took, and what it found."""
    seconds = statistics.median(check.seconds for check in checks)
    print(f"mien check: {seconds:.1f} s, {num_images / seconds:.0f} images/s")
    print(f"peak memory: {statistics.median(check.peak_mb for check in checks):.0f} MiB")
    groups = [[int(Path(path).stem) for path in group] for group in json.loads(checks[-1].stdout)["groups"]]
    planted = [number for number in range(num_images) if original_of(number) != number]
    group_of = {number: place for place, group in enumerate(groups) for number in group}
    num_found = sum(group_of.get(n, -1) == group_of.get(original_of(n)) for n in planted)
    num_wrong = sum(len(group) for group in groups if len(set(map(original_of, group))) > 1)
    print(f"planted copies found: {num_found} of {len(planted)}")
    print(f"images grouped with one that they are no copy of: {num_wrong}")


def read_hashes(folder: Path, hashes: list[str], labels: list[str]) -> None:
    """Read every image, and append its hash and its class."""
    from mien.data.scanning import scan

    for record in scan(folder).records:
        hashes.append(record.phash)
        labels.append(record.label)


def show_stages(folder: Path, rounds: int) -> None:
    """Print what reading and grouping take within one process."""
    from mien.config import CleanConfig
    from mien.data.near_copies import group_near

    reading, grouping = [], []
    for _ in range(rounds):
        hashes: list[str] = []
        labels: list[str] = []
        reading.append(seconds_for(partial(read_hashes, folder, hashes, labels)))
        group = partial(group_near, hashes, CleanConfig.near_bits, class_names=labels)
        grouping.append(seconds_for(group))
    print(f"reading alone: {statistics.median(reading):.1f} s")
    print(f"grouping alone: {statistics.median(grouping):.1f} s")


def main() -> None:
    """Draw, check, and print what came out."""
    parser = arguments(__doc__, rounds=1, photos=False)
    parser.add_argument("--num-images", type=int, default=100_000, help="how many are drawn (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where they are drawn, and kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        draw(folder, given.num_images)
        checks = [run_with_usage([*MIEN, "check", folder, "--json"]) for _ in range(given.rounds)]
        show_check(checks, given.num_images)
        show_stages(folder, given.rounds)


if __name__ == "__main__":
    main()
