"""How a long job says where it is. The faces decide what is shown; nothing below them prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images came to; one row of history.csv."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the lowest validation loss: the one whose weights are kept."""
    return min(history, key=lambda epoch: epoch.val_loss)


class Progress(Protocol):
    """Something that is told how a job goes."""

    def say(self, text: str) -> None:
        """Take one line that is worth reading now."""

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear that `done` of `total` parts of a stage are done; `note` says how it goes."""

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Hear what the epochs of a training came to, after each of them; there are `num_epochs` at most."""


class Silence:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Ignore it."""

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Ignore it."""

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Ignore it."""


SILENCE = Silence()


class Steps(Silence):
    """Passes on how far a job is, and nothing else: for one that is part of another."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Pass it on."""
        self._progress.step(stage, done, total, note)
