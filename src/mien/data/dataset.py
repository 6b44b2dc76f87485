"""The Dataset: one record per file of a folder of images, and its manifest.csv."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, SupportsBytes

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import ScanConfig, expect
from mien.core import files, images
from mien.core.changes import Change
from mien.core.csv_tables import read_records, table_text
from mien.core.inputs import Inputs, inputs_of, joined
from mien.core.parallel import in_threads
from mien.core.text import as_typed, counted
from mien.data.near_copies import members_by_group
from mien.data.near_pairs import UnionFind
from mien.errors import ImageError, SettingsError, SourceNotFoundError
from mien.fetching.stored_folders import as_given
from mien.layouts.layout import Layout

SPLITS = ("train", "val", "test")
# If related images are assigned to several splits, those in the first of these are kept.
GIVEN_FIRST = ("test", "val", "train", "")
PROBLEMS = {
    "unreadable": "damaged or unreadable",
    "not_an_image": "not an image, or an unsupported format",
    "empty": "empty file",
    "too_many_pixels": "too large to decode safely",
    "too_few_bytes": "file smaller than --min-bytes",
    "too_few_pixels": "side shorter than --min-side",
    "conflicting_labels": "copy of an image in another class",
    "exact_duplicate": "same file as another",
    "near_duplicate": "near-duplicate of another image",
    "blank": "one single colour, or nearly",
    "nearly_black": "almost black",
    "lacks_end": "JPEG without an end marker, but with all pixels",
    "wrong_extension": "file extension does not match the content",
    "left_out": "excluded by --relabel",
    "joins_splits": "related to images in two fixed splits",
    "trained_on": "the run was trained on it or on a copy",
    "relabelled": "label changed by --relabel",
    "label_issue": "label may be wrong",
}
_LOOK = ("mien check {data} --sheet pairs.png draws the copies.", "If they are not copies, add --near-bits 0.")
_FETCH_AGAIN = ("Save or download the damaged files again.",)
# What a user can do about files that are skipped for a problem, in sentences; {data} is the folder.
_REMEDIES: dict[str, tuple[str, ...]] = {
    "unreadable": _FETCH_AGAIN,
    "not_an_image": ("Convert unsupported images to JPEG or PNG.",),
    "empty": _FETCH_AGAIN,
    "too_many_pixels": ("To use very large images, raise --max-pixels or shrink them.",),
    "too_few_bytes": ("To use small files, add --min-bytes 0.",),
    "too_few_pixels": ("To use small images, add --min-side 1.",),
    "conflicting_labels": (*_LOOK, "If they are, mien review {data} lets you choose their class."),
    "exact_duplicate": ("Add more images.",),
    "near_duplicate": _LOOK,
    "left_out": ("To use excluded images, edit the --relabel file.",),
    "joins_splits": ("To use images related to two splits, add --split new.",),
}
_COLUMNS = (
    "path label sha256 phash bytes format width height brightness colour problem group subject split detail".split()
)


@dataclass(frozen=True)
class Problem:
    """A problem with a file: a code from PROBLEMS, and the details."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One file of a Dataset.

    Attributes:
        path: Relative to the root, with forward slashes.
        label: Name of its class.
        sha256: Hash of the content, or "" if it could not be read.
        phash: 128-bit perceptual hash in hex (see `mien.data.near_copies`), or "" if it is not an image.
        num_bytes: Size of the file.
        format: Image format detected from the content, e.g. "JPEG".
        width: Width in pixels, upright.
        height: Height in pixels, upright.
        brightness: Mean brightness from 0 (black) to 1 (white), or None if it is not an image.
        colour: Mean difference between the strongest and weakest of red, green and blue, from 0 (grey) to 1, or None.
        problems: The problems found.
        used: Whether it may be used for training and testing.
        group: Number of its group of copies, or None.
        subject: Name of its group known to the user (see `mien.data.subjects`), e.g. a patient, or "".
        split: "train", "val", "test", or "".
        given: The split assigned by folders or a table, or "". Not in the manifest.
        look: A thumbnail of its grey levels and colours (see `mien.data.looks`). Not in the manifest.
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
    look: SupportsBytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True)
class Dataset:
    """A folder of labelled images, as records.

    Attributes:
        root: The folder.
        class_names: In natural order; a class's number is its index.
        records: One per file, in scan order.
        config: How files are decoded.
        kept: Network inputs of the images, one row per record, if the scan kept them. Rows of files that are not images
            are undefined.
        layout: How the classes of the images were determined.
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
    def name(self) -> str:
        """The folder, or the address in an object store that it is a copy of."""
        return as_given(self.root)

    @property
    def knows_groups(self) -> bool:
        """Whether any image has a group known to the user."""
        return any(record.subject for record in self.records)

    def with_records(self, records: Sequence[ImageRecord]) -> "Dataset":
        """Return the Dataset with new records for the same files, in the same order."""
        return replace(self, records=tuple(records))

    def indexes(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the indexes of the used records, of all or of one split.

        Raises:
            SettingsError: The split does not exist.
        """
        if split not in (None, *SPLITS):
            raise SettingsError(f"unknown split {split!r}. Choose one of: {', '.join(SPLITS)}")
        chosen = [i for i, r in enumerate(self.records) if r.used and (split is None or r.split == split)]
        return np.array(chosen, np.int64)

    def labels(self, indexes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class numbers of the records at these indexes."""
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[self.records[i].label] for i in indexes], np.int64)

    def group_numbers(self, indexes: NDArray[np.int64]) -> list[int]:
        """Return a number for each of these records that is equal for records that must stay in the same split.

        These are copies, images of one subject, and anything connected by a chain of both.
        """
        units = unit_numbers(self.records)
        return [units[i] for i in indexes]

    def subject_numbers(self, indexes: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return a number for each of these records, equal for images of one subject; None if there are no subjects."""
        if not self.knows_groups:
            return None
        return np.unique(self.group_numbers(indexes), return_inverse=True)[1].astype(np.int64)

    def counts(self, *, used_only: bool = False) -> dict[str, int]:
        """Return the number of files of each class, of all or only of those used."""
        found = Counter(r.label for r in self.records if r.used or not used_only)
        return {name: found[name] for name in self.class_names}

    def remedies(self, code: str) -> list[str]:
        """Return what a user can do about files that are skipped for a problem, in sentences."""
        return [sentence.format(data=as_typed(self.name)) for sentence in _REMEDIES[code]]

    def left_out(self, label: str) -> dict[str, int]:
        """Return the number of unused files of a class for each problem code."""
        return dict(Counter(r.problems[-1].code for r in self.records if r.label == label and not r.used))

    def groups(self) -> list[list[ImageRecord]]:
        """Return the groups of near-duplicates."""
        return groups_of(self.records)

    def pixels(self, indexes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images at these indexes, uint8 (N, H, W, 3), decoding them unless the scan kept them."""
        if self.kept is not None:
            return self.kept.images[indexes]
        arrays = [self._pixels(i) for i in indexes]
        return np.stack(arrays) if arrays else np.empty((0, *self.config.image_size, 3), np.uint8)

    def inputs(self, indexes: NDArray[np.int64]) -> Inputs:
        """Return the network inputs for the images at these indexes, decoding them unless the scan kept them."""
        if self.kept is not None:
            return self.kept[indexes]
        return joined([inputs_of(self._rgb(i), self.config) for i in indexes], self.config)

    def face_boxes(self, indexes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the face boxes of the images at these indexes: float32 (N, 3, 4), as in `Inputs.face_boxes`."""
        if self.kept is not None:
            return self.kept.face_boxes[indexes]
        if self.config.faces != "on":
            return Inputs.of(np.empty((len(indexes), 0, 0, 3), np.uint8)).face_boxes
        return np.concatenate(list(in_threads(lambda index: self.inputs(np.array([index])).face_boxes, indexes)))

    def changed_inputs(self, index: int, changes: Iterable[Change]) -> list[Inputs]:
        """Return the network inputs for changed versions of one image: Inputs of length 1 each.

        Args:
            index: Index of the image.
            changes: The changes to make. Each must apply to the image.

        Raises:
            ImageError: The file is gone or has changed since the scan.
        """
        rgb = images.decode(self.content(index), self.config).rgb
        unchanged = inputs_of(rgb, self.config) if self.kept is None else self.kept[index : index + 1]
        return [change.inputs_of(rgb, unchanged, self.config) for change in changes]

    def content(self, index: int) -> bytes:
        """Return the file content of the image at one index.

        Raises:
            ImageError: The file is gone or has changed since the scan.
        """
        content = images.read(self.root / self.records[index].path)
        if hashlib.sha256(content).hexdigest() != self.records[index].sha256:
            raise ImageError("unreadable", "the file has changed since the scan")
        return content

    def keeping_images(self) -> "Dataset":
        """Return the Dataset with the pixels of its used records decoded and kept, without detecting faces."""
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
        """Iterate once over the used images, in order or shuffled.

        Args:
            batch_size: Images per batch; the last batch may be smaller.
            split: "train", "val" or "test", or None for all.
            seed: Seed for shuffling, or None to keep the order of the records, class by class.

        Yields:
            (images, labels): uint8 (N, H, W, 3), and class numbers (N,); N is at most `batch_size`.

        Raises:
            SettingsError: The split does not exist, or the batch size is below 1.
        """
        expect(batch_size >= 1, "batch_size", batch_size, "1 or more")
        indexes = self.indexes(split)
        if seed is not None:
            indexes = np.random.default_rng(seed).permutation(indexes)
        for start in range(0, len(indexes), batch_size):
            chosen = indexes[start : start + batch_size]
            yield self.pixels(chosen), self.labels(chosen)

    def fingerprint(self) -> str:
        """Return a hash of the content and labels of all used images, independent of file names and order."""
        contents = sorted(f"{r.label}/{r.sha256}" for r in self.records if r.used)
        return hashlib.sha256("\n".join(contents).encode("utf-8", "surrogateescape")).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as JSON values: counts, problems, and groups of near-duplicates."""
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
        """Write the manifest, one row per file.

        Raises:
            OutputError: It cannot be written.
        """
        files.write_text(path, table_text([_COLUMNS, *map(_row, self.records)]))

    def refuse_changes(self, manifest_path: Path) -> None:
        """Check that the files and their splits still match a manifest.

        Raises:
            SettingsError: A file was added, removed or changed, or the manifest was.
            SourceNotFoundError: The manifest cannot be read.
        """
        then = {(record.path, record.label, record.sha256, record.split) for record in load_records(manifest_path)}
        now = {(record.path, record.label, record.sha256, record.split) for record in self.records}
        if then != now:
            changed = sorted({path for path, *_ in then ^ now})
            raise SettingsError(
                f"{counted(len(changed), 'file')} in {self.name!r} changed since {str(manifest_path)!r} was "
                f"written, e.g. {changed[0]!r}. Start a new run"
            )

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        return images.resize(self._rgb(index), self.config)

    def _rgb(self, index: int) -> Image.Image:
        try:
            return images.decode(self.content(index), self.config).rgb
        except ImageError as error:
            path = str(self.root / self.records[index].path)
            raise ImageError(error.problem, f"{path!r}: {error}") from error


def split_fingerprint(records: Iterable[ImageRecord]) -> str:
    """Return a hash of the content, labels, splits and perceptual hashes of the used images among these records."""
    placed = sorted(f"{r.split}/{r.label}/{r.sha256}/{r.phash}" for r in records if r.used)
    return hashlib.sha256("\n".join(placed).encode("utf-8", "surrogateescape")).hexdigest()


def unit_numbers(records: Sequence[ImageRecord]) -> list[int]:
    """Return, for each record, the index of the first one that must share its split: a copy, or the same subject."""
    units = UnionFind(len(records))
    for names in ([record.group for record in records], [record.subject or None for record in records]):
        firsts: dict[int | str, int] = {}
        places = [place for place, name in enumerate(names) if name is not None]
        first = [firsts.setdefault(name, place) for place, name in enumerate(names) if name is not None]
        units.join(np.array(places, np.intp), np.array(first, np.intp))
    numbers: list[int] = units.labels().tolist()
    return numbers


def groups_of(records: Iterable[ImageRecord]) -> list[list[ImageRecord]]:
    """Return the groups of near-duplicates among these records, by group number."""
    copies = [record for record in records if record.group is not None]
    members = members_by_group(copies, [record.group for record in copies])
    return [members[number] for number in sorted(members)]


def load_records(manifest_path: Path) -> tuple[ImageRecord, ...]:
    """Read a manifest. If a record has several problems, the first one gets all the details.

    Records with a split are marked as used.

    Raises:
        SourceNotFoundError: The file does not exist or is not a manifest.
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
        raise ValueError(f"a row has the unknown split {row['split']!r}")
    if not re.fullmatch("([0-9a-f]{32})?", row["phash"]):
        raise ValueError(f"a row has the invalid phash {row['phash'][:40]!r}")
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
