"""Progress in Jupyter notebooks."""

import time
from collections.abc import Sequence
from typing import Any

from mien.cli.progress_bars import count_text, epochs_as_text
from mien.core.progress import Epoch
from mien.core.terminal import printable

_EVERY_S = 0.2


class NotebookProgress:
    """Shows progress below a notebook cell: a table of epochs, and one line that is updated in place.

    Pass it to `scan`, `fit` or `train`: `mien.fit(dataset, progress=mien.NotebookProgress())`.
    """

    def __init__(self) -> None:
        self._place: Any = None
        self._epochs = ""
        self._shown_s = 0.0

    def say(self, text: str) -> None:
        """Show the last line of a text."""
        self._show(text.strip().rpartition("\n")[2])

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Show the progress of a stage, at most a few times a second, and always its end."""
        if done == total or time.monotonic() - self._shown_s > _EVERY_S:
            self._show(f"{stage} {count_text(done, total)}  {note}".rstrip())

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Show the epochs so far, with the best one marked."""
        self._epochs = epochs_as_text(history)
        self._show(f"epoch {len(history)} of {num_epochs}")

    def _show(self, text: str) -> None:
        from IPython.display import display

        self._shown_s = time.monotonic()
        shown = {"text/plain": self._epochs + printable(text)}
        if self._place is None:
            self._place = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._place.update(shown, raw=True)
