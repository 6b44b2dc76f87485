"""Downloads: many URLs at a time, a few from each host, and again where the reason may pass."""

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
    """Fetch URLs, each with its content or with why it cannot be fetched, in the order in which they are done.

    Args:
        urls: Begin with http:// or https://.
        limits: How many at a time, and how often.
        fetch_limits: How far to go for each.
    """
    # One place: what is not taken keeps the workers from fetching more than fits into the memory.
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
    """Fetch URLs meanwhile; what is still under way at the end of the block is waited for, unless it is given up.

    Args:
        limits: How far to go for each.
        at_a_time: How many at a time, and from one host.
    """
    with start_blocking_portal() as portal:
        yield Fetches(portal, limits, at_a_time)


class Fetches:
    """URLs that are fetched while something else is done."""

    def __init__(self, portal: BlockingPortal, limits: FetchLimits, at_a_time: IntakeLimits) -> None:
        self._portal, self._lookups = portal, Lookups(limits)
        self._all, self._places = asyncio.Semaphore(at_a_time.workers), _Places(at_a_time)
        self._under_way: set[Future[bytes]] = set()

    def begin(self, url: str) -> Future[bytes]:
        """Return what becomes the content of a URL."""
        fetched = self._portal.start_task_soon(self._fetch, url)
        self._under_way.add(fetched)
        fetched.add_done_callback(self._under_way.discard)
        return fetched

    def give_up(self) -> None:
        """Cut off what is under way; whoever waits for it gets a CancelledError."""
        for fetched in list(self._under_way):
            fetched.cancel()

    async def _fetch(self, url: str) -> bytes:
        async with self._places.of(url), self._all:
            return await _content(url, self._lookups)


def download_file(url: str, path: Path, *, limits: IntakeLimits, fetch_limits: FetchLimits) -> None:
    """Write the bytes of a URL to a file as they come: for what is too large for the memory.

    Args:
        url: Begins with http:// or https://.
        path: The file; what was written before an error stays there.
        limits: How often.
        fetch_limits: How far to go.

    Raises:
        FetchError: It cannot be fetched within the limits, or must not be; the message says why.
        OutputError: The file cannot be written.
    """

    async def fetch() -> None:
        with files.writing(path), open(path, "wb") as file:
            await receive(url, Lookups(fetch_limits), take=file.write)

    with start_blocking_portal() as portal:
        portal.call(_trying_again, fetch, limits)


async def _trying_again(fetch: Callable[[], Awaitable[Result]], limits: IntakeLimits) -> Result:
    """Call what fetches, and again after a pause where it fails in a way that may pass.

    Raises:
        FetchError: The last one.
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
        # Whatever it is, it is for the thread that waits to say.
        return error


async def _content(url: str, lookups: Lookups) -> bytes:
    content = bytearray()
    await receive(url, lookups, take=content.extend)
    return bytes(content)


class _Places:
    """How many URLs are fetched from each host at a time."""

    def __init__(self, limits: IntakeLimits) -> None:
        self._of_hosts = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(limits.max_per_host))

    def of(self, url: str) -> asyncio.Semaphore:
        """Return what is to be held while a URL is fetched."""
        try:
            return self._of_hosts[urlsplit(url).netloc.lower()]
        except ValueError:
            return self._of_hosts[""]
