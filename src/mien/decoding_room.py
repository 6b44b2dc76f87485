"""Room for the pixels of pictures that several threads decode at a time: a file of 1 MB may become 350 MB of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class DecodingRoom:
    """Keeps threads waiting while the pictures that others decode are too large together.

    Attributes:
        num_taken: How many pixels are being decoded.
    """

    def __init__(self, num_pixels: int) -> None:
        """Make room for so many pixels; a larger picture is decoded when there is no other."""
        self._num_pixels = num_pixels
        self.num_taken = 0
        self._changed = Condition()

    @contextmanager
    def taking(self, num_pixels: int) -> Iterator[None]:
        """Wait until there is room for so many pixels, and keep it during the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self.num_taken or self.num_taken + num_pixels <= self._num_pixels)
            self.num_taken += num_pixels
        try:
            yield
        finally:
            with self._changed:
                self.num_taken -= num_pixels
                self._changed.notify_all()
