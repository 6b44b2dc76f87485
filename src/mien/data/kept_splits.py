"""Splits that stay: images that were split before, and what belongs together with them, are not moved."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mien.core.text import visible
from mien.data.dataset import Dataset, ImageRecord, Problem, unit_numbers
from mien.errors import SettingsError


def sides_of(records: Sequence[ImageRecord]) -> dict[str, str]:
    """Return by content hash in which split each image stands; one that is not used, where its copies or group do."""
    units = unit_numbers(records)
    by_unit = {unit: record.split for unit, record in zip(units, records, strict=True) if record.split}
    found = {record.sha256: by_unit[unit] for unit, record in zip(units, records, strict=True) if unit in by_unit}
    return found | {record.sha256: record.split for record in records if record.split}


def leave_out_joining(dataset: Dataset, sides: Mapping[str, str]) -> Dataset:
    """Leave out each new image that belongs together with images of two splits; `clean` what comes out again.

    Args:
        dataset: What `clean` returned.
        sides: What `sides_of` returned.
    """
    units = unit_numbers(dataset.records)
    known: dict[int, dict[str, str]] = {}
    for unit, record in zip(units, dataset.records, strict=True):
        if record.sha256 in sides:
            known.setdefault(unit, {}).setdefault(sides[record.sha256], visible(record.path))
    records = list(dataset.records)
    for place, (unit, record) in enumerate(zip(units, dataset.records, strict=True)):
        if len(known.get(unit, ())) > 1 and record.sha256 not in sides:
            others = " and ".join(f"{path} ({split})" for split, path in known[unit].items())
            problem = Problem("joins_splits", f"it belongs together with {others}")
            # Without its group, or it would still join them.
            records[place] = replace(record, used=False, subject="", problems=(*record.problems, problem))
    return dataset.with_records(records)


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
                f"{sides[record.sha256]}: leave out --split, or split with the --group-by of that run"
            )
    return {unit: sides[record.sha256] for unit, record in found.items()}


def _used_first(numbered: tuple[int, ImageRecord]) -> bool:
    return not numbered[1].used
