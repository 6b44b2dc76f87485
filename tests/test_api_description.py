"""The description of the API: whatever is asked by it, or against it, gets an answer that it describes."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from http_asking import FORM, JPEG, app_of, ask, sent_slowly
from mien import url_fetcher
from mien.api_description import PredictionDocument, RefusalDocument, UrlsDocument
from mien.errors import FetchError

PATHS = [("POST", "/predict"), ("POST", "/predict/url"), ("GET", "/model"), ("GET", "/healthz"), ("GET", "/readyz")]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """An application for which every URL leads to the same picture."""
    monkeypatch.setattr(url_fetcher, "fetch", lambda url, limits: JPEG)
    return app_of(allow_urls=True)


def description_of(app: FastAPI) -> Any:
    return ask(app, "GET", "/openapi.json").json()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), PATHS[:2])
def test_any_request_gets_an_answer_that_is_described(
    app: FastAPI, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]
    statuses = set()

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask_something(case: "schemathesis.Case[Any]") -> None:
        answered = case.call()
        statuses.add(answered.status_code)
        # Most bytes are no picture, which no description can say.
        case.validate_response(answered, excluded_checks=[positive_data_acceptance])

    ask_something()
    assert (200 if mode is GenerationMode.POSITIVE else 422) in statuses


@pytest.mark.parametrize(("method", "path"), PATHS[2:])
def test_what_is_told_is_as_described(app: FastAPI, method: str, path: str) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]
    operation.Case().call_and_validate()


@pytest.mark.parametrize("document", [PredictionDocument, UrlsDocument, RefusalDocument])
def test_the_examples_are_of_the_form_described(document: type[BaseModel]) -> None:
    fields = document.model_json_schema()["properties"].items()
    document.model_validate({name: field["examples"][0] for name, field in fields if "examples" in field})


def test_every_address_says_what_it_is_for(app: FastAPI) -> None:
    described = description_of(app)["paths"]
    assert [(method.upper(), path) for path, methods in described.items() for method in methods] == PATHS
    assert all(operation["description"] for methods in described.values() for operation in methods.values())


JSON = {"Content-Type": "application/json"}
URLS = b'{"urls": ["https://example.org/a.jpg"]}'
PICTURE = {"Content-Type": "image/jpeg"}
# For each documented status: settings, what was done to the queue, and a request.
REACHED: dict[tuple[str, int], tuple[dict[str, Any], str, dict[str, Any]]] = {
    ("/predict", 200): ({}, "", {"content": JPEG, "headers": PICTURE}),
    ("/predict", 400): ({}, "", {"content": JPEG[:-200], "headers": PICTURE}),
    ("/predict", 403): ({"explain": False}, "", {"content": JPEG, "headers": PICTURE, "params": {"explain": True}}),
    ("/predict", 408): ({"upload_timeout_s": 0.05}, "", {"content": [b"-"] * 10, "headers": FORM}),
    ("/predict", 413): ({"max_file_mb": 0.001}, "", {"content": JPEG, "headers": PICTURE}),
    ("/predict", 415): ({}, "", {"content": JPEG, "headers": {"Content-Type": "text/plain"}}),
    ("/predict", 422): ({}, "", {"content": b"no form", "headers": FORM}),
    ("/predict", 429): ({}, "full", {"content": JPEG, "headers": PICTURE}),
    ("/predict", 503): ({}, "stopping", {"content": JPEG, "headers": PICTURE}),
    ("/predict/url", 200): ({"allow_urls": True}, "", {"content": URLS, "headers": JSON}),
    ("/predict/url", 400): ({"allow_urls": True}, "", {"content": b'{"urls": ["x://"]}', "headers": JSON}),
    ("/predict/url", 403): ({}, "", {"content": URLS, "headers": JSON}),
    ("/predict/url", 408): (
        {"allow_urls": True, "upload_timeout_s": 0.05},
        "",
        {"content": [b"-"] * 10, "headers": JSON},
    ),
    ("/predict/url", 413): (
        {"allow_urls": True, "max_files": 1},
        "",
        {"content": b'{"urls": ["x", "x"]}', "headers": JSON},
    ),
    ("/predict/url", 415): ({"allow_urls": True}, "", {"content": URLS, "headers": PICTURE}),
    ("/predict/url", 422): ({"allow_urls": True}, "", {"content": b"{}", "headers": JSON}),
    ("/predict/url", 429): ({"allow_urls": True}, "full", {"content": URLS, "headers": JSON}),
    ("/predict/url", 503): ({"allow_urls": True}, "stopping", {"content": URLS, "headers": JSON}),
    ("/model", 200): ({}, "", {}),
    ("/healthz", 200): ({}, "", {}),
    ("/readyz", 200): ({}, "", {}),
    ("/readyz", 503): ({}, "full", {}),
}


@pytest.mark.parametrize(("path", "status"), REACHED)
def test_every_documented_status_is_reached(path: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config, queue, request = REACHED[path, status]

    def fetch(url: str, limits: object) -> bytes:
        if url == "x://":
            raise FetchError("its scheme is 'x'")
        return JPEG

    monkeypatch.setattr(url_fetcher, "fetch", fetch)
    app = app_of(**config)
    app.state.queue.num_waiting = 10**6 if queue == "full" else 0
    app.state.queue.is_stopping = queue == "stopping"
    if isinstance(request.get("content"), list):
        request = {**request, "content": sent_slowly(*request["content"])}
    answered = ask(app, {path: method for method, path in PATHS}[path], path, **request)
    assert answered.status_code == status
    if status != 200:
        assert set(answered.json()) == {"error"} and "Traceback" not in answered.text
    assert ("retry-after" in answered.headers) == (status == 429)


def test_no_documented_status_is_left_out(app: FastAPI) -> None:
    documented = {
        (path, int(status))
        for path, methods in description_of(app)["paths"].items()
        for operation in methods.values()
        for status in operation["responses"]
    }
    # Of those who ask for a key, and of whom: see test_gatekeeping.
    assert {
        (path, status) for path, status in documented if status != 401 and (path, status) != ("/model", 403)
    } == set(REACHED)
