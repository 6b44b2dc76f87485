"""Access control: who may use the server, and what a browser may do with its responses."""

import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import Security
from fastapi.params import Security as SecurityParameter
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers

from mien.config import ServeConfig
from mien.core import files
from mien.errors import ForbiddenError, RequestError, SettingsError, WrongKeyError

KEY_VARIABLE = "MIEN_API_KEY"
# The page uses its own scripts and styles only. Its images come from the browser itself or are part of a response.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
# Methods that change nothing: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_NEEDS_KEY = "/predict"
_LEAST_KEY, _LONGEST_KEY = 16, 4096
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/@\s]+)(?::[0-9]{0,5})?", re.IGNORECASE)


@dataclass(frozen=True)
class Gate:
    """Access rules.

    Attributes:
        host_names: Host names that requests may use for the server, besides IP addresses.
        api_key: The key that prediction requests need, or None if anyone may ask.
    """

    host_names: frozenset[str]
    api_key: str | None = None

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Refuse a request that is not allowed, without reading its body.

        Args:
            method: HTTP method, e.g. "POST".
            path: Path without the query.
            headers: Request headers.

        Raises:
            RequestError: The path contains control characters, so a proxy may have read it differently.
            ForbiddenError: It comes from a page of another site, or uses an unknown host name.
            WrongKeyError: It needs the API key, but does not have it.
        """
        if not path.isprintable():
            raise RequestError("the address contains control characters")
        self._check_host(headers.getlist("host"))
        if method not in _SAFE_METHODS:
            _check_site(headers)
        if self.api_key is not None and path.startswith(_NEEDS_KEY):
            _check_key(headers, self.api_key)

    def _check_host(self, hosts: Sequence[str]) -> None:
        """Prevent DNS rebinding: a site could point its own name at this server, and its pages could read responses.

        IP addresses cannot be rebound, and every browser sends the Host header.
        """
        if len(hosts) > 1:
            raise ForbiddenError("send only one Host header")
        name = _name_in(hosts[0]) if hosts else "localhost"
        if name not in self.host_names and not _is_address(name):
            raise ForbiddenError(
                "this server does not accept that host name. Use its IP address, or localhost on the same machine, or "
                "start it with --allow-host NAME"
            )


def gate_for(config: ServeConfig, api_key: str | None = None) -> Gate:
    """Return the gate for some settings. It always allows localhost and the name that the server listens on."""
    names = {"localhost", config.host, *config.allow_host}
    # A malformed Host header becomes an empty name, which must never match.
    return Gate(frozenset(name.lower().rstrip(".") for name in names) - {""}, api_key)


def read_api_key(config: ServeConfig, environment: Mapping[str, str]) -> str | None:
    """Return the API key that requests need, or None if there is none.

    Args:
        config: Names the key file, if any.
        environment: May hold MIEN_API_KEY, which is used if there is no key file.

    Raises:
        SettingsError: The file cannot be read, or the key is empty, too short, or not valid in a header.
    """
    if config.api_key_file is not None:
        where, text = f"the file {str(config.api_key_file)!r}", _read_key_file(config.api_key_file)
    elif KEY_VARIABLE in environment:
        where, text = f"the variable {KEY_VARIABLE}", environment[KEY_VARIABLE]
    else:
        return None
    key = text.strip()
    if not (_LEAST_KEY <= len(key) <= _LONGEST_KEY and re.fullmatch("[!-~]+", key)):
        raise SettingsError(
            f"{where} does not hold an API key. A key has {_LEAST_KEY} to {_LONGEST_KEY} ASCII characters and no "
            "spaces. Make one with: openssl rand -hex 32"
        )
    return key


def key_schemes(api_key: str | None) -> list[SecurityParameter]:
    """Return the security schemes for the OpenAPI description of routes that need the key. `Gate` does the check."""
    if api_key is None:
        return []
    return [Security(APIKeyHeader(name="X-API-Key", auto_error=False)), Security(HTTPBearer(auto_error=False))]


def _check_site(headers: Headers) -> None:
    """Prevent cross-site request forgery (CSRF): refuse requests that a browser sends for a page of another site.

    Over plain HTTP to another machine, browsers only send Origin. Programs other than browsers send neither header.

    Source: CrossOriginProtection of Go's net/http, https://pkg.go.dev/net/http#CrossOriginProtection
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        authority = (origin or "").partition("://")[2]
        is_own = origin is None or (authority != "" and authority.lower() == headers.get("host", "").lower())
    if not is_own:
        raise ForbiddenError("pages of other sites are not allowed. A proxy must pass on the Host header unchanged")


def _check_key(headers: Headers, api_key: str) -> None:
    given = headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, token = value.partition(" ")
        given += [token.strip()] if scheme.lower() == "bearer" else []
    # The time a comparison takes must not reveal how much of a guess is right.
    if any(hmac.compare_digest(key.encode(), api_key.encode()) for key in given):
        return
    if any(given):
        raise WrongKeyError("wrong API key in the X-API-Key or Authorization header")
    raise WrongKeyError("an API key is required in the X-API-Key header")


def _name_in(authority: str) -> str:
    """Return the host name in a Host header, without the port, or "" if there is none."""
    match = _AUTHORITY.fullmatch(authority)
    return match[1].strip("[]").lower().rstrip(".") if match else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _read_key_file(path: Path) -> str:
    try:
        with files.open_text(path) as file:
            return file.read(_LONGEST_KEY + 3)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the API key from {str(path)!r}: {files.reason_of(error)}") from error
