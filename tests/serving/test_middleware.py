import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from conftest import draw_image, encoded
from http_asking import app_of
from mien.config import ServeConfig
from mien.errors import SettingsError
from mien.model.classifier import load
from mien.runs.run import Run
from mien.serving.access_log import Exchange
from mien.serving.app import create_app
from mien.serving.gate import SECURITY_HEADERS, gate_for
from mien.serving.middleware import guarded, hardened, observed, shielded

KEY = "correct-horse-battery-staple"

IMAGE = encoded(draw_image(7), "JPEG")


def small_app() -> FastAPI:
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> PlainTextResponse:
        body = await request.body()
        request.state.num_images = body.count(b",") + 1
        return PlainTextResponse("answered")

    @app.get("/classes/{name}")
    async def describe(name: str) -> PlainTextResponse:
        return PlainTextResponse(name, headers={"Cache-Control": "max-age=60", "X-Own": "1"})

    @app.get("/mistake")
    async def fail() -> None:
        raise RuntimeError("a secret\x1b[2J")

    @app.get("/cut-off")
    async def cut_off() -> None:
        raise asyncio.CancelledError

    @app.get("/half")
    async def fail_half_way() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("a secret")

        return StreamingResponse(parts())

    async def page(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    app.router.routes.append(Route("/page.css", page))
    return app


def ask(app: ASGIApp, method: str, path: str, **options: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, path, **options)

    return asyncio.run(ask())


class Visit:
    """What a client gets, and what is noted."""

    def __init__(self, api_key: str | None = None) -> None:
        self.noted: list[Exchange] = []
        app = small_app()
        # As in the server: inside of the framework's own outermost layer.
        app.add_middleware(guarded, gate=gate_for(ServeConfig(), api_key))
        app.add_middleware(shielded)
        app.add_middleware(hardened)
        app.add_middleware(observed, note=self.noted.append)
        self._app = app

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return ask(self._app, method, path, **options)

    def last(self) -> Exchange:
        return self.noted[-1]


@pytest.fixture
def visit() -> Visit:
    return Visit()


def assert_hardened(response: httpx.Response) -> None:
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.get_list(name) == [value]


def test_what_a_request_took_is_noted(visit: Visit) -> None:
    assert visit.ask("POST", "/predict?name=secret", content=b"one,two").text == "answered"
    noted = visit.last()
    assert (noted.client, noted.method, noted.route, noted.status) == ("127.0.0.1", "POST", "/predict", 200)
    assert (noted.bytes_in, noted.bytes_out, noted.num_images) == (7, 8, 2)
    assert 0 < noted.duration_s < 5


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/classes/happy", "/classes/{name}", 200),
        ("GET", "/predict", "/predict", 405),
        ("GET", "/page.css", "/page.css", 200),
        ("GET", "/openapi.json", "/openapi.json", 200),
        ("GET", "/wp-login.php", None, 404),
        ("GET", "/mistake", "/mistake", 500),
    ],
)
def test_the_route_is_noted_and_not_the_path(
    visit: Visit, method: str, path: str, route: str | None, status: int
) -> None:
    assert visit.ask(method, path).status_code == status
    assert (visit.last().route, visit.last().status) == (route, status)


@pytest.mark.parametrize("path", ["/classes/happy", "/predict", "/page.css", "/wp-login.php", "/mistake"])
def test_every_response_is_hardened_but_keeps_what_it_has_of_its_own(visit: Visit, path: str) -> None:
    response = visit.ask("GET", path)
    if path == "/classes/happy":
        assert (response.headers["X-Own"], response.headers.get_list("Cache-Control")) == ("1", ["max-age=60"])
        response.headers["Cache-Control"] = "no-store"
    assert_hardened(response)


def test_a_mistake_of_ours_is_told_without_its_traceback_and_logged_with_it(
    visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    response = visit.ask("GET", "/mistake")
    assert (response.status_code, response.json()) == (500, {"error": "internal error"})
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Traceback" in record.getMessage() and "in fail\n" in record.getMessage()
    assert r"a secret\x1b[2J" in record.getMessage()


def test_a_mistake_after_the_answer_has_begun_ends_the_connection(
    visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match="a secret"):
        visit.ask("GET", "/half")
    assert (visit.last().status, visit.last().bytes_out) == (200, 4)
    (record,) = caplog.records
    assert "a secret" in record.getMessage()


def test_an_answer_that_the_connection_does_not_take_is_no_mistake(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_message: Message) -> None:
        raise OSError("the client sent nonsense meanwhile")

    async def receive() -> Message:
        return {"type": "http.request"}

    async def visit() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await shielded(PlainTextResponse("page"))(scope, receive, broken)

    with pytest.raises(OSError, match="nonsense"):
        asyncio.run(visit())
    assert caplog.records == []


def test_who_is_cut_off_is_told_that_the_server_stops(visit: Visit) -> None:
    response = visit.ask("GET", "/cut-off")
    assert (response.status_code, response.json()) == (503, {"error": "the server is stopping"})
    assert_hardened(response)
    assert visit.last().status == 503


def test_who_may_not_come_in_is_refused_before_the_body_is_read(visit: Visit) -> None:
    response = visit.ask("POST", "/predict", content=b"x" * 1000, headers={"Host": "evil.example"})
    assert (response.status_code, list(response.json())) == (403, ["error"])
    assert_hardened(response)
    assert (visit.last().status, visit.last().bytes_in, visit.last().route) == (403, 0, None)


def test_a_request_without_its_key_is_told_what_to_bring() -> None:
    visit = Visit(KEY)
    response = visit.ask("POST", "/predict", content=b"one")
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert_hardened(response)
    assert visit.ask("POST", "/predict", content=b"one", headers={"X-API-Key": KEY}).status_code == 200
    assert visit.ask("GET", "/page.css").status_code == 200


def test_the_start_and_the_end_of_the_server_pass_through_all_layers() -> None:
    passed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append((scope["type"], await receive()))
        await send({"type": "lifespan.startup.complete"})
        raise OSError("no room")

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        passed.append(message)

    async def pass_through(scope: Any, receive: Any, send: Any) -> None:
        await observed(hardened(shielded(guarded(app, gate_for(ServeConfig())))), note=passed.append)(
            scope, receive, send
        )

    with pytest.raises(OSError, match="no room"):
        asyncio.run(pass_through({"type": "lifespan"}, receive, send))
    assert passed == [("lifespan", {"type": "lifespan.startup"}), {"type": "lifespan.startup.complete"}]


@pytest.fixture(scope="module")
def served(run: Run) -> ASGIApp:
    return create_app(load(run.path))


def test_what_the_server_answers_is_counted_and_hardened(served: ASGIApp) -> None:
    files = [("image", ("a.jpg", IMAGE)), ("image", ("b.jpg", IMAGE)), ("text", ("c.jpg", b"no image"))]
    response = ask(served, "POST", "/predict", files=files)
    assert response.status_code == 200
    assert_hardened(response)
    response = ask(served, "GET", "/metrics")
    assert_hardened(response)
    lines = response.text.splitlines()
    assert 'mien_requests_total{route="/predict",status="200"} 1.0' in lines
    assert 'mien_images_total{class="",outcome="error"} 1.0' in lines
    assert "mien_images_waiting 0.0" in lines and "mien_threads_busy 0.0" in lines
    worked = [line for line in lines if line.startswith("mien_work_seconds_total") and not line.endswith(" 0.0")]
    assert len(worked) == 2


def test_the_server_lets_in_whom_its_settings_say(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    app = create_app(load(run.path), ServeConfig(api_key_file=tmp_path / "key", allow_host=("photos.example.org",)))
    for headers, status in (
        ({"X-API-Key": KEY}, 200),
        ({"Authorization": f"Bearer {KEY}", "Host": "photos.example.org"}, 200),
        ({}, 401),
        ({"X-API-Key": KEY, "Host": "evil.example"}, 403),
        ({"X-API-Key": KEY, "Origin": "http://evil.example"}, 403),
    ):
        response = ask(app, "POST", "/predict", files={"image": IMAGE}, headers=headers)
        assert (response.status_code, headers) == (status, headers)
        assert_hardened(response)


def test_the_description_of_the_api_asks_for_the_key_where_there_is_one(
    run: Run, served: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "security" not in ask(served, "GET", "/openapi.json").text
    monkeypatch.setenv("MIEN_API_KEY", KEY)
    described = ask(create_app(load(run.path)), "GET", "/openapi.json").json()
    assert described["paths"]["/predict"]["post"]["security"] == [{"APIKeyHeader": []}, {"HTTPBearer": []}]
    schemes = described["components"]["securitySchemes"]
    assert schemes["APIKeyHeader"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert schemes["HTTPBearer"] == {"type": "http", "scheme": "bearer"}


def test_a_server_with_a_key_that_is_none_does_not_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_API_KEY", "")
    with pytest.raises(SettingsError, match="the variable MIEN_API_KEY"):
        create_app(load(run.path))


def test_the_server_logs_requests_on_standard_output_unless_told_not_to(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    async def visit(app: FastAPI) -> None:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
        ):
            await client.post("/predict", files={"image": ("secret-name.jpg", IMAGE)})
            await client.get("/nowhere/secret-path")

    asyncio.run(visit(create_app(load(run.path), ServeConfig(access_log=False))))
    assert capfd.readouterr().out == ""
    asyncio.run(visit(create_app(load(run.path))))
    predicted, missing = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (predicted["route"], predicted["status"], predicted["num_images"]) == ("/predict", 200, 1)
    assert (missing["route"], missing["status"], missing["num_images"]) == (None, 404, 0)
    assert "secret" not in str((predicted, missing))


@pytest.mark.parametrize("path", ["/model", "/healthz", "/readyz", "/metrics", "/docs", "/", "/openapi.json"])
def test_what_can_be_got_can_be_asked_for_its_head(path: str) -> None:
    app = app_of()
    assert ask(app, "HEAD", path).status_code == 200
    assert ask(app, "HEAD", "/predict").headers["allow"] == "POST"


def test_an_application_that_is_mounted_counts_each_address_by_its_own_name() -> None:
    outer = FastAPI()
    outer.mount("/mood", app_of())
    for path in ("/mood/", "/mood/page/serve.css", "/mood/healthz", "/mood/nothing"):
        ask(outer, "GET", path)
    counts = ask(outer, "GET", "/mood/metrics").text
    assert set(re.findall(r'mien_requests_total{route="([^"]+)"', counts)) == {
        "/",
        "/page/serve.css",
        "/healthz",
        "none",
    }


def test_an_application_that_is_mounted_asks_for_the_key_as_well(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    outer = FastAPI()
    outer.mount("/mood", app_of(api_key_file=tmp_path / "key"))
    assert ask(outer, "POST", "/mood/predict", content=IMAGE).status_code == 401
    assert ask(outer, "POST", "/mood/predict", content=IMAGE, headers={"X-API-Key": KEY}).status_code == 200


@pytest.mark.parametrize("path", ["/metrics%0a", "/predict%0a", "/%00", "/healthz%7f"])
def test_an_address_with_control_characters_is_refused(path: str) -> None:
    assert ask(app_of(), "GET", path).status_code == 422


def test_answers_are_the_last_of_their_connections_when_the_server_stops() -> None:
    app = app_of()
    assert "connection" not in ask(app, "GET", "/healthz").headers
    app.state.queue.stop()
    assert ask(app, "GET", "/healthz").headers["connection"] == "close"
