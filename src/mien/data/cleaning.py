"""Cleaning: which images of a Dataset are used, and why not the others. Nothing on disk is touched."""

from collections.abc import Sequence
from dataclasses import replace

from mien.config import CleanConfig, Keep
from mien.core.text import first_few
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.near_copies import bits_apart, flipped, group_near_copies, members_by_group

# What this module finds, and finds anew when it is asked again.
_FINDINGS = {"too_few_bytes", "too_few_pixels", "conflicting_labels", "exact_duplicate", "near_duplicate"}
# A placeholder image may stand in both classes a thousand times: each names a few of the others, not all.
_MAX_NAMED = 3


def clean(dataset: Dataset, config: CleanConfig = CleanConfig()) -> Dataset:
    """Say of every image whether it is used: large enough, not under two classes, and the one to keep of its copies.

    Args:
        dataset: What `scan` returned.
        config: The limits.

    Returns:
        The same records with `problems`, `used` and `group` set.

    Example:
        >>> import mien
        >>> dataset = mien.clean(mien.scan("data"), mien.CleanConfig(min_side=90))
        >>> dataset.counts(used_only=True)
        {'happy': 12, 'sad': 12}
    """
    records = [_judge_size(record, config) for record in dataset.records]
    images = [place for place, record in enumerate(records) if record.phash]
    labels = [records[place].label for place in images]
    groups = group_near_copies([records[place].phash for place in images], config.near_bits, class_names=labels)
    for place, group in zip(images, groups, strict=True):
        records[place] = replace(records[place], group=group)
    judgeable = [place for place in images if not _is_left_out(records[place])]
    for places in members_by_group(judgeable, [records[place].group for place in judgeable]).values():
        judged = _judge_copies([records[place] for place in places], config)
        for place, record in zip(places, judged, strict=True):
            records[place] = record
    return dataset.with_records(records)


def _judge_size(record: ImageRecord, config: CleanConfig) -> ImageRecord:
    before = tuple(problem for problem in record.problems if problem.code not in _FINDINGS)
    record = replace(
        record, problems=before, used=bool(record.phash) and not _is_left_out(record), group=None, split=""
    )
    if record.used and record.num_bytes < config.min_bytes:
        detail = f"{record.num_bytes} bytes; at least {config.min_bytes} are asked for"
        record = _left_out(record, "too_few_bytes", detail)
    if record.phash and min(record.width, record.height) < config.min_side:
        detail = f"{record.width} x {record.height} pixels; at least {config.min_side} each way are asked for"
        record = _left_out(record, "too_few_pixels", detail)
    return record


def _is_left_out(record: ImageRecord) -> bool:
    """Say whether the user decided that an image is not used: that stands, whatever else is found."""
    return any(problem.code == "left_out" for problem in record.problems)


def _judge_copies(copies: Sequence[ImageRecord], config: CleanConfig) -> list[ImageRecord]:
    """Judge one group of near copies."""
    if len({copy.label for copy in copies}) > 1:
        return [_in_conflict(copy, copies) for copy in copies]
    kept = _kept(copies, config.keep)
    judged, seen = [], {kept.sha256}
    for copy in copies:
        if copy is kept:
            judged.append(copy)
            continue
        code = "exact_duplicate" if copy.sha256 in seen else "near_duplicate"
        kind = "a copy" if code == "exact_duplicate" else _near_kind(copy, kept, config.near_bits)
        seen.add(copy.sha256)
        found = _left_out(copy, code, f"{kind} of {kept.path}")
        judged.append(replace(found, used=copy.used and config.keep == "all"))
    return judged


def _kept(copies: Sequence[ImageRecord], keep: Keep) -> ImageRecord:
    """Choose among copies; one that is left out for another reason comes last."""
    if keep == "first":
        return min(copies, key=lambda copy: (not copy.used, copy.path.split("/")))
    return max(copies, key=lambda copy: (copy.used, copy.width * copy.height, copy.num_bytes, copy.sha256))


def _near_kind(copy: ImageRecord, kept: ImageRecord, near_bits: int) -> str:
    bits = bits_apart(copy.phash, kept.phash)
    mirrored = bits > near_bits and bits_apart(flipped([copy.phash], "mirrored")[0], kept.phash) < bits
    return "a near copy, mirrored," if mirrored else "a near copy"


def _in_conflict(record: ImageRecord, copies: Sequence[ImageRecord]) -> ImageRecord:
    others = [copy.path for copy in copies if copy.label != record.label]
    return _left_out(record, "conflicting_labels", f"a near copy of {', '.join(first_few(others, _MAX_NAMED))}")


def _left_out(record: ImageRecord, code: str, detail: str) -> ImageRecord:
    return replace(record, problems=(*record.problems, Problem(code, detail)), used=False)
