"""Whether maps show where a classifier looked: images whose class is told by a planted patch, and by nothing else.

    python benchmarks/explanation.py [--presets fast classic] [--num-images 100] [--rounds 5]

Each image is blobs of colour under noise; those of one class have a patch of checks somewhere, a quarter as wide. A
classifier is trained on such images, and asked why others have the patch. A map has found it where its largest value
lies on the patch, or at most 15 pixels beside it, as in the pointing game (J. Zhang et al., Top-down Neural Attention
by Excitation Backprop, ECCV 2016); the share without that margin is printed too. By chance 13% are found, and 6%.
Beside these shares stand those of the same network with the numbers in its last layer, or in all its layers, in another
order: it knows nothing, and its maps must not find the patch.

Printed are the shares with their 95% intervals, by preset and method, and the seconds for one image.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from timing import arguments, by_turns, seconds_for, show_seconds

if TYPE_CHECKING:
    from mien.model.classifier import Classifier
    from mien.model.explanation import Method

CLASSES = ("patch", "plain")
SIDE, PATCH = 256, 64
MARGIN = 15
NUM_TRAINED = 100
# Seeds from here on are those of images that nothing was trained on.
_NEW = 2 * 10**6


def draw_planted(label: str, seed: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Draw an image of a class, uint8 (H, W, 3); return the top left corner of the patch too, or where none is."""
    rng = np.random.default_rng([CLASSES.index(label), seed])
    small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    pixels = np.array(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
    top, left = (int(place) for place in rng.integers(0, SIDE - PATCH + 1, 2))
    if label == "patch":
        down, across = np.indices((PATCH, PATCH)) // 8
        pixels[top : top + PATCH, left : left + PATCH] = 40 + 175 * ((down + across) % 2)[..., None]
    return (pixels + rng.normal(0, 20, pixels.shape)).clip(0, 255).astype(np.uint8), (top, left)


def draw_folder(folder: Path, num_images: int) -> Path:
    """Draw images of each class into a folder of its own."""
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for seed in range(num_images):
            Image.fromarray(draw_planted(label, seed)[0]).save(folder / label / f"{seed:04}.png")
    return folder


def train(folder: Path, preset: str, out: Path) -> "Classifier":
    """Train with a preset, on all images however small their files are."""
    import mien
    from mien.config import PRESETS

    config = PRESETS[preset]
    return mien.train(folder, replace(config, clean=replace(config.clean, min_bytes=0)), out=out).classifier


def shuffled(classifier: "Classifier", *, only_last: bool = False) -> "Classifier":
    """Return the same network with the numbers in each table of weights in another order."""
    import onnx

    from mien.model.classifier import Classifier

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        classifier.save(path)
        model = onnx.load(path)
    rng = np.random.default_rng(0)
    for item in model.graph.initializer:
        values = onnx.numpy_helper.to_array(item)
        is_last = values.ndim == 2 and values.shape[1] <= len(CLASSES)
        if values.dtype.kind == "f" and values.ndim > 1 and (is_last or not only_last):
            mixed = rng.permutation(values.ravel()).reshape(values.shape)
            item.CopyFrom(onnx.numpy_helper.from_array(mixed, item.name))
    return Classifier(model.SerializeToString())


def distances(classifier: "Classifier", num_images: int, method: "Method | None" = None) -> list[int]:
    """Return how many pixels beside the patch the largest value of the map lies, for new images with a patch."""
    from mien.model.explanation import explain

    found = []
    for number in range(num_images):
        image, corner = draw_planted("patch", _NEW + number)
        values = explain(classifier, image, label="patch", method=method).at(SIDE, SIDE)
        place = divmod(int(values.argmax()), SIDE)
        beside = [max(at - (first + PATCH - 1), first - at, 0) for at, first in zip(place, corner, strict=True)]
        found.append(max(beside))
    return found


def accuracy(classifier: "Classifier", num_images: int) -> float:
    """Return the share of new images that are answered right."""
    from mien.core.images import resize
    from mien.core.inputs import Inputs

    labels = [CLASSES[number % len(CLASSES)] for number in range(num_images)]
    drawn = [draw_planted(label, _NEW + number)[0] for number, label in enumerate(labels)]
    config = classifier.facts.scan_config()
    probs = classifier.probs(Inputs.of(np.stack([resize(Image.fromarray(image), config) for image in drawn])))
    return float(
        np.mean([classifier.class_names[row.argmax()] == label for row, label in zip(probs, labels, strict=True)])
    )


def show(name: str, found: Sequence[int]) -> None:
    """Print how many maps found the patch."""
    from mien.core.scores import wilson_score

    near, on = (wilson_score(sum(beside <= margin for beside in found), len(found)) for margin in (MARGIN, 0))
    print(f"  {name}: {near}; without the margin {on}", flush=True)


def measure(classifier: "Classifier", method: "Method", num_images: int, rounds: int) -> None:
    """Print the shares of one method, and its seconds."""
    from mien.model.explanation import explain

    print(method)
    show("found", distances(classifier, num_images, method))
    show("last layer shuffled", distances(shuffled(classifier, only_last=True), num_images, method))
    show("all layers shuffled", distances(shuffled(classifier), num_images, method))
    image, _ = draw_planted(CLASSES[0], _NEW)
    once = {"  one image": lambda: seconds_for(lambda: explain(classifier, image, method=method))}
    show_seconds(by_turns(once, rounds))


def main() -> None:
    """Train on planted patches, and count how often maps find them."""
    parser = arguments(__doc__, rounds=5, photos=False)
    parser.add_argument("--presets", nargs="+", default=["fast", "classic"], help="what is trained (default: both)")
    parser.add_argument("--num-images", type=int, default=100, help="new images (default: %(default)s)")
    given = parser.parse_args()
    from mien.core.inputs import Inputs

    with tempfile.TemporaryDirectory() as folder:
        photos = draw_folder(Path(folder, "data"), NUM_TRAINED)
        for preset in given.presets:
            classifier = train(photos, preset, Path(folder, preset))
            right = accuracy(classifier, given.num_images)
            print(f"{preset}: {right:.0%} of {given.num_images} new images answered right")
            image = np.zeros((1, *classifier.facts.image_size, 3), np.uint8)
            if classifier.heat(Inputs.of(image)) is not None:
                measure(classifier, "class activation", given.num_images, given.rounds)
            measure(classifier, "occlusion", given.num_images, given.rounds)


if __name__ == "__main__":
    main()
