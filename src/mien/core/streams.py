"""Process streams: keep the stderr output of C libraries off the screen."""

import os
import sys
from contextlib import suppress

_STDERR = 2


def open_missing_streams() -> None:
    """Open the null device in place of closed standard streams, so that no other file or socket takes their numbers."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def silence_native_libraries() -> None:
    """Hide what C libraries write to stderr; Python's own messages still appear.

    TensorFlow prints CPU features there and libtiff complains about damaged files. No setting turns that off.
    """
    # If stderr is closed, there is nothing to hide.
    with suppress(OSError):
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)


def show_native_libraries() -> None:
    """Give child processes the real stderr again."""
    with suppress(OSError):
        os.dup2(sys.stderr.fileno(), 2)
