from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.datastructures import Headers

from conftest import make_pipe, without_permission
from mien.config import ServeConfig
from mien.errors import ForbiddenError, SettingsError, WrongKeyError
from mien.serving.gate import SECURITY_HEADERS, gate_for, read_api_key
from serve_process import served
from servers import gallery

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from mien.runs.run import Run

KEY = "correct-horse-battery-staple"


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in pairs])


def call(host: str, config: ServeConfig = ServeConfig()) -> None:
    gate_for(config).check("GET", "/", headers(("host", host)))


def send(*pairs: tuple[str, str], method: str = "POST") -> None:
    gate_for(ServeConfig()).check(method, "/predict", headers(("host", "localhost:8000"), *pairs))


def bring(*pairs: tuple[str, str], path: str = "/predict") -> None:
    gate_for(ServeConfig(), KEY).check("POST", path, headers(*pairs))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8000",
        "localhost.",
        "127.0.0.1:8000",
        "192.168.1.20",
        "8.8.8.8:80",
        "[::1]:8000",
        "[2001:db8::7]",
        "localhost:",
    ],
)
def test_an_address_and_localhost_always_name_the_server(host: str) -> None:
    call(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example/127.0.0.1",
        "user@localhost",
        "localhost, evil.example",
        "127.0.0.1:8000:8000",
        "127.1",
        "0x7f000001",
        "[localhost]",
        "[::1",
        "..",
        "",
        "\xff",
    ],
)
def test_a_name_that_somebody_else_may_have_pointed_here_is_refused(host: str) -> None:
    with pytest.raises(ForbiddenError, match="--allow-host") as caught:
        call(host)
    assert "evil" not in str(caught.value)


def test_a_name_that_the_owner_allows_names_the_server_and_none_below_it_does() -> None:
    config = ServeConfig(host="photos.lan", allow_host=("Photos.Example.org",))
    for host in ("photos.example.org:8000", "PHOTOS.EXAMPLE.ORG.", "photos.lan:8000"):
        call(host, config)
    for host in ("example.org", "a.photos.example.org", "photos.example.orgx"):
        with pytest.raises(ForbiddenError):
            call(host, config)


def test_a_server_that_listens_on_an_empty_name_is_not_called_by_what_is_no_name() -> None:
    with pytest.raises(ForbiddenError):
        call("evil.example/", ServeConfig(host=""))


def test_a_request_names_one_host_or_none() -> None:
    gate = gate_for(ServeConfig())
    gate.check("GET", "/", headers())
    with pytest.raises(ForbiddenError, match="only one Host header"):
        gate.check("GET", "/", headers(("host", "localhost"), ("host", "evil.example")))


@pytest.mark.parametrize("name", ["https://photos.example.org", "photos.example.org:8000", "*", "a b", "", "\u202e"])
def test_what_is_no_name_cannot_be_allowed_as_a_host(name: str) -> None:
    with pytest.raises(SettingsError, match="a name alone"):
        ServeConfig(allow_host=(name,))


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        (("origin", "http://localhost:8000"),),
        (("origin", "HTTP://LOCALHOST:8000"),),
        (("origin", "https://localhost:8000"),),
        (("sec-fetch-site", "same-origin"), ("origin", "https://the-proxy.example")),
        (("sec-fetch-site", "none"),),
    ],
)
def test_programs_and_the_page_itself_may_send(pairs: tuple[tuple[str, str], ...]) -> None:
    send(*pairs)


@pytest.mark.parametrize(
    "pairs",
    [
        (("origin", "http://evil.example"),),
        (("origin", "http://localhost:3000"),),
        (("origin", "http://localhost"),),
        (("origin", "http://localhost:8000.evil.example"),),
        (("origin", "http://evil.example#://localhost:8000"),),
        (("origin", "null"),),
        (("origin", ""),),
        (("sec-fetch-site", "cross-site"),),
        (("sec-fetch-site", "same-site"), ("origin", "http://localhost:8000")),
        (("sec-fetch-site", "nonsense"),),
    ],
)
def test_the_page_of_another_site_cannot_make_a_browser_send(pairs: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ForbiddenError, match="pages of other sites are not allowed"):
        send(*pairs)
    # A link from there may lead here all the same.
    send(*pairs, method="GET")


def test_an_origin_of_nowhere_is_not_that_of_a_request_without_a_host() -> None:
    with pytest.raises(ForbiddenError):
        gate_for(ServeConfig()).check("POST", "/predict", headers(("origin", "null")))


@pytest.mark.parametrize(
    "pair",
    [
        ("x-api-key", KEY),
        ("authorization", f"Bearer {KEY}"),
        ("authorization", f"bearer   {KEY} "),
    ],
)
def test_the_key_is_taken_from_either_header(pair: tuple[str, str]) -> None:
    bring(pair)
    bring(("x-api-key", "another"), pair)


@pytest.mark.parametrize(
    "pair",
    [
        ("x-other", KEY),
        ("x-api-key", ""),
        ("x-api-key", KEY[:-1]),
        ("x-api-key", KEY + "x"),
        ("x-api-key", KEY.upper()),
        ("x-api-key", "\xff" * 40),
        ("authorization", KEY),
        ("authorization", f"Basic {KEY}"),
        ("authorization", "Bearer"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict/url"])
def test_answers_are_given_for_the_key_alone(pair: tuple[str, str], path: str) -> None:
    with pytest.raises(WrongKeyError, match="X-API-Key"):
        bring(pair, path=path)


def test_no_key_is_told_apart_from_a_wrong_one() -> None:
    for pairs in ((), (("x-api-key", ""),), (("authorization", "Bearer "),)):
        with pytest.raises(WrongKeyError, match="an API key is required"):
            bring(*pairs)
    for pair in (("x-api-key", "guess"), ("authorization", "Bearer guess")):
        with pytest.raises(WrongKeyError, match="wrong API key") as caught:
            bring(pair)
        assert "guess" not in str(caught.value)


@pytest.mark.parametrize("path", ["/", "/model", "/healthz", "/metrics", "/docs"])
def test_what_is_no_answer_needs_no_key(path: str) -> None:
    bring(path=path)


def test_a_page_of_another_site_cannot_try_keys() -> None:
    with pytest.raises(ForbiddenError):
        bring(("origin", "http://evil.example"), ("x-api-key", KEY))


def test_the_key_comes_from_the_file_or_from_the_variable_and_the_file_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY.encode() + b"\r\n")
    variable = {"MIEN_API_KEY": "x" * 16}
    assert read_api_key(ServeConfig(), {}) is None
    assert read_api_key(ServeConfig(), variable) == "x" * 16
    assert read_api_key(ServeConfig(api_key_file=path), variable) == KEY


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", b"x" * 15, b"two words, long enough", b"x" * 5000, b"x" * 99999]
)
def test_a_key_that_is_none_is_refused_before_the_server_starts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="openssl rand"):
        read_api_key(ServeConfig(api_key_file=path), {})
    with pytest.raises(SettingsError, match="the variable MIEN_API_KEY"):
        read_api_key(ServeConfig(), {"MIEN_API_KEY": content.decode()})


def test_a_key_that_is_refused_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_api_key(ServeConfig(), {"MIEN_API_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_key_file_that_cannot_be_read_is_told(tmp_path: Path, open_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff" * 20)
    make_pipe(tmp_path / "pipe")
    for name in ("missing", "photo", "pipe", "."):
        with pytest.raises(SettingsError, match="cannot read the API key"):
            read_api_key(ServeConfig(api_key_file=tmp_path / name), {})
    path = open_path / "key"
    path.write_text(KEY)
    with without_permission(path), pytest.raises(SettingsError, match="Permission denied"):
        read_api_key(ServeConfig(api_key_file=path), {})


def test_the_policy_lets_a_page_load_nothing_from_elsewhere() -> None:
    policy = dict(part.split(" ", 1) for part in SECURITY_HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    sources = {source for value in policy.values() for source in value.split()}
    assert sources == {"'none'", "'self'", "blob:", "data:"}


ATTACK = """async url => {
    const body = new FormData(), told = asked => asked.then(response => response.text(), error => error.name);
    body.append("image", new Blob(["image"]), "a.jpg");
    const ways = [{mode: "no-cors"}, {mode: "cors"}, {mode: "cors", headers: {"X-API-Key": "guess"}}];
    const answers = ways.map(way => told(fetch(url + "/predict", {method: "POST", body, ...way})));
    return await Promise.all([...answers, told(fetch(url + "/model"))]);
}"""


@pytest.mark.browser
def test_a_page_of_another_site_gets_nothing_from_the_server_by_a_real_browser(
    chromium: "Callable[..., Browser]", run: "Run"
) -> None:
    with (
        served(run.path) as service,
        gallery({"/": b"<!doctype html><title>evil</title>"}) as elsewhere,
        chromium("--host-resolver-rules=MAP *.example 127.0.0.1") as browser,
    ):
        url = f"http://127.0.0.1:{service.port}"
        page = browser.new_page()
        page.goto(elsewhere.url.replace("127.0.0.1", "evil.example"))
        assert page.evaluate(ATTACK, url) == ["TypeError"] * 4
        counts = httpx.get(f"{url}/metrics").text.splitlines()
        # Of the four, two were sent and refused; before the third the browser asks, and is told of no permission.
        assert 'mien_requests_total{route="none",status="403"} 2.0' in counts
        assert not [line for line in counts if 'route="/predict",status="200"' in line]
        # Somebody's name, pointed at this machine.
        rebound = page.goto(f"http://evil.example:{service.port}/model")
        assert rebound is not None and rebound.status == 403
