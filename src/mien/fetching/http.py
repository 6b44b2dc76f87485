"""Fetching: download an http(s) URL within limits, never from a private address.

One deadline covers everything from the DNS lookup to the last byte.
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

# Statuses that may be temporary: https://www.rfc-editor.org/rfc/rfc9110#section-15
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
# Connection errors that may be temporary.
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, ConnectionError, ssl.SSLError)
_LATE = (httpcore.TimeoutException, TimeoutError)
_MAX_LOOKUPS = 64
_under_way: set[Future[list[str]]] = set()


def fetch(url: str, limits: FetchLimits = FetchLimits()) -> bytes:
    """Return the content of a URL, of any kind.

    Every host is looked up once, and the connection goes to the address that was checked.

    Args:
        url: Starts with http:// or https://; other schemes are refused.
        limits: Limits for the download.

    Raises:
        FetchError: It cannot be fetched within the limits or is forbidden; the message says why.
    """
    content = bytearray()
    # In a separate thread: the current one may run an event loop, e.g. in a notebook.
    with start_blocking_portal() as portal:
        portal.call(partial(receive, url, Lookups(limits), take=content.extend))
    return bytes(content)


async def receive(url: str, lookups: "Lookups", *, take: Callable[[bytes], object]) -> None:
    """Stream the content of a URL; every redirect is checked like the first request.

    Args:
        url: As for `fetch`.
        lookups: Looks up hosts, and holds the limits.
        take: Called with each piece. An exception from it ends the download.

    Raises:
        FetchError: It cannot be fetched within the limits or is forbidden; the message says why.
    """
    hops, limits = [url], lookups.limits
    try:
        deadline = asyncio.get_running_loop().time() + limits.timeout_s
        # httpcore does not close a connection that is cancelled during the TLS handshake.
        async with asyncio.timeout_at(deadline), AsyncExitStack() as opened:
            network = _CheckedNetwork(lookups, deadline=deadline, opened=opened)
            while location := await _ask(hops[-1], limits, network=network, take=take):
                hops.append(location)
                if len(hops) > limits.max_redirects + 1:
                    raise FetchError(f"more than {limits.max_redirects} redirects")
    except (*_BROKEN, *_LATE, httpx.InvalidURL, OSError, ValueError, OverflowError) as error:
        raise _refusal(hops, error, limits=limits) from error


async def _ask(text: str, limits: FetchLimits, *, network: "_CheckedNetwork", take: Callable[[bytes], object]) -> str:
    """Stream the content of a URL and return "", or return its redirect target."""
    url = _checked_url(text)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    # Certificate names have no trailing dot.
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
                raise FetchError(f"it has more than {limits.max_bytes} bytes (see --max-bytes)")
            take(chunk)
    return ""


class _CheckedNetwork(httpcore.AnyIOBackend):
    """Connects to the checked address: a second lookup might return a different one (DNS rebinding)."""

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
        """Connect to the first reachable address of the host."""
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
    """A DNS cache for several downloads, which looks up each host once. For use in one event loop.

    Attributes:
        limits: Limits for each download.
    """

    def __init__(self, limits: FetchLimits) -> None:
        self.limits = limits
        self._found: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a host, all of which may be connected to.

        Raises:
            FetchError: The name is unknown, or one of its addresses is forbidden.
        """
        if host not in self._found:
            found = self._found[host] = asyncio.ensure_future(_look_up(host, self.limits))
            # Retrieve the exception even if nobody is waiting for it any more.
            found.add_done_callback(lambda found: found.cancelled() or found.exception())
        try:
            # Others may wait for the same lookup.
            return list(await asyncio.shield(self._found[host]))
        except FetchError:
            self.forget(host)
            raise

    def forget(self, host: str) -> None:
        """Remove a host from the cache."""
        self._found.pop(host, None)


async def _look_up(host: str, limits: FetchLimits) -> list[str]:
    """Look up a host in a daemon thread: lookups cannot be interrupted, and the process must not wait for one to exit.

    The number of threads is limited, because each cancelled download leaves one behind if the name server is silent.
    """
    if len(_under_way) >= _MAX_LOOKUPS:
        raise FetchError("the DNS server does not respond", may_pass=True)
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
    """Load the CA certificates, cached because this takes longer than many downloads."""
    return ssl.create_default_context(cafile=certificates)


def _checked_url(text: str) -> httpx.URL:
    url = httpx.URL(text)
    if url.scheme not in ("http", "https"):
        raise FetchError(f"only http and https URLs can be fetched, not {url.scheme!r}")
    if not url.host:
        raise FetchError("the URL has no host")
    if not 0 <= (url.port or 0) <= 65535:
        raise FetchError(f"port {url.port} does not exist")
    if url.userinfo:
        raise FetchError("it contains a user name or password. Remove them, or download the image yourself")
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
        # We did not ask for compression, and it could unpack to a thousand times the size.
        raise FetchError(f"the server sent compressed data ({encoding!r}) although it was asked not to")
    num_bytes = int(headers.get("content-length", 0))
    if num_bytes > max_bytes:
        raise FetchError(f"it has {num_bytes} bytes, more than the limit of {max_bytes} (see --max-bytes)")


def _retry_after_s(text: str) -> float:
    """Parse a Retry-After header given in seconds; dates are ignored."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0


def _refusal(hops: list[str], cause: Exception, *, limits: FetchLimits) -> FetchError:
    """Build the FetchError for a failed download from its cause."""
    if isinstance(cause, _LATE):
        reason = f"timed out after {limits.timeout_s:g} s. Try again, or raise --timeout-s"
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
    """Return the message of an error's root cause, which says more than the libraries' own errors."""
    while not isinstance(error, FetchError) and isinstance(cause := error.__cause__ or error.__context__, Exception):
        error = cause
    if isinstance(error, OSError) and error.errno and "Connect call failed" in str(error):
        # asyncio's message omits the reason.
        return os.strerror(error.errno)
    return files.reason_of(error) if str(error) else "the connection broke"


def _shown(url: str) -> str:
    """Quote a URL in at most 200 characters, without its password and control characters."""
    return shorten(repr(re.sub(r"//[^/?#]*@", "//***@", url)), 200, end=1)
