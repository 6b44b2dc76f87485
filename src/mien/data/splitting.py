"""Splitting: assign every used image to training, validation or test, keeping copies together."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from mien.config import SplitConfig
from mien.core.text import MANY_CLASSES, counted, first_few, visible
from mien.data.dataset import SPLITS, Dataset
from mien.data.decisions import is_elsewhere
from mien.data.kept_splits import leave_out_crossing, sides_of_units
from mien.errors import TooFewImagesError

# A message lists at most this many classes.
_MAX_NAMED = 10
_USUAL_FOLDS = 5
# The value of `SplitConfig.split` that ignores earlier and given splits.
_NEW = "new"
# Minimum training images per class, if all splits are given, and if some are drawn from the training images.
_FEWEST_GIVEN, _FEWEST_DRAWN = 2, 5


def split(dataset: Dataset, config: SplitConfig = SplitConfig(), sides: Mapping[str, str] | None = None) -> Dataset:
    """Split the used images of every class into training, validation and test, keeping copies and groups together.

    Splits given by folders or a table are kept, and only missing ones are drawn from the training images. Otherwise the
    split depends on the content of the images and the seed, not on names or order. Adding images later moves few
    others.

    Args:
        dataset: Result of `clean`.
        config: The shares and the seed; `split="new"` ignores given splits.
        sides: Result of `mien.data.kept_splits.sides_of` for an earlier split, whose images keep their split.

    Returns:
        The same records with `split` set.

    Raises:
        TooFewImagesError: A class has too few distinct images. The message lists all such classes.
        SettingsError: Images that must stay in different splits are related.

    Example:
        >>> import mien
        >>> dataset = mien.split(mien.clean(mien.scan("data")))
        >>> [len(dataset.indexes(name)) for name in ("train", "val", "test")]
        [18, 4, 2]
    """
    if not sides and is_given(dataset, config):
        return _split_as_given(leave_out_crossing(dataset), config)
    places = dataset.indexes().tolist()
    _refuse_too_few(dataset, config)
    kept = sides_of_units(dataset, sides) if sides else {}
    chosen = _share_out(dataset, places, _shares(config), config.seed, kept)
    _refuse_empty(dataset, chosen, tuple(_shares(config)), kept=bool(kept))
    return dataset.with_records([replace(r, split=chosen.get(i, "")) for i, r in enumerate(dataset.records)])


def is_kept(config: SplitConfig) -> bool:
    """Return whether the split of an earlier run is to be kept."""
    return config.split not in ("", _NEW)


def is_given(dataset: Dataset, config: SplitConfig) -> bool:
    """Return whether a Dataset is to be split as its folders or table say."""
    return not config.split and any(record.given for record in dataset.records)


def _split_as_given(dataset: Dataset, config: SplitConfig) -> Dataset:
    """Keep the given splits, and draw missing ones from the training images."""
    places = dataset.indexes().tolist()
    given = {place: dataset.records[place].given or "train" for place in places}
    there = set(given.values())
    shares = _shares(config)
    drawn = {name: shares[name] for name in ("test", "val") if name not in there}
    # The shares refer to all images, but only the training images can be drawn from.
    rest = sum(shares[name] for name in shares if name in ("train", *drawn))
    to_train = [place for place in places if given[place] == "train"]
    if drawn:
        parts = {name: share / rest for name, share in drawn.items()}
        given |= _share_out(dataset, to_train, {**parts, "train": 1 - sum(parts.values())}, config.seed)
    counts = Counter(dataset.records[place].label for place, part in given.items() if part in ("train", *drawn))
    needed = _FEWEST_GIVEN if not drawn else _FEWEST_DRAWN
    small = [f"class {name!r} has {counts[name]}" for name in dataset.class_names if counts[name] < needed]
    if small:
        raise TooFewImagesError(
            f"every class needs at least {needed} usable training images: "
            f"{', '.join(first_few(small, _MAX_NAMED))}. Add images, leave out the class (--classes), or ignore the "
            "given splits (--split new)."
        )
    _refuse_empty(dataset, given, ("train", *drawn), kept=False)
    return dataset.with_records([replace(r, split=given.get(i, "")) for i, r in enumerate(dataset.records)])


def folds(dataset: Dataset, num_folds: int, config: SplitConfig = SplitConfig()) -> Iterator[Dataset]:
    """Yield a split Dataset for each fold of cross-validation on the images outside the test split.

    In each Dataset, one fold is the test split, and the others are divided into training and validation in their
    original proportions. The original test images are in no split. Near-duplicates stay together, and classes are
    balanced across folds.

    Args:
        dataset: Result of `split`.
        num_folds: At least 2, or 0 to yield nothing.
        config: The shares and the seed.

    Raises:
        TooFewImagesError: A class has fewer distinct images than folds. The message lists all such classes.
    """
    places = [int(place) for name in ("train", "val") for place in dataset.indexes(name)]
    if not num_folds:
        return
    counts = _num_units(dataset, places)
    small = [f"class {name!r} has {count}" for name, count in counts.items() if count < num_folds]
    if small:
        raise TooFewImagesError(
            f"{num_folds} folds need at least {num_folds} {_what(dataset)} per class outside the test split, but "
            f"{', '.join(small)}. Add images, or use fewer --folds."
        )
    fold_of = _share_out(dataset, places, {str(number): 1 / num_folds for number in range(num_folds)}, config.seed)
    val_fraction = config.val_fraction / (1 - config.test_fraction)
    for number in range(num_folds):
        others = [place for place in places if fold_of[place] != str(number)]
        chosen = _share_out(dataset, others, {"val": val_fraction, "train": 1 - val_fraction}, config.seed)
        chosen |= {place: "test" for place in places if fold_of[place] == str(number)}
        yield dataset.with_records([replace(r, split=chosen.get(i, "")) for i, r in enumerate(dataset.records)])


def first_fold(dataset: Dataset, config: SplitConfig) -> Dataset:
    """Return the first of five folds (fewer for small classes), which holds out a fifth of the images outside the test.

    Args:
        dataset: Result of `split`.
        config: As for `folds`.
    """
    return next(folds(dataset, max(2, usual_folds(dataset)), config))


def usual_folds(dataset: Dataset) -> int:
    """Return the usual number of folds: five, or the size of the smallest class if that is less."""
    return min(_USUAL_FOLDS, smallest_class(dataset))


def smallest_class(dataset: Dataset) -> int:
    """Return the number of distinct images or groups outside the test split in the smallest class."""
    places = [int(place) for name in ("train", "val") for place in dataset.indexes(name)]
    return min(_num_units(dataset, places).values())


def describe_split(dataset: Dataset, *, decided: bool = False) -> list[str]:
    """Describe the counts of a split Dataset: a line per class, or one line for many classes, and one for the split.

    Args:
        dataset: Result of `split`.
        decided: Whether label decisions were given. If so, a line says how many were applied, even if zero.
    """
    before, after = dataset.counts(), dataset.counts(used_only=True)
    left_out = {name: Counter(dataset.left_out(name)) for name in dataset.class_names}
    if len(dataset.class_names) > MANY_CLASSES:
        smallest, largest = (choose(after, key=after.__getitem__) for choose in (min, max))
        sizes = f"from {after[smallest]} ({smallest}) to {after[largest]} ({largest}) per class"
        used = f"{len(after)} classes: {sum(after.values()):,} of {sum(before.values()):,} files used, {sizes}"
        lines = [used + _reasons(sum(left_out.values(), Counter()))]
    else:
        lines = [
            f"class {number}, {name}: {after[name]} of {before[name]} files used{_reasons(left_out[name])}"
            for number, name in enumerate(dataset.class_names)
        ]
    if decided:
        counts = Counter(problem.code for record in dataset.records for problem in record.problems)
        num_added = sum(record.used and is_elsewhere(record.path) for record in dataset.records)
        added = f", {num_added} added from other folders" if num_added else ""
        lines.append(f"label decisions: {counts['relabelled']} relabelled, {counts['left_out']} excluded{added}")
    sizes = ", ".join(f"{len(dataset.indexes(name))} {name}{_of_groups(dataset, name)}" for name in SPLITS)
    together = "copies and groups" if _what(dataset) == "groups" else "copies"
    return [*lines, f"split: {sizes}{_as_given(dataset)}; {together} stay in one split"]


def _as_given(dataset: Dataset) -> str:
    """Say which splits come from folders or a table; the given training split may have lost images to the others."""
    by_split = {name: dataset.indexes(name).tolist() for name in ("val", "test")}
    given = [
        name
        for name, places in by_split.items()
        if places and all(dataset.records[place].given == name for place in places)
    ]
    return f" ({' and '.join(given)} as given)" if given else ""


def _of_groups(dataset: Dataset, split: str) -> str:
    numbers = dataset.subject_numbers(dataset.indexes(split))
    return "" if numbers is None else f" ({counted(len(set(numbers.tolist())), 'group')})"


def _reasons(left_out: Counter[str]) -> str:
    reasons = ", ".join(f"{count} {code}" for code, count in left_out.items())
    return f" (skipped: {reasons})" if reasons else ""


def _num_units(dataset: Dataset, places: Sequence[int]) -> dict[str, int]:
    """Return, for each class, the number of distinct images or groups among these indexes."""
    numbers = dataset.group_numbers(np.array(places, np.int64))
    pairs = {(dataset.records[place].label, number) for place, number in zip(places, numbers, strict=True)}
    counts = Counter(label for label, _ in pairs)
    return {name: counts[name] for name in dataset.class_names}


def _share_out(
    dataset: Dataset,
    places: Sequence[int],
    shares: dict[str, float],
    seed: int,
    kept: Mapping[int, str] = MappingProxyType({}),
) -> dict[int, str]:
    """Assign each unit (images that must stay together) to the first part with room for all its classes.

    Units are sorted by a hash of the seed and their content, so that images added later move few others. A part has
    room for its share of each class, rounded. A unit that fits nowhere goes to the part that lacks most.

    Args:
        dataset: Knows which images belong together.
        places: Indexes of the images to assign.
        shares: The share of each part, the largest last. They add up to 1.
        seed: Decides the order.
        kept: Parts of units that are already assigned.

    Returns:
        The name of the part for each index.
    """
    units: dict[int, list[int]] = defaultdict(list)
    for place, number in zip(places, dataset.group_numbers(np.array(places, np.int64)), strict=True):
        units[number].append(place)
    sizes = {number: Counter(dataset.records[place].label for place in unit) for number, unit in units.items()}
    room = _room(list(sizes.values()), shares)
    chosen: dict[int, str] = {}
    for number in sorted(units, key=lambda number: (number not in kept, _rank(dataset, units[number], seed))):
        size = sizes[number]
        fits = (part for part, left in room.items() if all(count <= left[label] for label, count in size.items()))
        part = kept.get(number) or next(fits, None)
        part = part or max(room, key=lambda part: min(room[part][label] - size[label] for label in size))
        room[part].subtract(size)
        chosen |= dict.fromkeys(units[number], part)
    return chosen


def _room(sizes: Sequence[Counter[str]], shares: dict[str, float]) -> dict[str, Counter[str]]:
    """Return how many images of each class each part gets: its share, rounded so that the counts add up.

    Units larger than every share but the last go to the last part, and the other parts share the rest.
    """
    small = list(shares)[:-1]
    by_label: dict[str, list[int]] = defaultdict(list)
    for size in sizes:
        for label, count in size.items():
            by_label[label].append(count)
    room: dict[str, Counter[str]] = {part: Counter() for part in shares}
    for label, found in by_label.items():
        total = sum(found)
        largest = max(shares[part] for part in small) * total
        rest = sum(count for count in found if count <= largest)
        scale = min(total, rest / sum(shares[part] for part in small))
        wanted = [shares[part] * scale for part in small]
        wanted.append(total - sum(wanted))
        counts = [math.floor(share + 1e-9) for share in wanted]
        # Rounding leftovers go to the largest remainders, and among equals to the last part.
        order = sorted(range(len(wanted)), key=lambda place: (round(counts[place] - wanted[place], 9), -place))
        for place in order[: total - sum(counts)]:
            counts[place] += 1
        for part, count in zip(shares, counts, strict=True):
            room[part][label] = count
    return room


def _rank(dataset: Dataset, unit: Sequence[int], seed: int) -> str:
    content = min(dataset.records[place].sha256 for place in unit)
    return hashlib.sha256(f"{seed} {content}".encode()).hexdigest()


def _shares(config: SplitConfig) -> dict[str, float]:
    return {
        "test": config.test_fraction,
        "val": config.val_fraction,
        "train": 1 - config.val_fraction - config.test_fraction,
    }


def _what(dataset: Dataset) -> str:
    return "groups" if dataset.knows_groups else "distinct images"


def _refuse_empty(dataset: Dataset, chosen: dict[int, str], parts: Sequence[str], *, kept: bool) -> None:
    """Raise an error if a part has no image of a class, because of a large group or a fixed split."""
    reason = "its images are fixed in other splits" if kept else "its groups are too large to divide"
    there = {(part, dataset.records[place].label) for place, part in chosen.items()}
    lines = [
        f"the {part} split has no image of class {name!r}, because {reason}"
        for part in parts
        for name in dataset.class_names
        if (part, name) not in there
    ]
    if lines:
        advice = "Add images from other groups, or change --group-by or the split sizes."
        if kept:
            advice = "Add images of this class, remove --split to split again, or change the --relabel decisions."
        raise TooFewImagesError("\n".join([*first_few(lines, _MAX_NAMED), advice]))


def _refuse_too_few(dataset: Dataset, config: SplitConfig) -> None:
    shares = _shares(config)
    needed = math.ceil(round(1 / min(shares.values()), 6))
    ratio = "/".join(f"{100 * share:g}" for share in (round(shares[name], 6) for name in SPLITS))
    root = visible(dataset.name)
    counts, used = _num_units(dataset, dataset.indexes().tolist()), dataset.counts(used_only=True)
    small = {name: count for name, count in counts.items() if count < needed}
    if small:
        lines = [
            f"class {name!r} in {root} has {_usable(dataset, count, used[name])}{_left_out(dataset, name)}, but a "
            f"{ratio} split needs at least {needed}."
            for name, count in small.items()
        ]
        codes = dict.fromkeys(code for name in small for code in dataset.left_out(name))
        advice = dict.fromkeys([_more(dataset), *(sentence for code in codes for sentence in dataset.remedies(code))])
        told = "\n".join(first_few(lines, _MAX_NAMED, rest="more classes."))
        raise TooFewImagesError(" ".join([told, *advice]))


def _more(dataset: Dataset) -> str:
    if _what(dataset) == "groups":
        return "Add images from other groups, or use larger parts: --test-fraction 0.2 --val-fraction 0.2."
    return "Add more images."


def _usable(dataset: Dataset, num_units: int, num_images: int) -> str:
    if _what(dataset) == "groups":
        return f"{counted(num_units, 'group')} with {counted(num_images, 'usable image')}"
    return counted(num_units, "usable image" if num_units == num_images else "distinct usable image")


def _left_out(dataset: Dataset, label: str) -> str:
    reasons = dataset.left_out(label)
    listed = ", ".join(f"{count} {code.replace('_', ' ')}" for code, count in reasons.items())
    return f" ({sum(reasons.values())} skipped: {listed})" if reasons else ""
