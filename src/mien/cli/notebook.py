"""The notebook: where a job in a Jupyter notebook shows how far it is."""

import time
from collections.abc import Sequence
from typing import Any

from mien.cli.progress_bars import epochs_as_text
from mien.core.progress import Epoch
from mien.core.terminal import printable

_EVERY_S = 0.2


class NotebookProgress:
    """Shows in one place below a cell the epochs of a training, and on one line how far a job is, or what it said last.

    Give one to `scan`, `fit` or `train`: `mien.fit(dataset, progress=mien.NotebookProgress())`.
    """

    def __init__(self) -> None:
        self._place: Any = None
        self._epochs = ""
        self._shown_s = 0.0

    def say(self, text: str) -> None:
        """Show a line; of a text of several lines the last."""
        self._show(text.strip().rpartition("\n")[2])

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show how far a stage is, a few times a second; its end always."""
        if done == total or time.monotonic() - self._shown_s > _EVERY_S:
            self._show(f"{stage} {done}/{total}  {note}".rstrip())

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Show what the epochs came to so far, the best marked."""
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
