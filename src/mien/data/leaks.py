"""Leaks: test images that a run was trained on, and copies in different splits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mien.config import CleanConfig
from mien.core.text import counted, first_few, visible
from mien.data.cleaning import preference
from mien.data.copies import Copy, find_copies
from mien.data.dataset import Dataset, ImageRecord
from mien.data.near_copies import FLIPS
from mien.errors import LeakError

_MAX_NAMED = 10


@dataclass(frozen=True)
class Leak:
    """A test image whose copy a run was trained on.

    Attributes:
        path: The image, relative to its folder.
        trained: The image that the run was trained or selected on, or a copy of it, relative to the run's dataset
            folder; or the name of a group.
        kind: "same file"; "copy"; for a flipped copy, one of FLIPS; or "group" for an image of the same group.
        bits: Number of bits, of 128, in which their hashes differ.
    """

    path: str
    trained: str
    kind: str
    bits: int

    def __str__(self) -> str:
        kind = {"same file": "the same file as", "copy": "a copy of", "group": "same group as training images:"}
        what = kind.get(self.kind, f"a copy, {self.kind}, of")
        return f"{visible(self.path)}: {what} {visible(self.trained)}"


def find_leaks(
    records: Sequence[ImageRecord],
    seen: Sequence[ImageRecord],
    near_bits: int = CleanConfig.near_bits,
    *,
    groups: bool = True,
) -> tuple[Leak, ...]:
    """Find test images whose copies were trained on. Each is listed once.

    Copies are identical files and anything that `find_copies` finds, including flipped images within a class. If groups
    are known, images of a training group count too.

    Args:
        records: The test images.
        seen: Result of `load_seen`.
        near_bits: Maximum number of differing hash bits for two images to be compared.
        groups: Whether an image counts for its group alone.
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
    """Raise an error that lists the first leaks, if there are any.

    Args:
        leaks: Result of `find_leaks`.
        what: What was found and where.
        advice: What to do.

    Raises:
        LeakError: There are leaks.
    """
    if leaks:
        raise LeakError("\n".join([f"{what}:", *name_leaks(leaks), advice]))


def name_leaks(leaks: Sequence[Leak]) -> list[str]:
    """Return one line for each of the first leaks, and a line with the number of others."""
    return [f"  {line}" for line in first_few(leaks, _MAX_NAMED)]


def refuse_straddling(datasets: Iterable[Dataset], config: CleanConfig = CleanConfig()) -> None:
    """Check, by the images themselves and not by the result of cleaning, that no copies are in different splits.

    Args:
        datasets: The same images with one or several splits, e.g. folds.
        config: How to look for copies.

    Raises:
        LeakError: An image and a copy of it (possibly mirrored, within a class) are in two splits.
    """
    copies: list[Copy | None] | None = None
    for dataset in datasets:
        # The order must be that of cleaning: it decides which images are compared.
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
            f"{visible(record.path)} ({record.split}) and {visible(other.path)} ({other.split}), same group"
            for record in records
            if record.subject and record.split
            if (other := firsts.setdefault(record.subject, record)).split != record.split
        ]
        if pairs:
            raise LeakError(
                f"copies or group members of {counted(len(pairs), 'image')} of {dataset.name!r} are in another "
                "split, so no score would be reliable:\n"
                + "\n".join(f"  {line}" for line in first_few(pairs, _MAX_NAMED))
            )
