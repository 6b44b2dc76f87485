"""Downloads: fetch many URLs in parallel, a few per host, with retries for temporary errors."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from anyio.from_thread import BlockingPortal, start_blocking_portal

from mien.config import FetchLimits, IntakeLimits
from mien.core import files
from mien.errors import FetchError
from mien.fetching.http import Lookups, receive

# Servers may ask for hours; then the next run is soon enough.
_MAX_PAUSE_S = 30.0
_FIRST_PAUSE_S = 0.5
Result = TypeVar("Result")


def download(
    urls: Sequence[str], limits: IntakeLimits, fetch_limits: FetchLimits
) -> Generator[tuple[str, bytes | FetchError], None, None]:
    """Yield each URL with its content or the reason for its failure, in order of completion.

    Args:
        urls: Start with http:// or https://.
        limits: Number of parallel downloads and retries.
        fetch_limits: Limits for each download.
    """
    # One slot: while a result is not taken, workers do not download more than fits into memory.
    answers: asyncio.Queue[tuple[str, bytes | Exception]] = asyncio.Queue(maxsize=1)
    lookups = Lookups(fetch_limits)
    places = _Places(limits)
    tasks = iter(urls)

    async def work() -> None:
        for url in tasks:
            await answers.put((url, await _outcome(url, places.of(url), lookups, limits=limits)))

    with start_blocking_portal() as portal:
        for _ in range(min(limits.workers, len(urls))):
            portal.start_task_soon(work)
        for _ in urls:
            url, outcome = portal.call(answers.get)
            if isinstance(outcome, Exception) and not isinstance(outcome, FetchError):
                raise outcome
            yield url, outcome


@contextmanager
def fetching(limits: FetchLimits, at_a_time: IntakeLimits = IntakeLimits()) -> Iterator["Fetches"]:
    """Fetch URLs in the background; at the end of the block, wait for running downloads unless they were cancelled.

    Args:
        limits: Limits for each download.
        at_a_time: Number of parallel downloads, in total and per host.
    """
    with start_blocking_portal() as portal:
        yield Fetches(portal, limits, at_a_time)


class Fetches:
    """Background downloads."""

    def __init__(self, portal: BlockingPortal, limits: FetchLimits, at_a_time: IntakeLimits) -> None:
        self._portal, self._lookups = portal, Lookups(limits)
        self._all, self._places = asyncio.Semaphore(at_a_time.workers), _Places(at_a_time)
        self._under_way: set[Future[bytes]] = set()

    def begin(self, url: str) -> Future[bytes]:
        """Start downloading a URL, and return its future content."""
        fetched = self._portal.start_task_soon(self._fetch, url)
        self._under_way.add(fetched)
        fetched.add_done_callback(self._under_way.discard)
        return fetched

    def give_up(self) -> None:
        """Cancel running downloads; their futures raise CancelledError."""
        for fetched in list(self._under_way):
            fetched.cancel()

    async def _fetch(self, url: str) -> bytes:
        async with self._places.of(url), self._all:
            return await _content(url, self._lookups)


def download_file(url: str, path: Path, *, limits: IntakeLimits, fetch_limits: FetchLimits) -> None:
    """Download a URL to a file without keeping it in memory.

    Args:
        url: Starts with http:// or https://.
        path: The file. After an error, partial content stays there.
        limits: Number of retries.
        fetch_limits: Limits for the download.

    Raises:
        FetchError: It cannot be fetched within the limits or is forbidden; the message says why.
        OutputError: The file cannot be written.
    """

    async def fetch() -> None:
        with files.writing(path), open(path, "wb") as file:
            await receive(url, Lookups(fetch_limits), take=file.write)

    with start_blocking_portal() as portal:
        portal.call(_trying_again, fetch, limits)


async def _trying_again(fetch: Callable[[], Awaitable[Result]], limits: IntakeLimits) -> Result:
    """Call a fetch function, retrying after a pause if the error may be temporary.

    Raises:
        FetchError: The error of the last attempt.
    """
    for number in range(limits.retries):
        try:
            return await fetch()
        except FetchError as error:
            pause_s = max(_FIRST_PAUSE_S * 4**number * random.uniform(0.8, 1.2), error.retry_after_s)
            if not error.may_pass or pause_s > _MAX_PAUSE_S:
                raise
        await asyncio.sleep(pause_s)
    return await fetch()


async def _outcome(url: str, place: asyncio.Semaphore, lookups: Lookups, *, limits: IntakeLimits) -> bytes | Exception:
    async def fetch() -> bytes:
        async with place:
            return await _content(url, lookups)

    try:
        return await _trying_again(fetch, limits)
    except Exception as error:
        # The waiting thread raises it.
        return error


async def _content(url: str, lookups: Lookups) -> bytes:
    content = bytearray()
    await receive(url, lookups, take=content.extend)
    return bytes(content)


class _Places:
    """Limits the number of parallel downloads per host."""

    def __init__(self, limits: IntakeLimits) -> None:
        self._of_hosts = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(limits.max_per_host))

    def of(self, url: str) -> asyncio.Semaphore:
        """Return the semaphore to hold while a URL is downloaded."""
        try:
            return self._of_hosts[urlsplit(url).netloc.lower()]
        except ValueError:
            return self._of_hosts[""]
