"""Leaks: images to judge by that a run was trained on, and copies that stand on two sides of a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from mien.config import CleanConfig
from mien.core.text import first_few, visible
from mien.data.dataset import Dataset, ImageRecord
from mien.data.near_copies import FLIPS, bits_apart, flipped, group_near_copies, members_by_group
from mien.errors import LeakError

_MAX_NAMED = 10


@dataclass(frozen=True)
class Leak:
    """An image to judge a run by, of which a copy was trained on.

    Attributes:
        path: The image, below its folder.
        trained: What the run was trained or chosen on, or a copy of that beside it, below the folder of the run.
        kind: "same file", "near copy", or how a near copy is flipped: one of FLIPS.
        bits: How many of the 128 bits of their hashes differ; above the limit where a chain of copies connects them.
    """

    path: str
    trained: str
    kind: str
    bits: int

    def __str__(self) -> str:
        kind = {"same file": "the same file as", "near copy": "a near copy of"}
        what = kind.get(self.kind, f"a near copy, {self.kind}, of")
        apart = "" if self.kind == "same file" else f" ({self.bits} of 128 bits apart)"
        return f"{visible(self.path)}: {what} {visible(self.trained)}{apart}"


def find_leaks(
    records: Sequence[ImageRecord], seen: Sequence[ImageRecord], near_bits: int = CleanConfig.near_bits
) -> tuple[Leak, ...]:
    """Find the images of which a copy was trained on; each is named once, with the nearest copy.

    A copy is the same file, a near copy or what a chain of near copies connects; and, within a class, one that is
    flipped: an arrow to the left is no arrow to the right.

    Args:
        records: The images to judge by.
        seen: What `load_seen` returned.
        near_bits: Two hashes that differ in at most this many bits are near.
    """
    images = [record for record in records if record.phash]
    if not images or not seen:
        return ()
    upright = [record.phash for record in images]
    versions = {"near copy": upright} | {flip: flipped(upright, flip) for flip in FLIPS}
    distinct = _distinct(seen)
    groups = group_near_copies([*(record.phash for record in distinct), *chain(*versions.values())], near_bits)
    copies = members_by_group(distinct, groups[: len(distinct)])
    contents = {record.sha256: record for record in seen}
    leaks = []
    for place, image in enumerate(images):
        if image.sha256 in contents:
            leaks.append(Leak(image.path, contents[image.sha256].path, "same file", 0))
            continue
        places = range(len(distinct) + place, len(groups), len(images))
        matches = [
            Leak(image.path, other.path, kind, bits_apart(versions[kind][place], other.phash))
            for kind, number in zip(versions, places, strict=True)
            if (group := groups[number]) is not None
            for other in copies.get(group, ())
            if kind == "near copy" or other.label == image.label
        ]
        leaks += sorted(matches, key=lambda leak: leak.bits)[:1]
    return tuple(leaks)


def refuse_leaks(leaks: Sequence[Leak], what: str, advice: str) -> None:
    """Say no where there are leaks, and name the first.

    Args:
        leaks: What `find_leaks` returned.
        what: Where they are, and of what.
        advice: What to do.

    Raises:
        LeakError: There are some.
    """
    if leaks:
        raise LeakError("\n".join([f"{what}:", *name_leaks(leaks), advice]))


def name_leaks(leaks: Sequence[Leak]) -> list[str]:
    """Return a line for each of the first leaks, and one that says how many more there are."""
    return [f"  {line}" for line in first_few(leaks, _MAX_NAMED)]


def refuse_straddling(datasets: Iterable[Dataset], near_bits: int = CleanConfig.near_bits) -> None:
    """Make sure, by the hashes and not by what cleaning made of them, that no copy stands on two sides of a split.

    Args:
        datasets: The same images, split in one way or in several, such as folds.
        near_bits: Two hashes that differ in at most this many bits are near.

    Raises:
        LeakError: An image or a near copy of it, also a mirrored one of its class, stands in two splits.
    """
    groups: list[int | None] | None = None
    for dataset in datasets:
        records = [record for record in dataset.records if record.used]
        if groups is None:
            labels = [record.label for record in records]
            groups = group_near_copies([record.phash for record in records], near_bits, class_names=labels)
        first: dict[int, ImageRecord] = {}
        pairs = [
            f"{visible(record.path)} ({record.split}) and {visible(other.path)} ({other.split})"
            for record, group in zip(records, groups, strict=True)
            if record.split and group is not None
            if (other := first.setdefault(group, record)).split != record.split
        ]
        if pairs:
            raise LeakError(
                f"copies of {len(pairs)} images of {str(dataset.root)!r} stand on two sides of the split, so that "
                "no score would be honest:\n" + "\n".join(f"  {line}" for line in first_few(pairs, _MAX_NAMED))
            )


def _distinct(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return of thousands of records with the same hash in the same class the first."""
    firsts: dict[tuple[str, str], ImageRecord] = {}
    for record in records:
        firsts.setdefault((record.phash, record.label), record)
    return list(firsts.values())
