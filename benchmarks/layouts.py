"""Layouts of public data sets, rebuilt small: is each read right, or refused with what leads there in one step?

    python benchmarks/layouts.py [--train] [--only NAME ...]

Writes the files of each data set as its download unpacks, with small images, and reads it with no flag. Where that is
refused, the first way that the refusal names is typed, and it is read again. Right is what gives each image the label
and the split that the data set means, and no other file any. Prints a row for each, and how many are right; with
--train, a classifier is trained on each as well, to the end. Exit code 1 where one is read wrongly.
"""

import argparse
import json
import re
import shlex
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.config import LabelConfig, ScanConfig
from mien.errors import MienError

COLOURS = np.random.default_rng(0).integers(30, 220, (20, 3))


@dataclass
class Layout:
    """A folder that is being written, and what each image in it means.

    Attributes:
        root: Where it is.
        meant: The label and the split of each image that is to be used, by its path.
        data: What is named on the command line; the folder itself by default.
    """

    root: Path
    meant: dict[str, tuple[str, str]] = field(default_factory=dict)
    data: Path | None = None
    labels: list[str] = field(default_factory=list)
    num_images: int = 0

    def image(self, path: str, label: str, split: str = "") -> str:
        """Write an image that is to be used, and return its path."""
        self.other(path, label)
        self.meant[path] = label, split
        return path

    def other(self, path: str, label: str = "?") -> None:
        """Write an image that is not to be used."""
        if label not in self.labels:
            self.labels.append(label)
        self.num_images += 1
        noise = np.random.default_rng(self.num_images).normal(0, 40, (8, 8, 3))
        pixels = (COLOURS[self.labels.index(label)] + noise).clip(0, 255).astype(np.uint8)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(target)

    def images(self, pattern: str, labels: Iterable[str], num: int, split: str = "") -> list[str]:
        """Write so many images of each class; {l} in the pattern is the class, {i} a number, {n} a running one."""
        return [
            self.image(pattern.format(l=label, i=number, n=self.num_images), label, split)
            for label in labels
            for number in range(num)
        ]

    def others(self, pattern: str, num: int) -> None:
        """Write so many images that are not to be used."""
        for number in range(num):
            self.other(pattern.format(i=number))

    def text(self, path: str, text: str) -> None:
        """Write a text file."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def table(self, path: str, rows: Iterable[Sequence[object]], delimiter: str = ",") -> None:
        """Write a table."""
        self.text(path, "".join(delimiter.join(map(str, row)) + "\n" for row in rows))


PETS, SCENES, LUNGS = ("cats", "dogs"), ("forest", "sea", "street"), ("NORMAL", "PNEUMONIA")


def cats_and_dogs_filtered(to: Layout) -> None:
    """Keras' example: splits in a wrapper, a script beside them."""
    top = "cats_and_dogs_filtered"
    to.images(top + "/train/{l}/{i}.jpg", PETS, 20, "train")
    to.images(top + "/validation/{l}/{i}.jpg", PETS, 8, "val")
    to.text(top + "/vectorize.py", "pass")


def training_set(to: Layout) -> None:
    """Splits that are called training_set and test_set, each wrapped once more."""
    to.images("training_set/training_set/{l}/{l}.{i}.jpg", PETS, 20, "train")
    to.images("test_set/test_set/{l}/{l}.{n}.jpg", PETS, 8, "test")


def dogs_vs_cats(to: Layout) -> None:
    """Kaggle's competition: labels in names, a test without any."""
    to.images("train/{l}.{i}.jpg", ("cat", "dog"), 20)
    to.others("test1/{i}.jpg", 12)
    to.table("sampleSubmission.csv", [("id", "label"), *((number, 0) for number in range(12))])


def pet_images(to: Layout) -> None:
    """Microsoft's cats and dogs: a wrapper, and texts beside it."""
    to.images("PetImages/{l}/{i}.jpg", ("Cat", "Dog"), 12)
    to.text("PetImages/Cat/Thumbs.db", "x")
    to.text("readme[1].txt", "x")
    to.text("MSR-LA - 3467.docx", "x")


def intel_scenes(to: Layout) -> None:
    """Splits in wrappers, and a folder to predict."""
    to.images("seg_train/seg_train/{l}/{i}.jpg", SCENES, 20, "train")
    to.images("seg_test/seg_test/{l}/{n}.jpg", SCENES, 6, "test")
    to.others("seg_pred/seg_pred/{i}.jpg", 6)


def fruits(to: Layout) -> None:
    """Fruits 360: Training and Test, a folder of other photos, papers."""
    names = ("Apple Braeburn 1", "Banana", "Cocos 1")
    to.images("fruits-360/Training/{l}/{i}_100.jpg", names, 20, "train")
    to.images("fruits-360/Test/{l}/r_{n}_100.jpg", names, 6, "test")
    to.others("fruits-360/test-multiple_fruits/{i}.jpg", 4)
    to.text("fruits-360/papers/fruits.pdf", "x")
    to.text("fruits-360/LICENSE", "x")


def chest_xray(to: Layout) -> None:
    """Kaggle's X-rays: three splits, the whole once more inside, and what a Mac adds."""
    for part, split, num in (("train", "train", 20), ("val", "val", 3), ("test", "test", 8)):
        to.images(f"chest_xray/{part}/{{l}}/{part}{{i}}.jpeg", LUNGS, num, split)
        to.others(f"chest_xray/chest_xray/{part}/NORMAL/{{i}}.jpeg", 3)
        to.others(f"chest_xray/chest_xray/{part}/PNEUMONIA/{{i}}.jpeg", 3)
        to.others(f"chest_xray/__MACOSX/{part}/NORMAL/._{{i}}.jpeg", 2)


def aptos(to: Layout) -> None:
    """APTOS: a table of names without endings, a test without labels, a sample of what to send."""
    rows, unlabelled = [], []
    for number in range(60):
        name, label = f"{number:012x}", str(number % 3)
        to.image(f"train_images/{name}.png", label)
        rows.append((name, label))
    for number in range(60, 75):
        to.other(f"test_images/{number:012x}.png")
        unlabelled.append(f"{number:012x}")
    to.table("train.csv", [("id_code", "diagnosis"), *rows])
    to.table("test.csv", [("id_code",), *((name,) for name in unlabelled)])
    to.table("sample_submission.csv", [("id_code", "diagnosis"), *((name, 0) for name in unlabelled)])


def oxford_pets(to: Layout) -> None:
    """Labels in names, beside masks of the same names."""
    breeds = ("Abyssinian", "Bengal", "great_pyrenees")
    to.images("images/{l}_{i}.jpg", breeds, 15)
    to.others("annotations/trimaps/Abyssinian_{i}.png", 5)
    to.others("annotations/trimaps/Bengal_{i}.png", 5)
    to.text("annotations/list.txt", "#Image CLASS-ID SPECIES\nAbyssinian_1 1 1\n")
    to.text("annotations/xmls/Bengal_1.xml", "<annotation/>")


def hugging_face_folders(to: Layout) -> None:
    """Hugging Face: class folders in splits, and a table of captions that says nothing of classes."""
    to.images("train/{l}/{i}.png", PETS, 20, "train")
    to.images("test/{l}/{n}.png", PETS, 6, "test")
    to.text("README.md", "x")


def hugging_face_metadata(to: Layout) -> None:
    """Hugging Face: metadata.jsonl in each split."""
    for split, num in (("train", 20), ("validation", 6)):
        paths = to.images(f"data/{split}/{{n}}.png", PETS, num, "val" if split == "validation" else "train")
        rows = [{"file_name": path.rpartition("/")[2], "label": to.meant[path][0], "width": 64} for path in paths]
        to.text(f"data/{split}/metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def roboflow_folders(to: Layout) -> None:
    """Roboflow's folders."""
    for part, split, num in (("train", "train", 20), ("valid", "val", 5), ("test", "test", 5)):
        to.images(part + "/{l}/x{n}_jpg.rf.0f.jpg", PETS, num, split)
    to.text("README.roboflow.txt", "x")


def roboflow_table(to: Layout) -> None:
    """Roboflow's table: a column of 0 and 1 for each class, in each split."""
    for part, split, num in (("train", "train", 20), ("valid", "val", 5), ("test", "test", 5)):
        paths = to.images(part + "/x{n}_jpg.rf.0f.jpg", PETS, num, split)
        rows = [(path.rpartition("/")[2], *(int(to.meant[path][0] == name) for name in PETS)) for path in paths]
        to.table(part + "/_classes.csv", [("filename", " cats", " dogs"), *rows])


def ultralytics(to: Layout) -> None:
    """A classification data set of Ultralytics, with its cache."""
    for split, num in (("train", 20), ("val", 5)):
        to.images("imagenet10/" + split + "/{l}/{l}_{n}.JPEG", ("n01440764", "n01443537"), num, split)
        to.text(f"imagenet10/{split}.cache", "x")


def label_studio(to: Layout) -> None:
    """An export of Label Studio as CSV, with addresses of uploads."""
    rows = [
        (number, 1, to.meant[path][0], "2024-01-01", 100 + number, f"/data/upload/1/{path.rpartition('/')[2]}", 2.5)
        for number, path in enumerate(to.images("images/0a1b2c3d-{n}.jpg", PETS, 20))
    ]
    names = ("annotation_id", "annotator", "choice", "created_at", "id", "image", "lead_time")
    to.table("project-1-at-2024.csv", [names, *rows])


def label_studio_json(to: Layout) -> None:
    """The same as JSON."""
    tasks = [
        {
            "id": number,
            "data": {"image": f"/data/upload/1/{path.rpartition('/')[2]}"},
            "annotations": [{"result": [{"type": "choices", "value": {"choices": [to.meant[path][0]]}}]}],
        }
        for number, path in enumerate(to.images("images/0a1b2c3d-{n}.jpg", PETS, 20))
    ]
    to.text("project-1.json", json.dumps(tasks))


def split_folders(to: Layout) -> None:
    """What the package split-folders writes."""
    for split, num in (("train", 20), ("val", 5), ("test", 5)):
        to.images("output/" + split + "/{l}/{n}.jpg", PETS, num, split)


def cross_validation(to: Layout) -> None:
    """Folds."""
    for number in range(5):
        to.images(f"fold_{number}/{{l}}/{{n}}.jpg", PETS, 6)


def ham10000(to: Layout) -> None:
    """HAM10000: two folders of parts, and a table with much beside the label."""
    rows = []
    for number in range(60):
        name, label = f"ISIC_{number:07d}", ("mel", "nv", "bkl")[number % 3]
        to.image(f"HAM10000_images_part_{1 + number % 2}/{name}.jpg", label)
        rows.append((f"HAM_{number // 2:07d}", name, label, "histo", f"{30 + number % 9 * 5}.0", "male", "back"))
    names = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
    to.table("HAM10000_metadata.csv", [names, *rows])


def isic(to: Layout) -> None:
    """ISIC: a column for each class."""
    rows = []
    for number in range(40):
        name, is_mel = f"ISIC_{number:07d}", number % 2
        to.image(f"ISIC_Training_Input/{name}.jpg", "MEL" if is_mel else "NV")
        rows.append((name, float(is_mel), 1.0 - is_mel))
    to.table("ISIC_Training_GroundTruth.csv", [("image", "MEL", "NV"), *rows])


def state_farm(to: Layout) -> None:
    """State Farm's drivers: class folders in a wrapper, a test without labels, a table of subjects."""
    names = ("c0", "c1", "c2")
    paths = to.images("imgs/train/{l}/img_{n}.jpg", names, 16)
    to.others("imgs/test/img_9{i}.jpg", 8)
    rows = [(f"p{n % 4:03}", to.meant[path][0], path.rpartition("/")[2]) for n, path in enumerate(paths)]
    to.table("driver_imgs_list.csv", [("subject", "classname", "img"), *rows])


def years(to: Layout) -> None:
    """The same classes in two years: which level is the class, nobody can tell."""
    for year in (2023, 2024):
        to.images(f"{year}/{{l}}/{{n}}.jpg", PETS, 12)


def classes_with_splits(to: Layout) -> None:
    """Splits within classes."""
    for split, num in (("train", 20), ("test", 5)):
        to.images("{l}/" + split + "/{n}.jpg", PETS, num, split)


def own_words(to: Layout) -> None:
    """A table of a spreadsheet, with semicolons, backslashes, and a column for the split."""
    rows = []
    for number, path in enumerate(to.images("pics/p{n}.jpg", PETS, 20)):
        label, split = to.meant[path][0], ("train", "train", "test")[number % 3]
        to.meant[path] = label, split
        rows.append((path.replace("/", "\\"), label, split, number // 2))
    to.table("liste.csv", [("Datei", "Class", "Set", "patient"), *rows], ";")


def zipped(to: Layout) -> None:
    """A zip archive of splits in a wrapper."""
    training_set(to)
    with zipfile.ZipFile(to.root.with_suffix(".zip"), "w") as archive:
        for path in sorted(to.root.rglob("*.jpg")):
            archive.write(path, f"data/{path.relative_to(to.root)}")
    to.meant = {f"data/{path}": meant for path, meant in to.meant.items()}
    to.data = to.root.with_suffix(".zip")


def tarred(to: Layout) -> None:
    """A tar.gz archive with a table."""
    aptos(to)
    with tarfile.open(to.root.with_suffix(".tar.gz"), "w:gz") as archive:
        archive.add(to.root, ".")
    to.data = to.root.with_suffix(".tar.gz")


def numbered(to: Layout) -> None:
    """Class folders 0 to 10: the order is that of numbers."""
    to.images("{l}/{n}.png", map(str, range(11)), 10)


def boxes(to: Layout) -> None:
    """Boxes for a detector: there are no classes of images, and none may be made up."""
    for split in ("train", "val"):
        to.others(f"images/{split}/{split}{{i}}.jpg", 6)
        to.text(f"labels/{split}/{split}0.txt", "0 .5 .5 .1 .1")


PUBLIC: tuple[Callable[[Layout], None], ...] = (
    *(cats_and_dogs_filtered, training_set, dogs_vs_cats, pet_images, intel_scenes, fruits, chest_xray, aptos),
    *(oxford_pets, hugging_face_folders, hugging_face_metadata, roboflow_folders, roboflow_table, ultralytics),
    *(label_studio, label_studio_json, split_folders, cross_validation, ham10000, isic, state_farm, years),
    *(classes_with_splits, own_words, zipped, tarred, numbered, boxes),
)


def flags_in(refusal: str) -> LabelConfig | None:
    """Return the settings of the first way that a refusal names; None where it names none."""
    for line in refusal.splitlines():
        if found := re.search(r"(?:^|\s)(--[a-z-]+ .*?)(?: takes | uses | for the | to leave |$|\. |: )", line.strip()):
            words = shlex.split(found[1])
            settings = {
                flag.removeprefix("--").replace("-", "_"): int(value) if value.isdecimal() else value
                for flag, value in zip(words[::2], words[1::2], strict=True)
            }
            return LabelConfig(**settings)  # type: ignore[arg-type]
    return None


def read(layout: Layout) -> tuple[str, LabelConfig]:
    """Read a layout, and say how that went: "" where it is read as it is meant."""
    data, labels, how = layout.data or layout.root, LabelConfig(), "at once"
    scan = ScanConfig(faces="off")
    try:
        dataset = mien.scan(data, scan)
    except MienError as refusal:
        typed = flags_in(str(refusal))
        if not layout.meant:
            return ("refused", labels) if typed is None or typed.classes else (f"WRONG: {refusal}", labels)
        if typed is None:
            return f"WRONG: {refusal}", labels
        labels, how = typed, "with what the refusal names"
        dataset = mien.scan(data, scan, labels)
    found = {record.path: (record.label, record.given) for record in dataset.records if record.phash}
    has_splits = {split for _, split in layout.meant.values()} != {"train"}
    meant = layout.meant if has_splits else {path: (label, "") for path, (label, _) in layout.meant.items()}
    if found != meant:
        example = next(path for path in {**found, **meant} if found.get(path) != meant.get(path))
        return f"WRONG: {example} is {found.get(example)}, not {meant.get(example)}", labels
    return how, labels


def main() -> int:
    """Rebuild each, read it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train a classifier on each")
    parser.add_argument("--only", nargs="*", default=[], help="names of layouts")
    arguments = parser.parse_args()
    print("| layout | read |\n|---|---|")
    num_right = num_wrong = 0
    for write in PUBLIC:
        if arguments.only and write.__name__ not in arguments.only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            layout = Layout(Path(folder) / write.__name__)
            write(layout)
            how, labels = read(layout)
            if arguments.train and layout.meant and not how.startswith("WRONG"):
                config = mien.PRESETS["fast"].changed(**vars(labels), faces="off")
                run = mien.train(layout.data or layout.root, config, out=Path(folder) / "run")
                how += f"; trained: {run.scores.judged.accuracy}"
        num_wrong += how.startswith("WRONG")
        num_right += not how.startswith("WRONG")
        print(f"| {write.__name__}: {(write.__doc__ or '').splitlines()[0]} | {how} |", flush=True)
    print(f"{num_right} of {num_right + num_wrong} are read right, or refused with what leads there")
    return int(num_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
