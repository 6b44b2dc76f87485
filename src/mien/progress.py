"""How a long job says where it is. The faces decide what is shown; nothing below them prints."""

from typing import Protocol


class Progress(Protocol):
    """Something that is told how a job goes."""

    def say(self, text: str) -> None:
        """Take one line that is worth reading now."""

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear that `done` of `total` parts of a stage are done; `note` says how it goes."""


class Silence:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Ignore it."""

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Ignore it."""


SILENCE = Silence()
