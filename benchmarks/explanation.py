"""Whether maps show where a classifier looked: pictures whose class is told by a planted patch, and by nothing else.

    python benchmarks/explanation.py [--presets fast classic] [--num-pictures 200] [--rounds 5]

Each picture is blobs of colour under noise; somewhere on it is a patch, a quarter as wide, with checks or with rings:
that is its class. A classifier is trained on such pictures, and asked about others. A map has found the patch where
its largest value lies in it; by chance 6% do. Beside each share stands that of the same network with its weights
shuffled (of the last layer; and of all), which knows nothing, and must not find it.

Printed are the shares with their 95% intervals, by preset and method, and the seconds for one picture.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from mien.classifier import Classifier
    from mien.explanation import Method

CLASSES = ("checks", "rings")
SIDE, PATCH = 256, 64
NUM_TRAINED = 100


def draw_planted(label: str, seed: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Draw a picture with the patch of a class; return it, uint8 (H, W, 3), and the top left corner of the patch."""
    rng = np.random.default_rng([CLASSES.index(label), seed])
    blobs = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((SIDE, SIDE), Image.BICUBIC)
    pixels = np.asarray(blobs) + rng.normal(0, 20, (SIDE, SIDE, 3))
    top, left = (int(place) for place in rng.integers(0, SIDE - PATCH + 1, 2))
    down, across = np.indices((PATCH, PATCH))
    checks = (down // 8 + across // 8) % 2
    rings = np.hypot(down - PATCH / 2, across - PATCH / 2) // 8 % 2
    patch = 40 + 175 * (checks if label == "checks" else rings)[..., None] + rng.normal(0, 20, (PATCH, PATCH, 3))
    pixels[top : top + PATCH, left : left + PATCH] = patch
    return pixels.clip(0, 255).astype(np.uint8), (top, left)


def draw_folder(folder: Path, num_pictures: int) -> Path:
    """Draw pictures of each class into a folder of its own."""
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for seed in range(num_pictures):
            Image.fromarray(draw_planted(label, seed)[0]).save(folder / label / f"{seed:04}.png")
    return folder


def train(folder: Path, preset: str, out: Path) -> "Classifier":
    """Train with a preset; the network of classic, for its 15 epochs, on every picture."""
    import mien
    from mien.config import PRESETS

    config = PRESETS[preset]
    return mien.train(folder, replace(config, clean=replace(config.clean, min_bytes=0)), out=out).classifier


def shuffled(classifier: "Classifier", *, only_last: bool) -> "Classifier":
    """Return the same network with the numbers of each of its weights in another order."""
    import onnx

    from mien.classifier import Classifier

    model = onnx.load_from_string(content_of(classifier))
    rng = np.random.default_rng(0)
    for item in model.graph.initializer:
        values = onnx.numpy_helper.to_array(item)
        if values.dtype.kind == "f" and values.ndim > 1 and not item.name.startswith("familiar"):
            if not only_last or (values.ndim == 2 and values.shape[1] <= len(CLASSES)):
                mixed = rng.permutation(values.ravel()).reshape(values.shape)
                item.CopyFrom(onnx.numpy_helper.from_array(mixed, item.name))
    return Classifier(model.SerializeToString())


def content_of(classifier: "Classifier") -> bytes:
    """Return the file of a classifier."""
    with tempfile.TemporaryDirectory() as folder:
        classifier.save(Path(folder, "model.onnx"))
        return Path(folder, "model.onnx").read_bytes()


def finds(classifier: "Classifier", num_pictures: int, method: "Method") -> Iterator[bool]:
    """Say for new pictures whether the largest value of the map of their class lies in the patch."""
    from mien.explanation import explain

    for number in range(num_pictures):
        label = CLASSES[number % len(CLASSES)]
        picture, (top, left) = draw_planted(label, 10**6 + number)
        values = explain(classifier, picture, label=label, method=method).at(SIDE, SIDE)
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        yield bool(top <= row < top + PATCH and left <= column < left + PATCH)


def accuracy(classifier: "Classifier", num_pictures: int) -> float:
    """Return the share of new pictures that are answered right."""
    from mien.explanation import explain

    labels = [CLASSES[number % len(CLASSES)] for number in range(num_pictures)]
    drawn = [draw_planted(label, 10**6 + number)[0] for number, label in enumerate(labels)]
    del explain
    from mien import images

    config = classifier.facts.scan_config()
    probs = classifier.probs(np.stack([images.resize(Image.fromarray(picture), config) for picture in drawn]))
    return float(
        np.mean([classifier.class_names[row.argmax()] == label for row, label in zip(probs, labels, strict=True)])
    )


if __name__ == "__main__":
    pass
