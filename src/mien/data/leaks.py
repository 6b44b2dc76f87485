"""Leaks: images to judge by that a run was trained on, and copies that stand on two sides of a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mien.config import CleanConfig
from mien.core.text import first_few, visible
from mien.data.cleaning import preference
from mien.data.copies import Copy, find_copies
from mien.data.dataset import Dataset, ImageRecord
from mien.data.near_copies import FLIPS
from mien.errors import LeakError

_MAX_NAMED = 10


@dataclass(frozen=True)
class Leak:
    """An image to judge a run by, of which a copy was trained on.

    Attributes:
        path: The image, below its folder.
        trained: What the run was trained or chosen on, or a copy of that beside it, below the folder of the run; or the
            name of a group.
        kind: "same file", "copy", how a copy is flipped: one of FLIPS; or "group", for an image of one group.
        bits: How many of the 128 bits of their hashes differ.
    """

    path: str
    trained: str
    kind: str
    bits: int

    def __str__(self) -> str:
        kind = {"same file": "the same file as", "copy": "a copy of", "group": "of a group that was trained on,"}
        what = kind.get(self.kind, f"a copy, {self.kind}, of")
        return f"{visible(self.path)}: {what} {visible(self.trained)}"


def find_leaks(
    records: Sequence[ImageRecord],
    seen: Sequence[ImageRecord],
    near_bits: int = CleanConfig.near_bits,
    *,
    groups: bool = True,
) -> tuple[Leak, ...]:
    """Find the images of which a copy was trained on; each is named once.

    A copy is the same file, or what `find_copies` finds; within a class also one that is flipped. An image of a
    group that was trained on is named, too, where groups are known.

    Args:
        records: The images to judge by.
        seen: What `load_seen` returned.
        near_bits: Copies are looked for among images whose hashes differ in at most this many bits.
        groups: Whether an image is named for its group alone.
    """
    images = [record for record in records if record.phash]
    if not images or not seen:
        return ()
    contents = {record.sha256: record for record in seen}
    subjects = {record.subject for record in seen if record.subject}
    copies = find_copies([*seen, *images], near_bits, flips=FLIPS)[len(seen) :]
    leaks = []
    for image, copy in zip(images, copies, strict=True):
        if image.sha256 in contents:
            leaks.append(Leak(image.path, contents[image.sha256].path, "same file", 0))
        elif copy is not None and copy.of < len(seen):
            leaks.append(Leak(image.path, seen[copy.of].path, copy.flip or "copy", copy.bits))
        elif groups and image.subject in subjects:
            leaks.append(Leak(image.path, image.subject, "group", 0))
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


def refuse_straddling(datasets: Iterable[Dataset], config: CleanConfig = CleanConfig()) -> None:
    """Make sure, by the images and not by what cleaning made of them, that no copy stands on two sides of a split.

    Args:
        datasets: The same images, split in one way or in several, such as folds.
        config: How copies are looked for.

    Raises:
        LeakError: An image or a copy of it, also a mirrored one of its class, stands in two splits.
    """
    copies: list[Copy | None] | None = None
    for dataset in datasets:
        # As cleaning orders and counts them: what is held against what, and which images look alike, depends on it.
        records = sorted((r for r in dataset.records if r.phash), key=lambda record: preference(record, config.keep))
        if copies is None:
            copies = find_copies(records, config.near_bits)
        pairs = [
            f"{visible(record.path)} ({record.split}) and {visible(other.path)} ({other.split})"
            for record, copy in zip(records, copies, strict=True)
            if copy is not None and record.split
            if (other := records[copy.of]).split not in ("", record.split)
        ]
        firsts: dict[str, ImageRecord] = {}
        pairs += [
            f"{visible(record.path)} ({record.split}) and {visible(other.path)} ({other.split}), both of a group"
            for record in records
            if record.subject and record.split
            if (other := firsts.setdefault(record.subject, record)).split != record.split
        ]
        if pairs:
            raise LeakError(
                f"copies or groups of {len(pairs)} images of {str(dataset.root)!r} stand on two sides of the split, so "
                "that no score would be honest:\n" + "\n".join(f"  {line}" for line in first_few(pairs, _MAX_NAMED))
            )
