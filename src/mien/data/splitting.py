"""Splitting: every used image goes to training, validation or test; copies go together."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mien.config import SplitConfig
from mien.core.text import MANY_CLASSES, first_few, visible
from mien.data.dataset import REMEDIES, SPLITS, Dataset
from mien.errors import TooFewImagesError

# A refusal names so many classes.
_MAX_NAMED = 10


def split(dataset: Dataset, config: SplitConfig = SplitConfig()) -> Dataset:
    """Share out the used images of every class; near copies stay together, and the same seed gives the same split.

    The split depends on the contents of the images and the seed, not on their names or order.

    Args:
        dataset: What `clean` returned.
        config: The shares and the seed.

    Returns:
        The same records with `split` set.

    Raises:
        TooFewImagesError: A class has too few distinct images; all such classes are named.

    Example:
        >>> import mien
        >>> dataset = mien.split(mien.clean(mien.scan("data")))
        >>> [len(dataset.indexes(name)) for name in ("train", "val", "test")]
        [18, 4, 2]
    """
    units = {name: _units(dataset, name, dataset.indexes().tolist()) for name in dataset.class_names}
    _refuse_too_few(dataset, units, config)
    chosen = _share_out(dataset, units, _shares(config), config.seed)
    return dataset.with_records([replace(r, split=chosen.get(i, "")) for i, r in enumerate(dataset.records)])


def folds(dataset: Dataset, num_folds: int, config: SplitConfig = SplitConfig()) -> Iterator[Dataset]:
    """Go through a split Dataset once for each fold of what is not for the test.

    Each fold is the test split of one of the Datasets that come out; the others are its training and validation
    splits, with the shares that they had to one another. The locked test images are in no split. Near copies stay
    together, and each class is shared out evenly.

    Args:
        dataset: What `split` returned.
        num_folds: At least 2; 0 for nothing at all.
        config: The shares and the seed.

    Raises:
        TooFewImagesError: A class has fewer distinct images than there are folds; all such classes are named.
    """
    places = [int(place) for name in ("train", "val") for place in dataset.indexes(name)]
    units = {name: _units(dataset, name, places) for name in dataset.class_names}
    if not num_folds:
        return
    small = [f"class {name!r} has {len(found)}" for name, found in units.items() if len(found) < num_folds]
    if small:
        raise TooFewImagesError(
            f"{num_folds} folds need as many distinct images of every class beside those for the test; "
            f"{', '.join(small)}. Add images, or lower --folds."
        )
    fold_of = _share_out(dataset, units, {str(number): 1 / num_folds for number in range(num_folds)}, config.seed)
    val_fraction = config.val_fraction / (1 - config.test_fraction)
    for number in range(num_folds):
        others = [place for place in places if fold_of[place] != str(number)]
        units = {name: _units(dataset, name, others) for name in dataset.class_names}
        chosen = _share_out(dataset, units, {"train": 1 - val_fraction, "val": val_fraction}, config.seed)
        chosen |= {place: "test" for place in places if fold_of[place] == str(number)}
        yield dataset.with_records([replace(r, split=chosen.get(i, "")) for i, r in enumerate(dataset.records)])


def smallest_class(dataset: Dataset) -> int:
    """Return the number of distinct images, beside those for the test, of the class that has fewest."""
    places = [int(place) for name in ("train", "val") for place in dataset.indexes(name)]
    return min(len(_units(dataset, name, places)) for name in dataset.class_names)


def describe_split(dataset: Dataset, *, decided: bool = False) -> list[str]:
    """Return the counts of a split Dataset in words: a line for each class, or one for many; and one for the split.

    Args:
        dataset: What `split` returned.
        decided: Whether decisions on labels were asked for; then a line says how many were applied, even if zero.
    """
    before, after = dataset.counts(), dataset.counts(used_only=True)
    left_out = {name: Counter(dataset.left_out(name)) for name in dataset.class_names}
    if len(dataset.class_names) > MANY_CLASSES:
        smallest, largest = (choose(after, key=after.__getitem__) for choose in (min, max))
        sizes = f"from {after[smallest]} in {smallest} to {after[largest]} in {largest}"
        used = f"{len(after)} classes: {sum(after.values()):,} of {sum(before.values()):,} files are used, {sizes}"
        lines = [used + _reasons(sum(left_out.values(), Counter()))]
    else:
        lines = [
            f"class {number}, {name}: {after[name]} of {before[name]} files are used{_reasons(left_out[name])}"
            for number, name in enumerate(dataset.class_names)
        ]
    if decided:
        counts = Counter(problem.code for record in dataset.records for problem in record.problems)
        lines.append(f"by decision: {counts['relabelled']} relabelled, {counts['left_out']} left out")
    sizes = ", ".join(f"{len(dataset.indexes(name))} {name}" for name in SPLITS)
    return [*lines, f"split: {sizes}; copies never stand on two sides"]


def _reasons(left_out: Counter[str]) -> str:
    reasons = ", ".join(f"{count} {code}" for code, count in left_out.items())
    return f" (left out: {reasons})" if reasons else ""


def _units(dataset: Dataset, label: str, places: Sequence[int]) -> list[list[int]]:
    """Return those of some places whose images are of a class, near copies in one list."""
    units: dict[object, list[int]] = defaultdict(list)
    for place in places:
        record = dataset.records[place]
        if record.label == label:
            units[f"alone {place}" if record.group is None else record.group].append(place)
    return list(units.values())


def _share_out(
    dataset: Dataset, units: dict[str, list[list[int]]], shares: dict[str, float], seed: int
) -> dict[int, str]:
    """Give each unit of each class to the part that is furthest from its share of the class, the large units first.

    Half of the unit counts as given already: so each part gets the whole number that is nearest to its share
    (Webster's method), and no part a unit that is much too large for it.

    Returns:
        The name of the part, by the place of the image.
    """
    chosen: dict[int, str] = {}
    for found in units.values():
        wanted = {name: share * sum(map(len, found)) for name, share in shares.items()}
        found = sorted(found, key=lambda unit: min(dataset.records[place].sha256 for place in unit))
        random.Random(seed).shuffle(found)
        for unit in sorted(found, key=len, reverse=True):
            name = max(wanted, key=lambda part: (wanted[part] - len(unit) / 2) / shares[part])
            wanted[name] -= len(unit)
            chosen |= dict.fromkeys(unit, name)
    return chosen


def _shares(config: SplitConfig) -> dict[str, float]:
    return {
        "train": 1 - config.val_fraction - config.test_fraction,
        "val": config.val_fraction,
        "test": config.test_fraction,
    }


def _refuse_too_few(dataset: Dataset, units: dict[str, list[list[int]]], config: SplitConfig) -> None:
    shares = _shares(config)
    needed = math.ceil(round(1 / min(shares.values()), 6))
    ratio = "/".join(f"{100 * share:g}" for share in (round(s, 6) for s in shares.values()))
    root = visible(str(dataset.root))
    small = {name: found for name, found in units.items() if len(found) < needed}
    if small:
        lines = [
            f"class {name!r} in {root} has {len(found)} {_usable(found)} images{_left_out(dataset, name)}; "
            f"a {ratio} split needs {needed}."
            for name, found in small.items()
        ]
        codes = dict.fromkeys(code for name in small for code in dataset.left_out(name))
        advice = dict.fromkeys(["Add images of what has too few.", *(REMEDIES[code] for code in codes)])
        raise TooFewImagesError("\n".join([*first_few(lines, _MAX_NAMED), *advice]))


def _usable(units: list[list[int]]) -> str:
    return "usable" if all(len(unit) == 1 for unit in units) else "distinct usable"


def _left_out(dataset: Dataset, label: str) -> str:
    reasons = dataset.left_out(label)
    listed = ", ".join(f"{count} {code.replace('_', ' ')}" for code, count in reasons.items())
    return f" ({sum(reasons.values())} left out: {listed})" if reasons else ""
