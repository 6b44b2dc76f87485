"""The terminal: results go to stdout, progress and errors to stderr."""

import json
import re
from textwrap import TextWrapper
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions
from rich.table import Table

from mien.core.text import visible

TABLE_WIDTH = 72
_LEAST_ROOM = 20
# A sentence that ends with what to type.
_WITH_COMMAND = re.compile(r"(?P<told>.*:) (?P<command>(?:\S*/)?mien [a-z]+ .+)")


class _Results(Console):
    """The console for results. `main` handles a closed pipe."""

    @property
    def options(self) -> ConsoleOptions:
        """At least as wide as a table: a wrapped table is readable, a truncated one loses numbers."""
        options = super().options
        return options.update_width(max(options.max_width, TABLE_WIDTH))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# Print file and class names verbatim: "[red]" in a name is not markup.
OUT = _Results(markup=False, highlight=False, emoji=False, soft_wrap=True)
ERR = Console(markup=False, highlight=False, emoji=False, soft_wrap=True, stderr=True)


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Return text with unprintable characters and terminal control codes escaped."""
    return visible(text, kept="\n" if keep_lines else "")


def show_prose(text: str, *, head: str = "", bold: bool = False) -> None:
    """Print sentences after a head. On a terminal, wrap between words and indent continuation lines below the head."""
    if OUT.is_terminal:
        # Keep long paths whole so that they can be copied.
        wrapper = TextWrapper(max(OUT.width - len(head), _LEAST_ROOM), break_long_words=False, break_on_hyphens=False)
        lines = [line for part in text.split("\n") for line in _wrapped(part, wrapper)]
        text = f"\n{' ' * len(head)}".join(lines)
    OUT.print(f"{head}{text}", style="bold" if bold else None)


def _wrapped(text: str, wrapper: TextWrapper) -> list[str]:
    """Wrap a sentence, but keep a command at its end on one line, so that it can be pasted."""
    if not (found := _WITH_COMMAND.fullmatch(text)):
        return wrapper.wrap(text) or [""]
    *lines, last = wrapper.wrap(found["told"])
    command = found["command"]
    fits = len(last) + 1 + len(command) <= wrapper.width
    return [*lines, f"{last} {command}"] if fits else [*lines, last, f"  {command}"]


def show_json(document: Any) -> None:
    """Print one JSON document on one line, escaping non-ASCII characters so that any terminal can show it."""
    OUT.print(json.dumps(document))


# Text columns; number columns are right-aligned.
_OF_WORDS = ("class", "answered right", "right on images that are", "file")


def new_table(*columns: str) -> Table:
    """Return an empty table with these columns; numbers are right-aligned."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in _OF_WORDS else "right")
    return table
