"""What each depth of the built-in backbone gives: the means of its last layer, and of earlier ones beside them.

    python benchmarks/features.py [FOLDER ...] [--only KIND ...] [--num-images 300] [--seeds 10]

Cleans each folder, and one of each kind that domains.py draws but for frames, whose labels are tossed. Splits it, and
cross-validates the head of the preset fast in five folds, as a training does: on the features of the last layer alone,
on those and one more depth, and on all. Prints the cross-entropy, how far it changes, and the accuracy: each the mean
of the seeds, which decide split and folds. Then the milliseconds for an image without the depths and with them.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from domains import BACKBONE, CONFIG, KINDS, looked_at, save
from mien import Dataset, split
from mien.core.inference import Graph
from mien.core.probabilities import cross_entropy
from mien.data.splitting import folds
from mien.learning.features import extract, fit_head_on
from mien.learning.methods import places_seen
from timing import by_turns, seconds_for

LAST = slice(0, 1280)
DEPTHS = {
    "last layer": [LAST],
    "and stage 6": [LAST, slice(1280, 1472)],
    "and stage 7": [LAST, slice(1472, 1792)],
    "and stage 4": [LAST, slice(1792, 1872)],
    "and stage 5": [LAST, slice(1872, 1984)],
    "all": [slice(0, 1984)],
}
DRAWN = [kind for kind in KINDS if kind != "frames"]
NUM_FOLDS = 5


def judge(dataset: Dataset, features: NDArray[np.float32], seed: int) -> tuple[float, float]:
    """Return the cross-entropy and the accuracy by cross-validation."""
    config = replace(CONFIG, split=replace(CONFIG.split, seed=seed))
    probs, labels = [], []
    for part in folds(split(dataset, config.split), NUM_FOLDS, config.split):
        head = fit_head_on(part, features, places_seen(part), config)
        judged = part.indexes("test")
        probs.append(head.probs(features[judged]))
        labels.append(part.labels(judged))
    found, truth = np.concatenate(probs), np.concatenate(labels)
    return cross_entropy(found, truth), float((found.argmax(axis=1) == truth).mean())


def show(name: str, folder: Path, seeds: Sequence[int]) -> None:
    """Print a row for each set of depths."""
    dataset = looked_at(folder)
    features = extract(dataset, BACKBONE)
    first = None
    for depths, columns in DEPTHS.items():
        chosen = np.hstack([features[:, part] for part in columns])
        loss, accuracy = np.mean([judge(dataset, chosen, seed) for seed in seeds], axis=0)
        first = loss if first is None else first
        print(f"| {name} | {depths} | {loss:.3f} | {loss - first:+.3f} | {accuracy:.1%} |", flush=True)


def without_depths() -> Graph:
    """Return the built-in backbone as it would be with its last layer alone."""
    model = onnx.load_from_string(BACKBONE.content)
    (pool,) = (node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    pool.input[0] = "top_relu6"
    added = {"coarse", "finer", "depths"}
    kept = [node for node in model.graph.node if node.output[0] not in added]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1280
    return Graph(model.SerializeToString())


def show_times(rounds: int) -> None:
    """Print the milliseconds of one image in one thread, without the depths and with them."""
    image = np.random.default_rng(0).integers(0, 256, (1, *BACKBONE.image_size, 3), np.uint8)
    graphs = {"last layer": without_depths(), "all": BACKBONE.graph}
    run = {name: partial(graph.run, ["features"], image) for name, graph in graphs.items()}
    seconds = by_turns({name: partial(seconds_for, action) for name, action in run.items()}, rounds)
    print(", ".join(f"{name} {1000 * float(np.median(found)):.1f} ms" for name, found in seconds.items()))


def main() -> None:
    """Judge the depths on each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--only", nargs="*", choices=DRAWN, default=DRAWN, metavar="KIND", help=", ".join(DRAWN))
    parser.add_argument("--num-images", type=int, default=300, help="of each kind (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: %(default)s)")
    given = parser.parse_args()
    print("| images | features | cross-entropy | change | accuracy |\n|---|---|---|---|---|")
    for folder in given.folders:
        show(folder.name, folder, range(given.seeds))
    for kind in given.only:
        with tempfile.TemporaryDirectory() as folder:
            save(KINDS[kind](given.num_images, 0), Path(folder))
            show(kind, Path(folder), range(given.seeds))
    show_times(rounds=200)


if __name__ == "__main__":
    main()
