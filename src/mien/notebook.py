"""The notebook: where a job in a Jupyter notebook shows how far it is."""

import time
from typing import Any

from mien.terminal import printable

_EVERY_S = 0.2


class NotebookProgress:
    """Shows in one place below a cell, on one line, how far a job is and what it said last.

    Example:
        dataset = mien.scan("data", progress=mien.NotebookProgress())
    """

    def __init__(self) -> None:
        self._line: Any = None
        self._shown_s = 0.0

    def say(self, text: str) -> None:
        """Show a line; of a text of several lines the last."""
        self._show(text.strip().rpartition("\n")[2])

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show how far a stage is, a few times a second; its end always."""
        if done == total or time.monotonic() - self._shown_s > _EVERY_S:
            self._show(f"{stage} {done}/{total}  {note}".rstrip())

    def _show(self, text: str) -> None:
        from IPython.display import display

        self._shown_s = time.monotonic()
        shown = {"text/plain": printable(text)}
        if self._line is None:
            self._line = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._line.update(shown, raw=True)
