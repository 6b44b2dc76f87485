"""Room for the pictures that several threads decode at a time: a file of 100 KB may take 1 GB of memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

_NUM_BYTES = 512 * 1024**2


class DecodingRoom:
    """Keeps threads waiting while the pictures that others decode are too large together.

    Attributes:
        num_taken: How many bytes are in use.
    """

    def __init__(self, num_bytes: int = _NUM_BYTES) -> None:
        """Make room for so many bytes; a larger picture is decoded when there is no other."""
        self._num_bytes = num_bytes
        self.num_taken = 0
        self._changed = Condition()

    @contextmanager
    def taking(self, num_bytes: int) -> Iterator[None]:
        """Wait until there is room for so many bytes, and keep it during the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self.num_taken or self.num_taken + num_bytes <= self._num_bytes)
            self.num_taken += num_bytes
        try:
            yield
        finally:
            with self._changed:
                self.num_taken -= num_bytes
                self._changed.notify_all()
