"""Refusals: turn every error into an HTTP status and a JSON body, never a traceback."""

import html
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response

from mien.errors import (
    BusyError,
    FetchError,
    ForbiddenError,
    ImageError,
    MienError,
    NotReadyError,
    RequestError,
    SlowRequestError,
    TooLargeError,
    WrongKeyError,
    WrongMediaTypeError,
)

STATUS: dict[type[MienError], int] = {
    ImageError: 400,
    FetchError: 400,
    WrongKeyError: 401,
    ForbiddenError: 403,
    SlowRequestError: 408,
    TooLargeError: 413,
    WrongMediaTypeError: 415,
    RequestError: 422,
    BusyError: 429,
    NotReadyError: 503,
}
# Image problems with a status of their own.
_STATUS_OF_PROBLEM = {"not_an_image": 415, "too_many_pixels": 413}
QUERY_TOLD = "the query may only contain explain (true or false) and threshold (0 to 1)"
# Errors that come from the framework.
_TOLD_OF_ADDRESS = {
    404: "there is nothing at this address. See /docs for the API",
    405: "this address does not support that method. See /docs for the API",
}
# Without styles, because the server's policy forbids inline ones.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>mien: {status}</title>
<h1>Error {status}</h1>
<p>{told}.</p>
</html>
"""
# Only the log shows it. https://nginx.org/en/docs/dev/development_guide.html#http_request
_CLIENT_GONE = 499


def status_of(error: MienError) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, ImageError):
        return _STATUS_OF_PROBLEM.get(error.problem, STATUS[ImageError])
    return STATUS[type(error)]


def refusal(error: MienError, request: Request | None = None) -> Response:
    """Return the response for an error: JSON, or a page if a browser asked for one.

    Args:
        error: What went wrong.
        request: The request. The response repeats nothing from it.
    """
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, SlowRequestError):
        # Otherwise the rest of the body could keep arriving for hours.
        headers["Connection"] = "close"
    if isinstance(error, WrongKeyError):
        headers["WWW-Authenticate"] = "Bearer"
    return _told(error.detail, status_of(error), headers, request)


def _told(told: str, status: int, headers: Mapping[str, str] | None, request: Request | None) -> Response:
    if request is not None and request.method in ("GET", "HEAD") and _is_for_reading(request.headers.get("accept", "")):
        return HTMLResponse(_PAGE.format(status=status, told=html.escape(told[:1].upper() + told[1:])), status, headers)
    return JSONResponse({"error": told}, status, headers)


def _is_for_reading(accept: str) -> bool:
    """Return whether a client prefers HTML, as a browser does when it opens an address."""
    return accept.lstrip().lower().startswith("text/html")


def refuse_errors(app: FastAPI) -> None:
    """Make an application answer every known error in this form. Unexpected ones are left to `shielded`."""

    async def refuse(request: Request, error: Any) -> Response:
        return refusal(error, request)

    async def refuse_query(request: Request, _error: Exception) -> Response:
        # The framework's own message would repeat the request.
        return refusal(RequestError(QUERY_TOLD), request)

    async def refuse_address(request: Request, error: Any) -> Response:
        told = _TOLD_OF_ADDRESS.get(error.status_code, "the request could not be read")
        return _told(told, error.status_code, error.headers, request)

    async def forget(_request: Request, _error: Exception) -> Response:
        return Response(status_code=_CLIENT_GONE)

    # The parser logs every malformed body. The client is told, and the log would fill up.
    logging.getLogger("python_multipart").addHandler(logging.NullHandler())
    for kind in STATUS:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, refuse_query)
    app.add_exception_handler(HTTPException, refuse_address)
    app.add_exception_handler(ClientDisconnect, forget)
