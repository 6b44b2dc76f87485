"""URLs that a request names -> the images there: a few at a time, from public addresses alone, in bounded memory."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread

from mien.config import FetchLimits, ServeConfig
from mien.errors import BusyError, FetchError, TooLargeError
from mien.fetching.http import fetch
from mien.serving.answers import Answer, refused
from mien.serving.limits import Share
from mien.serving.uploads import Upload

_NUM_AT_A_TIME = 8
_TOO_SLOW = "the URL cannot be fetched: its server cannot be reached, or is too slow"


class UrlFetcher:
    """Fetches for all requests together, in threads of its own, so that no slow host keeps an image waiting."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        timeout_s = min(config.upload_timeout_s, FetchLimits.timeout_s)
        self._limits = FetchLimits(timeout_s=timeout_s, max_bytes=config.max_file_bytes)
        self._places = asyncio.Semaphore(_NUM_AT_A_TIME)
        self._under_way: set[asyncio.Future[bytes]] = set()
        self._num_waiting = 0

    async def fetch(self, urls: Sequence[str], share: Share) -> list[Upload | Answer]:
        """Return the image of each URL, in their order; or the answer that says why there is none.

        Args:
            urls: Whatever was sent.
            share: What they hold is taken from here.

        Raises:
            BusyError: Too many are waiting already, or there is no memory.
            TooLargeError: They have more bytes together than even an idle server holds.
        """
        if self._num_waiting + len(urls) > self._config.max_waiting:
            raise BusyError("the server is busy")
        self._num_waiting += len(urls)
        tasks = [asyncio.create_task(self._fetch_one(url, share)) for url in urls]
        try:
            await asyncio.wait(tasks, timeout=self._config.upload_timeout_s, return_when=asyncio.FIRST_EXCEPTION)
            return [
                task.result() if task.done() else refused(url, FetchError(_TOO_SLOW))
                for url, task in zip(urls, tasks, strict=True)
            ]
        finally:
            self._num_waiting -= len(urls)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_one(self, url: str, share: Share) -> Upload | Answer:
        await self._places.acquire()
        try:
            await self._take(share)
        except BaseException:
            self._places.release()
            raise
        content = b""
        fetched = asyncio.wrap_future(self._begin(url))
        self._under_way.add(fetched)
        try:
            content = await fetched
        except FetchError as error:
            return refused(url, FetchError(_told(error)))
        finally:
            self._under_way.discard(fetched)
            share.give_back(self._limits.max_bytes - len(content))
        return Upload(url, content)

    async def _take(self, share: Share) -> None:
        """Take what the largest image has, as the size is not known; wait for those under way, which give much back.

        Raises:
            BusyError: Others hold too many bytes, and are not fetching.
            TooLargeError: There are too many in what has been fetched already.
        """
        while True:
            try:
                return share.take(self._limits.max_bytes)
            except (BusyError, TooLargeError):
                if not self._under_way:
                    raise
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, url: str) -> "Future[bytes]":
        """Fetch in a thread that the process need not wait for when it ends; only then another may have its place."""
        loop = asyncio.get_running_loop()
        fetched: Future[bytes] = Future()
        fetched.set_running_or_notify_cancel()

        def run() -> None:
            try:
                fetched.set_result(fetch(url, self._limits))
            except BaseException as error:
                fetched.set_exception(error)
            with suppress(RuntimeError):  # The server has ended meanwhile.
                loop.call_soon_threadsafe(self._places.release)

        Thread(target=run, name="mien-url", daemon=True).start()
        return fetched


def _told(error: FetchError) -> str:
    """Say why a URL cannot be fetched, without what only this machine can see: names and addresses of its network."""
    if error.status_code:
        return f"the URL cannot be fetched: its server answered {error.status_code}"
    if error.may_pass:
        return _TOO_SLOW
    return "the URL cannot be fetched: expected an image at a public address, by http or https, within the limits"
