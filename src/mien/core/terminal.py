"""The terminal: where commands print. Results go to stdout; progress and errors to stderr."""

import json
from textwrap import TextWrapper
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions
from rich.table import Table

from mien.core.text import visible

TABLE_WIDTH = 72
_LEAST_ROOM = 20


class _Results(Console):
    """Where results go: what to do where nobody reads on is left to `main`."""

    @property
    def options(self) -> ConsoleOptions:
        """Wide enough for a table: a narrow terminal breaks its lines, and shortening them would take numbers away."""
        options = super().options
        return options.update_width(max(options.max_width, TABLE_WIDTH))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# Names of files and classes are printed as they are: "[red]" in one of them is no markup.
OUT = _Results(markup=False, highlight=False, emoji=False, soft_wrap=True)
ERR = Console(markup=False, highlight=False, emoji=False, soft_wrap=True, stderr=True)


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Return text with everything that could move a terminal's cursor, or cannot be printed, written as an escape."""
    return visible(text, kept="\n" if keep_lines else "")


def show_prose(text: str, *, head: str = "") -> None:
    """Print sentences after a head; on a terminal, lines end between words, and all but the first start below them."""
    if OUT.is_terminal:
        # A long path stays whole: it is to be copied.
        wrapper = TextWrapper(max(OUT.width - len(head), _LEAST_ROOM), break_long_words=False, break_on_hyphens=False)
        lines = [line for part in text.split("\n") for line in wrapper.wrap(part) or [""]]
        text = f"\n{' ' * len(head)}".join(lines)
    OUT.print(f"{head}{text}")


def show_json(document: Any) -> None:
    """Print one JSON document on one line; what is not ASCII is escaped, so that any terminal can take it."""
    OUT.print(json.dumps(document))


# Columns of words; those of numbers stand to the right.
_OF_WORDS = ("class", "answered right", "right on images that are", "file")


def new_table(*columns: str) -> Table:
    """Return an empty table with these columns; those of numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in _OF_WORDS else "right")
    return table
