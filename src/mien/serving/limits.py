"""The limits of memory: what requests may take together, and what several threads may decode at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from mien.errors import BusyError, TooLargeError

_NUM_BYTES = 512 * 1024**2


class MemoryBudget:
    """So many bytes, for all requests together. Used in one thread.

    Attributes:
        num_bytes: How many there are.
        num_taken: How many of them are in use.
    """

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes = num_bytes
        self.num_taken = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Open the share of one request; whatever it holds is given back at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            share.give_back(share.num_bytes)


class Share:
    """What one request holds of a budget.

    Attributes:
        num_bytes: How many bytes.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self.num_bytes = 0
        self._budget = budget

    def check(self, num_bytes: int) -> None:
        """Make sure that so many bytes more could be taken now.

        Raises:
            TooLargeError: Not even by an idle server.
            BusyError: Not before others are done.
        """
        if self.num_bytes + num_bytes > self._budget.num_bytes:
            raise TooLargeError(f"a request has more than {self._budget.num_bytes / 1024**2:g} MiB")
        if self._budget.num_taken + num_bytes > self._budget.num_bytes:
            raise BusyError("the server is busy: its memory for images is full")

    def take(self, num_bytes: int) -> None:
        """Take so many bytes.

        Raises:
            TooLargeError: Not even an idle server could give them.
            BusyError: Others hold too many.
        """
        self.check(num_bytes)
        self.num_bytes += num_bytes
        self._budget.num_taken += num_bytes

    def give_back(self, num_bytes: int) -> None:
        """Give back so many of the bytes taken."""
        self.num_bytes -= num_bytes
        self._budget.num_taken -= num_bytes


class DecodingRoom:
    """Keeps threads waiting while the images that others decode are too large together.

    Attributes:
        num_taken: How many bytes are in use.
    """

    def __init__(self, num_bytes: int = _NUM_BYTES) -> None:
        """Make room for so many bytes; a larger image is decoded when there is no other."""
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
