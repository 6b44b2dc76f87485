"""Label decisions: the CSV file that holds them, and the journal that mien review adds them to."""

import io
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import zip_longest
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

from mien.config import LabelConfig
from mien.core import files
from mien.core.csv_tables import BYTE_ORDER_MARK, read_rows, rows_text, table_text
from mien.core.text import first_few
from mien.errors import OutputError, SettingsError

LEAVE_OUT, KEEP, NONE = "leave-out", "keep", ""
_MAX_BYTES = 64 * 1024**2
_MAX_NAMED, _MAX_CLASSES = 10, 3
_COLUMNS = {"path", "decision"}
_JOURNAL = ("path", "decision", "action", "undoes")
# How many line breaks a file name in a row cut off by a kill may have.
_MOST_BREAKS = 20


def load_decisions(path: str | Path) -> dict[str, str]:
    """Read label decisions from a CSV file with the columns path and decision, e.g. a completed label_issues.csv.

    Other columns are ignored, and so are rows whose decision is empty or "keep". Commas, semicolons and tabs all work
    as separators. In a journal, which has the column action, the last row of each image counts.

    Returns:
        Decisions by path: a class name, or "leave-out".

    Raises:
        SourceNotFoundError: The file cannot be read.
        SettingsError: It is not such a table, a row has too few or too many cells, a path appears twice, or no row has
            a decision.
    """
    table = _table(_text(Path(path)), Path(path))
    if all("action" in cells for cells in table):
        # A spreadsheet may have sorted the rows.
        table.sort(key=lambda cells: _number(cells["action"]))
    else:
        _refuse_twice([cells["path"] for cells in table], Path(path))
        _refuse_undecided(table, Path(path))
    last = {cells["path"]: cells["decision"] for cells in table}
    return {image: decision for image, decision in last.items() if decision not in (NONE, KEEP)}


def _refuse_undecided(table: Sequence[Mapping[str, str]], path: Path) -> None:
    """Refuse a table as mien wrote it, which would train the same again."""
    if table and all(cells["decision"] == NONE for cells in table):
        names = sorted({cells["label"] for cells in table if cells.get("label")}) or ["a class"]
        known = ", ".join([*names[:_MAX_CLASSES], *(["another class"] if len(names) > _MAX_CLASSES else []), LEAVE_OUT])
        raise SettingsError(
            f"no row of {str(path)!r} has a decision yet: write {known} or {KEEP} into its column decision"
        )


def decisions_of(labels: LabelConfig) -> dict[str, str]:
    """Return the decisions from the file that the settings name, or {} if they name none.

    Raises:
        UserError: The file cannot be read or is not a table of decisions.
    """
    return load_decisions(labels.relabel) if labels.relabel else {}


def elsewhere(decisions: Mapping[str, str]) -> dict[str, str]:
    """Return the images that decisions add from other folders, i.e. those with an absolute path.

    Args:
        decisions: Result of `load_decisions`.

    Returns:
        Classes by path.
    """
    added = {os.path.normpath(path): said for path, said in decisions.items() if is_elsewhere(path)}
    return {path: said for path, said in sorted(added.items()) if said != LEAVE_OUT}


def below(root: Path, decisions: Mapping[str, str]) -> dict[str, str]:
    """Return the decisions with the paths of a Dataset, so that its own images have relative paths.

    Args:
        root: The folder.
        decisions: Result of `load_decisions`.
    """
    place = root.resolve()
    return {_below(place, path): said for path, said in decisions.items()}


def _below(root: Path, path: str) -> str:
    if not is_elsewhere(path):
        return path
    place = Path(os.path.normpath(path))
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)


def is_elsewhere(path: str) -> bool:
    """Return whether a path names an image in another folder, i.e. is absolute."""
    return os.path.isabs(path)


def decisions_csv(decisions: Mapping[str, str]) -> str:
    """Return decisions as a CSV table for `load_decisions`."""
    return table_text([("path", "decision"), *sorted(decisions.items())])


@dataclass(frozen=True)
class _Row:
    """One decision of an action, which may have several.

    Attributes:
        path: Path of the image.
        decision: A class name, "leave-out", "keep", or "" to remove the decision.
        action: Number of the action; 0 for decisions from before the journal.
        undoes: Number of the action that this one undoes, or 0.
    """

    path: str
    decision: str
    action: int
    undoes: int


class DecisionJournal:
    """Label decisions in one CSV file. Each is on disk when `decide` returns, and none is ever overwritten.

    A kill loses nothing that was reported as done. Thread-safe.

    Attributes:
        path: The file, in the format of `load_decisions`.
        kept_aside: A backup of the file as it was found, if another program had written it, else None.
    """

    def __init__(self, path: Path, before: Mapping[str, str] = MappingProxyType({})) -> None:
        """Open the journal, or create it.

        Args:
            path: The file.
            before: Decisions to start a new journal with.

        Raises:
            SourceNotFoundError: It cannot be read.
            SettingsError: It is not a journal.
            OutputError: It cannot be written.
        """
        self._lock, self._claims = threading.Lock(), ExitStack()
        self._claim(path)
        self.kept_aside: Path | None = None
        if path.exists():
            self._rows, self.kept_aside = _read_journal(path)
        else:
            self._rows = [_Row(image, decision, 0, 0) for image, decision in before.items()]
            files.write_text(path, _journal_text(self._rows))
        files.keep_names(path.parent)
        self._note_state()
        self._decisions = {row.path: row.decision for row in self._rows}
        undone = {row.undoes for row in self._rows}
        self._num_actions = max((row.action for row in self._rows), default=0)
        # Actions that can be undone, the latest last.
        self._actions = sorted({row.action for row in self._rows if row.action and not row.undoes} - undone)

    @property
    def revision(self) -> int:
        """A number that grows with each decision."""
        return len(self._rows)

    @property
    def can_undo(self) -> bool:
        """Whether there is an action to undo."""
        return bool(self._actions)

    @property
    def num_decided(self) -> int:
        """Number of images with a decision."""
        with self._lock:
            return sum(decision != NONE for decision in self._decisions.values())

    def decisions(self) -> dict[str, str]:
        """Return the decisions in the format of `load_decisions`."""
        with self._lock:
            return {path: said for path, said in self._decisions.items() if said not in (NONE, KEEP)}

    def move_to(self, path: Path) -> None:
        """Copy all decisions to another file and continue there; the old file stays as it is.

        Raises:
            OutputError: It cannot be written.
        """
        with self._lock:
            files.write_text(path, _journal_text(self._rows))
            self._claim(path)
            self._note_state()

    def close(self) -> None:
        """Close the journal, so that others can open it."""
        self._claims.close()

    def decision(self, path: str) -> str:
        """Return the decision on an image, or ""."""
        return self._decisions.get(path, NONE)

    def decide(self, decisions: Mapping[str, str]) -> dict[str, str]:
        """Add one action, and return when it is on disk.

        Args:
            decisions: By path: a class name, "leave-out", "keep", or "" to remove a decision.

        Returns:
            The decisions that changed.

        Raises:
            OutputError: The disk is full, or another program changed the file. Nothing was decided.
        """
        with self._lock:
            changed = {path: said for path, said in decisions.items() if said != self.decision(path)}
            if changed:
                self._add(changed)
                self._actions.append(self._num_actions)
            return changed

    def undo(self) -> dict[str, str]:
        """Undo the last action that is not undone yet, if any, and return the changed decisions."""
        with self._lock:
            if not self._actions:
                return {}
            last = self._actions[-1]
            before = {row.path: row.decision for row in self._rows if row.action < last}
            changed = {row.path: before.get(row.path, NONE) for row in self._rows if row.action == last}
            self._add(changed, undoes=last)
            self._actions.pop()
            return changed

    def since(self, revision: int) -> dict[str, str]:
        """Return the decisions made since an earlier revision, by path."""
        with self._lock:
            return {row.path: self.decision(row.path) for row in self._rows[revision:]}

    def _claim(self, path: Path) -> None:
        claims = ExitStack()
        claims.enter_context(files.claimed(path.parent, f".{path.stem}.lock"))
        self._claims.close()
        self.path, self._claims = path, claims

    def _note_state(self) -> None:
        status = self.path.stat()
        self._num_bytes, self._changed_ns = status.st_size, status.st_mtime_ns

    def _add(self, decisions: Mapping[str, str], *, undoes: int = 0) -> None:
        rows = [_Row(path, said, self._num_actions + 1, undoes) for path, said in decisions.items()]
        self._append(rows_text(map(_cells, rows)))
        self._rows += rows
        self._num_actions += 1
        self._decisions |= decisions

    def _append(self, text: str) -> None:
        """Append text to the file, completely or not at all."""
        content = text.encode("utf-8", "surrogateescape")
        with files.writing(self.path), open(self.path, "r+b", buffering=0) as file:
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) != (self._num_bytes, self._changed_ns):
                raise OutputError(f"another program has changed {str(self.path)!r}. Start mien review again")
            file.seek(0, os.SEEK_END)
            try:
                if file.write(content) != len(content):
                    raise OSError(f"only part of {len(content)} bytes was written")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._num_bytes)
                self._note_state()
                raise
        self._note_state()


def _read_journal(path: Path) -> tuple[list[_Row], Path | None]:
    """Read a journal, and rewrite it if a kill cut off its last row or another program saved it.

    If another program saved it, its version is kept in a second file, whose path is returned too.
    """
    text = _text(path)
    rows = sorted((_row(cells, path) for cells in _whole_table(text, path)), key=attrgetter("action"))
    written = _journal_text(rows)
    if text == (own := written.removeprefix(BYTE_ORDER_MARK)):
        return rows, None
    aside = None
    if not (text.startswith(own) or own.startswith(text)):
        aside = path.with_name(f"{path.name}.before")
        files.write_text(aside, text)
    files.write_text(path, written)
    return rows, aside


def _whole_table(text: str, path: Path) -> list[dict[str, str]]:
    """Return the rows of a journal, leaving out the last one if it is incomplete."""
    for _ in range(_MOST_BREAKS):
        # An editor may drop the last line end; a row that undoes another may be partly missing.
        with suppress(SettingsError):
            table = _table(text, path)
            if text.endswith("\n") or not table[-1].get("undoes"):
                return table
        end = text.rfind("\n") + 1
        with suppress(SettingsError):
            return _table(text[:end], path)
        # The last row has a name with a line break in it, and ends in the middle.
        text = text[: end - 1]
    return _table(text, path)


def _number(cell: str) -> float:
    with suppress(ValueError):
        return float(cell)
    return 0.0


def _row(cells: Mapping[str, str], path: Path) -> _Row:
    try:
        return _Row(cells["path"], cells["decision"], int(cells["action"]), int(cells["undoes"] or 0))
    except (KeyError, ValueError) as error:
        raise SettingsError(f"{str(path)!r} is not a journal of mien review with the columns {_JOURNAL}") from error


def _journal_text(rows: Iterable[_Row]) -> str:
    return table_text([_JOURNAL, *map(_cells, rows)])


def _cells(row: _Row) -> tuple[str, str, int, int | None]:
    return row.path, row.decision, row.action, row.undoes or None


def _text(path: Path) -> str:
    content = files.read_bytes(path, max_bytes=_MAX_BYTES)
    # Spreadsheets save "Unicode text" as UTF-16.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, errors="surrogateescape" if encoding == "utf-8-sig" else "replace")
    if "\0" in text:
        raise SettingsError(f"{str(path)!r} is not a text file. Save the table as CSV")
    return text


def _table(text: str, path: Path) -> list[dict[str, str]]:
    """Return the rows of a decision table that have a path, keyed by lower-case column names."""
    first = text.partition("\n")[0]
    mark = next((mark for mark in ",;\t" if set(_names(first.replace('"', "").split(mark))) >= _COLUMNS), ",")
    try:
        rows = list(read_rows(io.StringIO(text, newline=""), delimiter=mark))
    except ValueError as error:
        raise SettingsError(f"{str(path)!r} is {error}") from error
    names = _names(rows[0] if rows else [])
    if not set(names) >= _COLUMNS:
        raise SettingsError(
            f"the first line of {str(path)!r} must contain the columns path and decision, as in a run's "
            f"label_issues.csv, but it is {first[:100]!r}"
        )
    # Excel drops trailing empty cells in longer stretches of rows.
    at_decision = names.index("decision")
    fewest = max(2, at_decision) if at_decision == len(names) - 1 else len(names)
    table = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        if not fewest <= len(row) <= len(names):
            raise SettingsError(
                f"row {number} of {str(path)!r} has {len(row)} cell{'s' * (len(row) > 1)}, but the header has "
                f"{len(names)}: {mark.join(row)[:100]!r}. Write each decision into the column decision of its row"
            )
        cells = dict(zip_longest(names, row, fillvalue=""))
        if cells["path"]:
            table.append(cells if "action" in names else cells | {"decision": cells["decision"].strip()})
    return table


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _refuse_twice(paths: Iterable[str], path: Path) -> None:
    twice = sorted(image for image, count in Counter(paths).items() if count > 1)
    if twice:
        listed = ", ".join(first_few([repr(name) for name in twice], _MAX_NAMED))
        raise SettingsError(f"{str(path)!r} has more than one row for {listed}. Keep one row for each")
