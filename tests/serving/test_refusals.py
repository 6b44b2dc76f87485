"""Refusals: each error that a request can meet has a status, and each response the same form."""

import json

import pytest

from mien import errors
from mien.errors import BusyError, FetchError, ImageError, MienError, ServiceError, SlowRequestError, TooLargeError
from mien.serving.refusals import STATUS, refusal, status_of


def test_every_error_of_a_request_has_a_status() -> None:
    found = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)}
    assert found - {ServiceError} | {ImageError, FetchError} == set(STATUS)
    assert set(STATUS.values()) <= {400, 401, 403, 408, 413, 415, 422, 429, 503}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImageError("unreadable", "damaged"), 400),
        (ImageError("empty", "0 bytes"), 400),
        (ImageError("not_an_image", "text"), 415),
        (ImageError("too_many_pixels", "9 x 9"), 413),
        (TooLargeError("more than 3"), 413),
        (FetchError("gone", status_code=404), 400),
    ],
)
def test_the_body_is_one_sentence(error: MienError, status: int) -> None:
    response = refusal(error)
    assert response.status_code == status == status_of(error)
    assert json.loads(bytes(response.body)) == {"error": str(error)}


def test_who_is_to_come_back_is_told_when_and_who_is_slow_is_let_go() -> None:
    assert refusal(BusyError("busy", retry_after_s=7)).headers["retry-after"] == "7"
    assert refusal(SlowRequestError("slow")).headers["connection"] == "close"
    assert "retry-after" not in refusal(TooLargeError("large")).headers
