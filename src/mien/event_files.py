"""Event files: what TensorBoard reads, written before one goes on, so that a full disk is noticed."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import files
from mien.extras import needing

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

_FORMAT = "brain.Event:2"


class EventFile:
    """A new event file in a folder, which is made when the first event comes.

    TensorBoard's own writers work in a thread, where nobody hears of an error, and load TensorFlow.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def add(self, summaries: Iterable["Summary"], *, step: int = 0) -> None:
        """Write down what there is to see at a step, each as an event of its own.

        Raises:
            OutputError: There is no room.
            MissingExtraError: The package tensorboard is not installed.
        """
        with needing("train"):
            from tensorboard.compat.proto.event_pb2 import Event
        with files.writing(self._folder):
            try:
                self._open()
                for summary in summaries:
                    self._write(Event(summary=summary, wall_time=time.time(), step=step))
                self._writer.flush()
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Close the file; what was added is in it already."""
        if self._writer is not None:
            # A full disk was told of when it was met.
            with suppress(OSError):
                self._writer.close()

    def _open(self) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"events.out.tfevents.{time.time_ns()}.mien"
            self._writer = RecordWriter(open(path, "xb"))  # noqa: SIM115  (it stays open)
            self._write(Event(wall_time=time.time(), file_version=_FORMAT))

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
