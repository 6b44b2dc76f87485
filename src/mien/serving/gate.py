"""Gatekeeping: who may ask the server, and what a browser may do with what it answers."""

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
# The page brings its own scripts and styles; the images on it never left the browser, or came as part of an answer.
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
# What asks for nothing to be done: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_NEEDS_KEY = "/predict"
_LEAST_KEY, _LONGEST_KEY = 16, 4096
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/@\s]+)(?::[0-9]{0,5})?", re.IGNORECASE)


@dataclass(frozen=True)
class Gate:
    """Who may come in.

    Attributes:
        host_names: By what the server may be called, besides IP addresses.
        api_key: What requests for answers must bring; None where everybody may ask.
    """

    host_names: frozenset[str]
    api_key: str | None = None

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Refuse a request that must not come in; its body need not be read for that.

        Args:
            method: Such as "POST".
            path: Without the query.
            headers: As they were sent.

        Raises:
            RequestError: There are control characters in the path: a proxy may have taken it for another.
            ForbiddenError: A browser sent it for a page of another site, or calls the server by a name not its own.
            WrongKeyError: It needs the API key, and does not bring it.
        """
        if not path.isprintable():
            raise RequestError("the address has control characters in it")
        self._check_host(headers.getlist("host"))
        if method not in _SAFE_METHODS:
            _check_site(headers)
        if self.api_key is not None and path.startswith(_NEEDS_KEY):
            _check_key(headers, self.api_key)

    def _check_host(self, hosts: Sequence[str]) -> None:
        """Prevent DNS rebinding: a page of a name that somebody points at this server could read its answers.

        An address cannot be pointed elsewhere, and every browser says whom it calls.
        """
        if len(hosts) > 1:
            raise ForbiddenError("a request names one host")
        name = _name_in(hosts[0]) if hosts else "localhost"
        if name not in self.host_names and not _is_address(name):
            raise ForbiddenError(
                "this server is not known by that name: use its IP address, or localhost on its own machine; or start "
                "it with --allow-host NAME"
            )


def gate_for(config: ServeConfig, api_key: str | None = None) -> Gate:
    """Return the gate that settings describe; localhost, and the name that the server listens on, always may."""
    names = {"localhost", config.host, *config.allow_host}
    # What cannot be read as a name comes to an empty one, which must never be right.
    return Gate(frozenset(name.lower().rstrip(".") for name in names) - {""}, api_key)


def read_api_key(config: ServeConfig, environment: Mapping[str, str]) -> str | None:
    """Return the key that requests must bring; None where there is to be none.

    Args:
        config: Names the file, if there is one.
        environment: Holds MIEN_API_KEY where no file is named.

    Raises:
        SettingsError: The file cannot be read, or the key is empty, short, or cannot stand in a header.
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
            f"{where} holds no API key: expected {_LEAST_KEY} to {_LONGEST_KEY} letters, digits and signs without "
            "spaces. Make one by: openssl rand -hex 32"
        )
    return key


def key_schemes(api_key: str | None) -> list[SecurityParameter]:
    """Return how a route that needs the key says so in the API's description; it is `Gate` that checks it."""
    if api_key is None:
        return []
    return [Security(APIKeyHeader(name="X-API-Key", auto_error=False)), Security(HTTPBearer(auto_error=False))]


def _check_site(headers: Headers) -> None:
    """Prevent cross-site request forgery (CSRF): refuse what a browser sends for a page of another site.

    Over plain HTTP to another machine browsers send Origin alone; programs that are no browsers send neither.

    Source: CrossOriginProtection of Go's net/http, https://pkg.go.dev/net/http#CrossOriginProtection
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        authority = (origin or "").partition("://")[2]
        is_own = origin is None or (authority != "" and authority.lower() == headers.get("host", "").lower())
    if not is_own:
        raise ForbiddenError("pages of other sites may not ask; a proxy must pass the header Host on as it came")


def _check_key(headers: Headers, api_key: str) -> None:
    given = headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, token = value.partition(" ")
        given += [token.strip()] if scheme.lower() == "bearer" else []
    # How long a comparison takes must not tell how much of a guess is right.
    if any(hmac.compare_digest(key.encode(), api_key.encode()) for key in given):
        return
    if any(given):
        raise WrongKeyError("the API key in the header X-API-Key, or Authorization, is not that of this server")
    raise WrongKeyError("this needs the API key, in the header X-API-Key")


def _name_in(authority: str) -> str:
    """Return the host in the header of that name, without its port; an empty text where there is none."""
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
        raise SettingsError(f"cannot read the API key in {str(path)!r}: {files.reason_of(error)}") from error
