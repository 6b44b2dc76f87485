"""What it costs to let Ray do the work: the same predictions by threads and by a cluster of two nodes on this machine.

    python benchmarks/engines.py [--num-images 1000 10000] [--rounds 3]

Draws smooth random images of 200 by 200 pixels, trains the preset fast on 200 such, and starts two nodes of Ray that
share the cores of this machine. Then, for each number of images and by turns, whole processes: `mien predict`, and the
same with `--engine ray`. Prints images/s, the ratio of the seconds, and whether the two files of predictions are the
same to the last byte. The cluster runs before the clock does; its workers start with each command.

Needs the extra ray, and Linux, where 127.0.0.2 and 127.0.0.3 are two nodes.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ray_cluster import cluster
from scale import draw
from timing import MIEN, arguments, by_turns, run, show_rates, show_ratio

NUM_LABELLED = 200


def shared_cores() -> tuple[int, int]:
    """Share the cores of this machine between two nodes."""
    num_cores = max(os.cpu_count() or 1, 2)
    return num_cores - num_cores // 2, num_cores // 2


def predicting(model: Path, folder: Path, csv: Path, *engine: str) -> Callable[[], float]:
    """Return a call that judges a folder in a process of its own, and returns its seconds."""
    return lambda: run([*MIEN, "predict", model, folder, "--csv", csv, *engine]).seconds


def compare(folder: Path, model: Path, work_dir: Path, address: str, rounds: int) -> None:
    """Time both engines on a folder, and print what came out."""
    num_images = sum(1 for _ in folder.rglob("*.jpg"))
    files = {name: work_dir / f"{name}.csv" for name in ("local", "ray")}
    tasks = {
        f"local, {num_images} images": predicting(model, folder, files["local"]),
        f"ray, {num_images} images": predicting(
            model, folder, files["ray"], "--engine", "ray", "--ray-address", address
        ),
    }
    rates = list(show_rates(by_turns(tasks, rounds), num_images).values())
    show_ratio("seconds, ray / local", rates[0] / rates[1])
    same = files["local"].read_bytes() == files["ray"].read_bytes()
    print(f"the predictions are {'the same' if same else 'NOT THE SAME'}")


def main() -> None:
    """Draw, train, and compare."""
    parser = arguments(__doc__, rounds=3, photos=False)
    parser.add_argument(
        "--num-images", type=int, nargs="+", default=[1000, 10_000], help="how many are judged (default: %(default)s)"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work_dir = Path(folder)
        draw(work_dir / "labelled", NUM_LABELLED)
        run([*MIEN, "train", work_dir / "labelled", "--out", work_dir / "run"])
        with cluster(num_cores=shared_cores()) as address:
            for number in given.num_images:
                draw(work_dir / str(number), number)
                compare(work_dir / str(number), work_dir / "run", work_dir, address, given.rounds)


if __name__ == "__main__":
    main()
