"""Where work runs: an engine is anything with this `map` method."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from mien.extras import needing

_FEW_ROWS = 5000
Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Something that applies a function to many items."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in the order of the items."""
        ...


class Local:
    """Threads on this machine. At most a few items are in work at a time, so memory stays flat."""

    def __init__(self, num_threads: int | None = None) -> None:
        self.num_threads = num_threads or os.cpu_count() or 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in the order of the items."""
        with ThreadPoolExecutor(self.num_threads, thread_name_prefix="mien") as pool:
            running: deque[Future[Result]] = deque()
            try:
                for item in items:
                    running.append(pool.submit(function, item))
                    if len(running) > 4 * self.num_threads:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()


LOCAL = Local()


def threads_for(num_rows: int) -> AbstractContextManager[object]:
    """Keep the algebra of the block to one thread where there is little of it: several would wait for one another.

    Raises:
        MissingExtraError: The package threadpoolctl is not installed.
    """
    with needing("train"):
        from threadpoolctl import threadpool_limits
    return threadpool_limits(1) if num_rows < _FEW_ROWS else nullcontext()
