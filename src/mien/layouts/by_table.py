"""Layouts told by a table: which of its columns holds the paths of images, which the labels, which a split."""

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

# So many rows tell which column holds paths: so large a share of its names, or of the images, must fit.
_NUM_TRIED, _LEAST_FOUND = 200, 0.5
_ONES = {"1", "1.0", "true", "True", "TRUE"}
_ZERO_OR_ONE = _ONES | {"0", "0.0", "false", "False", "FALSE", ""}
# Columns with fewer labels than half of the rows may hold labels.
_MAX_DISTINCT = 0.5
# What programs write for a cell without a value.
_NONE = {"", "nan", "<na>"}
_WHOLE = re.compile(r"\d+(\.0+)?")


class Images:
    """The images of a tree, found by what a table may call them."""

    def __init__(self, tree: Folder) -> None:
        self.paths = tree.all_images()
        self._known = set(self.paths)
        self._folders = {path.rpartition("/")[0] for path in self.paths}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2]
            # With and without its ending, and in any case, where nothing else is called so.
            for key in {name, os.path.splitext(name)[0], folded(name)}:
                self._by_name[key].append(path)

    def find(self, cell: str, *, near: str = "", split: str = "") -> list[str]:
        """Return the paths of the images that a cell may mean: one, where it is clear; none where there is none.

        Args:
            cell: A path from anywhere, with or without the end of the file's name; hostile text.
            near: The folder of the table.
            split: Of images of one name, those in a folder that is called so are meant.
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
            # Its folder is here: an image of that name in another one is another image.
            return [path for path in found if path.rpartition("/")[0] in here]
        # A path of another machine: as much of its end as an image has.
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
    """How a table can be read.

    Attributes:
        table: The table.
        near: Its folder, below the root.
        path_column: The column with the paths.
        label_columns: The columns that may hold the labels; one where it is clear.
        split_column: The column with a split; "" for none.
        one_hot: Whether these columns are the classes, of which each row has a 1 in one.
        is_named: Whether the columns are called like labels.
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
        """The path of the table below the root."""
        return f"{self.near}/{self.table.path.name}".lstrip("/")

    @property
    def is_clear(self) -> bool:
        """Whether it is known where the labels are."""
        return self.one_hot or len(self.label_columns) == 1

    @cached_property
    def split(self) -> str:
        """The split that the table is named after, or its folder; "" for none."""
        return _split_of(self.table, self.near)

    def rows(self, images: Images) -> Iterator[tuple[int, dict[str, str], list[str]]]:
        """Go through the rows: the number of each, its cells by column, and the images that it may mean."""
        for number, row in enumerate(self.table.rows, start=self.table.first_line):
            cells = dict(zip(self.table.columns, row, strict=True))
            yield number, cells, images.find(cells[self.path_column], near=self.near, split=self.split)

    def label_of(self, cells: Mapping[str, str]) -> str:
        """Return the label of a row, as it stands there."""
        if not self.one_hot:
            return cells[self.label_columns[0]]
        ones = [name for name in self.label_columns if cells[name].strip() in _ONES]
        return ones[0] if len(ones) == 1 else ""


def read_columns(table: Table, images: Images, near: str, config: LabelConfig = LabelConfig()) -> Reading | None:
    """Find out which columns hold what; None where none holds paths of images.

    Args:
        table: What `read_table` returned.
        images: Those of the tree.
        near: The folder of the table, below the root.
        config: The user's own word.

    Raises:
        SettingsError: A column that the user names is not there.
        NotADatasetError: Two columns name images, and not the same ones.
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
        # Its first line is a row.
        place = table.columns.index(path_column)
        table = table.without_heading()
        path_column = config.path_column or table.columns[place]
    for name, flag in ((config.path_column, "--path-column"), (config.label_column, "--label-column")):
        if name and name not in table.columns:
            raise SettingsError(f"{flag} is {name!r}; {table.path.name} has {listed(table.columns, 20)}")
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
        readings: Clear ones, of tables of one kind.
        images: Those of the tree.

    Raises:
        NotADatasetError: No row has a label and an image.
    """
    taken = _Taken()
    for reading in readings:
        taken.add(reading, images)
    names, notes = [reading.name for reading in readings], taken.notes
    entries = [entry for path, entry in taken.entries.items() if path not in taken.contradicted]
    if not entries:
        because = f" ({'; '.join(notes)})" if notes else ""
        raise NotADatasetError(f"{listed(names)}: no row has both a label and an image that is here{because}")
    without = [path for path in images.paths if path not in taken.entries]
    if without:
        notes.append(f"left out: {counted(len(without), 'image')} without a label, such as {examples(without)}")
    columns = readings[0].label_columns
    where = f"the columns {listed(columns, 4)}" if readings[0].one_hot else f"the column {visible(columns[0])!r}"
    found = _whole_numbers(entries)
    if not any(entry.split for entry in found):
        found = [with_split_of_folder(entry) for entry in found]
    classes = describe_classes(found)
    told = describe_splits(found) if len({entry.split for entry in found}) > 1 else ""
    given = f"; splits {told}" if told else ""
    return Layout(f"labels of {where} of {listed(names)}; classes {classes}{given}", tuple(found)).noting(*notes)


def _split_of(table: Table, near: str) -> str:
    """Return the split that a table is named after, or a folder around it; "" for none."""
    named = [table.path.stem, *reversed(near.split("/"))]
    return next(filter(None, map(split_named, named)), "")


class _Taken:
    """What tables say of images, and what is wrong with their rows.

    Attributes:
        entries: By the path of the image.
        contradicted: Paths of images that have two labels.
        notes: A sentence for each kind of rows that are not taken.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.contradicted: set[str] = set()
        self.notes: list[str] = []

    def add(self, reading: Reading, images: Images) -> None:
        """Take what a table says."""
        table = reading.table
        problems: dict[str, list[str]] = defaultdict(list)
        for number, cells, found in reading.rows(images):
            place, raw = f"row {number} ({visible(cells[reading.path_column][:60])})", reading.label_of(cells)
            label = raw.strip()
            if len(found) > 1:
                problems["a name that several images have"].append(place)
            elif not found:
                problems["no image of that name is here,"].append(place)
            elif label.casefold() in _NONE:
                problems["no label, or several,"].append(place)
            else:
                if label != raw:
                    problems["blanks around the label, which are taken off,"].append(place)
                column = reading.split_column
                split = split_in_column(column, cells[column]) if column else reading.split
                if column and not split and cells[column].strip():
                    problems[f"a {column!r} that is no split, and counts as training,"].append(place)
                entry = Entry(found[0], label, split, cells)
                other = self.entries.setdefault(found[0], entry)
                if other.label != label:
                    self.contradicted.add(found[0])
                    problems["a second label for an image, which is left out,"].append(place)
                elif other is not entry:
                    problems["an image that is named already"].append(place)
        if table.too_long:
            problems["more cells than the heading"] = [f"row {number}" for number in table.too_long]
        self.notes += [f"{reading.name}: {note}" for note in table.notes]
        for problem, places in problems.items():
            share = f"in {len(places)} of {len(table.rows) + len(table.too_long)} rows"
            self.notes.append(f"{reading.name}: {problem} {share}: {examples(places)}")


def agreement(reading: Reading, images: Images, labels: Mapping[str, str]) -> float | None:
    """Return in which share of its rows the best column of a table says the class that folders give.

    Names may differ, as long as each stands for one class. None where it names hardly any of the images.

    Args:
        reading: The table.
        images: Those of the tree.
        labels: The class of each image, by its path.
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
    """Return what a cell says as a path with forward slashes: of a URL the path, or the file in its query."""
    text = cell.strip()
    if "://" in text or "?d=" in text:
        parts = urlsplit(text)
        text = next(iter(parse_qs(parts.query).get("d", ())), unquote(parts.path))
    return "/".join(part for part in re.split(r"[/\\]", text) if part not in ("", ".", ".."))


def _path_column(table: Table, images: Images, near: str, split: str) -> str:
    """Return the column whose cells name images; "" for none.

    Numbers name images too, as 17 does 17.jpg: that of a name counts before others, and one without a name last.

    Raises:
        NotADatasetError: Two name different ones, and nothing tells which is meant.
    """
    ranked = []
    for name in table.columns:
        cells = list(dict.fromkeys(cell.strip() for cell in table.column(name)))
        tried = cells[:: max(1, len(cells) // _NUM_TRIED)]
        found = _named_by(tried, images, near, split)
        if len(found) < _LEAST_FOUND * len(tried):
            # A table of far more images than are here names those that are.
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
                f"the columns {first!r} and {other!r} of {str(table.path)!r} both name images: say which is meant "
                "(--path-column)"
            )
    return first


def _named_by(cells: Iterable[str], images: Images, near: str, split: str) -> set[str]:
    """Return the images that cells mean, each clearly."""
    every = (images.find(cell, near=near, split=split) for cell in cells)
    return {found[0] for found in every if len(found) == 1}


def _holds_splits(name: str, cells: Sequence[str]) -> bool:
    """Say whether a column holds splits, among them that to train on; others in it may mean nothing."""
    splits = {split_in_column(name, cell) for cell in set(cells)}
    if may_be_split_column(name):
        return "train" in splits and len(splits - {""}) > 1
    return name.startswith("column ") and "train" in splits and len(splits) > 1 and "" not in splits


def _one_of_the_same(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns; of those that say the same in other names only the first that is in words."""
    kept: list[str] = []
    for name in sorted(columns, key=lambda name: all(map(str.isdecimal, map(str.strip, table.column(name))))):
        if not any(_say_the_same(table, name, other) for other in kept):
            kept.append(name)
    return tuple(sorted(kept, key=columns.index))


def _say_the_same(table: Table, name: str, other: str) -> bool:
    cells = table.column(name), table.column(other)
    return len(set(zip(*cells, strict=True))) == len(set(cells[0])) == len(set(cells[1]))


def _candidates(table: Table, columns: Sequence[str]) -> list[str]:
    """Return the columns that may hold labels though they are not called so: with few values, and more than one."""
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
    """Return entries whose labels are whole numbers without the .0 that some programs add."""
    found = list(entries)
    if not all(_WHOLE.fullmatch(entry.label) for entry in found):
        return found
    return [Entry(e.path, e.label.split(".")[0], e.split, e.row) for e in found]
