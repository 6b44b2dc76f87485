"""Relabelling: a user's decisions on labels, applied to a Dataset; never on disk."""

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
# What a run says of an image beside what a scan says.
_DECIDED = {"relabelled", "left_out", "joins_splits", "label_issue"}


def relabel(dataset: Dataset, decisions: Mapping[str, str]) -> Dataset:
    """Let images count as another class, or not at all; `clean` it again then, since copies are judged by label.

    A decision holds for near copies of the image under the same label too, unless they have one of their own.

    Args:
        dataset: What `clean` returned.
        decisions: What `load_decisions` returned.

    Raises:
        SettingsError: A path or a class is unknown; all are named.
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
    """Clean a Dataset with the labels that decisions give it.

    Args:
        dataset: What `scan` returned.
        config: The limits.
        decisions: What `load_decisions` returned; empty for none.

    Raises:
        SettingsError: As `relabel`.
    """
    cleaned = clean(dataset, config)
    return clean(relabel(cleaned, decisions), config) if decisions else cleaned


def undecided(dataset: Dataset) -> Dataset:
    """Return the Dataset of a run as it was scanned: with the labels of its folders, and all images to be judged anew.

    Args:
        dataset: What a run keeps; `clean` says again what is to be said of copies.
    """
    return dataset.with_records([_undecided(record, dataset.class_names) for record in dataset.records])


def _named(decision: str, dataset: Dataset) -> str:
    """Return a decision by the name that the class has: a table that people edit has no blanks around it."""
    if decision in dataset.class_names:
        return decision
    return next((name for name in dataset.class_names if name.strip() == decision), decision)


def _undecided(record: ImageRecord, class_names: Sequence[str]) -> ImageRecord:
    label = record.label
    if any(problem.code == "relabelled" for problem in record.problems):
        # A manifest has the particulars of all problems in one cell.
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
        lines.append(f"paths that are not in {str(dataset.root)!r}: {_listed(unknown)}{hint}")
    if classes:
        lines.append(f"unknown decisions: {_listed(classes)}; known: {', '.join(map(repr, known))}, 'keep'")
    if lines:
        raise SettingsError("--relabel has " + "\n".join(lines))


def _shared(dataset: Dataset, own: Mapping[int, str]) -> dict[int, str]:
    """Return the decisions that near copies take over, by place: where those of their group and label agree."""
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
