"""Splitting: every used picture goes to training, validation or test; copies go together."""

import math
import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from mien.config import SplitConfig
from mien.dataset import Dataset
from mien.errors import TooFewImagesError


def split(dataset: Dataset, config: SplitConfig = SplitConfig()) -> Dataset:
    """Share out the used pictures of every class; near copies stay together, and the same seed gives the same split.

    The split depends on the contents of the pictures and the seed, not on their names or order.

    Args:
        dataset: What `clean` returned.
        config: The shares and the seed.

    Returns:
        The same records with `split` set.

    Raises:
        TooFewImagesError: A class has too few distinct pictures; all such classes are named.

    Example:
        >>> import mien
        >>> dataset = mien.split(mien.clean(mien.scan("data")))
        >>> [len(dataset.indexes(name)) for name in ("train", "val", "test")]
        [18, 4, 2]
    """
    units = {name: _units(dataset, name) for name in dataset.class_names}
    _refuse_too_few(dataset, units, config)
    chosen: dict[int, str] = {}
    for name in dataset.class_names:
        chosen |= _share_out(dataset, units[name], config)
    return dataset.with_records([replace(r, split=chosen.get(i, "")) for i, r in enumerate(dataset.records)])


def _units(dataset: Dataset, label: str) -> list[list[int]]:
    """Return the places of a class's used records, near copies in one list."""
    units: dict[object, list[int]] = defaultdict(list)
    for place in dataset.indexes():
        record = dataset.records[place]
        if record.label == label:
            units[f"alone {place}" if record.group is None else record.group].append(int(place))
    return list(units.values())


def _share_out(dataset: Dataset, units: list[list[int]], config: SplitConfig) -> dict[int, str]:
    """Give each unit to the split that is furthest from its share, the large units first.

    Half of the unit counts as given already: so each split gets the whole number that is nearest to its share
    (Webster's method), and no split a unit that is much too large for it.
    """
    num_images = sum(map(len, units))
    shares = _shares(config)
    wanted = {name: share * num_images for name, share in shares.items()}
    units = sorted(units, key=lambda unit: min(dataset.records[place].sha256 for place in unit))
    random.Random(config.seed).shuffle(units)
    chosen: dict[int, str] = {}
    for unit in sorted(units, key=len, reverse=True):
        name = max(wanted, key=lambda split_name: (wanted[split_name] - len(unit) / 2) / shares[split_name])
        wanted[name] -= len(unit)
        chosen |= dict.fromkeys(unit, name)
    return chosen


def _shares(config: SplitConfig) -> dict[str, float]:
    return {
        "train": 1 - config.val_share - config.test_share,
        "val": config.val_share,
        "test": config.test_share,
    }


def _refuse_too_few(dataset: Dataset, units: dict[str, list[list[int]]], config: SplitConfig) -> None:
    shares = _shares(config)
    needed = math.ceil(round(1 / min(shares.values()), 6))
    ratio = "/".join(f"{100 * share:g}" for share in (round(s, 6) for s in shares.values()))
    lines = [
        f"class {name!r} in {_shown(dataset.root)} has {len(found)} {_usable(found)} images{_left_out(dataset, name)}; "
        f"a {ratio} split needs {needed}. Add images, or lower --min-bytes or --min-side."
        for name, found in units.items()
        if len(found) < needed
    ]
    if lines:
        raise TooFewImagesError("\n".join(lines))


def _shown(path: Path) -> str:
    return str(path) if str(path).isprintable() else repr(str(path))


def _usable(units: list[list[int]]) -> str:
    return "usable" if all(len(unit) == 1 for unit in units) else "distinct usable"


def _left_out(dataset: Dataset, label: str) -> str:
    reasons = dataset.left_out(label)
    listed = ", ".join(f"{count} {code.replace('_', ' ')}" for code, count in reasons.items())
    return f" ({sum(reasons.values())} left out: {listed})" if reasons else ""
