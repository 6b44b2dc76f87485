"""The limits: how many images may wait, what all requests may hold of memory, what may be decoded at a time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from mien.errors import BusyError, TooLargeError

_NUM_BYTES = 512 * 1024**2
# What an image takes, in seconds, until one has been timed; and how much of the mean the last one counts.
_FIRST_GUESS_S = 0.02
_WEIGHT_OF_LAST = 0.05


class Line:
    """Images that wait for the same workers. Used in one thread, but for `note`.

    Attributes:
        num_waiting: Images that wait or are in work; changed by whoever takes them on.
    """

    def __init__(self, num_workers: int, max_waiting: int, max_wait_s: float) -> None:
        """Begin an empty line.

        Args:
            num_workers: How many images are in work at a time.
            max_waiting: How many may wait or be in work.
            max_wait_s: How long another may have to wait, in seconds.
        """
        self.num_waiting = 0
        self._num_workers, self._max_waiting, self._max_wait_s = num_workers, max_waiting, max_wait_s
        self._mean_s = _FIRST_GUESS_S

    def check(self, num_images: int) -> None:
        """Make sure that so many images more would be taken on now.

        Raises:
            BusyError: There are not as many places, or it would take too long.
        """
        wait_s = self.num_waiting * self._mean_s / self._num_workers
        if self.num_waiting + num_images > self._max_waiting or wait_s > self._max_wait_s:
            raise BusyError("the server is busy", retry_after_s=max(1, math.ceil(wait_s)))

    def note(self, duration_s: float) -> None:
        """Learn from what an image took; several threads may at once, and one be lost: it is an estimate."""
        self._mean_s += _WEIGHT_OF_LAST * (duration_s - self._mean_s)


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
        self.hold(num_bytes)

    def hold(self, num_bytes: int) -> None:
        """Take so many bytes that are there already, whether there is room for them or not."""
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
