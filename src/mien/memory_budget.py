"""The memory that requests may take, together: each byte of a body counts from its arrival until the answer is sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from mien.errors import BusyError, TooLargeError


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
            raise BusyError("the server is busy: its memory for pictures is full")

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
