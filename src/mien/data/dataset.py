"""The Dataset: a folder of images as it is, one record per file, and its manifest.csv."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import ScanConfig, expect
from mien.core import files, images
from mien.core.changes import Change
from mien.core.csv_tables import read_records, table_text
from mien.core.inputs import Inputs, inputs_of, joined
from mien.core.parallel import in_threads
from mien.data.near_copies import members_by_group
from mien.data.near_pairs import UnionFind
from mien.errors import ImageError, SettingsError, SourceNotFoundError
from mien.layouts.layout import Layout

SPLITS = ("train", "val", "test")
# Of images that belong together and are given for several, those for the first of these stay.
GIVEN_FIRST = ("test", "val", "train", "")
PROBLEMS = {
    "unreadable": "damaged, or cannot be opened",
    "not_an_image": "not an image, or of a kind that is not read",
    "empty": "a file without content",
    "too_many_pixels": "so large that decoding it is unsafe",
    "too_few_bytes": "a file of fewer bytes than --min-bytes",
    "too_few_pixels": "an image with a side shorter than --min-side",
    "conflicting_labels": "a copy of an image of another class",
    "exact_duplicate": "the same file as another one",
    "near_duplicate": "a copy of another image",
    "blank": "of one colour, or nearly",
    "nearly_black": "so dark that hardly anything can be seen",
    "lacks_end": "a JPEG without its end, but with all of its pixels",
    "wrong_extension": "the name says another kind of image than the content",
    "left_out": "what --relabel says to leave out",
    "joins_splits": "an image that joins two splits, which are kept as they are",
    "trained_on": "trained on by the run, or a copy of what was",
    "relabelled": "the label that --relabel gives it",
    "label_issue": "the label may be wrong",
}
_LOOK = ("Look at the pairs: mien check DATA --sheet pairs.png.", "If they are no copies, add --near-bits 0.")
_MOVE = "move them out of the way: mien clean DATA --to FOLDER."
_FETCH_AGAIN = (f"Save or fetch them again, or {_MOVE}",)
# What a user can do about files that are left out for a problem, in sentences.
REMEDIES: dict[str, tuple[str, ...]] = {
    "unreadable": _FETCH_AGAIN,
    "not_an_image": (f"Do what is said of each, or {_MOVE}",),
    "empty": _FETCH_AGAIN,
    "too_many_pixels": ("To use them, add the --max-pixels named, or save them smaller.",),
    "too_few_bytes": ("To use them, add --min-bytes 0.",),
    "too_few_pixels": ("To use them, add --min-side 1.",),
    "conflicting_labels": (*_LOOK, "If they are, say which class is right: mien review DATA."),
    "exact_duplicate": ("Add other images.",),
    "near_duplicate": _LOOK,
    "left_out": ("Change their decisions in the file that --relabel names.",),
    "joins_splits": ("To split anew, add --split new.",),
}
_COLUMNS = (
    "path label sha256 phash bytes format width height brightness colour problem group subject split detail".split()
)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file: a code from PROBLEMS, and the particulars."""

    code: str
    detail: str


@dataclass(frozen=True)
class ImageRecord:
    """One file of a Dataset.

    Attributes:
        path: Below the root, with forward slashes.
        label: Name of its class.
        sha256: Of the content; empty where it could not be read.
        phash: 128 bits as hex (see `mien.data.near_copies`); empty where it is no image.
        num_bytes: Size of the file.
        format: Kind of image by its content, such as "JPEG".
        width: Pixels, upright; likewise `height`.
        brightness: Mean of its pixels, from 0 for black to 1 for white; None where it is no image.
        colour: Mean distance of the strongest from the weakest of red, green and blue, 0 for grey to 1; likewise.
        problems: What is wrong with it.
        used: Whether it may be trained and tested on.
        group: Number of its group of copies; None for an image without one.
        subject: Name of its group that the user knows (see `mien.data.subjects`), such as a patient; "" for none.
        split: "train", "val", "test", or "" for none.
        given: The split that folders or a table give it; "" for none. The manifest has none.
        look: Its grey levels and colours, made small (see `mien.data.looks`). The manifest has none.
    """

    path: str
    label: str
    sha256: str = ""
    phash: str = ""
    num_bytes: int = 0
    format: str = ""
    width: int = 0
    height: int = 0
    brightness: float | None = None
    colour: float | None = None
    problems: tuple[Problem, ...] = ()
    used: bool = True
    group: int | None = None
    subject: str = ""
    split: str = ""
    given: str = field(default="", compare=False)
    look: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True)
class Dataset:
    """A folder of labelled images, as records.

    Attributes:
        root: The folder.
        class_names: In natural order; a class's number is its place.
        records: One per file, in the order of the scan.
        config: How files become arrays.
        kept: What a network is shown of the images, one row per record, where the scan kept it; rows of files that are
            no images hold nothing.
        layout: How it was found out which image is of which class.
    """

    root: Path
    class_names: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    config: ScanConfig = field(default_factory=ScanConfig)
    kept: Inputs | None = field(default=None, repr=False, compare=False)
    layout: Layout = field(default=Layout("class folders", (), level=1), repr=False, compare=False)

    def __repr__(self) -> str:
        used = f"{len(self.indexes())} of {len(self.records)} files used"
        return f"Dataset({str(self.root)!r}, {len(self.class_names)} classes, {used})"

    @property
    def knows_groups(self) -> bool:
        """Whether an image has a group that the user knows."""
        return any(record.subject for record in self.records)

    def with_records(self, records: Sequence[ImageRecord]) -> "Dataset":
        """Return the same files, in the same order, with other findings about them."""
        return replace(self, records=tuple(records))

    def indexes(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the places of the used records, of all or of one split.

        Raises:
            SettingsError: There is no such split.
        """
        if split not in (None, *SPLITS):
            raise SettingsError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
        chosen = [i for i, r in enumerate(self.records) if r.used and (split is None or r.split == split)]
        return np.array(chosen, np.int64)

    def labels(self, indexes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class numbers of the records at some places."""
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[self.records[i].label] for i in indexes], np.int64)

    def group_numbers(self, indexes: NDArray[np.int64]) -> list[int]:
        """Return a number for each of the records at some places, which those share that must not be divided.

        These are copies, images of one subject, and what a chain of the two connects.
        """
        units = unit_numbers(self.records)
        return [units[i] for i in indexes]

    def subject_numbers(self, indexes: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return a number for each of the records at some places, which images of one subject share; None for none."""
        if not self.knows_groups:
            return None
        return np.unique(self.group_numbers(indexes), return_inverse=True)[1].astype(np.int64)

    def counts(self, *, used_only: bool = False) -> dict[str, int]:
        """Return the number of files of every class; or of those that are used."""
        found = Counter(r.label for r in self.records if r.used or not used_only)
        return {name: found[name] for name in self.class_names}

    def left_out(self, label: str) -> dict[str, int]:
        """Return why files of a class are not used, and how many for each problem code."""
        return dict(Counter(r.problems[-1].code for r in self.records if r.label == label and not r.used))

    def groups(self) -> list[list[ImageRecord]]:
        """Return the groups of near copies."""
        return groups_of(self.records)

    def pixels(self, indexes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images at some places, uint8 (N, H, W, 3): those that the scan kept, or decoded now."""
        if self.kept is not None:
            return self.kept.images[indexes]
        arrays = [self._pixels(i) for i in indexes]
        return np.stack(arrays) if arrays else np.empty((0, *self.config.image_size, 3), np.uint8)

    def inputs(self, indexes: NDArray[np.int64]) -> Inputs:
        """Return what a network is shown of the images at some places: what the scan kept, or decoded now."""
        if self.kept is not None:
            return self.kept[indexes]
        return joined([inputs_of(self._rgb(i), self.config) for i in indexes], self.config)

    def face_boxes(self, indexes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return where the faces are in the images at some places: float32 (N, 3, 4), as `Inputs.face_boxes`."""
        if self.kept is not None:
            return self.kept.face_boxes[indexes]
        if self.config.faces != "on":
            return Inputs.of(np.empty((len(indexes), 0, 0, 3), np.uint8)).face_boxes
        return np.concatenate(list(in_threads(lambda index: self.inputs(np.array([index])).face_boxes, indexes)))

    def changed_inputs(self, index: int, changes: Iterable[Change]) -> list[Inputs]:
        """Return what a network is shown of the image at one place when it is changed: Inputs of length 1 each.

        Args:
            index: The place.
            changes: In which ways; each applies to it.

        Raises:
            ImageError: It has gone or changed since.
        """
        rgb = self._rgb(index)
        unchanged = self.inputs(np.array([index]))
        return [change.inputs_of(rgb, unchanged, self.config) for change in changes]

    def content(self, index: int) -> bytes:
        """Return the file of the image at one place, as it was scanned.

        Raises:
            ImageError: It has gone or changed since.
        """
        content = images.read(self.root / self.records[index].path)
        if hashlib.sha256(content).hexdigest() != self.records[index].sha256:
            raise ImageError("unreadable", "the file has changed since the scan")
        return content

    def keeping_images(self) -> "Dataset":
        """Return the same Dataset with the pixels of its used records decoded and kept; no faces are looked for."""
        if self.kept is not None:
            return self
        pixels = images.room_for((len(self.records), *self.config.image_size, 3), self.config)

        indexes = self.indexes()
        for index, array in zip(indexes, in_threads(self._pixels, indexes), strict=True):
            pixels[index] = array
        return replace(self, kept=Inputs.of(pixels))

    def batches(
        self, batch_size: int = 32, *, split: str | None = None, seed: int | None = None
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Go through the used images once, in order; or mixed, where there is a seed.

        Args:
            batch_size: How many at a time; the last batch may have fewer.
            split: "train", "val" or "test"; None for all.
            seed: Decides the order; None keeps that of the records, class after class.

        Yields:
            (images, labels): uint8 (N, H, W, 3), and class numbers (N,); N is at most `batch_size`.

        Raises:
            SettingsError: There is no such split, or the batch size is below 1.
        """
        expect(batch_size >= 1, "batch_size", batch_size, "1 or more")
        indexes = self.indexes(split)
        if seed is not None:
            indexes = np.random.default_rng(seed).permutation(indexes)
        for start in range(0, len(indexes), batch_size):
            chosen = indexes[start : start + batch_size]
            yield self.pixels(chosen), self.labels(chosen)

    def fingerprint(self) -> str:
        """Return one hash for the content of all used images, whatever their names and order."""
        contents = sorted(f"{r.label}/{r.sha256}" for r in self.records if r.used)
        return hashlib.sha256("\n".join(contents).encode("utf-8", "surrogateescape")).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return what was found, as JSON values: counts, problems, and groups of near copies."""
        return {
            "root": str(self.root),
            "layout": self.layout.to_dict(),
            "num_files": len(self.records),
            "classes": self.counts(),
            "used": self.counts(used_only=True),
            "problems": [
                {"path": record.path, "problem": problem.code, "detail": problem.detail, "used": record.used}
                for record in self.records
                for problem in record.problems
            ],
            "groups": [[record.path for record in group] for group in self.groups()],
        }

    def save(self, path: Path) -> None:
        """Write the manifest: one row per file.

        Raises:
            OutputError: It cannot be written.
        """
        files.write_text(path, table_text([_COLUMNS, *map(_row, self.records)]))

    def refuse_changes(self, manifest_path: Path) -> None:
        """Make sure that the files and their splits are those of a manifest.

        Raises:
            SettingsError: A file was added, removed or changed since; or the manifest was.
            SourceNotFoundError: The manifest cannot be read.
        """
        then = {(record.path, record.label, record.sha256, record.split) for record in load_records(manifest_path)}
        now = {(record.path, record.label, record.sha256, record.split) for record in self.records}
        if then != now:
            changed = sorted({path for path, *_ in then ^ now})
            raise SettingsError(
                f"{len(changed)} files in {str(self.root)!r} are not as they were when {str(manifest_path)!r} was "
                f"written, such as {changed[0]!r}: start a new run"
            )

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        return images.resize(self._rgb(index), self.config)

    def _rgb(self, index: int) -> Image.Image:
        return images.decode(self.content(index), self.config).rgb


def split_fingerprint(records: Iterable[ImageRecord]) -> str:
    """Return one hash for the used images among records: their contents, labels, splits and perceptual hashes."""
    placed = sorted(f"{r.split}/{r.label}/{r.sha256}/{r.phash}" for r in records if r.used)
    return hashlib.sha256("\n".join(placed).encode("utf-8", "surrogateescape")).hexdigest()


def unit_numbers(records: Sequence[ImageRecord]) -> list[int]:
    """Return for each record the place of the first that it must stand on one side with: a copy, or of its subject."""
    units = UnionFind(len(records))
    for names in ([record.group for record in records], [record.subject or None for record in records]):
        firsts: dict[int | str, int] = {}
        places = [place for place, name in enumerate(names) if name is not None]
        first = [firsts.setdefault(name, place) for place, name in enumerate(names) if name is not None]
        units.join(np.array(places, np.intp), np.array(first, np.intp))
    numbers: list[int] = units.labels().tolist()
    return numbers


def groups_of(records: Iterable[ImageRecord]) -> list[list[ImageRecord]]:
    """Return the groups of near copies among records, by their numbers."""
    copies = [record for record in records if record.group is not None]
    members = members_by_group(copies, [record.group for record in copies])
    return [members[number] for number in sorted(members)]


def load_records(manifest_path: Path) -> tuple[ImageRecord, ...]:
    """Read a manifest back. The particulars of a record with several problems come back with the first.

    A record comes back as used where it has a split.

    Raises:
        SourceNotFoundError: There is no manifest there, or it is not one.
    """
    try:
        with files.open_text(manifest_path, errors="surrogateescape") as file:
            return tuple(map(_record, read_records(file)))
    except (OSError, KeyError, ValueError) as error:
        raise SourceNotFoundError(f"cannot read the manifest {str(manifest_path)!r}: {error}") from error


def _row(record: ImageRecord) -> list[object]:
    codes = ";".join([problem.code for problem in record.problems])
    details = "; ".join([problem.detail for problem in record.problems])
    size = (record.width, record.height, record.brightness, record.colour) if record.phash else (None,) * 4
    start = (record.path, record.label, record.sha256, record.phash, record.num_bytes, record.format)
    return [*start, *size, codes, record.group, record.subject, record.split, details]


def _record(row: dict[str, str]) -> ImageRecord:
    if row["split"] not in ("", *SPLITS):
        raise ValueError(f"a row has the split {row['split']!r}")
    if not re.fullmatch("([0-9a-f]{32})?", row["phash"]):
        raise ValueError(f"a row has the phash {row['phash'][:40]!r}")
    codes = row["problem"].split(";") if row["problem"] else []
    return ImageRecord(
        path=row["path"],
        label=row["label"],
        sha256=row["sha256"],
        phash=row["phash"],
        num_bytes=int(row["bytes"]),
        format=row["format"],
        width=int(row["width"] or 0),
        height=int(row["height"] or 0),
        brightness=float(row["brightness"]) if row.get("brightness") else None,
        colour=float(row["colour"]) if row.get("colour") else None,
        problems=tuple(Problem(code, "" if place else row["detail"]) for place, code in enumerate(codes)),
        used=row["split"] != "",
        group=int(row["group"]) if row["group"] else None,
        subject=row.get("subject", ""),
        split=row["split"],
    )
