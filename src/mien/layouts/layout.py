"""The Layout: every image with its label and split, from folders, a table or file names."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mien.config import LabelConfig
from mien.core.text import as_typed, first_few, folded, shorten, visible
from mien.errors import NotADatasetError, SettingsError
from mien.layouts.words import split_named

_MAX_NAMED, _MAX_LETTERS = 3, 200
_MAX_CLASSES_NAMED = 8
# Separators of names in a setting; a backslash before one makes it part of a name.
_COMMA, _EQUALS, _PLUS = (re.compile(rf"(?<!\\){re.escape(mark)}") for mark in ",=+")


@dataclass(frozen=True)
class Entry:
    """One file with its label.

    Attributes:
        path: Path relative to the root, with forward slashes.
        label: Name of its class.
        split: "train", "val" or "test" if the layout gives one, else "".
        row: Its row in a table, by column.
    """

    path: str
    label: str
    split: str = ""
    row: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Layout:
    """The classes and splits found in a folder or table.

    Attributes:
        taken_as: How it was interpreted, on one line without a full stop.
        entries: Every file with a label.
        level: Depth of the class folders, starting at 1, or 0 if the classes do not come from folders.
        notes: What else the user should know, a sentence each.
    """

    taken_as: str
    entries: tuple[Entry, ...]
    level: int = 0
    notes: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in natural order."""
        return tuple(sorted({entry.label for entry in self.entries}, key=natural_key))

    @property
    def is_plain(self) -> bool:
        """Whether it is the usual layout, one folder per class, without notes."""
        return self.level == 1 and not self.notes and not any(entry.split for entry in self.entries)

    @property
    def told(self) -> tuple[str, ...]:
        """Lines that describe the layout; none for the usual one."""
        return () if self.is_plain else (f"layout: {self.taken_as}", *self.notes)

    def noting(self, *notes: str) -> "Layout":
        """Return the layout with more notes, ignoring empty ones."""
        return replace(self, notes=(*self.notes, *filter(None, notes)))

    def to_dict(self) -> dict[str, Any]:
        """Return a description as JSON values."""
        splits = Counter(entry.split for entry in self.entries if entry.split)
        return {"taken_as": self.taken_as, "splits": dict(splits), "notes": list(self.notes)}


def natural_key(name: str) -> tuple[tuple[object, ...], str]:
    """Return a sort key that puts 2 before 10.

    Example:
        >>> sorted(["class10", "class2", "class1"], key=natural_key)
        ['class1', 'class2', 'class10']
    """
    parts = re.split(r"(\d+)", name)
    # Works for digits of all scripts, and keeps names apart that differ only in zeros.
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts)), name


def names_of_list(text: str) -> tuple[str, ...]:
    r"""Return the names in a comma-separated setting; \\, is a comma within a name."""
    return tuple(filter(None, map(_plain, _COMMA.split(text))))


def flag(name: str, value: str | Iterable[str]) -> str:
    """Return a flag with its value or its list of names, quoted for the shell."""
    value = value if isinstance(value, str) else _listing(value)
    return f"{name}={as_typed(value)}" if value.startswith("-") else f"{name} {as_typed(value)}"


def _listing(names: Iterable[str]) -> str:
    """Return names as a comma-separated setting."""
    return ",".join(re.sub(r"([,=+])", r"\\\1", name) for name in names)


def choose_classes(layout: Layout, config: LabelConfig, known: Sequence[str] = ()) -> Layout:
    """Apply the user's choices: merge classes and leave classes out. Refuse class names that look alike.

    Classes without training images are left out too.

    Args:
        layout: The layout found.
        config: The user's settings.
        known: The classes of an existing classifier. A single one of them is then enough.

    Raises:
        SettingsError: A class in the settings does not exist.
        NotADatasetError: Two names look alike, or there are fewer than two classes.
    """
    layout = _merged(layout, config.merge_classes, all_there=not known)
    if wanted := names_of_list(config.classes):
        missing = [name for name in wanted if name not in layout.class_names]
        if missing:
            raise SettingsError(f"--classes contains {missing[0]!r}, but the classes are {listed(layout.class_names)}")
        others = Counter(entry.label for entry in layout.entries if entry.label not in wanted)
        note = f"excluded by --classes: {listed([f'{name} ({count})' for name, count in others.items()])}"
        kept = tuple(entry for entry in layout.entries if entry.label in wanted)
        layout = replace(layout, entries=kept).noting(note if others else "")
    _refuse_alike(layout.class_names, config.merge_classes)
    layout = _with_useful_splits(layout)
    names = layout.class_names
    if len(names) < (1 if set(names) & set(known) else 2):
        only = f"only one class, {names[0]!r}" if names else "no image with a label"
        raise NotADatasetError(f"{only} (layout: {layout.taken_as}). A classifier needs at least two classes")
    return layout


def _with_useful_splits(layout: Layout) -> Layout:
    """Return the layout without classes that have no training images, and without splits if none is for training."""
    found = {entry.split for entry in layout.entries}
    if found == {""}:
        return layout
    if not found & {"val", "test"}:
        return _in_split(layout, dict.fromkeys(found, ""))
    if not found & {"train", ""}:
        note = f"ignored the splits {describe_splits(layout.entries)}, because none is for training"
        return _in_split(layout, dict.fromkeys(found, "")).noting(note)
    layout = _in_split(layout, {"": "train"})
    learnt = {entry.label for entry in layout.entries if entry.split == "train"}
    only_later = sorted({entry.label for entry in layout.entries} - learnt, key=natural_key)
    if not only_later:
        return layout
    kept = tuple(entry for entry in layout.entries if entry.label in learnt)
    note = f"skipped {listed(only_later)} (no training images)"
    return replace(layout, entries=kept).noting(note)


def _in_split(layout: Layout, new: Mapping[str, str]) -> Layout:
    """Return the layout with some splits renamed."""
    entries = (replace(e, split=new[e.split]) if e.split in new else e for e in layout.entries)
    return replace(layout, entries=tuple(entries))


def with_split_of_folder(entry: Entry) -> Entry:
    """Return an entry with the split of its first folder that is named after one."""
    named = filter(None, map(split_named, entry.path.split("/")[:-1]))
    return replace(entry, split=next(named, ""))


def describe_classes(entries: Iterable[Entry]) -> str:
    """List the classes of entries in natural order, shortened if there are many."""
    return listed(sorted({entry.label for entry in entries}, key=natural_key))


def describe_splits(entries: Iterable[Entry]) -> str:
    """Describe the splits of entries, or return ""."""
    counts = Counter(entry.split for entry in entries if entry.split)
    return ", ".join(f"{name} ({counts[name]})" for name in ("train", "val", "test") if counts[name])


def listed(names: Iterable[str], most: int = _MAX_CLASSES_NAMED) -> str:
    """Join names with commas, shortened if there are many."""
    return ", ".join(first_few([_shown(name) for name in names], most))


def _shown(name: str) -> str:
    text = visible(shorten(name, _MAX_LETTERS))
    return repr(text) if text != text.strip() else text


def examples(paths: Sequence[str]) -> str:
    """List some paths as examples."""
    return listed(paths, _MAX_NAMED)


def _merged(layout: Layout, merge_classes: str, *, all_there: bool) -> Layout:
    """Return the layout with merged classes. If it belongs to a run, the classes need not all exist."""
    new_names: dict[str, str] = {}
    names = layout.class_names
    for part in _COMMA.split(merge_classes) if merge_classes.strip() else ():
        new, *rest = _EQUALS.split(part.strip(), maxsplit=1)
        new = _plain(new)
        for old in map(_plain, _PLUS.split(rest[0]) if rest else (new,)):
            found = [old] if rest and old in names else [name for name in names if old and alike(name) == alike(old)]
            if (all_there and not found) or not new:
                raise SettingsError(
                    f"--merge-classes is {merge_classes!r}; expected NEW=OLD+OLD, separated by commas, with "
                    f"classes that exist: {listed(names)}"
                )
            if any(new_names.get(name, new) != new for name in found):
                raise SettingsError(f"--merge-classes puts {old!r} into two classes")
            new_names |= dict.fromkeys(found, new)
    if not new_names:
        return layout
    entries = tuple(replace(entry, label=new_names.get(entry.label, entry.label)) for entry in layout.entries)
    merged: dict[str, list[str]] = {}
    for old, new in new_names.items():
        merged.setdefault(new, []).append(repr(old))
    note = "; ".join(f"{' and '.join(olds)} as {new!r}" for new, olds in merged.items())
    return replace(layout, entries=entries).noting(f"merged by --merge-classes: {note}")


def _plain(name: str) -> str:
    return re.sub(r"\\([,=+])", r"\1", name.strip())


def alike(name: str) -> str:
    """Return a key that is equal for names that look the same to a person."""
    return " ".join(folded(name).split())


def _refuse_alike(names: Sequence[str], merged: str) -> None:
    by_look: dict[str, list[str]] = {}
    for name in names:
        by_look.setdefault(alike(name), []).append(name)
    doubles = {look: found for look, found in by_look.items() if len(found) > 1}
    if doubles:
        # Keep existing merges.
        typed = flag("--merge-classes", ",".join(filter(None, (merged, _listing(doubles)))))
        shown = "; ".join(" and ".join(map(repr, found)) for found in doubles.values())
        raise NotADatasetError(
            f"these class names look alike: {shown}. If they are the same class, add {typed}; otherwise rename one"
        )
