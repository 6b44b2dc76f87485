"""The Layout: every image with the label, and the split, that folders, a table or its own name give it."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mien.config import LabelConfig
from mien.core.text import first_few, folded, shorten, visible
from mien.errors import NotADatasetError, SettingsError
from mien.layouts.words import split_named

_MAX_NAMED, _MAX_LETTERS = 3, 200
_MAX_CLASSES_NAMED = 8
# What divides names in a setting; with a backslash before it, it is a part of a name.
_COMMA, _EQUALS, _PLUS = (re.compile(rf"(?<!\\){re.escape(mark)}") for mark in ",=+")


@dataclass(frozen=True)
class Entry:
    """One file with its label.

    Attributes:
        path: Below the root, with forward slashes.
        label: Name of its class.
        split: "train", "val" or "test" where the layout says so; else "".
        row: What a table says of it beside, by column.
    """

    path: str
    label: str
    split: str = ""
    row: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Layout:
    """What was found.

    Attributes:
        taken_as: How it was read, in a line without a full stop.
        entries: Every file that has a label.
        level: How many folders lead to an image, that of its class included; 0 where folders do not tell the class.
        notes: What else a user should know, a sentence each.
    """

    taken_as: str
    entries: tuple[Entry, ...]
    level: int = 0
    notes: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in natural order."""
        return tuple(sorted({entry.label for entry in self.entries}, key=natural_key))

    @property
    def is_plain(self) -> bool:
        """Whether it is the usual one, one folder for each class, and there is nothing to say of it."""
        return self.level == 1 and not self.notes and not any(entry.split for entry in self.entries)

    @property
    def told(self) -> tuple[str, ...]:
        """What to say of it, line by line; nothing of the usual one."""
        return () if self.is_plain else (f"taken as: {self.taken_as}", *self.notes)

    def noting(self, *notes: str) -> "Layout":
        """Return the same layout with more notes; empty ones are passed over."""
        return replace(self, notes=(*self.notes, *filter(None, notes)))

    def to_dict(self) -> dict[str, Any]:
        """Return how it was read, as JSON values."""
        splits = Counter(entry.split for entry in self.entries if entry.split)
        return {"taken_as": self.taken_as, "splits": dict(splits), "notes": list(self.notes)}


def natural_key(name: str) -> tuple[tuple[object, ...], str]:
    """Return what to sort names by so that 2 comes before 10.

    Example:
        >>> sorted(["class10", "class2", "class1"], key=natural_key)
        ['class1', 'class2', 'class10']
    """
    parts = re.split(r"(\d+)", name)
    # Digits of other scripts too; names that differ in zeros alone stay apart.
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts)), name


def names_of_list(text: str) -> tuple[str, ...]:
    r"""Return the names in a setting that holds several, with commas between; \\, is a comma in a name."""
    return tuple(filter(None, map(_plain, _COMMA.split(text))))


def flag(name: str, value: str | Iterable[str]) -> str:
    """Return a flag with its value, or with several names, as it is to be typed."""
    value = value if isinstance(value, str) else _listing(value)
    return f"{name}={shlex.quote(value)}" if value.startswith("-") else f"{name} {shlex.quote(value)}"


def _listing(names: Iterable[str]) -> str:
    """Return names as a setting that holds several has them."""
    return ",".join(re.sub(r"([,=+])", r"\\\1", name) for name in names)


def choose_classes(layout: Layout, config: LabelConfig, known: Sequence[str] = ()) -> Layout:
    """Put classes together and leave classes out, as the user says; refuse class names that look alike.

    Classes that are in no training split cannot be learnt, and are left out, too.

    Args:
        layout: What was found.
        config: The user's settings.
        known: The classes that a classifier knows: one of them is enough then.

    Raises:
        SettingsError: A class that is named is not there.
        NotADatasetError: Two names look alike, or there are fewer than two classes.
    """
    layout = _merged(layout, config.merge_classes, all_there=not known)
    if wanted := names_of_list(config.classes):
        missing = [name for name in wanted if name not in layout.class_names]
        if missing:
            raise SettingsError(f"--classes names {missing[0]!r}; there are {listed(layout.class_names)}")
        others = Counter(entry.label for entry in layout.entries if entry.label not in wanted)
        note = f"left out by --classes: {listed([f'{name} ({count})' for name, count in others.items()])}"
        kept = tuple(entry for entry in layout.entries if entry.label in wanted)
        layout = replace(layout, entries=kept).noting(note if others else "")
    _refuse_alike(layout.class_names, config.merge_classes)
    layout = _with_useful_splits(layout)
    names = layout.class_names
    if len(names) < (1 if set(names) & set(known) else 2):
        only = f"one class alone, {names[0]!r}" if names else "no image with a label"
        raise NotADatasetError(f"taken as {layout.taken_as}: {only}; a classifier needs two classes or more")
    return layout


def _with_useful_splits(layout: Layout) -> Layout:
    """Return the layout without classes that are in no training split; without splits where none is for training."""
    found = {entry.split for entry in layout.entries}
    if found == {""}:
        return layout
    if not found & {"val", "test"}:
        return _in_split(layout, dict.fromkeys(found, ""))
    if not found & {"train", ""}:
        note = f"its splits ({describe_splits(layout.entries)}) are not kept: none is for training"
        return _in_split(layout, dict.fromkeys(found, "")).noting(note)
    layout = _in_split(layout, {"": "train"})
    learnt = {entry.label for entry in layout.entries if entry.split == "train"}
    only_later = sorted({entry.label for entry in layout.entries} - learnt, key=natural_key)
    if not only_later:
        return layout
    kept = tuple(entry for entry in layout.entries if entry.label in learnt)
    note = f"left out: {listed(only_later)}, of which there is no image to train on"
    return replace(layout, entries=kept).noting(note)


def _in_split(layout: Layout, new: Mapping[str, str]) -> Layout:
    """Return the layout with other splits in the place of some."""
    entries = (replace(e, split=new[e.split]) if e.split in new else e for e in layout.entries)
    return replace(layout, entries=tuple(entries))


def with_split_of_folder(entry: Entry) -> Entry:
    """Return an entry in the split that the first folder of such a name says."""
    named = filter(None, map(split_named, entry.path.split("/")[:-1]))
    return replace(entry, split=next(named, ""))


def describe_classes(entries: Iterable[Entry]) -> str:
    """Return the classes of entries in words, in natural order; of many the first."""
    return listed(sorted({entry.label for entry in entries}, key=natural_key))


def describe_splits(entries: Iterable[Entry]) -> str:
    """Return in words which splits entries are in; an empty text for none."""
    counts = Counter(entry.split for entry in entries if entry.split)
    return ", ".join(f"{name} ({counts[name]})" for name in ("train", "val", "test") if counts[name])


def listed(names: Iterable[str], most: int = _MAX_CLASSES_NAMED) -> str:
    """Return names, the first of many, with commas between."""
    return ", ".join(first_few([_shown(name) for name in names], most))


def _shown(name: str) -> str:
    text = visible(shorten(name, _MAX_LETTERS))
    return repr(text) if text != text.strip() else text


def examples(paths: Sequence[str]) -> str:
    """Return some paths as examples."""
    return listed(paths, _MAX_NAMED)


def _merged(layout: Layout, merge_classes: str, *, all_there: bool) -> Layout:
    """Return the layout with classes put together; those of a run need not all be in another folder."""
    new_names: dict[str, str] = {}
    names = layout.class_names
    for part in _COMMA.split(merge_classes) if merge_classes.strip() else ():
        new, *rest = _EQUALS.split(part.strip(), maxsplit=1)
        new = _plain(new)
        for old in map(_plain, _PLUS.split(rest[0]) if rest else (new,)):
            found = [old] if rest and old in names else [name for name in names if old and alike(name) == alike(old)]
            if (all_there and not found) or not new:
                raise SettingsError(
                    f"--merge-classes is {merge_classes!r}; expected NEW=OLD+OLD, with commas between several, and "
                    f"classes that are there: {listed(names)}"
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
    note = "; ".join(f"{' and '.join(olds)} count as {new!r}" for new, olds in merged.items())
    return replace(layout, entries=entries).noting(f"by --merge-classes, {note}")


def _plain(name: str) -> str:
    return re.sub(r"\\([,=+])", r"\1", name.strip())


def alike(name: str) -> str:
    """Return what two names have in common that a person would take for one."""
    return " ".join(folded(name).split())


def _refuse_alike(names: Sequence[str], merged: str) -> None:
    by_look: dict[str, list[str]] = {}
    for name in names:
        by_look.setdefault(alike(name), []).append(name)
    doubles = {look: found for look, found in by_look.items() if len(found) > 1}
    if doubles:
        # What is merged already stays so.
        typed = flag("--merge-classes", ",".join(filter(None, (merged, _listing(doubles)))))
        shown = "; ".join(" and ".join(map(repr, found)) for found in doubles.values())
        raise NotADatasetError(
            f"these class names look alike: {shown}. If they are one class, add {typed}; if not, rename one"
        )
