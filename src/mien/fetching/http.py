"""Fetching: an http(s) URL -> its bytes, within limits, and never from a private address.

One deadline holds from the lookup of the name to the last byte.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from functools import lru_cache, partial
from threading import Thread

import certifi
import httpcore
import httpx
from anyio.from_thread import start_blocking_portal

from mien.config import FetchLimits
from mien.core import files
from mien.core.text import shorten
from mien.errors import FetchError
from mien.fetching.addresses import public_addresses
from mien.version import __version__

# Answers that another try may change: https://www.rfc-editor.org/rfc/rfc9110#section-15
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
# How a connection ends that another try may bring back.
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, ConnectionError, ssl.SSLError)
_LATE = (httpcore.TimeoutException, TimeoutError)
_MAX_LOOKUPS = 64
_under_way: set[Future[list[str]]] = set()


def fetch(url: str, limits: FetchLimits = FetchLimits()) -> bytes:
    """Return the bytes of a URL, whatever they are.

    Every host is looked up once, and the connection is made to the very address that was checked.

    Args:
        url: Begins with http:// or https://; any other scheme is refused.
        limits: How far to go.

    Raises:
        FetchError: It cannot be fetched within the limits, or must not be; the message says why.
    """
    content = bytearray()
    # Not in this thread: an event loop may run in it, as in a notebook.
    with start_blocking_portal() as portal:
        portal.call(partial(receive, url, Lookups(limits), take=content.extend))
    return bytes(content)


async def receive(url: str, lookups: "Lookups", *, take: Callable[[bytes], object]) -> None:
    """Hand over the bytes of a URL as they come; every hop of a redirect is checked like the first.

    Args:
        url: As for `fetch`.
        lookups: Looks hosts up, and knows how far to go.
        take: Given each piece; an error that it raises ends the fetch.

    Raises:
        FetchError: It cannot be fetched within the limits, or must not be; the message says why.
    """
    hops, limits = [url], lookups.limits
    try:
        deadline = asyncio.get_running_loop().time() + limits.timeout_s
        # httpcore leaves a connection open that is cut off while it greets by TLS.
        async with asyncio.timeout_at(deadline), AsyncExitStack() as opened:
            network = _CheckedNetwork(lookups, deadline=deadline, opened=opened)
            while location := await _ask(hops[-1], limits, network=network, take=take):
                hops.append(location)
                if len(hops) > limits.max_redirects + 1:
                    raise FetchError(f"more than {limits.max_redirects} redirects")
    except (*_BROKEN, *_LATE, httpx.InvalidURL, OSError, ValueError, OverflowError) as error:
        raise _refusal(hops, error, limits=limits) from error


async def _ask(text: str, limits: FetchLimits, *, network: "_CheckedNetwork", take: Callable[[bytes], object]) -> str:
    """Hand over what is at a URL, and return an empty text; or return where it redirects to."""
    url = _checked_url(text)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    # No certificate has a dot at the end of its name.
    tls_name = url.raw_host.decode("ascii").rstrip(".")
    async with (
        httpcore.AsyncHTTPConnection(target.origin, _trusted(certifi.where()), network_backend=network) as connection,
        connection.stream("GET", target, headers=_headers(url), extensions={"sni_hostname": tls_name}) as response,
    ):
        headers = httpx.Headers(response.headers)
        if response.status in _REDIRECTS and "location" in headers:
            return str(url.join(headers["location"]))
        _check_head(response, headers, max_bytes=limits.max_bytes)
        num_bytes = 0
        async for chunk in response.aiter_stream():
            num_bytes += len(chunk)
            if num_bytes > limits.max_bytes:
                raise FetchError(f"it has more than {limits.max_bytes} bytes, see --max-bytes")
            take(chunk)
    return ""


class _CheckedNetwork(httpcore.AnyIOBackend):
    """Connects to the very address that was checked: looked up again, a name might mean another one (DNS rebinding)."""

    def __init__(self, lookups: "Lookups", *, deadline: float, opened: AsyncExitStack) -> None:
        self._lookups = lookups
        self._deadline = deadline
        self._opened = opened

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that can be reached."""
        addresses = await self._lookups.addresses(host)
        while True:
            timeout = (self._deadline - asyncio.get_running_loop().time()) / len(addresses)
            try:
                stream = await super().connect_tcp(addresses.pop(0), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    self._lookups.forget(host)
                    raise
            else:
                self._opened.push_async_callback(stream.aclose)
                return stream


class Lookups:
    """Looks up hosts for several fetches, each once; it lasts no longer than they do. Used in one event loop.

    Attributes:
        limits: How far to go in each fetch.
    """

    def __init__(self, limits: FetchLimits) -> None:
        self.limits = limits
        self._found: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a host, each of which may be connected to.

        Raises:
            FetchError: The name is not known, or one of its addresses must not be connected to.
        """
        if host not in self._found:
            found = self._found[host] = asyncio.ensure_future(_look_up(host, self.limits))
            # Whoever waits for it hears of an error; perhaps nobody does any more.
            found.add_done_callback(lambda found: found.cancelled() or found.exception())
        try:
            # Others may wait for the same.
            return list(await asyncio.shield(self._found[host]))
        except FetchError:
            self.forget(host)
            raise

    def forget(self, host: str) -> None:
        """Look a host up again the next time."""
        self._found.pop(host, None)


async def _look_up(host: str, limits: FetchLimits) -> list[str]:
    """Look up a host in a daemon thread: a lookup cannot be interrupted, and no process is to wait for one at its end.

    A silent name server gets no more than a few threads: whoever gives up a fetch leaves one behind.
    """
    if len(_under_way) >= _MAX_LOOKUPS:
        raise FetchError("the name server does not answer", may_pass=True)
    answer: Future[list[str]] = Future()
    answer.set_running_or_notify_cancel()

    def settle() -> None:
        try:
            answer.set_result(public_addresses(host, limits))
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=settle, name="mien-lookup", daemon=True).start()
    _under_way.add(answer)
    answer.add_done_callback(_under_way.discard)
    return await asyncio.wrap_future(answer)


@lru_cache(maxsize=1)
def _trusted(certificates: str) -> ssl.SSLContext:
    """Read the certificates of those who may vouch for a host; that takes longer than many a fetch."""
    return ssl.create_default_context(cafile=certificates)


def _checked_url(text: str) -> httpx.URL:
    url = httpx.URL(text)
    if url.scheme not in ("http", "https"):
        raise FetchError(f"its scheme is {url.scheme!r}; only http and https URLs are fetched")
    if not url.host:
        raise FetchError("it names no host")
    if not 0 <= (url.port or 0) <= 65535:
        raise FetchError(f"there is no port {url.port}")
    if url.userinfo:
        raise FetchError("it holds a user name or a password; take them out, or download the image yourself")
    return url


def _headers(url: httpx.URL) -> dict[bytes | str, bytes | str]:
    return {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": f"mien/{__version__}",
        "Accept": "image/*, */*;q=0.1",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def _check_head(response: httpcore.Response, headers: httpx.Headers, *, max_bytes: int) -> None:
    code = response.status
    if code != 200:
        phrase = response.extensions.get("reason_phrase", b"").decode("ascii", "ignore")
        raise FetchError(
            f"the server answered {code} {phrase}".rstrip(),
            may_pass=code in _PASSING_STATUS,
            status_code=code,
            retry_after_s=_retry_after_s(headers.get("retry-after", "")),
        )
    encoding = headers.get("content-encoding") or "identity"
    if encoding.lower() != "identity":
        # Unasked for, and what it unpacks to could be a thousand times larger.
        raise FetchError(f"the server sent it compressed ({encoding!r}), which it was asked not to")
    num_bytes = int(headers.get("content-length", 0))
    if num_bytes > max_bytes:
        raise FetchError(f"it has {num_bytes} bytes; at most {max_bytes} are fetched, see --max-bytes")


def _retry_after_s(text: str) -> float:
    """Read the header Retry-After where it is a number of seconds; the form with a date is passed over."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0


def _refusal(hops: list[str], cause: Exception, *, limits: FetchLimits) -> FetchError:
    """Make the error that a fetch ends with, with what is known of its cause."""
    if isinstance(cause, _LATE):
        reason = f"not done within {limits.timeout_s:g} s; try again, or raise --timeout-s"
    else:
        reason = _reason_of(cause)
    if len(hops) > 1:
        reason = f"redirected to {_shown(hops[-1])}: {reason}"
    message = f"cannot fetch {_shown(hops[0])}: {reason}"
    if isinstance(cause, FetchError):
        known = {name: getattr(cause, name) for name in ("may_pass", "status_code", "retry_after_s")}
        return FetchError(message, reason=reason, **known)
    may_pass = isinstance(cause, (*_BROKEN, *_LATE)) and "CERTIFICATE_VERIFY_FAILED" not in reason
    return FetchError(message, reason=reason, may_pass=may_pass)


def _reason_of(error: Exception) -> str:
    """Say what is at the bottom of an error: the libraries on the way know less of it."""
    while not isinstance(error, FetchError) and isinstance(cause := error.__cause__ or error.__context__, Exception):
        error = cause
    if isinstance(error, OSError) and error.errno and "Connect call failed" in str(error):
        # So says asyncio, and leaves out why.
        return os.strerror(error.errno)
    return files.reason_of(error) if str(error) else "the connection broke"


def _shown(url: str) -> str:
    """Quote a URL in at most 200 letters, without a password and without control characters."""
    return shorten(repr(re.sub(r"//[^/?#]*@", "//***@", url)), 200, end=1)
