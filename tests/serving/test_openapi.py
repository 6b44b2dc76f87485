"""The description of the API: whatever is asked by it, or against it, gets an answer that it describes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from http_asking import FORM, JPEG, app_of, ask, sent_slowly
from mien.errors import FetchError
from mien.fetching.http import Lookups
from mien.serving import urls
from mien.serving.openapi import PredictionDocument, RefusalDocument, UrlsDocument

pytestmark = pytest.mark.medium

PATHS = [
    ("POST", "/predict"),
    ("POST", "/predict/url"),
    ("GET", "/model"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """An application for which every URL leads to the same image."""

    async def receive(url: str, lookups: Lookups, *, take: Callable[[bytes], object]) -> None:
        take(JPEG)

    monkeypatch.setattr(urls, "receive", receive)
    return app_of(allow_urls=True, allow_host=("testserver",))


def description_of(app: FastAPI) -> Any:
    return ask(app, "GET", "/openapi.json").json()


@pytest.mark.parametrize("num_examples", [10, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), PATHS[:2])
def test_any_request_gets_an_answer_that_is_described(
    app: FastAPI, method: str, path: str, mode: GenerationMode, num_examples: int
) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]
    statuses = set()

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=num_examples,
        # Of a few, all may be refused by chance: they are the same each time.
        derandomize=num_examples == 10,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask_something(case: "schemathesis.Case[Any]") -> None:
        answered = case.call()
        statuses.add(answered.status_code)
        # Most bytes are no image, which no description can say.
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


def test_every_address_stands_under_a_heading_and_every_refusal_has_an_example_of_its_own(app: FastAPI) -> None:
    operations = [operation for methods in description_of(app)["paths"].values() for operation in methods.values()]
    assert all(operation["tags"] for operation in operations)
    assert len({operation["summary"] for operation in operations}) == len(PATHS)
    examples = {
        status: response["content"]["application/json"]["example"]
        for operation in operations
        for status, response in operation["responses"].items()
        if status != "200"
    }
    assert len({RefusalDocument(**example).error for example in examples.values()}) == len(examples) > 5


def test_the_documentation_names_every_address() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text("utf-8")
    assert [path for method, path in PATHS if f"| `{method} {path}` |" not in page] == []


JSON = {"Content-Type": "application/json"}
URLS = b'{"urls": ["https://example.org/a.jpg"]}'
KEY_PATH, FULL = Path("key"), dict[str, Any]()
IMAGE = {"Content-Type": "image/jpeg"}
ELSEWHERE = {"Host": "elsewhere.example"}
# For each documented status settings and a request that reach it.
REACHED: dict[tuple[str, int], tuple[dict[str, Any], dict[str, Any]]] = {
    ("/predict", 200): ({}, {"content": JPEG, "headers": IMAGE}),
    ("/predict", 400): ({}, {"content": JPEG[:-200], "headers": IMAGE}),
    ("/predict", 401): ({"api_key_file": KEY_PATH}, {"content": JPEG, "headers": IMAGE}),
    ("/predict", 403): ({"explain": False}, {"content": JPEG, "headers": IMAGE, "params": {"explain": True}}),
    ("/predict", 408): ({"upload_timeout_s": 0.05}, {"content": [b"-"] * 10, "headers": FORM}),
    ("/predict", 413): ({"max_file_mb": 0.001}, {"content": JPEG, "headers": IMAGE}),
    ("/predict", 415): ({}, {"content": JPEG, "headers": {"Content-Type": "text/plain"}}),
    ("/predict", 422): ({}, {"content": b"no form", "headers": FORM}),
    ("/predict", 429): (FULL, {"content": JPEG, "headers": IMAGE}),
    ("/predict", 503): ({"answer_timeout_s": 1e-6}, {"content": JPEG, "headers": IMAGE}),
    ("/predict/url", 200): ({}, {"content": URLS, "headers": JSON}),
    ("/predict/url", 400): ({}, {"content": b'{"urls": ["x://"]}', "headers": JSON}),
    ("/predict/url", 401): ({"api_key_file": KEY_PATH}, {"content": URLS, "headers": JSON}),
    ("/predict/url", 403): ({"allow_urls": False}, {"content": URLS, "headers": JSON}),
    ("/predict/url", 408): ({"upload_timeout_s": 0.05}, {"content": [b"-"] * 10, "headers": JSON}),
    ("/predict/url", 413): ({"max_files": 1}, {"content": b'{"urls": ["x", "x"]}', "headers": JSON}),
    ("/predict/url", 415): ({}, {"content": URLS, "headers": IMAGE}),
    ("/predict/url", 422): ({}, {"content": b"{}", "headers": JSON}),
    ("/predict/url", 429): (FULL, {"content": URLS, "headers": JSON}),
    ("/predict/url", 503): ({"answer_timeout_s": 1e-6}, {"content": URLS, "headers": JSON}),
    ("/readyz", 503): (FULL, {}),
    **{(path, 200): ({}, {}) for _, path in PATHS[2:]},
    **{(path, 403): ({}, {"headers": ELSEWHERE}) for _, path in PATHS[2:]},
}


@pytest.mark.parametrize(("path", "status"), REACHED)
def test_every_documented_status_is_reached(
    path: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def receive(url: str, lookups: Lookups, *, take: Callable[[bytes], object]) -> None:
        if url == "x://":
            raise FetchError("its scheme is 'x'")
        take(JPEG)

    monkeypatch.setattr(urls, "receive", receive)
    monkeypatch.chdir(tmp_path)
    KEY_PATH.write_text("0123456789abcdef" * 2)
    config, request = REACHED[path, status]
    app = app_of(**{"allow_urls": True, **config})
    app.state.queue.lines[False].num_waiting = 10**6 if config is FULL else 0
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
    assert documented == set(REACHED)
