"""What each part of the features gives: the last layer of the built-in backbone, earlier ones beside it, and faces.

    python benchmarks/features.py [FOLDER ...] [--only KIND ...] [--num-images 300] [--seeds 10]

Cleans each folder, and one of each kind that domains.py draws but for frames, whose labels are tossed. Splits it, and
cross-validates the head of the preset fast in five folds, as a training does: on the features of the last layer alone,
on those and one more depth, and on all; where a training would look at faces, with these as well; and on all depths of
images of 320 pixels. Prints the cross-entropy, how far it changes, and the accuracy, with the interval for one seed:
each the mean of the seeds, which decide split and folds. Then the milliseconds for an image in one thread, and the MB.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

import mien
from domains import BACKBONE, CONFIG, KINDS, looked_at, save
from mien import Dataset, split
from mien.core.inference import Graph
from mien.core.probabilities import cross_entropy
from mien.core.scores import wilson_score
from mien.data.splitting import folds
from mien.learning.backbone import Backbone
from mien.learning.face_features import NUM_FACE_FEATURES, with_faces
from mien.learning.features import extract, fit_head_on
from mien.learning.methods import places_seen
from timing import by_turns, seconds_for

LAST, FACES = slice(0, 1280), slice(1984, 1984 + NUM_FACE_FEATURES)
PARTS = {
    "last layer": [LAST],
    "and stage 6": [LAST, slice(1280, 1472)],
    "and stage 7": [LAST, slice(1472, 1792)],
    "and stage 4": [LAST, slice(1792, 1872)],
    "and stage 5": [LAST, slice(1872, 1984)],
    "all depths": [slice(0, 1984)],
    "last layer and faces": [LAST, FACES],
    "all depths and faces": [slice(0, 1984), FACES],
}
LARGER = 320
DRAWN = [kind for kind in KINDS if kind != "frames"]
NUM_FOLDS = 5


def judge(dataset: Dataset, features: NDArray[np.float32], num_face_features: int, seed: int) -> tuple[float, float]:
    """Return the cross-entropy and the accuracy by cross-validation."""
    config = replace(CONFIG, split=replace(CONFIG.split, seed=seed))
    probs, labels = [], []
    for part in folds(split(dataset, config.split), NUM_FOLDS, config.split):
        head = fit_head_on(part, features, places_seen(part), config, num_face_features=num_face_features)
        judged = part.indexes("test")
        probs.append(head.probs(features[judged]))
        labels.append(part.labels(judged))
    found, truth = np.concatenate(probs), np.concatenate(labels)
    return cross_entropy(found, truth), float((found.argmax(axis=1) == truth).mean())


def show(name: str, folder: Path, seeds: Sequence[int]) -> None:
    """Print a row for each choice of features."""
    dataset = looked_at(folder)
    maker = with_faces(BACKBONE) if dataset.config.faces == "on" else BACKBONE
    features = extract(dataset, maker)
    chosen = {
        parts: np.hstack([features[:, part] for part in columns])
        for parts, columns in PARTS.items()
        if maker.num_face_features or FACES not in columns
    }
    large = mien.clean(mien.scan(folder, replace(dataset.config, image_size=(LARGER, LARGER))), CONFIG.clean)
    chosen[f"all depths, {LARGER} pixels"] = extract(large, larger())
    first = None
    for parts, columns in chosen.items():
        num_face_features = NUM_FACE_FEATURES if "faces" in parts else 0
        loss, accuracy = np.mean([judge(dataset, columns, num_face_features, seed) for seed in seeds], axis=0)
        first = loss if first is None else first
        num_images = sum(record.split != "test" for record in split(dataset, CONFIG.split).records if record.used)
        score = wilson_score(round(accuracy * num_images), num_images, num_folds=NUM_FOLDS)
        told = f"{accuracy:.1%} ({score.low:.0%} to {score.high:.0%})"
        print(f"| {name} | {parts} | {loss:.3f} | {loss - first:+.3f} | {told} |", flush=True)


def larger() -> Backbone:
    """Return the built-in backbone for larger images: it is made of nothing but convolutions."""
    model = onnx.load_from_string(BACKBONE.content)
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        dimension.dim_value = LARGER
    return replace(BACKBONE, image_size=(LARGER, LARGER), content=model.SerializeToString())


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
    """Print the milliseconds of one image in one thread with each part; those of finding faces are in faces.py."""
    size, rng = BACKBONE.image_size, np.random.default_rng(0)
    image, large = (rng.integers(0, 256, (1, *sides, 3), np.uint8) for sides in (size, (LARGER, LARGER)))
    crops, weights = rng.integers(0, 256, (1, 3, 64, 64), np.uint8), np.array([[0.5, 0, 0]], np.float32)
    faces = with_faces(BACKBONE)
    inputs = {"images": image, "faces": crops, "face_weights": weights}
    run = {
        "last layer": partial(without_depths().run, ["features"], {"images": image}),
        "all depths": partial(BACKBONE.graph.run, ["features"], {"images": image}),
        "all depths, one face": partial(faces.graph.run, ["features", "face_features"], inputs),
        f"all depths, {LARGER} pixels": partial(larger().graph.run, ["features"], {"images": large}),
    }
    seconds = by_turns({name: partial(seconds_for, action) for name, action in run.items()}, rounds)
    print(", ".join(f"{name} {1000 * float(np.median(found)):.1f} ms" for name, found in seconds.items()))
    detector = files("mien.core").joinpath("face_detector.onnx").read_bytes()
    parts = {"backbone": len(BACKBONE.content), "faces": len(faces.content) - len(BACKBONE.content) + len(detector)}
    print(", ".join(f"{name} {num_bytes / 1e6:.2f} MB" for name, num_bytes in parts.items()))


def main() -> None:
    """Judge the features on each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--only", nargs="*", choices=DRAWN, default=DRAWN, metavar="KIND", help=", ".join(DRAWN))
    parser.add_argument("--num-images", type=int, default=300, help="of each kind (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: %(default)s)")
    given = parser.parse_args()
    print("| images | features | cross-entropy | change | accuracy (95% interval of one seed) |\n|---|---|---|---|---|")
    for folder in given.folders:
        show(folder.name, folder, range(given.seeds))
    for kind in given.only:
        with tempfile.TemporaryDirectory() as folder:
            save(KINDS[kind](given.num_images, 0), Path(folder))
            show(kind, Path(folder), range(given.seeds))
    show_times(rounds=200)


if __name__ == "__main__":
    main()
