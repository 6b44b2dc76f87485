"""Work: a job in a thread of its own, one at a time, whose progress a page can ask for."""

import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from mien.core.progress import Epoch
from mien.core.text import visible
from mien.errors import BusyError, MienError

_LOG = logging.getLogger(__name__)
_MAX_LINES = 200


class Work:
    """A job that runs in the background, and is told how it goes: a `Progress`.

    Attributes:
        num_done: How many jobs have ended.
    """

    def __init__(self) -> None:
        self.num_done = 0
        self._state, self._error = "idle", ""
        self._stage, self._done, self._total = "", 0, 0
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def start(self, job: Callable[[], object]) -> None:
        """Start a job.

        Raises:
            BusyError: One is running.
        """
        with self._lock:
            if self._state == "running":
                raise BusyError("a training is running; wait for it")
            self._state, self._error, self._lines = "running", "", []
            self.step("", 0, 0)
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def to_dict(self) -> dict[str, Any]:
        """Return how it goes, as plain JSON values."""
        return {
            "state": self._state,
            "stage": self._stage,
            "done": self._done,
            "total": self._total,
            "lines": list(self._lines),
            "error": self._error,
        }

    def say(self, text: str) -> None:
        """Keep a line."""
        self._lines = [*self._lines[1 - _MAX_LINES :], visible(text)]

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Keep how far it is."""
        self._stage, self._done, self._total = stage, done, total

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Keep how many epochs are done."""
        self.step("Training", len(history), num_epochs)

    def _run(self, job: Callable[[], object]) -> None:
        state = "failed"
        try:
            job()
            state = "done"
        except MienError as error:
            self._error = visible(str(error), kept="\n")
        except Exception as error:
            # At the end of the process nothing can be begun any more.
            if not threading.main_thread().is_alive():
                return
            _LOG.error("%s", visible(traceback.format_exc(), kept="\n"))
            self._error = f"mien made a mistake: {type(error).__name__}; the terminal says more"
        finally:
            self.num_done += 1
            self._state = state
