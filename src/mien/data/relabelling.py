"""Relabelling: apply a user's label decisions to a Dataset, without changing anything on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mien.config import CleanConfig
from mien.core.text import first_few
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.decisions import LEAVE_OUT, below, is_elsewhere
from mien.errors import SettingsError

_MAX_NAMED = 10
_FROM = "relabelled from "
# Problems that only a run records, not a scan.
_DECIDED = {"relabelled", "left_out", "joins_splits", "label_issue"}


def relabel(dataset: Dataset, decisions: Mapping[str, str]) -> Dataset:
    """Move images to another class or exclude them. Then `clean` again, because copies are judged by label.

    A decision also applies to near-duplicates with the same label, unless they have their own decision.

    Args:
        dataset: Result of `clean`.
        decisions: Result of `load_decisions`.

    Raises:
        SettingsError: A path or a class is unknown. The message lists all of them.
    """
    decisions = {path: _named(said, dataset) for path, said in below(dataset.root, decisions).items()}
    _refuse_unknown(dataset, decisions)
    own = {place: decisions[r.path] for place, r in enumerate(dataset.records) if r.path in decisions}
    shared = _shared(dataset, own)
    records = list(dataset.records)
    for place, decision in (shared | own).items():
        records[place] = _decided(records[place], decision)
    return dataset.with_records(records)


def clean_as_decided(dataset: Dataset, config: CleanConfig, decisions: Mapping[str, str]) -> Dataset:
    """Clean a Dataset after applying label decisions.

    Args:
        dataset: Result of `scan`.
        config: The limits.
        decisions: Result of `load_decisions`; empty for none.

    Raises:
        SettingsError: A path or a class is unknown.
    """
    cleaned = clean(dataset, config)
    return clean(relabel(cleaned, decisions), config) if decisions else cleaned


def undecided(dataset: Dataset) -> Dataset:
    """Return a run's Dataset as it was scanned: with the labels of its folders, and nothing judged yet.

    Args:
        dataset: The Dataset that a run keeps. Use `clean` to find its copies again.
    """
    return dataset.with_records([_undecided(record, dataset.class_names) for record in dataset.records])


def _named(decision: str, dataset: Dataset) -> str:
    """Return a decision as the exact class name: hand-edited tables lose spaces around names."""
    if decision in dataset.class_names:
        return decision
    return next((name for name in dataset.class_names if name.strip() == decision), decision)


def _undecided(record: ImageRecord, class_names: Sequence[str]) -> ImageRecord:
    label = record.label
    if any(problem.code == "relabelled" for problem in record.problems):
        # A manifest has the details of all problems in one cell.
        told = f"; {'; '.join(problem.detail for problem in record.problems)}; "
        label = next((name for name in class_names if f"; {_FROM}{name}; " in told), label)
    problems = tuple(problem for problem in record.problems if problem.code not in _DECIDED)
    return replace(record, label=label, problems=problems, used=bool(record.phash), group=None, split="")


def _refuse_unknown(dataset: Dataset, decisions: Mapping[str, str]) -> None:
    paths = {record.path for record in dataset.records}
    unknown = [path for path in decisions if path not in paths and not is_elsewhere(path)]
    known = (*dataset.class_names, LEAVE_OUT)
    classes = sorted({decision for decision in decisions.values() if decision not in known})
    lines = []
    if unknown:
        hint = (
            "; save it as UTF-8" if any("\udc80" <= letter <= "\udcff" for path in unknown for letter in path) else ""
        )
        lines.append(f"paths that are not in {dataset.name!r}: {_listed(unknown)}{hint}")
    if classes:
        lines.append(f"unknown decisions: {_listed(classes)}. Known: {', '.join(map(repr, known))}, 'keep'")
    if lines:
        raise SettingsError("--relabel has " + "\n".join(lines))


def _shared(dataset: Dataset, own: Mapping[int, str]) -> dict[int, str]:
    """Return the decisions that near-duplicates inherit, by index, if their group and label agree on one."""
    found: dict[tuple[int, str], set[str]] = {}
    for place, decision in own.items():
        record = dataset.records[place]
        if record.group is not None:
            found.setdefault((record.group, record.label), set()).add(decision)
    keys = {place: (r.group, r.label) for place, r in enumerate(dataset.records) if r.group is not None}
    return {place: next(iter(found[key])) for place, key in keys.items() if len(found.get(key, ())) == 1}


def _decided(record: ImageRecord, decision: str) -> ImageRecord:
    if decision == LEAVE_OUT:
        problem = Problem("left_out", "by decision")
        return replace(record, used=False, problems=(*record.problems, problem))
    if decision == record.label:
        return record
    problem = Problem("relabelled", f"{_FROM}{record.label}")
    return replace(record, label=decision, problems=(*record.problems, problem))


def _listed(names: list[str]) -> str:
    return ", ".join(first_few([repr(name) for name in names], _MAX_NAMED))
