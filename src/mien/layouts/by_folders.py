"""Layouts told by folders: class folders, alone or within the folders of a split."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mien.core.text import counted, folded
from mien.errors import NotADatasetError
from mien.layouts.layout import Entry, Layout, describe_splits, examples, listed, natural_key, split_named
from mien.layouts.tree import Folder

# A folder of one of these names, or of several such words and numbers, holds images of all classes, or no photos.
_CONTAINERS = set(
    "images image imgs img pictures pics jpegs jpegimages photos data annotations annotation labels masks mask trimaps "
    "xmls bboxes segmentationclass segmentationobject part parts batch chunk shard folder dir".split()
)
HOLDS_NO_PHOTOS = set(
    "annotations annotation labels masks mask trimaps xmls bboxes segmentationclass segmentationobject".split()
)
_HOLDS_IMAGES = {"images", "image", "imgs", "img", "pictures", "pics", "jpegs", "jpegimages", "photos", "data"}
_FOLD = re.compile(r"(cv|fold|split|part)[ _-]?\d+|k\d+", re.IGNORECASE)
# Top folders of which more than this share of the sub-folder names are the same hold the same classes.
_MUCH_IN_COMMON = 0.5


class UnclearError(Exception):
    """The folders do not tell the classes.

    Attributes:
        reason: Why, as a clause.
        ways: What to add to the command, and what that does.
    """

    def __init__(self, reason: str, ways: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason, self.ways = reason, tuple(ways)


def by_folders(tree: Folder, known: Sequence[str] = (), *, one_is_enough: bool = False) -> Layout:
    """Tell the classes of a tree by its folders, where that is safe.

    Args:
        tree: What `read_tree` returned.
        known: The classes that a classifier knows.
        one_is_enough: Whether one class folder alone is taken, too.

    Raises:
        UnclearError: Its folders do not tell, or can be read in two ways.
    """
    base = _inside_wrappers(tree, known)
    tops = base.with_images
    layout = None if tops and set(tops) <= set(known) else _splits(base, tops, known)
    layout = layout or _classes(base, tops, tuple(tops) if one_is_enough and len(tops) == 1 else known)
    return layout.noting(_note_empty(base), _note_loose(tree, base, layout))


def by_level(tree: Folder, level: int) -> Layout:
    """Take the folders at a depth as classes; where those above are splits by their names, they are kept.

    Args:
        tree: What `read_tree` returned.
        level: 1 for the folders in the root, 2 for those in these, and so on.

    Raises:
        NotADatasetError: No image lies so deep.
    """
    entries, others = [], []
    for path in tree.all_files():
        parts = path.split("/")
        if len(parts) <= level:
            others.append(path)
            continue
        named = [split for part in parts[: level - 1] if (split := split_named(part))]
        entries.append(Entry(path, parts[level - 1], named[0] if named else ""))
    if not entries:
        raise NotADatasetError(f"--class-level is {level}, and no image lies in {level} folders")
    note = (
        f"left out: {counted(len(others), 'file')} that do not lie so deep, such as {examples(others)}"
        if others
        else ""
    )
    splits = f"; splits {told}" if (told := describe_splits(entries)) else ""
    taken_as = f"class folders at level {level}, {_named_classes(entries)}{splits}"
    return Layout(taken_as, tuple(entries), level).noting(note)


def _inside_wrappers(tree: Folder, known: Sequence[str] = ()) -> Folder:
    """Return the first folder that holds several folders with images; one alone, with such in it, is entered."""
    base = tree
    while len(tops := base.with_images) == 1:
        (inner,) = tops.values()
        if not inner.with_images or inner.name in known:
            break
        base = inner
    return base


def _innermost(folder: Folder) -> Folder:
    """Return what is in a folder, where that is one folder alone."""
    while not folder.images and len(inner := folder.with_images) == 1:
        (folder,) = inner.values()
    return folder


def _splits(base: Folder, tops: Mapping[str, Folder], known: Sequence[str]) -> Layout | None:
    """Tell splits by folders that hold the same sub-folders; None where the folders are no splits."""
    inside = {name: _inner_of_split(folder) for name, folder in tops.items()}
    subs = {name: set(folder.with_images) for name, folder in inside.items()}
    named = {name: split_named(name) for name in tops}
    training = [name for name in tops if named[name] == "train" and subs[name]]
    if training and any(split in ("val", "test") for split in named.values()):
        return _named_splits(base, inside, named)
    # One name alone makes no two classes.
    if len(set().union(*subs.values())) < 2 or not _have_much_in_common(subs.values()):
        return None
    shared = [name for names in subs.values() for name in names]
    if all(split_named(name) for name in shared):
        return _splits_within(tops, subs)
    if all(_FOLD.fullmatch(name) for name in tops) or set(shared) <= set(known):
        return _put_together(inside)
    raise _as_well_classes(base, tops, shared)


def _inner_of_split(folder: Folder) -> Folder:
    """Return the folder in that of a split that holds the class folders; not a class that is alone there."""
    while not folder.images and len(inner := folder.with_images) == 1:
        (only,) = inner.values()
        if not only.with_images and not split_named(only.name):
            break
        folder = only
    return folder


def _named_splits(base: Folder, inside: Mapping[str, Folder], named: Mapping[str, str]) -> Layout:
    classes = {name for top, folder in inside.items() if named[top] == "train" for name in folder.with_images}
    entries: list[Entry] = []
    notes = []
    for top, folder in inside.items():
        split, subs = named[top], set(folder.with_images)
        if split and (split == "train" or subs & classes):
            entries += _entries(folder, split)
            notes.append(_loose(folder.images))
        else:
            images = counted(len(folder.all_images()), "image")
            why = "have no labels; see mien predict" if split or not subs else "stand in no split, by the folder's name"
            notes.append(f"left out: {images} in {folder.path}, which {why}")
    found = {entry.split for entry in entries}
    level = _depth_of(entries)
    if found == {"train"}:
        taken_as = f"class folders in {examples([folder.path for top, folder in inside.items() if named[top]])}"
        return Layout(f"{taken_as}; classes {_named_classes(entries)}", tuple(entries), level).noting(*notes)
    taken_as = f"splits given by folders: {describe_splits(entries)}; classes {_named_classes(entries)}"
    return Layout(taken_as, tuple(entries), level).noting(*notes)


def _splits_within(tops: Mapping[str, Folder], subs: Mapping[str, set[str]]) -> Layout:
    """Take class folders that each hold the same splits; refuse folders that each are a whole split of their own."""
    inner = [
        _innermost(folder.folders[name]) for top, folder in tops.items() for name in subs[top] & set(folder.folders)
    ]
    if any(folder.with_images for folder in inner):
        first = next(iter(tops.values())).path
        raise UnclearError(f"{listed(tops)} each hold a split of their own", (f"train on one of them: DATA/{first}",))
    entries = [
        Entry(path, name, split_named(path.split("/")[-2]))
        for name, folder in tops.items()
        for path in folder.all_files()
    ]
    taken_as = f"class folders that hold splits: {describe_splits(entries)}; classes {_named_classes(entries)}"
    return Layout(taken_as, tuple(entries), _depth_of(entries, below=1))


def _put_together(inside: Mapping[str, Folder]) -> Layout:
    entries = [entry for folder in inside.values() for entry in _entries(folder, "")]
    parts = listed(sorted(inside, key=natural_key))
    taken_as = f"class folders in {parts}, put together; classes {_named_classes(entries)}"
    note = f"{parts} are not kept apart. If they keep patients, persons or objects apart, see --group-by"
    return Layout(taken_as, tuple(entries), _depth_of(entries), (note,))


def _as_well_classes(base: Folder, tops: Mapping[str, Folder], shared: Iterable[str]) -> UnclearError:
    first, second = listed(tops, 4), listed(sorted(set(shared), key=natural_key), 4)
    level = base.path.count("/") + 2 if base.path else 1
    ways: tuple[str, ...] = (f"--class-level {level + 1} takes {second}", f"--class-level {level} takes {first}")
    if training := [name for name in tops if split_named(name) == "train"]:
        others = ",".join(name for name in tops if name not in training)
        ways = (f"--exclude {others} takes what is in {training[0]} alone", *ways)
    return UnclearError(f"{first} hold folders of the same names ({second}): either may be the classes", ways)


def _classes(base: Folder, tops: Mapping[str, Folder], known: Sequence[str]) -> Layout:
    if len(tops) == 1 and set(tops) & set(known):
        entries = _entries(base, "")
        return Layout(f"images of one class, {next(iter(tops))}", tuple(entries), _depth_of(entries))
    if not tops and base.images and base.name in known:
        return Layout(f"images of one class, {base.name}", tuple(Entry(path, base.name) for path in base.images))
    if len(tops) < 2:
        raise _too_few_folders(base, tops)
    splits = {name: split_named(name) for name in tops}
    if all(splits.values()):
        raise UnclearError(
            f"{listed(tops)} are called like splits, and hold no class folders",
            (f"--classes {','.join(tops)} takes them as classes all the same",),
        )
    if _are_containers(tops):
        raise UnclearError(
            f"{listed(tops)} are called like folders that hold images of all classes",
            (f"--classes {','.join(list(tops)[:2])} takes them as classes all the same",),
        )
    entries = _entries(base, "")
    deeper = [name for folder in tops.values() for name in folder.with_images]
    note = ""
    if deeper and not any(folder.images for folder in tops.values()) and len(set(deeper)) > len(tops):
        level = _depth_of(entries)
        note = (
            f"all images lie deeper, in {listed(sorted(set(deeper), key=natural_key), 4)}: --class-level {level + 1} "
        )
        note += "takes those as the classes"
    layout = Layout(f"class folders {_named_classes(entries)}", tuple(entries), _depth_of(entries))
    return layout.noting(note)


def _too_few_folders(base: Folder, tops: Mapping[str, Folder]) -> UnclearError:
    if tops:
        (folder,) = tops.values()
        return UnclearError(
            f"there is only the class folder {folder.path!r}", ("name the folder that holds all class folders",)
        )
    if base.images:
        return UnclearError(
            f"{counted(len(base.images), 'image')} in one folder, and no class folders",
            ("put the images of each class into a folder of its name",),
        )
    return UnclearError("there is no image", ())


def _are_containers(names: Iterable[str]) -> bool:
    """Say whether folders are called like parts of a data set, and not like what images show."""
    words = [re.findall(r"[a-z]+", folded(name)) for name in names]
    are = [bool(found) and found[-1] in _CONTAINERS for found in words]
    if all(are):
        return True
    # Images beside what is drawn on them.
    return any(holds and set(found) & _HOLDS_IMAGES for holds, found in zip(are, words, strict=True)) and sum(are) > 1


def _have_much_in_common(subs: Iterable[set[str]]) -> bool:
    """Say whether most names of sub-folders stand in more than one folder."""
    counts = Counter(name for names in subs for name in names)
    in_common = sum(count > 1 for count in counts.values())
    return bool(counts) and in_common > 0 and in_common >= _MUCH_IN_COMMON * len(counts)


def _entries(base: Folder, split: str) -> list[Entry]:
    """Return the files of class folders, each with the name of its folder."""
    return [Entry(path, name, split) for name, folder in base.with_images.items() for path in folder.all_files()]


def _depth_of(entries: Sequence[Entry], *, below: int = 0) -> int:
    """Return how many folders lead to that of the class, with itself and some below it."""
    return max((entry.path.split("/").index(entry.label) + 1 for entry in entries), default=0) + below


def _named_classes(entries: Iterable[Entry]) -> str:
    return listed(sorted({entry.label for entry in entries}, key=natural_key))


def _note_empty(base: Folder) -> str:
    without = [name for name, folder in base.folders.items() if not folder.has_images]
    if not (base.empty or without):
        return ""
    told = [f"{name} (empty)" for name in base.empty] + [f"{name} (no images)" for name in without]
    return f"left out: {listed(told)}"


def _note_loose(tree: Folder, base: Folder, layout: Layout) -> str:
    """Say which images lie beside the class folders, or beside a folder around these."""
    above, beside = tree, list(base.images)
    for name in base.path.split("/") if base.path else ():
        beside += above.images
        above = above.folders[name]
    labelled = {entry.path for entry in layout.entries} if beside else set()
    return _loose([path for path in beside if path not in labelled])


def _loose(paths: Sequence[str]) -> str:
    return f"left out: {counted(len(paths), 'image')} in no class folder, such as {examples(paths)}" if paths else ""
