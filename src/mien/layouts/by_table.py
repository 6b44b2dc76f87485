"""Layouts told by a table: which of its columns holds the paths of images, which the labels, which a split."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from mien.config import LabelConfig
from mien.core.text import counted, visible
from mien.errors import NotADatasetError, SettingsError
from mien.layouts.layout import Entry, Layout, describe_splits, examples, listed, natural_key, split_named
from mien.layouts.tables import Table
from mien.layouts.tree import Folder

# So many rows tell which column holds paths, and so large a share of them must name an image.
_NUM_TRIED, _LEAST_FOUND = 200, 0.5
# Columns that hold the label, the first that is there.
_LABEL_NAMES = (
    "label labels class classes category target diagnosis dx species breed emotion expression choice class_name "
    "classname label_name labelname class_label label_text y"
).split()
_SPLIT_NAMES = {"split", "set", "subset", "partition", "phase", "usage", "fold", "dataset", "data_set", "data set"}
_ONES = {"1", "1.0", "true", "True", "TRUE"}
_ZERO_OR_ONE = _ONES | {"0", "0.0", "false", "False", "FALSE", ""}
# Columns with fewer labels than half of the rows may hold labels.
_MAX_DISTINCT = 0.5


class Images:
    """The images of a tree, found by what a table may call them."""

    def __init__(self, tree: Folder) -> None:
        self.paths = tree.all_images()
        self._known = set(self.paths)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2]
            self._by_name[name].append(path)
            self._by_stem[PurePosixPath(name).stem].append(path)

    def find(self, cell: str, *, near: str = "", splits: Collection[str] = ()) -> list[str]:
        """Return the paths of the images that a cell may mean: one, where it is clear; none where there is none.

        Args:
            cell: A path from anywhere, with or without the end of the file's name; hostile text.
            near: The folder of the table.
            splits: Of images of one name, those in a folder that is called so are meant.
        """
        wanted = _path_in(cell)
        if not wanted:
            return []
        for whole in dict.fromkeys((f"{near}/{wanted}" if near else wanted, wanted)):
            if whole in self._known:
                return [whole]
        parts = wanted.split("/")
        found = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1]) or []
        # A path of another machine: as much of its end as an image has.
        for start in range(len(parts)):
            above = parts[start:-1]
            inside = [
                path for path in found if not above or f"/{path}".rpartition("/")[0].endswith("/" + "/".join(above))
            ]
            if inside:
                found = inside
                break
        if len(found) > 1 and splits:
            found = [
                path for path in found if {split_named(part) for part in path.split("/")[:-1]} & set(splits)
            ] or found
        return found


@dataclass(frozen=True)
class Reading:
    """How a table can be read.

    Attributes:
        table: The table.
        path_column: The column with the paths.
        label_columns: The columns that may hold the labels; one where it is clear.
        split_column: The column with a split; "" for none.
        one_hot: Whether these columns are the classes, of which each row has a 1 in one.
    """

    table: Table
    path_column: str
    label_columns: tuple[str, ...]
    split_column: str = ""
    one_hot: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether it is known where the labels are."""
        return self.one_hot or len(self.label_columns) == 1


def read_columns(table: Table, images: Images, near: str, config: LabelConfig = LabelConfig()) -> Reading | None:
    """Find out which columns hold what; None where none holds paths of images.

    Args:
        table: What `read_table` returned.
        images: Those of the tree.
        near: The folder of the table, below the root.
        config: The user's own word.

    Raises:
        SettingsError: A column that the user names is not there.
    """
    for name, flag in ((config.path_column, "--path-column"), (config.label_column, "--label-column")):
        if name and name not in table.columns:
            raise SettingsError(f"{flag} is {name!r}; {table.path.name} has {listed(table.columns, 20)}")
    shares = {name: _share_found(table.column(name), images, near) for name in table.columns}
    first_row = dict(zip(table.columns, table.columns, strict=True))
    if not config.path_column and any(images.find(name, near=near) for name in first_row):
        return read_columns(table.without_heading(), images, near, config)
    path_column = config.path_column or max(shares, key=shares.__getitem__)
    if not config.path_column and shares[path_column] < _LEAST_FOUND:
        return None
    others = [name for name in table.columns if name != path_column]
    split_column = next((name for name in others if _holds_splits(name, table.column(name))), "")
    if config.label_column:
        return Reading(table, path_column, (config.label_column,), split_column)
    others = [name for name in others if name != split_column]
    named = _named_labels(table, others)
    if len(named) == 1:
        return Reading(table, path_column, named, split_column)
    if not named and _are_one_hot(table, others):
        return Reading(table, path_column, tuple(others), split_column, one_hot=True)
    if len(others) == 1:
        return Reading(table, path_column, tuple(others), split_column)
    return Reading(
        table, path_column, named or tuple(filter(lambda name: _may_be_labels(table, name), others)), split_column
    )


def by_tables(readings: Sequence[Reading], images: Images, root_of: Mapping[str, str]) -> Layout:
    """Take labels from tables.

    Args:
        readings: Clear ones, of tables of one kind.
        images: Those of the tree.
        root_of: The folder of each table below the root, by its path.

    Raises:
        NotADatasetError: No row has a label and an image.
    """
    notes: list[str] = []
    entries: dict[str, Entry] = {}
    contradicted: set[str] = set()
    splits = {str(reading.table.path): _split_of(reading, root_of) for reading in readings}
    for reading in readings:
        _take(
            reading,
            images,
            root_of[str(reading.table.path)],
            splits[str(reading.table.path)],
            entries,
            contradicted,
            notes,
        )
    for path in contradicted:
        entries.pop(path, None)
    names = [f"{root_of[str(table.path)]}/{table.path.name}".lstrip("/") for table in (each.table for each in readings)]
    if not entries:
        raise NotADatasetError(f"{listed(names)}: no row has both a label and an image that is here{_because(notes)}")
    without = [path for path in images.paths if path not in entries and path not in contradicted]
    if without:
        notes.append(f"left out: {counted(len(without), 'image')} without a label, such as {examples(without)}")
    columns = readings[0].label_columns
    where = f"the columns {listed(columns, 4)}" if readings[0].one_hot else f"the column {visible(columns[0])!r}"
    found = _with_splits_of_folders(entries.values())
    classes = listed(sorted({entry.label for entry in found}, key=natural_key))
    told = describe_splits(found) if len({entry.split for entry in found}) > 1 else ""
    given = f"; splits {told}" if told else ""
    return Layout(f"labels of {where} of {listed(names)}; classes {classes}{given}", tuple(found)).noting(*notes)


def _take(
    reading: Reading,
    images: Images,
    near: str,
    split: str,
    entries: dict[str, Entry],
    contradicted: set[str],
    notes: list[str],
) -> None:
    """Add the entries of a table, and notes on rows that cannot be taken."""
    table = reading.table
    problems: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(table.rows, start=table.first_line):
        cells = dict(zip(table.columns, row, strict=True))
        name, raw = cells[reading.path_column], _label_of(cells, reading)
        place, label = f"row {number} ({visible(name[:60])})", raw.strip()
        found = images.find(name, near=near, splits=[split] if split else ())
        if len(found) > 1:
            problems["a name that several images have"].append(place)
        elif not found:
            problems["no image of that name is here,"].append(place)
        elif not label:
            problems["no label"].append(place)
        else:
            if label != raw:
                problems["blanks around the label, which are taken off,"].append(place)
            entry = Entry(found[0], label, _split_in(cells, reading) or split, cells)
            other = entries.setdefault(found[0], entry)
            if other.label != label:
                contradicted.add(found[0])
                problems["a second label for an image, which is left out,"].append(place)
            elif other is not entry:
                problems["an image that is named already"].append(place)
    for problem, places in problems.items():
        notes.append(f"{table.path.name}: {problem} in {len(places)} of {len(table.rows)} rows: {examples(places)}")


def _label_of(cells: Mapping[str, str], reading: Reading) -> str:
    if not reading.one_hot:
        return cells[reading.label_columns[0]]
    ones = [name for name in reading.label_columns if _is_one(cells[name])]
    return ones[0] if len(ones) == 1 else ""


def _split_in(cells: Mapping[str, str], reading: Reading) -> str:
    return split_named(cells[reading.split_column]) if reading.split_column else ""


def _split_of(reading: Reading, root_of: Mapping[str, str]) -> str:
    """Return the split that a table is named after, or its folder."""
    named = [reading.table.path.stem, *reversed(root_of[str(reading.table.path)].split("/"))]
    return next(filter(None, map(split_named, named)), "")


def _with_splits_of_folders(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries with the splits that their folders are named after, where the table has none."""
    found = list(entries)
    if any(entry.split for entry in found):
        return found
    return [with_split_of_folder(entry) for entry in found]


def with_split_of_folder(entry: Entry) -> Entry:
    """Return an entry in the split that the first folder of such a name says."""
    named = filter(None, map(split_named, entry.path.split("/")[:-1]))
    return Entry(entry.path, entry.label, next(named, ""), entry.row)


def _path_in(cell: str) -> str:
    """Return what a cell says as a path with forward slashes: of a URL the path, or the file in its query."""
    text = cell.strip()
    if "://" in text or "?" in text:
        parts = urlsplit(text)
        text = next(iter(parse_qs(parts.query).get("d", ())), unquote(parts.path))
    text = re.sub(r"/+", "/", text.replace("\\", "/"))
    return "/".join(part for part in text.split("/") if part not in ("", ".", ".."))


def _share_found(cells: Sequence[str], images: Images, near: str) -> float:
    """Return the share of some cells of a column that name an image."""
    step = max(1, len(cells) // _NUM_TRIED)
    tried = cells[::step]
    # Numbers name images too, as 17 does 17.jpg: a column that tells few images apart is none of names.
    found = [path for cell in tried for path in images.find(cell, near=near)[:1]]
    return len(set(found)) / len(tried) if tried else 0.0


def _holds_splits(name: str, cells: Sequence[str]) -> bool:
    values = {cell.strip() for cell in cells}
    return name.strip().lower() in _SPLIT_NAMES and all(map(split_named, values)) and bool(values)


def _named_labels(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are called like labels; of two that say the same the one in words."""
    found = [
        name
        for name in columns
        if re.sub(r"[^a-z_]", "", name.lower().replace(" ", "_").split(".")[-1]) in _LABEL_NAMES
    ]
    if len(found) == 2 and len(set(zip(*map(table.column, found), strict=True))) == max(
        len(set(table.column(name))) for name in found
    ):
        in_words = [name for name in found if not all(cell.strip().isdecimal() for cell in table.column(name))]
        return tuple((in_words or found)[:1])
    return tuple(found)


def _are_one_hot(table: Table, columns: Sequence[str]) -> bool:
    places = [table.columns.index(name) for name in columns]
    if len(places) < 2 or not table.rows:
        return False
    rows = ([row[place].strip() for place in places] for row in table.rows)
    return all(all(cell in _ZERO_OR_ONE for cell in row) and sum(map(_is_one, row)) == 1 for row in rows)


def _is_one(cell: str) -> bool:
    return cell.strip() in _ONES


def _may_be_labels(table: Table, name: str) -> bool:
    counts = Counter(cell.strip() for cell in table.column(name))
    return 2 <= len(counts) <= _MAX_DISTINCT * len(table.rows)


def _because(notes: Sequence[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""


def is_like_folders(reading: Reading, images: Images, near: str) -> bool:
    """Say whether a table gives most images the label that their folder is called."""
    table, same, found = reading.table, 0, 0
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        paths = images.find(cells[reading.path_column], near=near)
        if len(paths) == 1:
            found += 1
            same += _label_of(cells, reading).strip() in paths[0].split("/")[:-1]
    return same > found / 2
