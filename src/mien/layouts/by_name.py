"""Layouts from file names such as cat.123.jpg and happy_001.jpg."""

import re
from collections import Counter
from collections.abc import Sequence

from mien.core.text import counted
from mien.errors import NotADatasetError, SettingsError
from mien.layouts.layout import (
    Entry,
    Layout,
    describe_classes,
    describe_splits,
    examples,
    listed,
    natural_key,
    with_split_of_folder,
)
from mien.layouts.tree import Folder
from mien.layouts.words import holds_no_photos, split_named

# Typical names: a word before a number, a word after one, or a word before the first separator.
_PATTERNS = (r"^(\D.*?)[._ (-]*\d+\)?\.\w+$", r"^\d+[._ -]*(.+)\.\w+$", r"^([^\d._ -]+)[._ -].*\.\w+$")
# A pattern must match this share of the names, with at most this many labels per image.
_LEAST_SHARE, _MAX_LABELS = 0.9, 0.2
_NUM_TRIED, _MAX_FOLDERS = 2000, 3


def by_name(tree: Folder, label_pattern: str) -> Layout:
    """Take labels from file names.

    Args:
        tree: Result of `read_tree`.
        label_pattern: A regular expression. Its first group, or its whole match if it has none, is the label.

    Raises:
        SettingsError: It is not a valid regular expression.
        NotADatasetError: It matches no name.
    """
    try:
        pattern = re.compile(label_pattern)
    except re.error as error:
        raise SettingsError(f"--label-pattern is {label_pattern!r}, not a valid regular expression: {error}") from error
    entries, others = [], []
    for path in tree.all_images():
        label = _label_in(path.rpartition("/")[2], pattern)
        if label:
            entries.append(with_split_of_folder(Entry(path, label)))
        else:
            others.append(path)
    if not entries:
        raise NotADatasetError(f"--label-pattern {label_pattern} finds no label in any name, e.g. {examples(others)}")
    splits = describe_splits(entries) if len({entry.split for entry in entries}) > 1 else ""
    classes = describe_classes(entries)
    left_out = f"skipped {counted(len(others), 'image')} without a label in the name, e.g. {examples(others)}"
    taken_as = f"labels from file names; classes {classes}" + (f"; splits {splits}" if splits else "")
    return Layout(taken_as, tuple(entries)).noting(left_out if others else "")


def guess_pattern(tree: Folder) -> tuple[str, str]:
    """Return a pattern that finds labels in most names, and a description of what it finds; two empty texts for none.

    If the names of all folders together show no pattern, single folders are tried: test images rarely have labels.
    """
    folders = [folder for folder in tree.all_folders() if not holds_no_photos(folder.name)]
    every = [path for folder in folders for path in folder.images]
    of_one = sorted((folder.images for folder in folders), key=len, reverse=True)
    found = (_guessed(paths) for paths in (every, *of_one[:_MAX_FOLDERS]) if paths)
    return next(filter(any, found), ("", ""))


def _guessed(paths: Sequence[str]) -> tuple[str, str]:
    step = max(1, len(paths) // _NUM_TRIED)
    names = [path.rpartition("/")[2] for path in paths[::step]]
    for text in _PATTERNS:
        pattern = re.compile(text)
        labels = ((_label_in(name, pattern), name) for name in names)
        found = [(label, name) for label, name in labels if any(map(str.isalpha, label))]
        counts = {label: n for label, n in Counter(label for label, _ in found).items() if n > 1}
        are_labels = not all(map(split_named, counts)) and 2 <= len(counts) <= _MAX_LABELS * len(names)
        if are_labels and sum(counts.values()) >= _LEAST_SHARE * len(names):
            firsts = dict(reversed(found))
            return text, listed([f"{label} ({firsts[label]})" for label in sorted(counts, key=natural_key)], 4)
    return "", ""


def _label_in(name: str, pattern: re.Pattern[str]) -> str:
    found = pattern.search(name)
    return ((found[1] if pattern.groups else found[0]) or "").strip() if found else ""
