"""The streams of a process: what C libraries write to stderr stays off the screen."""

import os
import sys
from contextlib import suppress

_STDERR = 2


def open_missing_streams() -> None:
    """Open the null device where stdin, stdout or stderr is closed: else the next file or socket would become that."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def silence_native_libraries() -> None:
    """Keep what C libraries write to stderr off the screen; Python's own messages still get there.

    TensorFlow announces its CPU features there, libtiff complains of damaged files, and no setting turns that off.
    """
    # Where stderr is closed, there is nothing to keep off.
    with suppress(OSError):
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)


def show_native_libraries() -> None:
    """Undo it, for processes that are started from here: they get the real stderr."""
    with suppress(OSError):
        os.dup2(sys.stderr.fileno(), 2)
