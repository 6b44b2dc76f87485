"""Refusals: every error that a request can meet -> its HTTP status and a JSON body, and never a traceback."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

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
# Problems of pictures that have a status of their own.
_STATUS_OF_PROBLEM = {"not_an_image": 415, "too_many_pixels": 413}
QUERY_TOLD = "the query may have explain, true or false, and threshold, 0 to 1, and nothing else"
# What the framework itself refuses.
_TOLD = {404: "there is nothing at this address; /docs describes the API", 405: "this address takes another method"}
# Nobody reads it: it stands in the log. https://nginx.org/en/docs/dev/development_guide.html#http_request
_CLIENT_GONE = 499


def status_of(error: MienError) -> int:
    """Return the HTTP status that an error comes to."""
    if isinstance(error, ImageError):
        return _STATUS_OF_PROBLEM.get(error.problem, STATUS[ImageError])
    return STATUS[type(error)]


def refusal(error: MienError) -> JSONResponse:
    """Return the response to a request that met an error."""
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, SlowRequestError):
        # The rest of the body may be on its way for hours.
        headers["Connection"] = "close"
    if isinstance(error, WrongKeyError):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": str(error)}, status_of(error), headers)


def refuse_errors(app: FastAPI) -> None:
    """Make an application answer every error in this form; mistakes of ours are left to `request_layers`."""

    async def refuse(_request: Request, error: Any) -> Response:
        return refusal(error)

    async def refuse_query(_request: Request, _error: Exception) -> Response:
        # What the framework would say repeats the request.
        return refusal(RequestError(QUERY_TOLD))

    async def refuse_address(_request: Request, error: Any) -> Response:
        told = _TOLD.get(error.status_code, "the request cannot be read")
        return JSONResponse({"error": told}, error.status_code, error.headers)

    async def forget(_request: Request, _error: Exception) -> Response:
        return Response(status_code=_CLIENT_GONE)

    # What the parser says of a damaged body, whoever sent it is told; it would fill the log.
    logging.getLogger("python_multipart").addHandler(logging.NullHandler())
    for kind in STATUS:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, refuse_query)
    app.add_exception_handler(HTTPException, refuse_address)
    app.add_exception_handler(ClientDisconnect, forget)
