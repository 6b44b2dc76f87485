"""Splits that stay: images that were split before, and what belongs together with them, are not moved."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mien.core.text import counted, first_few, visible
from mien.data.dataset import GIVEN_FIRST, SPLITS, Dataset, ImageRecord, Problem, unit_numbers
from mien.data.leaks import find_leaks
from mien.errors import SettingsError

_MAX_NAMED = 3


def sides_of(records: Sequence[ImageRecord]) -> dict[str, str]:
    """Return by content hash in which split each image stands; one that is not used, where its copies or group do."""
    units = unit_numbers(records)
    by_unit = {unit: record.split for unit, record in zip(units, records, strict=True) if record.split}
    found = {record.sha256: by_unit[unit] for unit, record in zip(units, records, strict=True) if unit in by_unit}
    return found | {record.sha256: record.split for record in records if record.split}


def sides_with_copies(dataset: Dataset, before: Sequence[ImageRecord], near_bits: int) -> dict[str, str]:
    """Return what `sides_of` returns of an earlier split, and the sides of images that are copies of its images.

    Args:
        dataset: What `clean` returned.
        before: The records of the earlier split, with their looks.
        near_bits: As `find_leaks` takes it.

    Raises:
        SettingsError: No image was in the earlier split, nor is one a copy of what was.
    """
    sides = sides_of(before)
    by_path = {record.path: sides[record.sha256] for record in before if record.sha256 in sides}
    others = [record for record in dataset.records if record.sha256 not in sides]
    leaks = find_leaks(others, [record for record in before if record.path in by_path], near_bits, groups=False)
    contents = {record.path: record.sha256 for record in others}
    sides |= {contents[leak.path]: by_path[leak.trained] for leak in leaks}
    if not any(record.sha256 in sides for record in dataset.records):
        raise SettingsError(
            f"{visible(str(dataset.root))} has none of the images whose split is to be kept, nor a copy of one: leave "
            "out --split, or name the run that was made from these images"
        )
    return sides


def leave_out_joining(dataset: Dataset, sides: Mapping[str, str], before: Sequence[ImageRecord]) -> Dataset:
    """Leave out each new image that joins images of two splits, as a copy or by its group; `clean` it again then.

    Args:
        dataset: What `clean` returned.
        sides: What `sides_with_copies` returned.
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
        # Where a chain of new images joins them, none of these is more to blame than another.
        found = others if units[place] in direct else known.get(units[place], {})
        if len(found) > 1:
            records[place] = _left_out(records[place], found)
    return dataset.with_records(records)


def leave_out_crossing(dataset: Dataset) -> Dataset:
    """Leave out images that belong together with those of another given split: as copies, or by their group.

    What is given for the test stays; then what is given for validation.

    Args:
        dataset: What `clean` returned.
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
    """Return in sentences which images are not used because they stand on two sides of given splits; none for none.

    Args:
        dataset: What `split` returned.
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
    return [f"left out: {what}, on another side of the given split too, as a copy or by its group: {listed}"]


def describe_kept(dataset: Dataset, before: Sequence[ImageRecord], sides: Mapping[str, str]) -> str:
    """Return in a sentence how many images of an earlier split stay where they were, and what became of the others.

    Args:
        dataset: What `split` returned.
        before: The records of the earlier split.
        sides: What `sides_with_copies` returned.
    """
    were = {record.sha256 for record in before if record.split}
    there = {record.sha256 for record in dataset.records} & were
    used = [record.sha256 for record in dataset.records if record.split]
    num_kept = len(were & set(used))
    num_joining = sum(map(_is_joining, dataset.records))
    counts = {
        "are gone": len(were - there),
        "are left out now": len(there) - num_kept,
        "copies of such images stand where those stood": len(
            [content for content in used if content in sides and content not in were]
        ),
        "are new": len([content for content in used if content not in sides]),
        "are left out, for they join images of two splits": num_joining,
    }
    told = [f"{count} {what}" for what, count in counts.items() if count]
    return "; ".join([f"{num_kept} of its {len(were)} images stay where they were", *told])


def sides_of_units(dataset: Dataset, sides: Mapping[str, str]) -> dict[int, str]:
    """Return in which split each unit of a Dataset stands already, by the numbers of `group_numbers`.

    Raises:
        SettingsError: Images that stand in two splits belong together now.
    """
    found: dict[int, ImageRecord] = {}
    # The used ones tell; the others where there are none.
    for unit, record in sorted(zip(unit_numbers(dataset.records), dataset.records, strict=True), key=_used_first):
        if record.sha256 not in sides:
            continue
        first = found.setdefault(unit, record)
        if record.used and sides[record.sha256] != sides[first.sha256]:
            raise SettingsError(
                f"{visible(first.path)!r} and {visible(record.path)!r} belong together, as copies or as images of one "
                f"group, and stood on two sides of the split that is to be kept, {sides[first.sha256]} and "
                f"{sides[record.sha256]}: leave out --split, or keep the groups of that run (--group-by)"
            )
    return {unit: sides[record.sha256] for unit, record in found.items()}


def _ties(record: ImageRecord) -> Collection[tuple[str, object]]:
    """Return what an image shares with those that it belongs together with: a number of copies, the name of a group."""
    copies = [("copies", record.group)] if record.group is not None else []
    return [*copies, *([("group", record.subject)] if record.subject else [])]


def _left_out(record: ImageRecord, others: Mapping[str, str]) -> ImageRecord:
    named = " and ".join(f"{others[split]} ({split})" for split in SPLITS if split in others)
    problem = Problem("joins_splits", f"it belongs together with {named}")
    # Without its group, or it would still join them.
    return replace(record, used=False, subject="", problems=(*record.problems, problem))


def _is_joining(record: ImageRecord) -> bool:
    return any(problem.code == "joins_splits" for problem in record.problems)


def _used_first(numbered: tuple[int, ImageRecord]) -> bool:
    return not numbered[1].used
