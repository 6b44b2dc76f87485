"""Work: runs one job at a time in a background thread, and reports its progress to the page."""

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
    """A background job, which is also the `Progress` that it reports to.

    Attributes:
        num_done: Number of finished jobs.
    """

    def __init__(self) -> None:
        self.num_done = 0
        self._state, self._error = "idle", ""
        self._stage, self._done = "", 0
        self._total: int | None = 0
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def start(self, job: Callable[[], object]) -> None:
        """Start a job.

        Raises:
            BusyError: A job is running.
        """
        with self._lock:
            if self._state == "running":
                raise BusyError("training is already running. Wait until it is done")
            self._state, self._error, self._lines = "running", "", []
            self.step("", 0, 0)
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def to_dict(self) -> dict[str, Any]:
        """Return the state and progress, as plain JSON values."""
        return {
            "state": self._state,
            "stage": self._stage,
            "done": self._done,
            "total": self._total,
            "lines": list(self._lines),
            "error": self._error,
        }

    def say(self, text: str) -> None:
        """Store a line of text."""
        self._lines = [*self._lines[1 - _MAX_LINES :], visible(text)]

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Store the progress of a stage."""
        self._stage, self._done, self._total = stage, done, total

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Store the number of finished epochs."""
        self.step("Training", len(history), num_epochs)

    def _run(self, job: Callable[[], object]) -> None:
        state = "failed"
        try:
            job()
            state = "done"
        except MienError as error:
            self._error = visible(str(error), kept="\n")
        except Exception as error:
            # When the process exits, no new thread can start, which is not an error of the job.
            if not threading.main_thread().is_alive():
                return
            _LOG.error("%s", visible(traceback.format_exc(), kept="\n"))
            self._error = f"internal error: {type(error).__name__}. See the terminal for details"
        finally:
            self.num_done += 1
            self._state = state
