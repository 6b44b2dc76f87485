"""Refusals: every error that a request can meet -> its HTTP status and a JSON body, and never a traceback."""

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
# Problems of images that have a status of their own.
_STATUS_OF_PROBLEM = {"not_an_image": 415, "too_many_pixels": 413}
QUERY_TOLD = "the query may have explain, true or false, and threshold, 0 to 1, and nothing else"
# What the framework itself refuses.
_TOLD_OF_ADDRESS = {
    404: "there is nothing at this address; /docs describes the API",
    405: "this address takes another method; /docs describes the API",
}
# The policy of the server lets it have no styles.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>mien: {status}</title>
<h1>This does not work</h1>
<p>{told}.</p>
</html>
"""
# Nobody reads it: it stands in the log. https://nginx.org/en/docs/dev/development_guide.html#http_request
_CLIENT_GONE = 499


def status_of(error: MienError) -> int:
    """Return the HTTP status that an error comes to."""
    if isinstance(error, ImageError):
        return _STATUS_OF_PROBLEM.get(error.problem, STATUS[ImageError])
    return STATUS[type(error)]


def refusal(error: MienError, request: Request | None = None) -> Response:
    """Return the response to a request that met an error: JSON, or a page for a browser that asked for one.

    Args:
        error: What it met.
        request: What was asked; nothing of it is repeated.
    """
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, SlowRequestError):
        # The rest of the body may be on its way for hours.
        headers["Connection"] = "close"
    if isinstance(error, WrongKeyError):
        headers["WWW-Authenticate"] = "Bearer"
    return _told(error.detail, status_of(error), headers, request)


def _told(told: str, status: int, headers: Mapping[str, str] | None, request: Request | None) -> Response:
    if request is not None and request.method in ("GET", "HEAD") and _is_for_reading(request.headers.get("accept", "")):
        return HTMLResponse(_PAGE.format(status=status, told=html.escape(told[:1].upper() + told[1:])), status, headers)
    return JSONResponse({"error": told}, status, headers)


def _is_for_reading(accept: str) -> bool:
    """Tell whether a page comes first among what a client accepts, as it does where a browser opens an address."""
    return accept.lstrip().lower().startswith("text/html")


def refuse_errors(app: FastAPI) -> None:
    """Make an application answer every error in this form; mistakes of ours are left to `request_layers`."""

    async def refuse(request: Request, error: Any) -> Response:
        return refusal(error, request)

    async def refuse_query(request: Request, _error: Exception) -> Response:
        # What the framework would say repeats the request.
        return refusal(RequestError(QUERY_TOLD), request)

    async def refuse_address(request: Request, error: Any) -> Response:
        told = _TOLD_OF_ADDRESS.get(error.status_code, "the request cannot be read")
        return _told(told, error.status_code, error.headers, request)

    async def forget(_request: Request, _error: Exception) -> Response:
        return Response(status_code=_CLIENT_GONE)

    # What the parser says of a damaged body, whoever sent it is told; it would fill the log.
    logging.getLogger("python_multipart").addHandler(logging.NullHandler())
    for kind in STATUS:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, refuse_query)
    app.add_exception_handler(HTTPException, refuse_address)
    app.add_exception_handler(ClientDisconnect, forget)
