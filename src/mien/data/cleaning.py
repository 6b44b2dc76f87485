"""Cleaning: decide which images of a Dataset are used, and record why others are not. Changes nothing on disk."""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from statistics import median

from mien.config import TUTORIAL_MIN_BYTES, CleanConfig, Keep
from mien.core.text import first_few
from mien.data.copies import Copy, find_copies
from mien.data.dataset import GIVEN_FIRST, PROBLEMS, Dataset, ImageRecord, Problem

# Problems found here, which are found again each time.
_FINDINGS = {"too_few_bytes", "too_few_pixels", "conflicting_labels", "exact_duplicate", "near_duplicate"}
# Earlier decisions, which are kept.
_DECISIONS = {"left_out", "joins_splits"}
# A placeholder image may be in both classes a thousand times; each copy names only a few of the others.
_MAX_NAMED = 3
# By default, a side is too short below a quarter of the folder's median, within these limits: images under 8 pixels
# show nothing, and 56 is a quarter of the network's input.
_LEAST_SIDE, _ENOUGH_SIDE = 8, 56
# If more than this share of a class is skipped for one reason, say so first.
_MUCH = 0.2


def clean(dataset: Dataset, config: CleanConfig = CleanConfig()) -> Dataset:
    """Decide for every image whether it is used: large enough, in one class only, and the best of its copies.

    Args:
        dataset: Result of `scan`.
        config: The limits.

    Returns:
        The same records with `problems`, `used` and `group` filled in.

    Example:
        >>> import mien
        >>> dataset = mien.clean(mien.scan("data"), mien.CleanConfig(min_side=90))
        >>> dataset.counts(used_only=True)
        {'happy': 12, 'sad': 12}
    """
    config = replace(config, min_bytes=min_bytes_of(dataset, config), min_side=_min_side_of(dataset, config))
    records = [_judge_size(record, config) for record in dataset.records]
    images = [place for place, record in enumerate(records) if record.phash]
    images.sort(key=lambda place: preference(records[place], config.keep))
    copies = find_copies([records[place] for place in images], config.near_bits)
    sets: dict[int, list[tuple[int, Copy | None]]] = {}
    for place, copy in zip(images, copies, strict=True):
        if copy:
            original = images[copy.of]
            sets.setdefault(original, [(original, None)]).append((place, copy))
    members = sorted(sorted(found, key=itemgetter(0)) for found in sets.values())
    for group, found in enumerate(members):
        for place, _ in found:
            records[place] = replace(records[place], group=group)
        judgeable = [(place, copy) for place, copy in found if not _is_left_out(records[place])]
        if not judgeable:
            continue
        judged = _judge_copies([(records[place], copy) for place, copy in judgeable], config)
        for (place, _), record in zip(judgeable, judged, strict=True):
            records[place] = record
    return dataset.with_records(records)


def min_bytes_of(dataset: Dataset, config: CleanConfig) -> int:
    """Return the minimum file size in bytes. The tutorial's limit applies only if it leaves images in every class."""
    if config.min_bytes != TUTORIAL_MIN_BYTES:
        return config.min_bytes
    left = {record.label for record in dataset.records if record.phash and record.num_bytes >= config.min_bytes}
    return config.min_bytes if left == {record.label for record in dataset.records if record.phash} else 0


def _min_side_of(dataset: Dataset, config: CleanConfig) -> int:
    """Return the minimum side in pixels, derived from the folder unless the user set it."""
    if config.min_side != "auto":
        return config.min_side
    sides = [min(record.width, record.height) for record in dataset.records if record.phash]
    return round(min(max(median(sides) / 4, _LEAST_SIDE), _ENOUGH_SIDE)) if sides else _LEAST_SIDE


def describe_losses(dataset: Dataset) -> list[str]:
    """Describe each reason for which more than a fifth of a class is skipped, with an example and what to do.

    Args:
        dataset: Result of `clean`.
    """
    before = dataset.counts()
    lost: dict[str, dict[str, list[ImageRecord]]] = {}
    for record in dataset.records:
        if not record.used:
            lost.setdefault(record.problems[-1].code, {}).setdefault(record.label, []).append(record)
    lines = []
    for code, by_label in lost.items():
        large = {label: found for label, found in by_label.items() if len(found) > _MUCH * before[label]}
        if large and code != "left_out":
            shares = [f"{len(found)} of {before[name]} in {name}" for name, found in large.items()]
            listed = ", ".join(first_few(shares, _MAX_NAMED))
            example = next(iter(large.values()))[0]
            reason = f"{PROBLEMS[code]} (e.g. {example.path}: {example.problems[-1].detail})"
            lines.append(f"Many files are skipped: {listed}. Reason: {reason}. {' '.join(dataset.remedies(code))}")
    return lines


def _judge_size(record: ImageRecord, config: CleanConfig) -> ImageRecord:
    before = tuple(problem for problem in record.problems if problem.code not in _FINDINGS)
    record = replace(
        record, problems=before, used=bool(record.phash) and not _is_left_out(record), group=None, split=""
    )
    if record.used and record.num_bytes < config.min_bytes:
        detail = f"{record.num_bytes} bytes; the minimum is {config.min_bytes}"
        record = _left_out(record, "too_few_bytes", detail)
    if record.phash and config.min_side != "auto" and min(record.width, record.height) < config.min_side:
        detail = f"{record.width} x {record.height} pixels; the shorter side must have at least {config.min_side}"
        record = _left_out(record, "too_few_pixels", detail)
    return record


def _is_left_out(record: ImageRecord) -> bool:
    return any(problem.code in _DECISIONS for problem in record.problems)


def preference(record: ImageRecord, keep: Keep) -> tuple[object, ...]:
    """Return a sort key that puts the image to keep before its copies.

    Images skipped for another reason come last. Images assigned to the test split come first, so that they stay.
    """
    first = (not record.used, GIVEN_FIRST.index(record.given))
    if keep == "first":
        return (*first, record.path.split("/"))
    return (*first, -record.width * record.height, -record.num_bytes, record.sha256, record.path)


def _judge_copies(copies: Sequence[tuple[ImageRecord, Copy | None]], config: CleanConfig) -> list[ImageRecord]:
    """Judge a set of copies, and keep one of them."""
    records = [record for record, _ in copies]
    if len({record.label for record in records}) > 1:
        return [_in_conflict(record, records) for record in records]
    kept = min(records, key=lambda record: preference(record, config.keep))
    judged, seen = [], {kept.sha256}
    for record, copy in copies:
        if record is kept:
            judged.append(record)
            continue
        code = "exact_duplicate" if record.sha256 in seen else "near_duplicate"
        mirrored = " mirrored" if code == "near_duplicate" and copy and copy.flip else ""
        seen.add(record.sha256)
        found = _left_out(record, code, f"a{mirrored} copy of {kept.path}")
        judged.append(replace(found, used=record.used and config.keep == "all"))
    return judged


def _in_conflict(record: ImageRecord, copies: Sequence[ImageRecord]) -> ImageRecord:
    others = [copy.path for copy in copies if copy.label != record.label]
    return _left_out(record, "conflicting_labels", f"a copy of {', '.join(first_few(others, _MAX_NAMED))}")


def _left_out(record: ImageRecord, code: str, detail: str) -> ImageRecord:
    return replace(record, problems=(*record.problems, Problem(code, detail)), used=False)
