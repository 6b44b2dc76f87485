"""Progress reporting of long jobs. User interfaces decide what to show; nothing below them prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Epoch:
    """Results of one training epoch; one row of history.csv."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the lowest validation loss, whose weights are kept."""
    return min(history, key=lambda epoch: epoch.val_loss)


class Progress(Protocol):
    """Receives the progress of a job."""

    def say(self, text: str) -> None:
        """Receive one line worth reading now."""

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Receive that `done` of `total` parts of a stage are done; `note` adds detail.

        The total is None as long as it is not known. The stage ends when `done` equals `total`.
        """

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Receive the results so far after each training epoch, of at most `num_epochs`."""


class Silence:
    """Progress that shows nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Do nothing."""

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Do nothing."""


SILENCE = Silence()


class Steps(Silence):
    """Progress that forwards only steps, for a job that is part of another."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Forward the step."""
        self._progress.step(stage, done, total, note)
