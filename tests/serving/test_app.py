"""The server: the answers of `mien predict` over HTTP, one form for every refusal, and a description that is true."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

import mien
from conftest import Mien, draw_image, encoded
from http_asking import BOUNDARY, FORM, JPEG, PNG, app_of, ask, ask_in_loop, form, part, post, sent_slowly
from mien.config import ServeConfig
from mien.errors import SettingsError
from mien.fetching.http import Lookups, receive
from mien.serving import answers, urls
from mien.serving.app import create_app
from onnx_models import COLOUR_FACTS as FACTS
from onnx_models import colour_classifier
from servers import gallery

if TYPE_CHECKING:
    from mien.runs.run import Run

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let URLs lead to this machine, where the servers of the tests are."""
    monkeypatch.setattr(
        urls,
        "receive",
        lambda url, lookups, take: receive(url, Lookups(replace(lookups.limits, allow_private=True)), take=take),
    )


def ask_urls(app: FastAPI, *urls: str, explain: bool = False) -> httpx.Response:
    return ask(app, "POST", f"/predict/url?explain={explain}", json={"urls": urls})


def test_answers_are_those_of_the_command_line(run: "Run", data: Path, command: Mien, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    paths = [*sorted(data.rglob("*.jpg")), tmp_path / "notes.txt"]
    _, out, _ = command("predict", run.path, *paths, "--json")
    expected = [json.loads(line) for line in out.splitlines()]
    app = create_app(mien.load(run.path))
    answered = post(app, *((str(path), path.read_bytes()) for path in paths))
    assert answered.status_code == 200
    assert answered.json() == {"predictions": expected}
    alone = ask(app, "POST", "/predict", content=paths[0].read_bytes(), headers={"Content-Type": "image/jpeg"})
    assert alone.json() == {"predictions": [{**expected[0], "source": "-"}]}


def test_a_heat_map_comes_where_it_is_asked_for() -> None:
    answered = ask(app_of(), "POST", "/predict?explain=true", files=[("a", ("a", JPEG)), ("b", ("b", b"text"))])
    first, second = answered.json()["predictions"]
    assert first["heat_map"]["label"] == first["label"] and first["heat_map"]["method"] == "class activation"
    assert first["heat_map"]["image"].startswith("data:image/png;base64,")
    assert second["heat_map"] is None and second["error"]


def test_a_bad_image_among_several_stops_no_other_and_alone_is_refused() -> None:
    for content, status in ((b"text", 415), (b"", 400), (JPEG[:-200], 400)):
        among = post(app_of(), ("good.jpg", JPEG), ("bad.jpg", content))
        assert among.status_code == 200
        good, bad = among.json()["predictions"]
        assert good["error"] is None and bad["label"] is None
        alone = post(app_of(), ("bad.jpg", content))
        assert (alone.status_code, alone.json()) == (status, {"error": bad["error"]})
    large = post(app_of(max_pixels=100), ("large.jpg", JPEG))
    assert (large.status_code, large.json()) == (
        413,
        {"error": "96 x 96 pixels exceed the limit of 100"},
    )


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "<b>x</b>.jpg", "é\u202e.jpg", "=1+1", "x" * 3000, "a\x00b", "a%22b"]
)
def test_names_come_back_as_they_were_sent(name: str) -> None:
    body = form(part(JPEG, name), part(PNG, "b"))
    answered = ask(app_of(), "POST", "/predict", content=body, headers=FORM)
    assert answered.json()["predictions"][0]["source"] == name


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "image/jpeg"])
def test_an_image_that_curl_spoilt_is_refused_with_how_to_send_it(format_: str, kind: str) -> None:
    image, headers = encoded(draw_image(5), format_), {"Content-Type": kind}
    assert ask(app_of(), "POST", "/predict", content=image, headers=headers).status_code == 200
    refused = ask(app_of(), "POST", "/predict", content=image.translate(None, b"\r\n\0"), headers=headers)
    assert refused.status_code in (400, 415)
    assert "curl --data-binary @photo.jpg or curl -F file=@photo.jpg" in refused.json()["error"]


def test_an_image_that_is_damaged_otherwise_is_not_blamed_on_curl() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = ask(app_of(), "POST", "/predict", content=encoded(draw_image(5), "JPEG")[:-300], headers=headers)
    assert refused.status_code == 400 and "curl" not in refused.json()["error"]


@pytest.mark.usefixtures("near")
def test_images_at_urls_are_answered_in_order() -> None:
    with gallery({"/a.jpg": JPEG, "/b.png": PNG, "/c.txt": b"text"}) as shown:
        urls = [f"{shown.url}/{name}" for name in ("a.jpg", "gone.jpg", "c.txt", "b.png")]
        answered = ask_urls(app_of(allow_urls=True), *urls, explain=True)
    found = answered.json()["predictions"]
    assert [item["source"] for item in found] == urls
    assert [item["error"] for item in found] == [
        None,
        "cannot download the URL: its server answered 404",
        "text, not an image",
        None,
    ]
    sent = post(app_of(), (urls[0], JPEG), (urls[3], PNG)).json()["predictions"]
    assert [{**item, "heat_map": None} for item in found[::3]] == [{**item, "heat_map": None} for item in sent]
    assert [item["heat_map"] is None for item in found] == [False, True, True, False]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/", "http://169.254.169.254/", "file:///etc/passwd", "http://[::1]/", "x", "http://localhost/"],
)
def test_a_url_tells_nothing_of_this_machine_and_its_network(url: str) -> None:
    answered = ask_urls(app_of(allow_urls=True), url)
    told = "cannot download the URL: it must be an image at a public http or https address, within the limits"
    assert (answered.status_code, answered.json()) == (400, {"error": told})


def test_urls_are_fetched_only_where_that_is_allowed() -> None:
    assert ask_urls(app_of(), "https://example.org/a.jpg").status_code == 403


@pytest.mark.usefixtures("near")
def test_who_asks_may_choose_when_the_answer_is_unsure() -> None:
    with gallery({"/a.jpg": JPEG}) as shown:
        for settings, query, label in (
            ({}, "", "red"),
            ({}, "?threshold=1", "unsure"),
            ({"threshold": 1.0}, "", "unsure"),
            ({"threshold": 1.0}, "?threshold=0", "red"),
        ):
            app = app_of(allow_urls=True, **settings)
            sent = ask(app, "POST", f"/predict{query}", files={"a": JPEG})
            fetched = ask(app, "POST", f"/predict/url{query}", json={"urls": [f"{shown.url}/a.jpg"]})
            for answered in (sent, fetched):
                (found,) = answered.json()["predictions"]
                assert (found["label"] == "unsure") == (label == "unsure")
            assert ask(app, "GET", "/model").json()["threshold"] == settings.get("threshold", 0.0)


def test_a_threshold_and_a_class_called_unsure_exclude_one_another() -> None:
    odd = colour_classifier(replace(FACTS, class_names=("dark", "red", "unsure"), largest_class="dark"))
    with pytest.raises(SettingsError, match="so no threshold can be used"):
        create_app(odd, ServeConfig(threshold=0.9))
    app = create_app(odd, ServeConfig(access_log=False))
    refused = ask(app, "POST", "/predict?threshold=0.9", files={"a": JPEG})
    assert refused.status_code == 422 and "so no threshold can be used" in refused.json()["error"]
    assert ask(app, "POST", "/predict?threshold=0", files={"a": JPEG}).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["explian=true", "treshold=0.9", "threshold=1.1", "threshold=-1", "threshold=nan", "threshold="],
)
@pytest.mark.parametrize("path", ["/predict", "/predict/url"])
def test_a_query_that_asks_for_something_else_is_told_what_there_is(path: str, query: str) -> None:
    refused = ask(app_of(allow_urls=True), "POST", f"{path}?{query}", json={"urls": ["https://example.org/a.jpg"]})
    told = "the query may only contain explain (true or false) and threshold (0 to 1)"
    assert (refused.status_code, refused.json()) == (422, {"error": told})


def test_what_the_api_does_not_have_is_refused_in_its_form() -> None:
    app = app_of()
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/predict/", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/model", 405),
        ("POST", "/predict?explain=<script>", 422),
    ):
        refused = ask(app, method, path)
        assert refused.status_code == status and set(refused.json()) == {"error"}
        assert "script" not in refused.text
    assert ask(app, "GET", "/predict").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "host", "status", "told"),
    [
        ("/", "photos.lan", 403, "--allow-host NAME"),
        ("/<script>", "localhost", 404, "/docs"),
        ("/predict", "localhost", 405, "/docs"),
        ("/readyz", "localhost", 503, "busy"),
    ],
)
def test_people_who_open_an_address_that_is_refused_get_a_page(path: str, host: str, status: int, told: str) -> None:
    browser = {"Host": host, "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    app = app_of()
    app.state.queue.lines[False].num_waiting = 10**6
    for headers, kind in ((browser, "text/html"), ({"Host": host, "Accept": "*/*"}, "application/json")):
        refused = ask(app, "GET", path, headers=headers)
        assert refused.status_code == status and refused.headers["content-type"].startswith(kind)
        assert told in refused.text and "photos" not in refused.text and "script" not in refused.text
    assert ask(app, "POST", "/nothing", headers=browser).json()["error"]


def test_a_mistake_of_ours_is_confessed_without_its_details(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(answers, "answer", fail)
    app = app_of()
    answered = post(app, ("a.jpg", JPEG))
    assert (answered.status_code, answered.json()) == (500, {"error": "internal error"})


def test_a_slow_request_is_given_up_and_its_connection_closed() -> None:
    body = sent_slowly(*[b"-"] * 100)
    refused = ask(app_of(upload_timeout_s=0.1), "POST", "/predict", content=body, headers=FORM)
    assert (refused.status_code, refused.headers["connection"]) == (408, "close")


def test_health_is_told() -> None:
    app = app_of()
    assert ask(app, "GET", "/healthz").json() == {"status": "alive"}
    assert ask(app, "GET", "/readyz").json() == {"status": "ready"}
    app.state.queue.stop()
    assert ask(app, "GET", "/healthz").json() == {"status": "alive"}
    stopping = ask(app, "GET", "/readyz")
    assert (stopping.status_code, stopping.json()) == (503, {"error": "the server is stopping"})


def test_bodies_of_all_requests_share_the_memory() -> None:
    app = app_of(max_file_mb=1, max_memory_mb=1)
    head, rest = part(bytes(600_000))[:-2], f"\r\n--{BOUNDARY}--\r\n".encode()

    async def both() -> list[httpx.Response]:
        first = ask_in_loop(app, "POST", "/predict", content=sent_slowly(head, rest, pause_s=0.2), headers=FORM)
        second = ask_in_loop(app, "POST", "/predict", content=sent_slowly(b"", head, rest, pause_s=0.1), headers=FORM)
        return list(await asyncio.gather(first, second))

    first, second = asyncio.run(both())
    assert (first.status_code, second.status_code) == (415, 429)
    assert int(second.headers["retry-after"]) >= 1
    assert post(app, ("a.jpg", JPEG)).status_code == 200


def test_what_would_find_no_room_is_not_read() -> None:
    app, read = app_of(), list[bytes]()

    async def body() -> AsyncIterator[bytes]:
        read.append(b"-")
        yield b"-"

    app.state.queue.lines[False].num_waiting = 256
    refused = ask(app, "POST", "/predict", content=body(), headers=FORM)
    assert (refused.status_code, read) == (429, [])
    assert int(refused.headers["retry-after"]) >= 1


def test_who_goes_away_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, begun = threading.Event(), threading.Event()
    answer: Callable[..., Any] = answers.answer

    def wait(*arguments: Any, **options: Any) -> Any:
        begun.set()
        assert opened.wait(5)
        return answer(*arguments, **options)

    monkeypatch.setattr(answers, "answer", wait)
    app, sent = app_of(), list[dict[str, Any]]()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
    }
    scope["headers"] = [(b"content-type", FORM["Content-Type"].encode())]

    async def leave() -> None:
        events = iter([{"type": "http.request", "body": form(*[part(JPEG)] * 60), "more_body": False}])

        async def receive() -> dict[str, Any]:
            for event in events:
                return event
            await asyncio.to_thread(begun.wait, 5)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app(scope, receive, send)  # type: ignore[arg-type]
        assert app.state.queue.num_waiting == 0
        opened.set()

    asyncio.run(leave())
    assert sent[0]["status"] == 499
