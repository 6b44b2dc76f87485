"""Reading a layout: determine the class of each image in a folder or table, without flags if that is safe."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mien.config import LabelConfig
from mien.core.formats import EXTENSIONS
from mien.core.text import as_typed, visible
from mien.errors import MissingExtraError, NotADatasetError, SettingsError, SourceNotFoundError
from mien.layouts.by_folders import UnclearError, by_folders, by_level
from mien.layouts.by_name import by_name, guess_pattern
from mien.layouts.by_table import Images, Reading, agreement, by_tables, read_columns
from mien.layouts.layout import Layout, choose_classes, describe_splits, flag, listed, names_of_list
from mien.layouts.tables import read_table
from mien.layouts.tree import TABLE_EXTENSIONS, Folder, is_system_name, is_table, read_tree, refuse_run
from mien.layouts.words import holds_no_photos

# A folder with more tables than this uses them for something other than labels.
_MAX_TABLES = 30
_NO_LABELS = "submission"
_MAX_PROBLEMS = 3


def read_layout(data: Path, config: LabelConfig = LabelConfig(), known: Sequence[str] = ()) -> tuple[Path, Layout]:
    """Determine the class of each image.

    Folders are used if they are clear: class folders, optionally inside split folders. Otherwise a table is used whose
    rows name images. Anything ambiguous is refused with a message that says which flag to add.

    Args:
        data: A folder, or a table with paths relative to its own folder.
        config: The user's settings.
        known: The classes of an existing classifier. Images of a single one are then enough.

    Returns:
        The root folder of all paths, and the layout.

    Raises:
        SourceNotFoundError: Something does not exist or cannot be read.
        NotADatasetError: The classes cannot be determined.
        SettingsError: A setting does not match the data.
    """
    root, table = data, Path(config.labels) if config.labels else None
    if data.is_file():
        if not data.name.lower().endswith(TABLE_EXTENSIONS):
            raise NotADatasetError(f"{str(data)!r} is neither a folder, a table, nor a zip or tar archive")
        root, table = data.parent, data
    refuse_run(root)
    if table and not table.exists() and (root / table).is_file():
        table = root / table
    exclude = names_of_list(config.exclude)
    tree = read_tree(root, exclude)
    layout = _of_tree(root, tree, table, config, known)
    return root, choose_classes(layout, config, known)


def _of_tree(root: Path, tree: Folder, table: Path | None, config: LabelConfig, known: Sequence[str]) -> Layout:
    if table:
        images = Images(tree)
        reading = read_columns(read_table(table), images, _near(root, table), config)
        if reading is None:
            raise NotADatasetError(
                f"{str(table)!r}: no column names images in {str(root)!r}. Choose the column with --path-column, or "
                "pass the folder of the images as DATA"
            )
        return _by_clear([reading], images)
    if config.label_pattern:
        return by_name(tree, config.label_pattern)
    if config.class_level != "auto":
        return by_level(tree, config.class_level)
    if config.classes and set(names_of_list(config.classes)) <= set(tree.with_images):
        return by_level(tree, 1)
    found = _Tables(root, tree, config)
    if config.path_column or config.label_column:
        return found.layout() or found.refuse_columns()
    try:
        layout = by_folders(tree, known)
    except UnclearError as unclear:
        return found.layout() or _refuse(root, tree, unclear, known, found.problems)
    return found.compared(layout)


class _Tables:
    """The tables in a folder that may contain the labels.

    Attributes:
        problems: Why other tables do not, a sentence each.
    """

    def __init__(self, root: Path, tree: Folder, config: LabelConfig) -> None:
        self._root, self._config = root, config
        self.problems: list[str] = []
        self._readings: list[Reading] = []
        paths = [folder.below(name) for folder in tree.all_folders() for name in folder.files if is_table(name)]
        # Kaggle's sample submissions have made-up labels.
        paths = [path for path in paths if _NO_LABELS not in path.lower()][:_MAX_TABLES]
        self._images = Images(tree if paths else Folder(""))
        for path in paths:
            self._read(path)

    def _read(self, path: str) -> None:
        try:
            table = read_table(self._root / path)
            reading = read_columns(table, self._images, path.rpartition("/")[0], self._config)
        except (SourceNotFoundError, MissingExtraError, NotADatasetError, SettingsError) as error:
            self.problems.append(str(error))
            return
        if reading:
            self._readings.append(reading)

    def layout(self) -> Layout | None:
        """Take labels from the tables, or return None if no table names images.

        Raises:
            NotADatasetError: Several tables or columns may contain the labels.
        """
        if not self._readings:
            return None
        telling = [reading for reading in self._readings if reading.is_named]
        telling = telling or [reading for reading in self._readings if reading.label_columns] or self._readings
        kinds = {(reading.path_column, *reading.label_columns) for reading in telling}
        if len(kinds) > 1:
            raise NotADatasetError(
                f"{str(self._root)!r}: several tables name its images ({listed(each.name for each in telling)}). "
                f"Choose the one with the labels: {flag('--labels', str(self._root / telling[0].name))}"
            )
        return _by_clear(telling, self._images)

    def refuse_columns(self) -> Layout:
        """Report that no table has the columns named by the user.

        Raises:
            SettingsError: Always.
        """
        why = "; ".join(self.problems[:_MAX_PROBLEMS]) or "it contains no table"
        raise SettingsError(f"{str(self._root)!r} has no table with these columns: {why}")

    def compared(self, layout: Layout) -> Layout:
        """Check class folders against the tables next to them, and use splits from the tables.

        Raises:
            NotADatasetError: A table has different labels than the folders.
        """
        labels = {entry.path: entry.label for entry in layout.entries}
        agreeing = []
        for reading in self._readings:
            share = agreement(reading, self._images, labels)
            if share == 1 and reading.is_clear:
                agreeing.append(reading)
            if share is None or share == 1 or not reading.label_columns:
                continue
            column = reading.label_columns[0]
            table = flag("--labels", str(self._root / reading.name))
            raise NotADatasetError(
                f"{str(self._root)!r} can be read in two ways. Choose one:\n"
                f"  {flag('--class-level', str(layout.level))} uses {layout.taken_as}\n"
                f"  {table} {flag('--label-column', column)} uses the labels in the table {reading.name}, which differ"
            )
        if not agreeing or any(entry.split for entry in layout.entries):
            return layout
        told = by_tables(agreeing, self._images)
        splits = {entry.path: entry.split for entry in told.entries if entry.split}
        if len(set(splits.values())) < 2:
            return layout
        entries = tuple(replace(entry, split=splits.get(entry.path, "")) for entry in layout.entries)
        names = listed(reading.name for reading in agreeing)
        taken_as = f"{layout.taken_as}; splits from {names}: {describe_splits(entries)}"
        return replace(layout, entries=entries, taken_as=taken_as)


def _by_clear(readings: Sequence[Reading], images: Images) -> Layout:
    """Take labels from tables, or raise an error if the label column is not clear."""
    for reading in readings:
        if not reading.is_clear:
            columns = reading.label_columns or tuple(
                name for name in reading.table.columns if name not in (reading.path_column, reading.split_column)
            )
            typed = (
                f"{flag('--labels', str(reading.table.path))} {flag('--label-column', columns[0]) if columns else ''}"
            )
            raise NotADatasetError(
                f"{str(reading.table.path)!r} names images in its column {reading.path_column!r}, but its label column "
                f"is not clear: {listed(map(repr, columns), 20)}. Choose it, e.g. {typed}"
            )
    return by_tables(readings, images)


def _refuse(root: Path, tree: Folder, unclear: UnclearError, known: Sequence[str], problems: Sequence[str]) -> Layout:
    ways = [re.sub(r"\bDATA/(.+)", lambda found: as_typed(root / found[1]), way) for way in unclear.ways]
    pattern, found = guess_pattern(tree)
    drawn = {folder.name for folder in tree.all_folders() if holds_no_photos(folder.name) and folder.has_images}
    excluded = flag("--exclude", sorted(drawn)) if drawn else ""
    if pattern:
        typed = " ".join(filter(None, (flag("--label-pattern", pattern), excluded)))
        ways.insert(0, f"{typed} uses labels from the file names: {found}")
    elif excluded:
        ways.insert(0, f"{excluded} skips masks and other annotations")
    elif not known and (parent := _parent_of_classes(root, tree)):
        ways = [f"use its parent, {parent}"]
    elif tree.images and not tree.folders:
        ways.append(f"or, to classify them without labels: mien predict RUN {as_typed(root)}")
    examples = " and ".join(as_typed(root / name) for name in (known or ("happy", "sad"))[:2])
    told = ways if len(ways) == 1 else ["", *(f"  {visible(way)}" for way in ways)]
    how = ". What to do: " + "\n".join(told) if ways else ""
    beside = "".join(f"\n  ignored: {visible(problem)}" for problem in problems[:_MAX_PROBLEMS])
    raise NotADatasetError(
        f"{str(root)!r}: {unclear.reason}; expected one subfolder per class, e.g. {examples}{how}{beside}"
    )


def _parent_of_classes(root: Path, tree: Folder) -> str:
    """Return the folder around a class folder, or "" if it contains anything but several folders of images."""
    if tree.folders or not tree.images:
        return ""
    parent = root.absolute().parent
    try:
        beside = [path for path in parent.iterdir() if not is_system_name(path.name)]
        are_classes = all(
            path.is_dir() and any(inner.suffix.lower() in EXTENSIONS for inner in path.iterdir()) for path in beside
        )
    except OSError:
        return ""
    told = root.parent if root.name and str(root.parent) != "." else parent
    return as_typed(told) if are_classes and len(beside) > 1 else ""


def _near(root: Path, table: Path) -> str:
    """Return the folder of a table relative to the root, or "" if it is the root or elsewhere."""
    try:
        near = table.absolute().parent.relative_to(root.absolute()).as_posix()
    except ValueError:
        return ""
    return "" if near == "." else near
