"""Groups known to the user: the patient, person, object or session that images show.

Training on one image of a patient and testing on another is a leak, although the two are not copies.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from mien.core.progress import SILENCE, Progress
from mien.core.text import as_typed, counted, first_few
from mien.data.dataset import Dataset
from mien.errors import SettingsError
from mien.layouts.layout import Layout

_BY_FOLDER, _BY_NAME, _BY_COLUMN, _NONE, _AUTO = "folder", "name:", "column:", "none", "auto"
_MAX_NAMED = 3
_CLASS_FOLDERS = Layout("class folders", (), level=1)
# Patterns for numbered names: up to the first number, and up to the last one.
_PATTERNS = (r"name:([^/\d]*\d+)[^/]*$", r"name:([^/]*[^/\d])\d+[^/\d]*$")
# What groups must look like to be subjects rather than categories: minimum number of groups, minimum median size,
# minimum share of images in groups, maximum share of images in one group, and minimum number per class: with fewer,
# they are the classes by another name, or too few to split.
_MIN_GROUPS, _MIN_SIZE, _MIN_SHARE, _MAX_SHARE, _MIN_PER_CLASS = 12, 2, 0.8, 0.2, 3


def find_rule(group_by: str, layout: Layout = _CLASS_FOLDERS) -> Callable[[str], str]:
    """Return a function that maps an image's path to its group, or to "" for none.

    Args:
        group_by: "none" or "auto" for no groups; "folder" for the folders below the class folder; "column:NAME" for a
            column of the table of labels; or "name:REGEX" for the first group of a regular expression, or its whole
            match if it has no group.
        layout: The depth of the class folders, and the table.

    Raises:
        SettingsError: It is none of these, or not a valid regular expression.
    """
    if group_by in (_NONE, _AUTO):
        return lambda path: ""
    if group_by == _BY_FOLDER:
        return lambda path: "/".join(path.split("/")[layout.level : -1])
    if group_by.startswith(_BY_COLUMN):
        return _by_column(group_by.removeprefix(_BY_COLUMN), layout)
    if not group_by.startswith(_BY_NAME) or group_by == _BY_NAME:
        raise SettingsError(
            f"--group-by is {group_by!r}; expected auto, none, folder, column:NAME or name:PATTERN, e.g. "
            "name:patient(\\d+)"
        )
    try:
        pattern = re.compile(group_by.removeprefix(_BY_NAME))
    except re.error as error:
        raise SettingsError(f"--group-by is {group_by!r}, which is not a valid regular expression: {error}") from error

    def by_name(path: str) -> str:
        found = pattern.search(path)
        return (found[1] if pattern.groups else found[0]) or "" if found else ""

    return by_name


def _by_column(name: str, layout: Layout) -> Callable[[str], str]:
    columns = next((tuple(entry.row) for entry in layout.entries), ())
    name = next((column for column in columns if column.casefold() == name.casefold()), name)
    groups = {entry.path: entry.row.get(name, "").strip() for entry in layout.entries}
    if layout.entries and name not in columns:
        known = f"the table has {', '.join(columns)}" if columns else "the labels are not in a table"
        raise SettingsError(f"--group-by is column:{name}, but {known}")
    return lambda path: groups.get(path, "")


def with_subjects(dataset: Dataset, group_by: str, *, progress: Progress = SILENCE) -> Dataset:
    """Return a Dataset whose images know their groups.

    Args:
        dataset: Result of `scan`.
        group_by: As for `find_rule`.
        progress: Receives the number of images without a group.

    Raises:
        SettingsError: No image has a group.
    """
    if group_by in (_NONE, _AUTO):
        return dataset
    rule = find_rule(group_by, dataset.layout)
    found = dataset.with_records([replace(record, subject=rule(record.path)) for record in dataset.records])
    images = [record for record in found.records if record.phash]
    alone = [record.path for record in images if not record.subject]
    if images and len(alone) == len(images):
        raise SettingsError(f"--group-by {group_by} finds no group in any path, e.g. {alone[0]!r}")
    if alone:
        listed = ", ".join(first_few(alone, _MAX_NAMED))
        progress.say(
            f"--group-by finds no group for {len(alone)} of {len(images)} images; each is its own group: {listed}"
        )
    return found


def guess_rule(dataset: Dataset) -> str | None:
    """Guess how the paths of the used images form groups, and return a rule for `find_rule`, or None.

    Tries folders below the class folder, then names up to their first number, then up to their last one. Only the
    images can tell whether these groups matter.
    """
    paths = [dataset.records[place].path for place in dataset.indexes()]
    for rule in (_BY_FOLDER, *_PATTERNS):
        group_of = find_rule(rule, dataset.layout)
        # Per folder: that each folder has an IMG_0001 means nothing.
        found = [(path.rpartition("/")[0], name) for path in paths if (name := group_of(path))]
        sizes = Counter(found)
        num_grouped = sum(size for size in sizes.values() if size >= _MIN_SIZE)
        are_many = len({name for _, name in found}) >= _MIN_GROUPS
        are_many = are_many and len(sizes) >= _MIN_PER_CLASS * len(dataset.class_names)
        is_usual = are_many and median(sizes.values()) >= _MIN_SIZE
        if is_usual and num_grouped >= _MIN_SHARE * len(paths) and max(sizes.values()) <= _MAX_SHARE * len(paths):
            return _readable(rule, paths)
    return None


def describe_groups(dataset: Dataset, group_by: str) -> str:
    """Describe the groups that a rule finds among the used images, with examples.

    Args:
        dataset: Result of `clean`.
        group_by: As for `find_rule`.
    """
    rule = find_rule(group_by, dataset.layout)
    sizes = Counter(name for place in dataset.indexes() if (name := rule(dataset.records[place].path)))
    examples = [f"{name} ({counted(count, 'image')})" for name, count in list(sizes.items())[:_MAX_NAMED]]
    return (
        f"File names suggest {len(sizes)} groups: {', '.join(examples)}, ... If each is one patient, person or object, "
        f"keep its images in the same split: mien train {as_typed(dataset.name)} --group-by {as_typed(group_by)}"
    )


def _readable(rule: str, paths: Sequence[str]) -> str:
    """Return a more readable rule if one gives the same groups for all paths."""
    starts = {re.match(r"[^\d]*", path.rsplit("/", 1)[-1])[0] for path in paths}  # type: ignore[index]
    if rule == _PATTERNS[0] and len(starts) == 1:
        (start,) = starts
        simple = f"name:({re.escape(start)}\\d+)"
        if start and list(map(find_rule(simple), paths)) == list(map(find_rule(rule), paths)):
            return simple
    return rule
