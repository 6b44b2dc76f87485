"""Relabelling: a user's decisions on labels, from a CSV file, applied to a Dataset; never on disk."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mien.config import CleanConfig
from mien.core import files
from mien.core.csv_tables import read_rows, table_text
from mien.core.text import first_few
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.errors import SettingsError

LEAVE_OUT = "leave-out"
_NO_DECISION = ("", "keep")
_MAX_BYTES = 64 * 1024**2
_MAX_NAMED = 10
_COLUMNS = {"path", "decision"}


def load_decisions(path: str | Path) -> dict[str, str]:
    """Read a CSV file with the columns path and decision, such as a run's label_issues.csv with that column filled in.

    Other columns are passed over, and so are rows whose decision is empty or "keep". Fields may be divided by commas,
    semicolons or tabs, as spreadsheets save them.

    Returns:
        Decisions by path: a class name, or "leave-out".

    Raises:
        SourceNotFoundError: The file cannot be read.
        SettingsError: It is no such table, a row has too few or too many cells, or a path is named twice.
    """
    rows = list(_rows(_text(Path(path)), Path(path)))
    counts = Counter(image for image, _ in rows)
    twice = sorted(image for image, count in counts.items() if count > 1)
    if twice:
        raise SettingsError(f"{str(path)!r} has more than one row for {_listed(twice)}: leave one of each")
    return {image: decision for image, decision in rows if decision not in _NO_DECISION}


def decisions_csv(decisions: Mapping[str, str]) -> str:
    """Return decisions as a table that `load_decisions` reads back."""
    return table_text([("path", "decision"), *sorted(decisions.items())])


def relabel(dataset: Dataset, decisions: Mapping[str, str]) -> Dataset:
    """Let images count as another class, or not at all; `clean` it again then, since copies are judged by label.

    A decision holds for near copies of the image under the same label too, unless they have one of their own.

    Args:
        dataset: What `clean` returned.
        decisions: What `load_decisions` returned.

    Raises:
        SettingsError: A path or a class is unknown; all are named.
    """
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


def _text(path: Path) -> str:
    content = files.read_bytes(path, max_bytes=_MAX_BYTES)
    # Spreadsheets that save "Unicode text" write UTF-16.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, errors="surrogateescape" if encoding == "utf-8-sig" else "replace")
    if "\0" in text:
        raise SettingsError(f"{str(path)!r} is no text: save the table as CSV")
    return text


def _rows(text: str, path: Path) -> Iterator[tuple[str, str]]:
    """Yield path and decision of every row that has a path."""
    first = text.partition("\n")[0]
    mark = next((mark for mark in ",;\t" if set(_names(first.replace('"', "").split(mark))) >= _COLUMNS), ",")
    try:
        rows = list(read_rows(io.StringIO(text, newline=""), delimiter=mark))
    except ValueError as error:
        raise SettingsError(f"{str(path)!r} is {error}") from error
    names = _names(rows[0] if rows else [])
    if not set(names) >= _COLUMNS:
        raise SettingsError(
            f"the first line of {str(path)!r} must name the columns path and decision, as in a run's label_issues.csv; "
            f"it is {first[:100]!r}"
        )
    at_path, at_decision = names.index("path"), names.index("decision")
    # Excel leaves out the last cell of rows where it is empty in many on end.
    fewest = max(2, at_decision) if at_decision == len(names) - 1 else len(names)
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        if not fewest <= len(row) <= len(names):
            raise SettingsError(
                f"row {number} of {str(path)!r} has {len(row)} cell{'s' * (len(row) > 1)}, and the first row has "
                f"{len(names)}: {mark.join(row)[:100]!r}; write the decision into the column decision of its image"
            )
        if row[at_path]:
            yield row[at_path], row[at_decision].strip() if len(row) > at_decision else ""


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _refuse_unknown(dataset: Dataset, decisions: Mapping[str, str]) -> None:
    paths = {record.path for record in dataset.records}
    unknown = [path for path in decisions if path not in paths]
    known = (*dataset.class_names, LEAVE_OUT)
    classes = sorted({decision for decision in decisions.values() if decision not in known})
    lines = []
    if unknown:
        hint = (
            "; save it as UTF-8" if any("\udc80" <= letter <= "\udcff" for path in unknown for letter in path) else ""
        )
        lines.append(f"paths that are not in {str(dataset.root)!r}: {_listed(unknown)}{hint}")
    if classes:
        lines.append(f"decisions that are none: {_listed(classes)}; known: {', '.join(map(repr, known))}, 'keep'")
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
    problem = Problem("relabelled", f"relabelled from {record.label}")
    return replace(record, label=decision, problems=(*record.problems, problem))


def _listed(names: list[str]) -> str:
    return ", ".join(first_few([repr(name) for name in names], _MAX_NAMED))
