"""Fetching: an http(s) URL -> its bytes, within limits, and never from a private address.

Against server-side request forgery (SSRF): whoever may name a URL must not reach by it what only this machine can.
"""

import ipaddress
import re
import socket
import struct
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import lru_cache
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO

from mien.config import FetchLimits
from mien.core import files
from mien.core.text import shorten
from mien.errors import FetchError
from mien.version import __version__

if TYPE_CHECKING:
    import ssl

    import httpx

# `is_global` alone lets much of this through, and how much depends on the release of Python.
# https://www.iana.org/assignments/iana-ipv6-special-registry
_IPV6_INTERNET = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC = (
    ipaddress.ip_network("168.63.129.16"),  # Azure's own services, as every machine there sees them
    ipaddress.ip_network("192.0.0.0/24"),  # holds Oracle Cloud's machine metadata
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("2001::/23"),  # Teredo: hides an IPv4 address
    ipaddress.ip_network("2001:db8::/32"),
    ipaddress.ip_network("2002::/16"),  # 6to4: hides an IPv4 address
    ipaddress.ip_network("3fff::/20"),
)


# Predictions that another try may change: https://www.rfc-editor.org/rfc/rfc9110#section-15
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}


_Take = Callable[[bytes], object]


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
    _exchange(url, limits, content.extend)
    return bytes(content)


def fetch_into(file: BinaryIO, url: str, limits: FetchLimits = FetchLimits()) -> None:
    """Write the bytes of a URL to a file as they come: for what is too large for the memory.

    Args:
        file: Where to; what was written before an error stays there.
        url: As for `fetch`.
        limits: How far to go.

    Raises:
        FetchError: It cannot be fetched within the limits, or must not be; the message says why.
    """
    _exchange(url, limits, file.write)


def public_addresses(host: str, limits: FetchLimits) -> list[str]:
    """Look up a host, once; each of its addresses is public, or the limits allow others.

    Raises:
        FetchError: The name is not known, or one of its addresses must not be connected to.
    """
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        message = f"the name {host!r} is not known ({error.strerror}); check its spelling"
        raise FetchError(message, may_pass=error.errno == socket.EAI_AGAIN) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
    private = [address for address in addresses if not is_public(address)]
    if private and not limits.allow_private:
        raise FetchError(f"{private[0]} is not a public address; add --allow-private to allow it")
    return addresses


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to a machine on the internet, not to this one or to a local network.

    Raises:
        ValueError: It is not an IP address, but perhaps a name.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        hidden = ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        if ip.scope_id or not (hidden or ip in _IPV6_INTERNET):
            return False
        ip = hidden or ip
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def _exchange(url: str, limits: FetchLimits, take: _Take) -> None:
    import httpx  # noqa: F401 - the first import takes a while, which is not the server's fault

    answer: Future[None] = Future()
    exchange = _Exchange(limits, take)
    # In a thread of its own: a name server cannot be interrupted, and httpx's timeouts begin anew with every byte.
    Thread(target=_settle, args=(answer, exchange, url), name="mien-fetch", daemon=True).start()
    try:
        answer.result(limits.timeout_s)
    except TimeoutError:
        raise _refusal(url, _too_slow(limits), TimeoutError()) from None
    finally:
        exchange.cut()


def _settle(answer: "Future[None]", exchange: "_Exchange", url: str) -> None:
    try:
        exchange.follow(url)
        answer.set_result(None)
    except BaseException as error:
        answer.set_exception(error)


class _Exchange:
    """One fetch: its deadline, where the bytes go, and its connection, which another thread can cut."""

    def __init__(self, limits: FetchLimits, take: _Take) -> None:
        self.limits = limits
        self.take = take
        self.deadline = monotonic() + limits.timeout_s
        self._lock = Lock()
        self._is_cut = False
        self._connection: socket.socket | None = None

    def follow(self, url: str) -> None:
        """Fetch a URL, or what it redirects to: every hop is checked like the first."""
        import certifi
        import httpx

        here, trusted = url, _trusted(certifi.where())
        try:
            for _ in range(self.limits.max_redirects + 1):
                target = _checked_url(here)
                # A new transport: at the same address, the last one's connection was made for another host name.
                with (
                    httpx.HTTPTransport(trusted, trust_env=False) as transport,
                    self._send(target, transport) as response,
                ):
                    if not response.has_redirect_location:
                        return self._pass_on(response)
                    here = str(target.join(response.headers["location"]))
            raise FetchError(f"more than {self.limits.max_redirects} redirects")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError) as error:
            is_late = isinstance(error, httpx.TimeoutException | TimeoutError)
            hop = f"redirected to {_shown(here)}: " if here != url else ""
            reason = _too_slow(self.limits) if is_late else files.reason_of(error)
            raise _refusal(url, hop + reason, error) from error

    def _pass_on(self, response: "httpx.Response") -> None:
        _check_head(response, self.limits.max_bytes)
        num_bytes = 0
        for chunk in response.iter_raw():
            num_bytes += len(chunk)
            if num_bytes > self.limits.max_bytes:
                raise FetchError(f"it has more than {self.limits.max_bytes} bytes, see --max-bytes")
            if not self._is_cut:
                self.take(chunk)

    def _send(self, url: "httpx.URL", transport: "httpx.HTTPTransport") -> "closing[httpx.Response]":
        """Ask each of the host's addresses, until one can be reached."""
        import httpx

        addresses = public_addresses(url.raw_host.decode("ascii"), self.limits)
        while True:
            seconds = max(self.deadline - monotonic(), 0.01)
            timeout = httpx.Timeout(seconds, connect=seconds / len(addresses))
            request = _request(url, addresses.pop(0))
            request.extensions |= {"timeout": timeout.as_dict(), "trace": self._watch}
            try:
                return closing(transport.handle_request(request))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if not addresses:
                    raise

    def _watch(self, event: str, details: dict[str, Any]) -> None:
        """Note each new connection: https://www.python-httpx.org/advanced/extensions/#trace."""
        if event == "connection.connect_tcp.complete":
            self._hang_up()
            with self._lock:
                # A second handle, because TLS takes the first one away.
                self._connection = details["return_value"].get_extra_info("socket").dup()
            if self._is_cut:
                self._hang_up()

    def cut(self) -> None:
        """End the connection, and any later one: a thread that waits on it wakes up."""
        self._is_cut = True
        self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection:
            with connection, suppress(OSError):
                # Not a polite goodbye, which a server that never stops sending would not hear.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)


@lru_cache(maxsize=1)
def _trusted(certificates: str) -> "ssl.SSLContext":
    """Read the certificates of those who may vouch for a host; that takes longer than many a fetch."""
    import ssl

    return ssl.create_default_context(cafile=certificates)


def _checked_url(text: str) -> "httpx.URL":
    import httpx

    url = httpx.URL(text)
    if url.scheme not in ("http", "https"):
        raise FetchError(f"its scheme is {url.scheme!r}; only http and https URLs are fetched")
    if not url.host:
        raise FetchError("it names no host")
    if url.userinfo:
        raise FetchError("it holds a user name or a password; take them out, or download the image yourself")
    return url


def _request(url: "httpx.URL", address: str) -> "httpx.Request":
    """Ask that very address for the URL: looked up again, the name might mean another one (DNS rebinding)."""
    import httpx

    headers = {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": f"mien/{__version__}",
        "Accept": "image/*, */*;q=0.1",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    tls_name = url.raw_host.decode("ascii").rstrip(".")
    return httpx.Request("GET", url.copy_with(host=address), headers=headers, extensions={"sni_hostname": tls_name})


def _check_head(response: "httpx.Response", max_bytes: int) -> None:
    code = response.status_code
    if code != 200:
        raise FetchError(
            f"the server answered {code} {response.reason_phrase}".rstrip(),
            may_pass=code in _PASSING_STATUS,
            status_code=code,
            retry_after_s=_retry_after_s(response.headers.get("retry-after", "")),
        )
    encoding = response.headers.get("content-encoding") or "identity"
    if encoding.lower() != "identity":
        # Unasked for, and what it unpacks to could be a thousand times larger.
        raise FetchError(f"the server sent it compressed ({encoding!r}), which it was asked not to")
    num_bytes = int(response.headers.get("content-length", 0))
    if num_bytes > max_bytes:
        raise FetchError(f"it has {num_bytes} bytes; at most {max_bytes} are fetched, see --max-bytes")


def _retry_after_s(text: str) -> float:
    """Read the header Retry-After where it is a number of seconds; the form with a date is passed over."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0


def _refusal(url: str, reason: str, cause: Exception) -> FetchError:
    """Make the error that a fetch ends with, with what is known of its cause."""
    import httpx

    message = f"cannot fetch {_shown(url)}: {reason}"
    if isinstance(cause, FetchError):
        known = {name: getattr(cause, name) for name in ("may_pass", "status_code", "retry_after_s")}
        return FetchError(message, reason=reason, **known)
    is_transport = isinstance(cause, httpx.TransportError | TimeoutError | ConnectionError)
    return FetchError(message, reason=reason, may_pass=is_transport and "CERTIFICATE_VERIFY_FAILED" not in reason)


def _too_slow(limits: FetchLimits) -> str:
    return f"not done within {limits.timeout_s:g} s; try again, or raise --timeout-s"


def _shown(url: str) -> str:
    """Quote a URL in at most 200 letters, without a password and without control characters."""
    return shorten(repr(re.sub(r"//[^/?#]*@", "//***@", url)), 200, end=1)
