"""Fixed splits: keep images from an earlier or a given split, and everything related to them, where they are."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mien.core.text import counted, first_few, visible
from mien.data.dataset import GIVEN_FIRST, SPLITS, Dataset, ImageRecord, Problem, unit_numbers
from mien.data.leaks import find_leaks
from mien.errors import SettingsError

_MAX_NAMED = 3


def sides_of(records: Sequence[ImageRecord]) -> dict[str, str]:
    """Return the split of each image by content hash. Unused images have the split of their copies or group."""
    units = unit_numbers(records)
    by_unit = {unit: record.split for unit, record in zip(units, records, strict=True) if record.split}
    found = {record.sha256: by_unit[unit] for unit, record in zip(units, records, strict=True) if unit in by_unit}
    return found | {record.sha256: record.split for record in records if record.split}


def sides_with_copies(dataset: Dataset, before: Sequence[ImageRecord], near_bits: int) -> dict[str, str]:
    """Return `sides_of` an earlier split, extended to images that are copies of its images.

    Args:
        dataset: Result of `clean`.
        before: The records of the earlier split, with their looks.
        near_bits: As for `find_leaks`.

    Raises:
        SettingsError: No image is in the earlier split or a copy of one that is.
    """
    sides = sides_of(before)
    by_path = {record.path: sides[record.sha256] for record in before if record.sha256 in sides}
    others = [record for record in dataset.records if record.sha256 not in sides]
    leaks = find_leaks(others, [record for record in before if record.path in by_path], near_bits, groups=False)
    contents = {record.path: record.sha256 for record in others}
    sides |= {contents[leak.path]: by_path[leak.trained] for leak in leaks}
    if not any(record.sha256 in sides for record in dataset.records):
        raise SettingsError(
            f"{visible(dataset.name)} contains no image of the split to keep, nor a copy of one. Remove --split, "
            "or choose the run that was trained on these images"
        )
    return sides


def leave_out_joining(dataset: Dataset, sides: Mapping[str, str], before: Sequence[ImageRecord]) -> Dataset:
    """Exclude new images that connect two splits, as copies or by group. Then `clean` again.

    Args:
        dataset: Result of `clean`.
        sides: Result of `sides_with_copies`.
        before: The records of the earlier split.
    """
    old = {(record.path, record.sha256) for record in before if record.sha256 in sides}
    known: dict[object, dict[str, str]] = {}
    units = unit_numbers(dataset.records)
    for unit, record in zip(units, dataset.records, strict=True):
        if (record.path, record.sha256) in old:
            for tie in (unit, *_ties(record)):
                known.setdefault(tie, {}).setdefault(sides[record.sha256], visible(record.path))
    joining: dict[int, dict[str, str]] = {}
    for place, record in enumerate(dataset.records):
        if (record.path, record.sha256) not in old:
            others = {sides[record.sha256]: "what it is a copy of"} if record.sha256 in sides else {}
            for tie in _ties(record):
                others |= known.get(tie, {})
            joining[place] = others
    direct = {units[place] for place, others in joining.items() if len(others) > 1}
    records = list(dataset.records)
    for place, others in joining.items():
        # If a chain of new images connects two splits, exclude the whole chain.
        found = others if units[place] in direct else known.get(units[place], {})
        if len(found) > 1:
            records[place] = _left_out(records[place], found)
    return dataset.with_records(records)


def leave_out_crossing(dataset: Dataset) -> Dataset:
    """Exclude images related (as copies, or by group) to images assigned to another split.

    Images assigned to the test split stay; then those assigned to validation.

    Args:
        dataset: Result of `clean`.
    """
    firsts: dict[int, ImageRecord] = {}
    units = unit_numbers(dataset.records)
    numbered = [pair for pair in zip(units, dataset.records, strict=True) if pair[1].used]
    for unit, record in sorted(numbered, key=lambda pair: GIVEN_FIRST.index(pair[1].given or "train")):
        firsts.setdefault(unit, record)
    records = [
        _left_out(record, {first.given: visible(first.path)})
        if record.used and (first := firsts[unit]).given != record.given
        else record
        for unit, record in zip(units, dataset.records, strict=True)
    ]
    return dataset.with_records(records)


def describe_given(dataset: Dataset) -> list[str]:
    """Describe the images excluded because related images are assigned to another split; [] if there are none.

    Args:
        dataset: Result of `split`.
    """
    sides = {record.group: record.given for record in dataset.records if record.used}
    crossing = [
        f"{visible(record.path)} ({record.problems[-1].detail})"
        for record in dataset.records
        if not record.used
        and record.given
        and (
            _is_joining(record) or (record.group is not None and sides.get(record.group, record.given) != record.given)
        )
    ]
    if not crossing:
        return []
    listed = ", ".join(first_few(crossing, _MAX_NAMED))
    what = counted(len(crossing), "image")
    return [f"skipped {what} related to images in another given split (copies or same group): {listed}"]


def describe_kept(dataset: Dataset, before: Sequence[ImageRecord], sides: Mapping[str, str]) -> str:
    """Describe how many images of an earlier split kept their place, and what happened to the others.

    Args:
        dataset: Result of `split`.
        before: The records of the earlier split.
        sides: Result of `sides_with_copies`.
    """
    were = {record.sha256 for record in before if record.split}
    there = {record.sha256 for record in dataset.records} & were
    used = [record.sha256 for record in dataset.records if record.split]
    num_kept = len(were & set(used))
    num_joining = sum(map(_is_joining, dataset.records))
    counts = {
        "gone": len(were - there),
        "skipped now": len(there) - num_kept,
        "copies that follow their original": len(
            [content for content in used if content in sides and content not in were]
        ),
        "new": len([content for content in used if content not in sides]),
        "skipped because related to two splits": num_joining,
    }
    told = [f"{what}: {count}" for what, count in counts.items() if count]
    return "; ".join([f"{num_kept} of its {len(were)} images keep their split", *told])


def sides_of_units(dataset: Dataset, sides: Mapping[str, str]) -> dict[int, str]:
    """Return the split that each unit of a Dataset already has, keyed by the numbers of `group_numbers`.

    Raises:
        SettingsError: Images from two splits are now related.
    """
    found: dict[int, ImageRecord] = {}
    # Used images decide; unused ones only if there are no others.
    for unit, record in sorted(zip(unit_numbers(dataset.records), dataset.records, strict=True), key=_used_first):
        if record.sha256 not in sides:
            continue
        first = found.setdefault(unit, record)
        if record.used and sides[record.sha256] != sides[first.sha256]:
            raise SettingsError(
                f"{visible(first.path)!r} and {visible(record.path)!r} are related (copies or same group), but the "
                f"split to keep has one in {sides[first.sha256]} and the other in {sides[record.sha256]}. Remove "
                "--split, or use the groups of that run (--group-by)"
            )
    return {unit: sides[record.sha256] for unit, record in found.items()}


def _ties(record: ImageRecord) -> Collection[tuple[str, object]]:
    """Return keys for what ties an image to others: the number of its copies, the name of its group."""
    copies = [("copies", record.group)] if record.group is not None else []
    return [*copies, *([("group", record.subject)] if record.subject else [])]


def _left_out(record: ImageRecord, others: Mapping[str, str]) -> ImageRecord:
    named = " and ".join(f"{others[split]} ({split})" for split in SPLITS if split in others)
    problem = Problem("joins_splits", f"related to {named}")
    # Remove its group, or it would still connect the splits.
    return replace(record, used=False, subject="", problems=(*record.problems, problem))


def _is_joining(record: ImageRecord) -> bool:
    return any(problem.code == "joins_splits" for problem in record.problems)


def _used_first(numbered: tuple[int, ImageRecord]) -> bool:
    return not numbered[1].used
