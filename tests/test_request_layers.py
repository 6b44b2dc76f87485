import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from mien.access_log import Exchange
from mien.gatekeeping import SECURITY_HEADERS, gate_for
from mien.request_layers import guarded, hardened, observed, shielded
from mien.serve_config import ServeConfig

KEY = "correct-horse-battery-staple"


def small_app() -> FastAPI:
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> PlainTextResponse:
        body = await request.body()
        request.state.num_pictures = body.count(b",") + 1
        return PlainTextResponse("answered")

    @app.get("/classes/{name}")
    async def describe(name: str) -> PlainTextResponse:
        return PlainTextResponse(name, headers={"Cache-Control": "max-age=60", "X-Own": "1"})

    @app.get("/mistake")
    async def fail() -> None:
        raise RuntimeError("a secret\x1b[2J")

    @app.get("/gone")
    async def leave() -> None:
        raise ClientDisconnect

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
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._app), base_url="http://localhost"
            ) as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

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
    assert (noted.bytes_in, noted.bytes_out, noted.num_pictures) == (7, 8, 2)
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


def test_a_mistake_after_the_answer_has_begun_ends_the_connection(visit: Visit) -> None:
    with pytest.raises(RuntimeError, match="a secret"):
        visit.ask("GET", "/half")
    assert (visit.last().status, visit.last().bytes_out) == (200, 4)


def test_a_client_that_left_is_no_mistake(visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AssertionError):
        visit.ask("GET", "/gone")
    assert (visit.last().route, visit.last().status, caplog.records) == ("/gone", None, [])


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
