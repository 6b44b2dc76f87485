"""URLs in a request -> the images there: a few at a time, from public addresses only, in limited memory."""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from mien.config import FetchLimits, ServeConfig
from mien.errors import FetchError
from mien.fetching.http import Lookups, receive
from mien.serving.answers import Answer, refused
from mien.serving.limits import Line, Share
from mien.serving.uploads import Upload

_NUM_AT_A_TIME = 8
_TOO_SLOW = "cannot download the URL: its server is unreachable or too slow"


class UrlFetcher:
    """Downloads images for all requests."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        timeout_s = min(config.upload_timeout_s, FetchLimits.timeout_s)
        self._limits = FetchLimits(timeout_s=timeout_s, max_bytes=config.max_file_bytes)
        self._places = asyncio.Semaphore(_NUM_AT_A_TIME)
        self._line = Line(_NUM_AT_A_TIME, config.max_waiting, config.upload_timeout_s)

    async def fetch(self, urls: Sequence[str], share: Share) -> list[Upload | Answer]:
        """Return the image at each URL, in order, or an answer with the error.

        Args:
            urls: The URLs that were sent.
            share: The memory to take from.

        Raises:
            BusyError: Too many are waiting already, or there is no memory.
            TooLargeError: Together they are too large even for an idle server.
        """
        self._line.check(len(urls))
        self._line.num_waiting += len(urls)
        lookups = Lookups(self._limits)
        tasks = [asyncio.create_task(self._fetch_one(url, lookups, share)) for url in urls]
        try:
            await asyncio.wait(tasks, timeout=self._config.upload_timeout_s, return_when=asyncio.FIRST_EXCEPTION)
            return [
                task.result() if task.done() else refused(url, FetchError(_TOO_SLOW))
                for url, task in zip(urls, tasks, strict=True)
            ]
        finally:
            self._line.num_waiting -= len(urls)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_one(self, url: str, lookups: Lookups, share: Share) -> Upload | Answer:
        content = bytearray()

        def keep(chunk: bytes) -> None:
            share.take(len(chunk))
            content.extend(chunk)

        try:
            async with self._places:
                start_s = perf_counter()
                await receive(url, lookups, take=keep)
                self._line.note(perf_counter() - start_s)
        except BaseException as error:
            share.give_back(len(content))
            if isinstance(error, FetchError):
                return refused(url, FetchError(_told(error)))
            raise
        return Upload(url, bytes(content))


def _told(error: FetchError) -> str:
    """Return why a URL cannot be downloaded, without revealing names and addresses of the server's own network."""
    if error.status_code:
        return f"cannot download the URL: its server answered {error.status_code}"
    if error.may_pass:
        return _TOO_SLOW
    return "cannot download the URL: it must be an image at a public http or https address, within the limits"
