"""Layouts from folders: class folders, optionally inside split folders."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from mien.core.text import counted
from mien.errors import NotADatasetError
from mien.layouts.layout import (
    Entry,
    Layout,
    alike,
    describe_classes,
    describe_splits,
    examples,
    flag,
    listed,
    natural_key,
)
from mien.layouts.tree import Folder
from mien.layouts.words import are_containers, split_named

_FOLD = re.compile(r"(cv|fold|split|part)[ _-]?\d+|k\d+", re.IGNORECASE)
# Top folders with their own images hold the same classes if this share of their subfolder names is shared.
_MUCH_IN_COMMON = 0.5
_MAX_SHOWN = 4
_SORT = "put the images of each class into a folder of its own, or pass a table of labels with --labels"


class UnclearError(Exception):
    """The folders do not determine the classes.

    Attributes:
        reason: Why, as a clause.
        ways: What to type or do, and the effect.
    """

    def __init__(self, reason: str, ways: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason, self.ways = reason, tuple(ways)


def by_folders(tree: Folder, known: Sequence[str] = (), *, one_is_enough: bool = False) -> Layout:
    """Determine the classes of a tree from its folders, if that is safe.

    Args:
        tree: Result of `read_tree`.
        known: The classes of an existing classifier.
        one_is_enough: Accept a single class folder.

    Raises:
        UnclearError: The folders do not determine the classes, or can be read in two ways.
    """
    base = _inside_wrappers(tree, known)
    tops = base.with_images
    layout = None if tops and set(tops) <= set(known) else _splits(base, tops, known)
    layout = layout or _classes(base, tops, tuple(tops) if one_is_enough and len(tops) == 1 else known)
    return layout.noting(_note_empty(base), _note_loose(tree, base, layout))


def by_level(tree: Folder, level: int) -> Layout:
    """Use the folders at a given depth as classes. Other folders on the path named after splits are used as splits.

    Args:
        tree: Result of `read_tree`.
        level: 1 for the folders in the root, 2 for their subfolders, and so on.

    Raises:
        NotADatasetError: No image is that deep.
    """
    entries, others = [], []
    for path in tree.all_files():
        folders = path.split("/")[:-1]
        if len(folders) < level:
            others.append(path)
            continue
        named = filter(None, map(split_named, (*folders[: level - 1], *folders[level:])))
        entries.append(Entry(path, folders[level - 1], next(named, "")))
    if not entries:
        raise NotADatasetError(f"--class-level is {level}, but no image is inside {level} folders")
    left_out = f"skipped {counted(len(others), 'file')} not deep enough, e.g. {examples(others)}"
    splits = f"; splits {told}" if (told := describe_splits(entries)) else ""
    taken_as = f"class folders at level {level}, {describe_classes(entries)}{splits}"
    return Layout(taken_as, tuple(entries), level).noting(left_out if others else "")


def _inside_wrappers(tree: Folder, known: Sequence[str] = ()) -> Folder:
    """Return the first folder that contains several folders with images, entering single wrapper folders."""
    base = tree
    while len(tops := base.with_images) == 1:
        (inner,) = tops.values()
        if not inner.with_images or inner.name in known:
            break
        base = inner
    return base


def _splits(base: Folder, tops: Mapping[str, Folder], known: Sequence[str]) -> Layout | None:
    """Find splits by folders with the same subfolders; None if the folders are not splits."""
    inside = {name: _inner_of_split(folder) for name, folder in tops.items()}
    subs = {name: set(folder.with_images) for name, folder in inside.items()}
    named = _named(subs)
    if "train" in named.values() and {"val", "test"} & set(named.values()):
        return _named_splits(inside, named)
    # A single name does not make two classes.
    if len(set().union(*subs.values())) < 2 or not _are_the_same(tops, subs.values()):
        return None
    shared = [name for names in subs.values() for name in names]
    if all(split_named(name) for name in shared):
        return _splits_within(tops)
    if all(_FOLD.fullmatch(name) for name in tops) or set(shared) <= set(known):
        return _put_together(inside)
    raise _either(inside, tops, shared)


def _inner_of_split(folder: Folder) -> Folder:
    """Return the folder inside a split's folder that contains the class folders; never enter a single class."""
    while not folder.images and len(inner := folder.with_images) == 1:
        (only,) = inner.values()
        if not only.with_images and not split_named(only.name):
            break
        folder = only
    return folder


def _named(subs: Mapping[str, set[str]]) -> dict[str, str]:
    """Return the split that each folder is named after.

    Next to a test or validation folder, the only other folder with the same subfolders is the training split.
    """
    named = {name: split_named(name) for name in subs}
    named = {name: "" if split == "train" and not subs[name] else split for name, split in named.items()}
    if "train" not in named.values():
        later = {sub for name, split in named.items() if split for sub in subs[name]}
        others = [name for name, split in named.items() if not split and subs[name] and subs[name] <= later]
        named |= dict.fromkeys(others if len(others) == 1 else (), "train")
    return named


def _named_splits(inside: Mapping[str, Folder], named: Mapping[str, str]) -> Layout:
    classes = {alike(name) for top, folder in inside.items() if named[top] == "train" for name in folder.with_images}
    entries: list[Entry] = []
    notes = []
    for top, folder in inside.items():
        split, subs = named[top], folder.with_images
        has_classes = any(alike(name) in classes for name in subs)
        if split == "train" or (split and has_classes):
            entries += _entries(folder, split)
            notes.append(_loose(folder.images))
            continue
        why = "without labels (to classify them, use mien predict)"
        if has_classes or not split:
            why = "not named after a split"
        elif subs:
            why = f"with subfolders ({listed(subs, _MAX_SHOWN)}) that are not training classes"
        notes.append(f"skipped {counted(len(folder.all_images()), 'image')} in {folder.path}, {why}")
    told, classes_told = describe_splits(entries), describe_classes(entries)
    taken_as = f"splits from folders: {told}; classes {classes_told}"
    if {entry.split for entry in entries} == {"train"}:
        taken_as = (
            f"class folders in {listed(f.path for n, f in inside.items() if named[n] == 'train')}: {classes_told}"
        )
    return Layout(taken_as, tuple(entries), _depth_of(entries)).noting(*notes)


def _splits_within(tops: Mapping[str, Folder]) -> Layout:
    """Use class folders that each contain the same splits, but refuse folders that are complete splits themselves."""
    if any(len(_inner_of_split(inner).with_images) > 1 for top in tops.values() for inner in top.with_images.values()):
        first = next(iter(tops.values())).path
        raise UnclearError(f"{listed(tops)} each contain splits of their own", (f"choose one: DATA/{first}",))
    entries = []
    for name, top in tops.items():
        inner = _inner_of_split(top) if len(top.with_images) == 1 else top
        for split, folder in inner.with_images.items():
            entries += [Entry(path, name, split_named(split)) for path in folder.all_files()]
    taken_as = f"class folders containing splits: {describe_splits(entries)}; classes {describe_classes(entries)}"
    return Layout(taken_as, tuple(entries), _depth_of(entries, below=1))


def _put_together(inside: Mapping[str, Folder]) -> Layout:
    entries = [entry for folder in inside.values() for entry in _entries(folder, "")]
    parts = listed(sorted(inside, key=natural_key))
    taken_as = f"class folders in {parts}, combined; classes {describe_classes(entries)}"
    note = f"{parts} are combined. If they separate patients, people or objects, see --group-by"
    return Layout(taken_as, tuple(entries), _depth_of(entries), (note,))


def _either(inside: Mapping[str, Folder], tops: Mapping[str, Folder], shared: Iterable[str]) -> UnclearError:
    """Describe the options if the classes may be the top folders or their subfolders."""
    first, second = listed(tops, _MAX_SHOWN), listed(sorted(set(shared), key=natural_key), _MAX_SHOWN)
    outer = next(iter(tops.values())).path.count("/") + 1
    inner = {
        path.count("/") + 1 for folder in inside.values() for path in (f.path for f in folder.with_images.values())
    }
    ways = [f"{flag('--class-level', str(min(inner)))} uses {second}"] if len(inner) == 1 else []
    ways.append(f"{flag('--class-level', str(outer))} uses {first}")
    training = [name for name in tops if split_named(name) == "train"]
    if len(training) == 1:
        others = [name for name in tops if name not in training]
        ways.insert(0, f"{flag('--exclude', others)} uses only {training[0]}")
    else:
        ways.append(f"or choose one: DATA/{next(iter(tops.values())).path}")
    return UnclearError(f"{first} contain folders ({second}), so either may be the classes", ways)


def _classes(base: Folder, tops: Mapping[str, Folder], known: Sequence[str]) -> Layout:
    if len(tops) == 1 and set(tops) & set(known):
        entries = _entries(base, "")
        return Layout(f"images of one class, {next(iter(tops))}", tuple(entries), _depth_of(entries))
    if not tops and base.images and base.name in known:
        return Layout(f"images of one class, {base.name}", tuple(Entry(path, base.name) for path in base.images))
    if len(tops) < 2:
        raise _too_few_folders(base, tops, known)
    inside = {name: _inner_of_split(folder) for name, folder in tops.items()}
    for name, folder in inside.items():
        if len({split for sub in folder.with_images if (split := split_named(sub))}) > 1:
            raise UnclearError(
                f"{name} contains splits, next to {listed(set(tops) - {name})}", (f"choose it: DATA/{tops[name].path}",)
            )
    anyway = f"if these are the classes, {flag('--classes', tops)}"
    splits = {split for name in tops if (split := split_named(name))}
    if len(splits) > 1 or all(map(split_named, tops)):
        raise UnclearError(f"{listed(tops)} are named like splits but contain no class folders", (_SORT, anyway))
    if are_containers(tops):
        raise UnclearError(f"{listed(tops)} are named like parts of a dataset, not like classes", (_SORT, anyway))
    deeper = [name for folder in inside.values() for name in folder.with_images]
    are_deep = all(not folder.images and len(folder.with_images) > 1 for folder in inside.values())
    # Numbered folders are usually patients, dates and the like.
    if are_deep and sum(any(map(str.isdecimal, name)) for name in deeper) < len(deeper) / 2:
        raise _either(inside, tops, deeper)
    entries = _entries(base, "")
    return Layout(f"class folders {describe_classes(entries)}", tuple(entries), _depth_of(entries))


def _too_few_folders(base: Folder, tops: Mapping[str, Folder], known: Sequence[str]) -> UnclearError:
    elsewhere = (
        "or choose the folder that contains all class folders",
        "or say where the labels are: --labels or --label-pattern",
    )
    if tops and known:
        reason = f"its only folder, {next(iter(tops))!r}, is not a class of the run"
        return UnclearError(reason, (f"give it the name of one: {listed(known)}", *elsewhere))
    if tops:
        (folder,), bare = tops.values(), _without_images(base)
        told = "".join(f", and {name!r} has no images" for name in bare[:1])
        second = bare[0] if bare else "other"
        return UnclearError(
            f"a classifier needs at least two classes. The only class folder is {folder.path!r}{told}",
            (f"put images of something else into a second folder, e.g. DATA/{base.below(second)}", *elsewhere),
        )
    if base.images:
        return UnclearError(
            f"{counted(len(base.images), 'image')} in one folder, and no class folders",
            (_SORT,),
        )
    return UnclearError("it contains no images")


def _are_the_same(tops: Mapping[str, Folder], subs: Collection[set[str]]) -> bool:
    """Return whether most subfolders are shared by several folders, or any if no folder has images of its own."""
    counts = Counter(name for names in subs for name in names)
    in_common = sum(count > 1 for count in counts.values())
    are_deep = not any(folder.images for folder in tops.values())
    return in_common > 0 and (are_deep or in_common >= _MUCH_IN_COMMON * len(counts))


def _entries(base: Folder, split: str) -> list[Entry]:
    """Return the files in class folders, labelled with the folder's name."""
    return [Entry(path, name, split) for name, folder in base.with_images.items() for path in folder.all_files()]


def _depth_of(entries: Sequence[Entry], *, below: int = 0) -> int:
    """Return the depth of the class folders, plus `below`."""
    return max((entry.path.split("/").index(entry.label) + 1 for entry in entries), default=0) + below


def _without_images(base: Folder) -> list[str]:
    return [*base.empty, *(name for name, folder in base.folders.items() if not folder.has_images)]


def _note_empty(base: Folder) -> str:
    without = [name for name, folder in base.folders.items() if not folder.has_images]
    told = [f"{name} (empty)" for name in base.empty] + [f"{name} (no images)" for name in without]
    return f"skipped {listed(told)}" if told else ""


def _note_loose(tree: Folder, base: Folder, layout: Layout) -> str:
    """Describe images next to the class folders, or next to a folder around them."""
    above, beside = tree, list(base.images)
    for name in base.path.split("/") if base.path else ():
        beside += above.images
        above = above.folders[name]
    labelled = {entry.path for entry in layout.entries} if beside else set()
    return _loose([path for path in beside if path not in labelled])


def _loose(paths: Sequence[str]) -> str:
    return f"skipped {counted(len(paths), 'image')} outside the class folders, e.g. {examples(paths)}" if paths else ""
