"""Limits: how many images may wait, how much memory requests may hold, and how much may be decoded at a time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from mien.errors import BusyError, TooLargeError

_NUM_BYTES = 512 * 1024**2
# Seconds per image until one has been timed, and the weight of the latest in the running mean.
_FIRST_GUESS_S = 0.02
_WEIGHT_OF_LAST = 0.05


class Line:
    """Images that wait for the same workers. Use it from one thread, except for `note`.

    Attributes:
        num_waiting: Images waiting or being processed. Callers change it.
    """

    def __init__(self, num_workers: int, max_waiting: int, max_wait_s: float) -> None:
        """Create an empty line.

        Args:
            num_workers: Images processed at a time.
            max_waiting: Most images waiting or being processed.
            max_wait_s: Longest time a new image may have to wait, in seconds.
        """
        self.num_waiting = 0
        self._num_workers, self._max_waiting, self._max_wait_s = num_workers, max_waiting, max_wait_s
        self._mean_s = _FIRST_GUESS_S

    def check(self, num_images: int) -> None:
        """Check that this many more images would be accepted now.

        Raises:
            BusyError: There is no room for them, or they would wait too long.
        """
        wait_s = self.num_waiting * self._mean_s / self._num_workers
        if self.num_waiting + num_images > self._max_waiting or wait_s > self._max_wait_s:
            raise BusyError("the server is busy", retry_after_s=max(1, math.ceil(wait_s)))

    def note(self, duration_s: float) -> None:
        """Update the mean time per image. Threads may race and lose an update, as it is only an estimate."""
        self._mean_s += _WEIGHT_OF_LAST * (duration_s - self._mean_s)


class MemoryBudget:
    """Memory shared by all requests. Use it from one thread.

    Attributes:
        num_bytes: Total number of bytes.
        num_taken: Number of bytes in use.
    """

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes = num_bytes
        self.num_taken = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Open the share of one request. It is released at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            share.give_back(share.num_bytes)


class Share:
    """One request's share of a budget.

    Attributes:
        num_bytes: Number of bytes held.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self.num_bytes = 0
        self._budget = budget

    def check(self, num_bytes: int) -> None:
        """Check that this many more bytes are available now.

        Raises:
            TooLargeError: Even an idle server does not have as many.
            BusyError: Other requests are using them.
        """
        if self.num_bytes + num_bytes > self._budget.num_bytes:
            raise TooLargeError(f"the request is larger than {self._budget.num_bytes / 1024**2:g} MiB")
        if self._budget.num_taken + num_bytes > self._budget.num_bytes:
            raise BusyError("the server is busy: its memory for images is full")

    def take(self, num_bytes: int) -> None:
        """Take this many bytes.

        Raises:
            TooLargeError: Even an idle server does not have as many.
            BusyError: Other requests are using them.
        """
        self.check(num_bytes)
        self.hold(num_bytes)

    def hold(self, num_bytes: int) -> None:
        """Count this many bytes as taken, even beyond the budget: they already exist."""
        self.num_bytes += num_bytes
        self._budget.num_taken += num_bytes

    def give_back(self, num_bytes: int) -> None:
        """Release this many bytes."""
        self.num_bytes -= num_bytes
        self._budget.num_taken -= num_bytes


class DecodingRoom:
    """Makes threads wait while too much is being decoded at a time.

    Attributes:
        num_taken: Number of bytes in use.
    """

    def __init__(self, num_bytes: int = _NUM_BYTES) -> None:
        """Allow this many bytes. A larger image is decoded on its own."""
        self._num_bytes = num_bytes
        self.num_taken = 0
        self._changed = Condition()

    @contextmanager
    def taking(self, num_bytes: int) -> Iterator[None]:
        """Wait until this many bytes are free, and hold them for the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self.num_taken or self.num_taken + num_bytes <= self._num_bytes)
            self.num_taken += num_bytes
        try:
            yield
        finally:
            with self._changed:
                self.num_taken -= num_bytes
                self._changed.notify_all()
