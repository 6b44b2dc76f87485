"""Decisions on labels: the CSV file that holds a user's, and the journal to which a page adds them one at a time."""

import io
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
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
_MAX_NAMED = 10
_COLUMNS = {"path", "decision"}
_JOURNAL = ("path", "decision", "action", "undoes")
# In the name of a file whose row a kill cut off; more have no files.
_MOST_BREAKS = 20


def load_decisions(path: str | Path) -> dict[str, str]:
    """Read a CSV file with the columns path and decision, such as a run's label_issues.csv with that column filled in.

    Other columns are passed over, and so are rows whose decision is empty or "keep". Fields may be divided by commas,
    semicolons or tabs, as spreadsheets save them. In a journal, which has the column action, the last row of an image
    counts.

    Returns:
        Decisions by path: a class name, or "leave-out".

    Raises:
        SourceNotFoundError: The file cannot be read.
        SettingsError: It is no such table, a row has too few or too many cells, or a path is named twice.
    """
    table = _table(_text(Path(path)), Path(path))
    if all("action" in cells for cells in table):
        # A spreadsheet may have sorted them.
        table.sort(key=lambda cells: _number(cells["action"]))
    else:
        _refuse_twice([cells["path"] for cells in table], Path(path))
    last = {cells["path"]: cells["decision"] for cells in table}
    return {image: decision for image, decision in last.items() if decision not in (NONE, KEEP)}


def decisions_of(labels: LabelConfig) -> dict[str, str]:
    """Return the decisions that settings name; none where they name no file.

    Raises:
        UserError: As `load_decisions`.
    """
    return load_decisions(labels.relabel) if labels.relabel else {}


def elsewhere(decisions: Mapping[str, str]) -> dict[str, str]:
    """Return the images that decisions add to a folder: those of other folders, named by their whole path.

    Args:
        decisions: What `load_decisions` returned.

    Returns:
        Their classes by path.
    """
    added = {os.path.normpath(path): said for path, said in decisions.items() if is_elsewhere(path)}
    return {path: said for path, said in sorted(added.items()) if said != LEAVE_OUT}


def below(root: Path, decisions: Mapping[str, str]) -> dict[str, str]:
    """Return decisions by paths as a Dataset has them: those of its own images are below its folder.

    Args:
        root: The folder.
        decisions: What `load_decisions` returned.
    """
    place = root.resolve()
    return {_below(place, path): said for path, said in decisions.items()}


def _below(root: Path, path: str) -> str:
    if not is_elsewhere(path):
        return path
    place = Path(os.path.normpath(path))
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)


def is_elsewhere(path: str) -> bool:
    """Say whether a path names an image of another folder: a whole one does."""
    return os.path.isabs(path)


def decisions_csv(decisions: Mapping[str, str]) -> str:
    """Return decisions as a table that `load_decisions` reads back."""
    return table_text([("path", "decision"), *sorted(decisions.items())])


@dataclass(frozen=True)
class _Row:
    """One decision of an action, which has one or more.

    Attributes:
        path: Of the image.
        decision: A class name, "leave-out", "keep", or "" for none any more.
        action: The number of the action; 0 for what was decided before the journal began.
        undoes: The number of the action that this one takes back; 0 for none.
    """

    path: str
    decision: str
    action: int
    undoes: int


class DecisionJournal:
    """Decisions in one CSV file. Each is on the disk when `decide` returns, and none is ever written over.

    A kill loses nothing: what it cut off was not yet said to be done. The methods may be called from several threads.

    Attributes:
        path: The file, which `load_decisions` reads.
        kept_aside: The file as it was found, where another program had written it; None where mien had.
    """

    def __init__(self, path: Path, before: Mapping[str, str] = MappingProxyType({})) -> None:
        """Read the journal, or begin it.

        Args:
            path: Where it is.
            before: Decisions that a new journal begins with.

        Raises:
            SourceNotFoundError: It cannot be read.
            SettingsError: It is no journal.
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
        # What can be taken back, the last at the end.
        self._actions = sorted({row.action for row in self._rows if row.action and not row.undoes} - undone)

    @property
    def revision(self) -> int:
        """A number that grows with each decision."""
        return len(self._rows)

    @property
    def can_undo(self) -> bool:
        """Whether there is an action to take back."""
        return bool(self._actions)

    @property
    def num_decided(self) -> int:
        """How many images have a decision."""
        with self._lock:
            return sum(decision != NONE for decision in self._decisions.values())

    def decisions(self) -> dict[str, str]:
        """Return what was decided, as `load_decisions` does."""
        with self._lock:
            return {path: said for path, said in self._decisions.items() if said not in (NONE, KEEP)}

    def move_to(self, path: Path) -> None:
        """Go on in another file, which gets all that was decided; the file so far stays as it is.

        Raises:
            OutputError: It cannot be written.
        """
        with self._lock:
            files.write_text(path, _journal_text(self._rows))
            self._claim(path)
            self._note_state()

    def close(self) -> None:
        """Let others open it."""
        self._claims.close()

    def decision(self, path: str) -> str:
        """Return what was decided of an image; "" for nothing."""
        return self._decisions.get(path, NONE)

    def decide(self, decisions: Mapping[str, str]) -> dict[str, str]:
        """Add one action, and return when it is on the disk.

        Args:
            decisions: By path: a class name, "leave-out", "keep", or "" to take back what was decided.

        Returns:
            The decisions that changed.

        Raises:
            OutputError: It cannot be written: no room, or another program has changed the file. Nothing is decided.
        """
        with self._lock:
            changed = {path: said for path, said in decisions.items() if said != self.decision(path)}
            if changed:
                self._add(changed)
                self._actions.append(self._num_actions)
            return changed

    def undo(self) -> dict[str, str]:
        """Take back the last action that was not taken back, likewise; there may be none."""
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
        """Return what was decided since an earlier revision, by path."""
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
        """Add text to the file, whole or not at all."""
        content = text.encode("utf-8", "surrogateescape")
        with files.writing(self.path), open(self.path, "r+b", buffering=0) as file:
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) != (self._num_bytes, self._changed_ns):
                raise OutputError(f"another program has changed {str(self.path)!r}: start mien review again")
            file.seek(0, os.SEEK_END)
            try:
                if file.write(content) != len(content):
                    raise OSError(f"only a part of {len(content)} bytes was written")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._num_bytes)
                self._note_state()
                raise
        self._note_state()


def _read_journal(path: Path) -> tuple[list[_Row], Path | None]:
    """Read a journal. Where a kill cut off its last row, or another program saved it, it is written anew.

    What another program wrote is kept in a file beside it, which is returned, too.
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
    """Return the rows of a journal but for the last, where that is not whole."""
    for _ in range(_MOST_BREAKS):
        # An editor may leave out the last end of a line; of a row that takes another back, a part may be missing.
        with suppress(SettingsError):
            table = _table(text, path)
            if text.endswith("\n") or not table[-1].get("undoes"):
                return table
        end = text.rfind("\n") + 1
        with suppress(SettingsError):
            return _table(text[:end], path)
        # The last row is of a name with a line break in it, and ends within.
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
        raise SettingsError(f"{str(path)!r} is no journal of mien review, with the columns {_JOURNAL}") from error


def _journal_text(rows: Iterable[_Row]) -> str:
    return table_text([_JOURNAL, *map(_cells, rows)])


def _cells(row: _Row) -> tuple[str, str, int, int | None]:
    return row.path, row.decision, row.action, row.undoes or None


def _text(path: Path) -> str:
    content = files.read_bytes(path, max_bytes=_MAX_BYTES)
    # Spreadsheets that save "Unicode text" write UTF-16.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, errors="surrogateescape" if encoding == "utf-8-sig" else "replace")
    if "\0" in text:
        raise SettingsError(f"{str(path)!r} is no text: save the table as CSV")
    return text


def _table(text: str, path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of decisions that have a path, by the names of the columns, in small letters."""
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
    # Excel leaves out the last cell of rows where it is empty in many on end.
    at_decision = names.index("decision")
    fewest = max(2, at_decision) if at_decision == len(names) - 1 else len(names)
    table = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        if not fewest <= len(row) <= len(names):
            raise SettingsError(
                f"row {number} of {str(path)!r} has {len(row)} cell{'s' * (len(row) > 1)}, and the first row has "
                f"{len(names)}: {mark.join(row)[:100]!r}; write the decision into the column decision of its image"
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
        raise SettingsError(f"{str(path)!r} has more than one row for {listed}: leave one of each")
