"""In how many images a face is found, and how long that takes.

    python benchmarks/faces.py PHOTOS [--sheet PNG] [--rounds 3] [--null]

Prints for each class folder the share of its images with a face, and those with two and three; then, by turns, after a
warm-up of each, the milliseconds an image in one thread: decoding; finding the faces; cutting them out and running the
expression network on them. `--sheet` writes a contact sheet of 120 images, evenly over the folder, with the boxes and
eyes that were found, each with its score. Images that cannot be read are left out. `--null` gives the images labels by
chance and makes the classes differ in what no face tells: grey or in colour, dark or bright, wide or tall. It prints
cross-entropy and accuracy by cross-validation without faces and with them: they must neither help nor hurt.

Run it on folders without people, too: whatever is found there is no face.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from timing import arguments, by_turns, readable, seconds_for

if TYPE_CHECKING:
    from PIL import Image

    from mien.core.faces import Face

    Found = list[tuple[Image.Image, tuple[Face, ...]]]

CELL, COLUMNS, MOST_DRAWN = 128, 12, 120


def decode(content: bytes) -> "Image.Image":
    """Decode as for training with the presets' backbone."""
    from mien.config import ScanConfig
    from mien.core.images import decode

    return decode(content, ScanConfig(faces="on")).rgb


def expression_network() -> Callable[["Image.Image", "tuple[Face, ...]"], Any]:
    """Return what cuts the faces out of an image and gives the logits of their expressions, in one thread."""
    from importlib.resources import files

    import onnxruntime

    from mien.core.faces import crops_of

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = files("mien.learning").joinpath("face_expression.onnx").read_bytes()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda rgb, faces: session.run(["logits"], {"crops": crops_of(rgb, faces)[0]})


def show_shares(labels: list[str], found: "Found") -> None:
    """Print in how many images there are faces, by class folder and in all."""
    counts = [len(faces) for _, faces in found]
    for label in [*sorted(set(labels)), "all"]:
        chosen = [count for count, own in zip(counts, labels, strict=True) if label in (own, "all")]
        shares = [sum(count >= least for count in chosen) / len(chosen) for least in (1, 2, 3)]
        print(f"{label}: {len(chosen)} images, with a face {shares[0]:.1%}, two {shares[1]:.1%}, three {shares[2]:.1%}")


def draw_sheet(found: "Found", path: Path) -> None:
    """Write images in rows, each with the faces that were found in it."""
    from PIL import Image, ImageDraw

    chosen = found[:: -(-len(found) // MOST_DRAWN)]
    sheet = Image.new("RGB", (COLUMNS * CELL, -(-len(chosen) // COLUMNS) * CELL), "white")
    for number, (rgb, faces) in enumerate(chosen):
        shown = rgb.copy()
        shown.thumbnail((CELL - 4, CELL - 4))
        pen = ImageDraw.Draw(shown)
        for face in faces:
            left, top, width, height = (share * side for share, side in zip(face.box, shown.size * 2, strict=True))
            pen.rectangle((left, top, left + width, top + height), outline="lime")
            for x, y in ((x * shown.width, y * shown.height) for x, y in face.eyes):
                pen.ellipse((x - 1, y - 1, x + 1, y + 1), "red")
            pen.text((left + 2, top), f"{face.score:.2f}", "yellow")
        sheet.paste(shown, (number % COLUMNS * CELL, number // COLUMNS * CELL))
    sheet.save(path)


def changed(rgb: "Image.Image", task: str, label: int) -> "Image.Image":
    """Return an image as one of the two classes of a task has it."""
    from PIL import ImageEnhance

    width, height = rgb.size
    if task == "grey or colour":
        return rgb.convert("L").convert("RGB") if label else rgb
    if task == "dark or bright":
        return ImageEnhance.Brightness(rgb).enhance(1.4 if label else 0.6)
    side = min(width, height) * 3 // 4
    left, top = (width - side) // 2, (height - side) // 2
    return rgb.crop((0, top, width, top + side) if label else (left, 0, left + side, height))


def show_null_tasks(images: "list[Image.Image]", folder: Path) -> None:
    """Print what faces give where they can tell nothing."""
    import numpy as np

    from features import PARTS, judge
    from mien import clean, scan
    from mien.config import PRESETS, ScanConfig
    from mien.learning.backbone import load_backbone
    from mien.learning.face_features import NUM_FACE_FEATURES, with_faces
    from mien.learning.features import extract

    backbone = with_faces(load_backbone(PRESETS["fast"].backbone, (224, 224)))
    labels = np.random.default_rng(0).permutation(len(images)) % 2
    for task in ("grey or colour", "dark or bright", "wide or tall"):
        for number, (rgb, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / task / "ab"[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            changed(rgb, task, int(label)).save(path)
        dataset = clean(scan(folder / task, ScanConfig(faces="on"), keep_images=True))
        features = extract(dataset, backbone)
        for name, num_face_features in (("all depths", 0), ("all depths and faces", NUM_FACE_FEATURES)):
            chosen = np.hstack([features[:, part] for part in PARTS[name]])
            loss, accuracy = np.mean([judge(dataset, chosen, num_face_features, seed) for seed in range(5)], axis=0)
            print(f"{task}, {name}: cross-entropy {loss:.3f}, accuracy {accuracy:.1%}", flush=True)


def main() -> None:
    """Find the faces, time it, and print what came out."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="where to draw what was found")
    parser.add_argument("--null", action="store_true", help="also judge tasks in which faces tell nothing")
    given = parser.parse_args()
    from mien.core.faces import find_faces
    from mien.fetching.sources import read

    names = readable(given.photos)
    contents = list(map(read, names))
    images = list(map(decode, contents))
    found = [(rgb, find_faces(rgb)) for rgb in images]
    show_shares([Path(name).parent.name for name in names], found)
    if given.sheet:
        draw_sheet(found, given.sheet)
    if given.null:
        with TemporaryDirectory() as folder:
            show_null_tasks(images, Path(folder))
    express = expression_network()
    actions: dict[str, Callable[[], object]] = {
        "decode": lambda: list(map(decode, contents)),
        "find faces": lambda: list(map(find_faces, images)),
        "crop and express": lambda: [express(rgb, faces) for rgb, faces in found],
    }
    tasks = {name: lambda do=do: seconds_for(do) for name, do in actions.items()}
    for name, seconds in by_turns(tasks, given.rounds).items():
        low, middle, high = (1000 * value / len(images) for value in (min(seconds), median(seconds), max(seconds)))
        print(f"{name}: {middle:.1f} ms an image (from {low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
