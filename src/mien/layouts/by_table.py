"""Layouts from a table: find its columns of image paths, labels and splits."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import parse_qs, unquote, urlsplit

from mien.config import LabelConfig
from mien.core.text import counted, folded, visible
from mien.errors import NotADatasetError, SettingsError
from mien.layouts.layout import (
    Entry,
    Layout,
    describe_classes,
    describe_splits,
    examples,
    listed,
    with_split_of_folder,
)
from mien.layouts.tables import Table
from mien.layouts.tree import Folder
from mien.layouts.words import (
    is_label_column,
    is_other_column,
    is_path_column,
    may_be_split_column,
    split_in_column,
    split_named,
)

# How many rows to try to find the path column, and the share of them, or of the images, that must match.
_NUM_TRIED, _LEAST_FOUND = 200, 0.5
_ONES = {"1", "1.0", "true", "True", "TRUE"}
_ZERO_OR_ONE = _ONES | {"0", "0.0", "false", "False", "FALSE", ""}
# Columns with fewer distinct values than this share of the rows may hold labels.
_MAX_DISTINCT = 0.5
# How programs write a missing value.
_NONE = {"", "nan", "<na>"}
_WHOLE = re.compile(r"\d+(\.0+)?")


class Images:
    """The images of a tree, searchable by the names that a table may use."""

    def __init__(self, tree: Folder) -> None:
        self.paths = tree.all_images()
        self._known = set(self.paths)
        self._folders = {path.rpartition("/")[0] for path in self.paths}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2]
            # With or without extension, and in any case if that is unambiguous.
            for key in {name, os.path.splitext(name)[0], folded(name)}:
                self._by_name[key].append(path)

    def find(self, cell: str, *, near: str = "", split: str = "") -> list[str]:
        """Return the images that a cell may mean: one if it is clear, several if it is not, [] for none.

        Args:
            cell: A path from anywhere, with or without a file extension; untrusted text.
            near: The folder of the table.
            split: Among images with the same name, prefer those in a folder named after this split.
        """
        wanted = _path_in(cell)
        if not wanted:
            return []
        wholes = dict.fromkeys((f"{near}/{wanted}" if near else wanted, wanted))
        if exact := [whole for whole in wholes if whole in self._known]:
            return exact[:1]
        *above, name = wanted.split("/")
        found = self._by_name.get(name) or self._by_name.get(folded(name)) or []
        here = [folder for whole in wholes if (folder := whole.rpartition("/")[0]) in self._folders]
        if above and here:
            # Its folder exists here, so an image of that name in another folder is a different image.
            return [path for path in found if path.rpartition("/")[0] in here]
        # A path from another machine: match as much of its end as possible.
        for start in range(len(above) + 1):
            end = "/" + "/".join(above[start:]) if above[start:] else ""
            inside = [path for path in found if f"/{path}".rpartition("/")[0].endswith(end)]
            if inside:
                found = inside
                break
        of_split = [path for path in found if split and split in map(split_named, path.split("/")[:-1])]
        return of_split or found


@dataclass(frozen=True)
class Reading:
    """An interpretation of a table.

    Attributes:
        table: The table.
        near: Its folder, relative to the root.
        path_column: The column of image paths.
        label_columns: The columns that may hold the labels; a single one if it is clear.
        split_column: The column of splits, or "".
        one_hot: Whether the label columns are the classes, with a 1 in exactly one of them per row.
        is_named: Whether the columns have names typical of labels.
    """

    table: Table
    near: str
    path_column: str
    label_columns: tuple[str, ...]
    split_column: str = ""
    one_hot: bool = False
    is_named: bool = False

    @property
    def name(self) -> str:
        """The path of the table relative to the root."""
        return f"{self.near}/{self.table.path.name}".lstrip("/")

    @property
    def is_clear(self) -> bool:
        """Whether the label column is known."""
        return self.one_hot or len(self.label_columns) == 1

    @cached_property
    def split(self) -> str:
        """The split that the table or its folder is named after, or ""."""
        return _split_of(self.table, self.near)

    def rows(self, images: Images) -> Iterator[tuple[int, dict[str, str], list[str]]]:
        """Yield each row as its number, its cells by column, and the images that it may mean."""
        for number, row in enumerate(self.table.rows, start=self.table.first_line):
            cells = dict(zip(self.table.columns, row, strict=True))
            yield number, cells, images.find(cells[self.path_column], near=self.near, split=self.split)

    def label_of(self, cells: Mapping[str, str]) -> str:
        """Return the label of a row, exactly as written."""
        if not self.one_hot:
            return cells[self.label_columns[0]]
        ones = [name for name in self.label_columns if cells[name].strip() in _ONES]
        return ones[0] if len(ones) == 1 else ""


def read_columns(table: Table, images: Images, near: str, config: LabelConfig = LabelConfig()) -> Reading | None:
    """Interpret the columns of a table; None if no column contains image paths.

    Args:
        table: Result of `read_table`.
        images: The images of the tree.
        near: The folder of the table, relative to the root.
        config: The user's settings.

    Raises:
        SettingsError: A column named by the user does not exist.
        NotADatasetError: Two columns name different images.
    """
    split = _split_of(table, near)
    config = replace(
        config,
        path_column=table.called(config.path_column),
        label_column=table.called(config.label_column),
    )
    path_column = config.path_column if config.path_column in table.columns else ""
    path_column = path_column or _path_column(table, images, near, split)
    if path_column and images.find(path_column, near=near, split=split) and not is_path_column(path_column):
        # The first line is data.
        place = table.columns.index(path_column)
        table = table.without_heading()
        path_column = config.path_column or table.columns[place]
    for name, flag in ((config.path_column, "--path-column"), (config.label_column, "--label-column")):
        if name and name not in table.columns:
            raise SettingsError(f"{flag} is {name!r}, but {table.path.name} has {listed(table.columns, 20)}")
    if not path_column:
        return None
    others = [name for name in table.columns if name != path_column]
    split_column = next((name for name in others if _holds_splits(name, table.column(name))), "")
    if config.label_column:
        return Reading(table, near, path_column, (config.label_column,), split_column, is_named=True)
    others = [name for name in others if name != split_column]
    named = _one_of_the_same(table, [name for name in others if is_label_column(name)])
    if named:
        return Reading(table, near, path_column, named, split_column, is_named=True)
    if _are_one_hot(table, others):
        return Reading(table, near, path_column, tuple(others), split_column, one_hot=True, is_named=True)
    return Reading(table, near, path_column, _one_of_the_same(table, _candidates(table, others)), split_column)


def by_tables(readings: Sequence[Reading], images: Images) -> Layout:
    """Take labels from tables.

    Args:
        readings: Clear interpretations, of tables of the same kind.
        images: The images of the tree.

    Raises:
        NotADatasetError: No row has both a label and an image.
    """
    taken = _Taken()
    for reading in readings:
        taken.add(reading, images)
    names, notes = [reading.name for reading in readings], taken.notes
    entries = [entry for path, entry in taken.entries.items() if path not in taken.contradicted]
    if not entries:
        because = f" ({'; '.join(notes)})" if notes else ""
        raise NotADatasetError(f"{listed(names)}: no row has both a label and an image in this folder{because}")
    without = [path for path in images.paths if path not in taken.entries]
    if without:
        notes.append(f"skipped {counted(len(without), 'image')} without a label, e.g. {examples(without)}")
    columns = readings[0].label_columns
    where = f"columns {listed(columns, 4)}" if readings[0].one_hot else f"column {visible(columns[0])!r}"
    found = _whole_numbers(entries)
    if not any(entry.split for entry in found):
        found = [with_split_of_folder(entry) for entry in found]
    classes = describe_classes(found)
    told = describe_splits(found) if len({entry.split for entry in found}) > 1 else ""
    given = f"; splits {told}" if told else ""
    return Layout(f"labels from {where} of {listed(names)}; classes {classes}{given}", tuple(found)).noting(*notes)


def _split_of(table: Table, near: str) -> str:
    """Return the split that a table, or a folder around it, is named after, or ""."""
    named = [table.path.stem, *reversed(near.split("/"))]
    return next(filter(None, map(split_named, named)), "")


class _Taken:
    """The content of tables by image, and the problems of their rows.

    Attributes:
        entries: By image path.
        contradicted: Paths of images with two labels.
        notes: A sentence for each kind of problem.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.contradicted: set[str] = set()
        self.notes: list[str] = []

    def add(self, reading: Reading, images: Images) -> None:
        """Add a table."""
        table = reading.table
        problems: dict[str, list[str]] = defaultdict(list)
        for number, cells, found in reading.rows(images):
            place, raw = f"row {number} ({visible(cells[reading.path_column][:60])})", reading.label_of(cells)
            label = raw.strip()
            if len(found) > 1:
                problems["ambiguous name, shared by several images,"].append(place)
            elif not found:
                problems["no image of this name"].append(place)
            elif label.casefold() in _NONE:
                problems["no label, or several,"].append(place)
            else:
                if label != raw:
                    problems["spaces around the label (removed)"].append(place)
                column = reading.split_column
                split = split_in_column(column, cells[column]) if column else reading.split
                if column and not split and cells[column].strip():
                    problems[f"unknown value in {column!r} (used for training)"].append(place)
                entry = Entry(found[0], label, split, cells)
                other = self.entries.setdefault(found[0], entry)
                if other.label != label:
                    self.contradicted.add(found[0])
                    problems["second label for an image (image skipped)"].append(place)
                elif other is not entry:
                    problems["image already listed"].append(place)
        if table.too_long:
            problems["more cells than the header"] = [f"row {number}" for number in table.too_long]
        self.notes += [f"{reading.name}: {note}" for note in table.notes]
        for problem, places in problems.items():
            share = f"in {len(places)} of {len(table.rows) + len(table.too_long)} rows"
            self.notes.append(f"{reading.name}: {problem} {share}: {examples(places)}")


def agreement(reading: Reading, images: Images, labels: Mapping[str, str]) -> float | None:
    """Return the share of rows in which the best column of a table agrees with the classes from folders.

    Names may differ if they map one to one. None if the table lists too few of the images.

    Args:
        reading: The table.
        images: The images of the tree.
        labels: The class of each image, by path.
    """
    rows = [(cells, labels[found[0]]) for _, cells, found in reading.rows(images) if found and found[0] in labels]
    if len(rows) < _LEAST_FOUND * min(len(reading.table.rows), len(labels)):
        return None
    best = 0.0
    for column in reading.table.columns:
        if column != reading.path_column:
            pairs = Counter((cells[column].strip(), label) for cells, label in rows)
            names, classes = {name for name, _ in pairs}, {label for _, label in pairs}
            if len(pairs) == len(names) == len(classes):
                return 1.0
            best = max(best, sum(count for (name, label), count in pairs.items() if name == label) / len(rows))
    return best


def _path_in(cell: str) -> str:
    """Return the path in a cell with forward slashes; for a URL, its path or the file in its query."""
    text = cell.strip()
    if "://" in text or "?d=" in text:
        parts = urlsplit(text)
        text = next(iter(parse_qs(parts.query).get("d", ())), unquote(parts.path))
    return "/".join(part for part in re.split(r"[/\\]", text) if part not in ("", ".", ".."))


def _path_column(table: Table, images: Images, near: str, split: str) -> str:
    """Return the column whose cells name images, or "".

    Numbers can name images too (17 for 17.jpg). Columns with a typical name are preferred, unnamed ones come last.

    Raises:
        NotADatasetError: Two equally likely columns name different images.
    """
    ranked = []
    for name in table.columns:
        cells = list(dict.fromkeys(cell.strip() for cell in table.column(name)))
        tried = cells[:: max(1, len(cells) // _NUM_TRIED)]
        found = _named_by(tried, images, near, split)
        if len(found) < _LEAST_FOUND * len(tried):
            # The table may list far more images than are in this folder.
            found = _named_by(cells, images, near, split)
            if len(found) < _LEAST_FOUND * len(images.paths):
                continue
        if len(found) > 1:
            rank = 0 if is_path_column(name) else 2 if re.fullmatch(r"column \d+|Unnamed.*|index", name) else 1
            ranked.append((rank, -len(found), table.columns.index(name), name))
    if not ranked:
        return ""
    (rank, _, _, first), *others = sorted(ranked)
    for other_rank, _, _, other in others:
        pairs = list(zip(table.column(first), table.column(other), strict=True))
        pairs = pairs[:: max(1, len(pairs) // _NUM_TRIED)]
        if other_rank == rank and any(images.find(a, near=near) != images.find(b, near=near) for a, b in pairs):
            raise NotADatasetError(
                f"the columns {first!r} and {other!r} of {str(table.path)!r} both name images. Choose one with "
                "--path-column"
            )
    return first


def _named_by(cells: Iterable[str], images: Images, near: str, split: str) -> set[str]:
    """Return the images that cells name unambiguously."""
    every = (images.find(cell, near=near, split=split) for cell in cells)
    return {found[0] for found in every if len(found) == 1}


def _holds_splits(name: str, cells: Sequence[str]) -> bool:
    """Return whether a column holds splits, including a training split; unknown values are allowed."""
    splits = {split_in_column(name, cell) for cell in set(cells)}
    if may_be_split_column(name):
        return "train" in splits and len(splits - {""}) > 1
    return name.startswith("column ") and "train" in splits and len(splits) > 1 and "" not in splits


def _one_of_the_same(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns without duplicates that only rename values, preferring words to numbers."""
    kept: list[str] = []
    for name in sorted(columns, key=lambda name: all(map(str.isdecimal, map(str.strip, table.column(name))))):
        if not any(_say_the_same(table, name, other) for other in kept):
            kept.append(name)
    return tuple(sorted(kept, key=columns.index))


def _say_the_same(table: Table, name: str, other: str) -> bool:
    cells = table.column(name), table.column(other)
    return len(set(zip(*cells, strict=True))) == len(set(cells[0])) == len(set(cells[1]))


def _candidates(table: Table, columns: Sequence[str]) -> list[str]:
    """Return the columns that may hold labels despite their names: with few distinct values, but more than one."""
    found = []
    for name in columns:
        counts = Counter(cell.strip() for cell in table.column(name))
        if not is_other_column(name) and 2 <= len(counts) <= _MAX_DISTINCT * len(table.rows):
            found.append(name)
    return found


def _are_one_hot(table: Table, columns: Sequence[str]) -> bool:
    places = [table.columns.index(name) for name in columns]
    if len(places) < 2 or not table.rows:
        return False
    rows = ([row[place].strip() for place in places] for row in table.rows)
    return all(all(cell in _ZERO_OR_ONE for cell in row) and sum(cell in _ONES for cell in row) == 1 for row in rows)


def _whole_numbers(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries with integer labels stripped of the .0 that some programs add."""
    found = list(entries)
    if not all(_WHOLE.fullmatch(entry.label) for entry in found):
        return found
    return [Entry(e.path, e.label.split(".")[0], e.split, e.row) for e in found]
