"""Downloads: many URLs at a time, a few from each host, and again where the reason may pass."""

import random
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Lock, Semaphore, Thread
from typing import TypeVar
from urllib.parse import urlsplit

from mien.config import FetchLimits, IntakeLimits
from mien.errors import FetchError
from mien.fetching import http

# Servers may ask for hours; then the next run is soon enough.
_MAX_PAUSE_S = 30.0
_FIRST_PAUSE_S = 0.5
_PULSE_S = 0.1
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
    stop = Event()
    tasks: Queue[str] = Queue()
    # One place: what is not taken keeps the workers from fetching more than fits into the memory.
    answers: Queue[tuple[str, bytes | Exception]] = Queue(maxsize=1)
    for url in urls:
        tasks.put(url)
    hosts = _Hosts(limits.max_per_host)

    def work() -> None:
        with suppress(Empty):
            while not stop.is_set():
                url = tasks.get_nowait()
                _hand_over((url, _outcome(url, hosts, limits, fetch_limits, stop=stop)), answers, stop)

    # Daemons: Ctrl-C need not wait for servers that say nothing.
    for _ in range(min(limits.workers, len(urls))):
        Thread(target=work, name="mien-download", daemon=True).start()
    try:
        for _ in urls:
            url, outcome = answers.get()
            if isinstance(outcome, Exception) and not isinstance(outcome, FetchError):
                raise outcome
            yield url, outcome
    finally:
        stop.set()


def trying_again(fetch: Callable[[], Result], limits: IntakeLimits, stop: Event) -> Result:
    """Call what fetches, and again after a pause where it fails in a way that may pass.

    Args:
        fetch: What to call.
        limits: How often.
        stop: Ends the pauses.

    Raises:
        FetchError: The last one.
    """
    for number in range(limits.retries):
        try:
            return fetch()
        except FetchError as error:
            pause_s = max(_FIRST_PAUSE_S * 4**number * random.uniform(0.8, 1.2), error.retry_after_s)
            if not error.may_pass or pause_s > _MAX_PAUSE_S or stop.wait(pause_s):
                raise
    return fetch()


class _Hosts:
    """How many URLs of each host are being fetched."""

    def __init__(self, max_per_host: int) -> None:
        self._lock = Lock()
        self._free: defaultdict[str, Semaphore] = defaultdict(lambda: Semaphore(max_per_host))

    def free(self, url: str) -> Semaphore:
        """Return what is to be held while a URL is fetched."""
        try:
            host = urlsplit(url).netloc.lower()
        except ValueError:
            host = ""
        with self._lock:
            return self._free[host]


def _outcome(
    url: str, hosts: _Hosts, limits: IntakeLimits, fetch_limits: FetchLimits, *, stop: Event
) -> bytes | Exception:
    def fetch() -> bytes:
        with hosts.free(url):
            return http.fetch(url, fetch_limits)

    try:
        return trying_again(fetch, limits, stop)
    except Exception as error:
        # Whatever it is, it is for the thread that waits to say.
        return error


def _hand_over(
    answer: tuple[str, bytes | Exception], answers: "Queue[tuple[str, bytes | Exception]]", stop: Event
) -> None:
    while not stop.is_set():
        with suppress(Full):
            return answers.put(answer, timeout=_PULSE_S)
    return None
