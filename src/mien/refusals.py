"""Refusals: every error that a request can meet -> its HTTP status and a JSON body, and never a traceback."""

from starlette.responses import JSONResponse

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


def status_of(error: MienError) -> int:
    """Return the HTTP status that an error comes to."""
    if isinstance(error, ImageError):
        return _STATUS_OF_PROBLEM.get(error.problem, STATUS[ImageError])
    return STATUS[type(error)]


def refusal(error: MienError) -> JSONResponse:
    """Return the response to a request that met an error."""
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, BusyError) else {}
    return JSONResponse({"error": str(error)}, status_of(error), headers)
