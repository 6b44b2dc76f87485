"""Parallel work: apply a function to many items in threads, and limit the threads of linear algebra."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

_FEW_ROWS = 5000
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    num_threads: int | None = None,
    give_up: Callable[[], object] = lambda: None,
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order.

    Only a few items are in progress at a time, so memory use stays flat.

    Args:
        function: What to do with an item.
        items: Taken one by one, as threads become free.
        num_threads: Number of threads; by default one per core.
        give_up: Called if the caller stops early, e.g. at Ctrl-C. Items in progress are still waited for; this can
            cut their waiting short.
    """
    num_threads = num_threads or count_cores()
    with ThreadPoolExecutor(num_threads, thread_name_prefix="mien") as pool:
        running: deque[Future[Result]] = deque()
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) > 4 * num_threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            give_up()
            raise
        finally:
            for future in running:
                future.cancel()


def count_cores() -> int:
    """Return the number of threads that can run at the same time on this machine."""
    return os.cpu_count() or 1


def single_threaded() -> AbstractContextManager[object]:
    """Limit linear algebra in the block to one thread, e.g. if it runs in several threads of our own."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def threads_for(num_rows: int) -> AbstractContextManager[object]:
    """Limit linear algebra in the block to one thread for small data: more threads would only wait for each other."""
    return single_threaded() if num_rows < _FEW_ROWS else nullcontext()
