"""Reading a layout: a folder or a table -> which image is of which class, told with no flag where that is safe."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mien.config import LabelConfig
from mien.core.formats import EXTENSIONS
from mien.core.text import visible
from mien.errors import MissingExtraError, NotADatasetError, SourceNotFoundError
from mien.layouts.by_folders import HOLDS_NO_PHOTOS, UnclearError, by_folders, by_level
from mien.layouts.by_name import by_name, guess_pattern
from mien.layouts.by_table import Images, Reading, by_tables, is_like_folders, read_columns
from mien.layouts.layout import Layout, choose_classes, listed, names_of_list, with_useful_splits
from mien.layouts.tables import read_table
from mien.layouts.tree import TABLE_EXTENSIONS, Folder, is_table, read_tree

# A folder with more tables holds something else than labels in them.
_MAX_TABLES = 30
# What Kaggle wants to be sent: its labels are made up.
_NO_LABELS = "submission"


def read_layout(data: Path, config: LabelConfig = LabelConfig(), known: Sequence[str] = ()) -> tuple[Path, Layout]:
    """Find out which image is of which class.

    Folders tell, where they safely do: class folders, alone or in those of splits. Else a table does whose rows name
    images. What can be read in two ways, or in none, is refused with what to add to the command.

    Args:
        data: A folder; or a table, whose paths lead on from its own folder.
        config: The user's own word.
        known: The classes that a classifier knows: images of one of them are enough then.

    Returns:
        The folder that paths are below, and the layout.

    Raises:
        SourceNotFoundError: Something is not there, or cannot be read.
        NotADatasetError: It cannot be told which image is of which class.
        SettingsError: A setting does not fit what is there.
    """
    root, table = data, Path(config.labels) if config.labels else None
    if data.is_file():
        if not data.name.lower().endswith(TABLE_EXTENSIONS):
            raise NotADatasetError(f"{str(data)!r} is a file, and neither a table nor a zip or tar archive")
        root, table = data.parent, data
    tree = read_tree(root, names_of_list(config.exclude))
    layout = _of_tree(root, tree, table, config, known)
    return root, choose_classes(with_useful_splits(layout), config, known)


def _of_tree(root: Path, tree: Folder, table: Path | None, config: LabelConfig, known: Sequence[str]) -> Layout:
    if table:
        images = Images(tree)
        reading = read_columns(read_table(table), images, _near(root, table), config)
        if reading is None:
            raise NotADatasetError(
                f"{str(table)!r}: no column names images below {str(root)!r}: say which does (--path-column), or "
                "name the folder of the images as DATA"
            )
        return _by_clear([reading], images, root)
    if config.label_pattern:
        return by_name(tree, config.label_pattern)
    if config.class_level != "auto":
        return by_level(tree, config.class_level)
    if config.classes and set(names_of_list(config.classes)) <= set(tree.with_images):
        return by_level(tree, 1)
    tables = _tables_of(tree)
    try:
        layout = by_folders(tree, known)
    except UnclearError as unclear:
        return _by_found_tables(root, tree, tables, config) or _refuse(root, tree, unclear)
    if layout.level == 1 and tables:
        _refuse_contradiction(root, tree, tables, layout, config)
    return layout


def _by_found_tables(root: Path, tree: Folder, tables: Sequence[str], config: LabelConfig) -> Layout | None:
    """Take labels from the tables of a folder, where one or several of one kind tell them; None where none does."""
    images = Images(tree)
    readings = [reading for path in tables if (reading := _reading_of(root, path, images, config))]
    kinds: dict[tuple[str, ...], list[Reading]] = defaultdict(list)
    for reading in readings:
        kinds[(reading.path_column, *reading.label_columns)].append(reading)
    if not kinds:
        return None
    if len(kinds) > 1:
        clear = {kind: found for kind, found in kinds.items() if all(reading.is_clear for reading in found)}
        kinds = clear if len(clear) == 1 else kinds
    if len(kinds) > 1:
        names = [str(reading.table.path.relative_to(root)) for reading in readings]
        raise NotADatasetError(
            f"{str(root)!r}: several tables name its images ({listed(names)}). Say which one has the labels: "
            f"--labels {root / names[0]}"
        )
    (found,) = kinds.values()
    return _by_clear(found, images, root)


def _by_clear(readings: Sequence[Reading], images: Images, root: Path) -> Layout:
    """Take labels from tables; refuse where it is not clear which column has them."""
    for reading in readings:
        if not reading.is_clear:
            columns = reading.label_columns or tuple(
                name for name in reading.table.columns if name not in (reading.path_column, reading.split_column)
            )
            raise NotADatasetError(
                f"{str(reading.table.path)!r} names images in its column {reading.path_column!r}, and it is not clear "
                "which column has their labels: say it with "
                f"--labels {reading.table.path} --label-column NAME, with one of {listed(columns, 20)}"
            )
    return by_tables(
        readings, images, {str(reading.table.path): _near(root, reading.table.path) for reading in readings}
    )


def _reading_of(root: Path, path: str, images: Images, config: LabelConfig) -> Reading | None:
    try:
        return read_columns(read_table(root / path), images, path.rpartition("/")[0], config)
    except SourceNotFoundError:
        # No table of labels; it may be anything.
        return None


def _refuse_contradiction(root: Path, tree: Folder, tables: Sequence[str], layout: Layout, config: LabelConfig) -> None:
    """Refuse class folders beside a table that gives their images other labels."""
    images = Images(tree)
    for path in tables:
        try:
            reading = _reading_of(root, path, images, config)
        except MissingExtraError:
            continue
        if reading and reading.is_clear and not is_like_folders(reading, images, path.rpartition("/")[0]):
            columns = listed(reading.label_columns, 4)
            raise NotADatasetError(
                f"{str(root)!r} can be read in two ways: as {layout.taken_as}, or by the table {path}, which has other "
                f"labels ({columns}). Add --class-level 1 for the folders, or --labels {root / path} for the table"
            )


def _refuse(root: Path, tree: Folder, unclear: UnclearError) -> Layout:
    ways = list(unclear.ways)
    pattern, found = guess_pattern(tree)
    if pattern:
        drawn = [name for name in tree.with_images if name.lower() in HOLDS_NO_PHOTOS]
        excluded = f" --exclude {','.join(drawn)}" if drawn else ""
        ways.insert(0, f"--label-pattern '{pattern}'{excluded} takes the labels from the names of files: {found}")
    elif parent := _parent_of_classes(root, tree):
        ways = [f"did you mean its parent, {parent}?"]
    told = ways if len(ways) == 1 else ["", *(f"  {visible(way)}" for way in ways)]
    how = ". What to do: " + "\n".join(told) if ways else ""
    raise NotADatasetError(
        f"{str(root)!r}: {unclear.reason}; expected one sub-folder per class, such as happy and sad{how}"
    )


def _parent_of_classes(root: Path, tree: Folder) -> str:
    """Return the folder around one that seems to be a class folder; an empty text where it does not."""
    if tree.folders or not tree.images:
        return ""
    parent = root.absolute().parent
    try:
        beside = [path for path in parent.iterdir() if path.is_dir() and path.name != root.absolute().name]
        others = [path for path in beside if any(inner.suffix.lower() in EXTENSIONS for inner in path.iterdir())]
    except OSError:
        return ""
    return str(root.parent if root.name and str(root.parent) != "." else parent) if others else ""


def _tables_of(tree: Folder) -> list[str]:
    """Return the paths of the tables in a folder that may hold labels; those in class folders are none."""
    found, waiting = [], [(tree, 0)]
    while waiting:
        folder, depth = waiting.pop(0)
        found += [folder.below(name) for name in folder.files if is_table(name) and _NO_LABELS not in name.lower()]
        if depth < 2:
            waiting += [(inner, depth + 1) for inner in folder.folders.values()]
    return found if len(found) <= _MAX_TABLES else []


def _near(root: Path, table: Path) -> str:
    """Return the folder of a table below the root; an empty text for the root itself, and for one elsewhere."""
    try:
        near = table.absolute().parent.relative_to(root.absolute()).as_posix()
    except ValueError:
        return ""
    return "" if near == "." else near
