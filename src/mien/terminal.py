"""The terminal: where commands print. Results go to stdout; progress and errors to stderr."""

import json
import time
from types import TracebackType
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

_LINE_EVERY_S = 10.0
_TABLE_WIDTH = 72


class _Results(Console):
    """Where results go: what to do where nobody reads on is left to `main`."""

    @property
    def options(self) -> ConsoleOptions:
        """Wide enough for a table: a narrow terminal breaks its lines, and shortening them would take numbers away."""
        options = super().options
        return options.update_width(max(options.max_width, _TABLE_WIDTH))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# Names of files and classes are printed as they are: "[red]" in one of them is no markup.
OUT = _Results(markup=False, highlight=False, emoji=False, soft_wrap=True)
ERR = Console(markup=False, highlight=False, emoji=False, soft_wrap=True, stderr=True)


class TerminalProgress:
    """Shows progress on stderr: a bar where that is a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, TextColumn("{task.fields[note]}"), console=ERR, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._last_line_s = time.monotonic()

    def __enter__(self) -> "TerminalProgress":
        if ERR.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if ERR.is_terminal:
            self._bars.stop()

    def say(self, text: str) -> None:
        """Print one line."""
        self._last_line_s = time.monotonic()
        ERR.print(printable(text, keep_lines=True), soft_wrap=not ERR.is_terminal)

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of a stage; a stage that is done leaves the screen."""
        if not ERR.is_terminal:
            self._step_in_lines(f"{stage} {done}/{total}  {note}".rstrip())
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note=note)
        self._bars.update(self._tasks[stage], completed=done, total=total, note=note, visible=done < total)

    def _step_in_lines(self, line: str) -> None:
        """Print a line now and then, for logs."""
        if time.monotonic() - self._last_line_s > _LINE_EVERY_S:
            self.say(line)


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Return text with everything that could move a terminal's cursor, or cannot be printed, written as an escape."""
    kept = "\n" if keep_lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def show_prose(text: str) -> None:
    """Print sentences; on a terminal, lines end between words."""
    OUT.print(text, soft_wrap=not OUT.is_terminal)


def show_json(document: Any) -> None:
    """Print one JSON document on one line; what is not ASCII is escaped, so that any terminal can take it."""
    OUT.print(json.dumps(document))


def new_table(*columns: str) -> Table:
    """Return an empty table with these columns; those of numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in ("class", "answered right") else "right")
    return table
