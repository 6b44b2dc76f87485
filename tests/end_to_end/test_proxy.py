"""A proxy before the server, as deploy/ has it: what only a proxy can promise, and what holds behind one."""

import getpass
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from conftest import draw_image, encoded
from serve_process import Service, answer, request, served
from servers import write_certificate

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.proxy

DEPLOY_DIR = Path(__file__).parents[2] / "deploy"
NAME = "photos.example.org"
# How patient the proxy is here, in seconds; and the server, which must not notice who is slow.
PATIENCE_S, UPLOAD_TIMEOUT_S = 3, 1.0
JPEG = encoded(draw_image(1, width=400, height=300), "JPEG")
MAIN = (Path(__file__).parents[1] / "nginx.conf").read_text("utf-8")


@dataclass
class Proxied:
    """A server behind a proxy; that of nginx speaks TLS here."""

    service: Service
    port: int
    log: Path
    is_nginx: bool

    def connect(self, buffer_bytes: int | None = None) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        if buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        if not self.is_nginx:
            return connection
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        return trusting.wrap_socket(connection, server_hostname=NAME)

    def ask(self, sent: bytes) -> tuple[int, Any]:
        with self.connect() as connection:
            connection.sendall(sent)
            return answer(connection)

    def num_seen(self) -> int:
        """Return how many requests the server has seen, but for those by which Caddy asks whether it is well."""
        lines = map(json.loads, self.log.read_text().splitlines())
        return sum((line["method"], line["route"]) != ("GET", "/healthz") for line in lines)


def named(path: str, body: bytes | None = None, *headers: str) -> bytes:
    """Return the bytes of a request to the name of the site."""
    lines = "".join(f"{line}\r\n" for line in (f"Host: {NAME}", *headers))
    return request(path, body).replace(b"Host: 127.0.0.1\r\n", lines.encode())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def changed(name: str, changes: dict[str, str]) -> str:
    """Return a file of deploy/, for this machine and in a hurry."""
    text = (DEPLOY_DIR / name).read_text("utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def nginx_before(server_port: int, port: int, folder: Path) -> list[str]:
    """Return the command for nginx."""
    both = str(write_certificate(folder))
    changes = {
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{server_port};",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/nginx/certificates/mien.crt": both,
        "/etc/nginx/certificates/mien.key": both,
        "/run/mien-uploads": str(folder / "uploads"),
        "timeout 10s;": f"timeout {PATIENCE_S}s;",
    }
    (folder / "site.conf").write_text(changed("nginx.conf", changes))
    (folder / "nginx.conf").write_text(MAIN.replace("FOLDER", str(folder)).replace("USER", getpass.getuser()))
    return [found("nginx"), "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]


def caddy_before(server_port: int, port: int, folder: Path) -> list[str]:
    """Return the command for Caddy."""
    changes = {
        "{\n\tservers": "{\n\tadmin off\n\tservers",
        f"{NAME} {{": f"http://{NAME}:{port} {{",
        "127.0.0.1:8000": f"127.0.0.1:{server_port}",
        "read_header 10s": f"read_header {PATIENCE_S}s",
        "idle 30s": f"idle {PATIENCE_S}s",
    }
    (folder / "Caddyfile").write_text(changed("Caddyfile", changes))
    return [found("caddy"), "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


def found(name: str) -> str:
    path = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


@contextmanager
def behind_proxy(service: Service, folder: Path, log: Path, *, is_nginx: bool) -> Iterator[Proxied]:
    port = free_port()
    command = (nginx_before if is_nginx else caddy_before)(service.port, port, folder)
    places = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    with (folder / "stderr").open("w") as file, subprocess.Popen(command, stderr=file, env=places) as process:
        try:
            proxied = Proxied(service, port, log, is_nginx)
            assert comes_true(lambda: proxied.ask(named("/healthz"))[0] == 200), (folder / "stderr").read_text()
            yield proxied
        finally:
            process.terminate()


def comes_true(condition: Callable[[], Any], timeout_s: float = 15) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(ConnectionError):
            if condition():
                return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxied(request: pytest.FixtureRequest, run: "Run", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp(request.param)
    flags = ("--allow-host", NAME, "--upload-timeout-s", UPLOAD_TIMEOUT_S)
    log = folder / "access.log"
    with log.open("w") as file, served(run.path, *flags, stdout=file.fileno()) as service:
        with behind_proxy(service, folder, log, is_nginx=request.param == "nginx") as proxied:
            yield proxied
        assert service.stop() == 0
        assert service.process.stderr is not None
        assert service.process.stderr.read() == ""


@pytest.fixture
def nginx(proxied: Proxied) -> Proxied:
    if not proxied.is_nginx:
        pytest.skip("Caddy passes bodies and answers on as they come, and counts no requests of an address")
    return proxied


@pytest.fixture(autouse=True)
def _others_are_served(proxied: Proxied) -> Iterator[None]:
    yield
    assert proxied.ask(named("/healthz")) == (200, {"status": "alive"})


def is_let_go(connection: socket.socket, drop: bytes, timeout_s: float = 10) -> bool:
    """Send a drop now and then, until the other side closes; say whether it has done so in time."""
    connection.settimeout(0.2)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            connection.sendall(drop)
            if not connection.recv(1 << 16):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_it_answers_as_the_server_does(proxied: Proxied) -> None:
    status, document = proxied.ask(named("/predict", JPEG))
    assert status == 200
    assert (status, document) == proxied.service.ask(request("/predict", JPEG))


def test_the_page_may_ask_and_pages_of_other_sites_may_not(proxied: Proxied) -> None:
    own = named("/predict", JPEG, f"Origin: https://{NAME}", "Sec-Fetch-Site: same-origin")
    assert proxied.ask(own)[0] == 200
    assert proxied.ask(named("/predict", JPEG, f"Origin: https://{NAME}"))[0] == 200
    assert proxied.ask(named("/predict", JPEG, "Origin: https://evil.example"))[0] == 403
    assert proxied.ask(named("/predict", JPEG, "Sec-Fetch-Site: cross-site"))[0] == 403


def test_a_name_that_somebody_points_here_is_refused(proxied: Proxied) -> None:
    status, document = proxied.ask(named("/model").replace(NAME.encode(), b"evil.example"))
    # Caddy has nothing for other names, and says so by an empty answer.
    assert status == 403 if proxied.is_nginx else document is None


@pytest.mark.parametrize("drop", [b"", b"x"], ids=["silent", "dripping"])
def test_half_a_head_is_not_waited_for(proxied: Proxied, drop: bytes) -> None:
    with proxied.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert is_let_go(connection, drop)


def test_half_a_body_is_not_waited_for(nginx: Proxied) -> None:
    with nginx.connect() as connection:
        connection.sendall(named("/predict", JPEG)[:-1])
        assert is_let_go(connection, b"")


def test_who_sends_slowly_holds_no_place_in_the_server_and_is_answered(nginx: Proxied) -> None:
    sent = named("/predict", JPEG)
    with ExitStack() as stack:
        slow = [stack.enter_context(nginx.connect()) for _ in range(40)]
        num_parts = 12
        size = -(-len(sent) // num_parts)
        began = time.monotonic()
        for start in range(0, len(sent), size):
            for connection in slow:
                connection.sendall(sent[start : start + size])
            time.sleep(0.25)
        # The server itself gives nobody as long.
        assert time.monotonic() - began > 2 * UPLOAD_TIMEOUT_S
        assert [answer(connection)[0] for connection in slow] == [200] * 40


def test_six_hundred_silent_connections_hold_nobody_up(proxied: Proxied) -> None:
    num_before = num_open_files(proxied)
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", proxied.port), timeout=20)) for _ in range(600)
        ]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: proxied.ask(named("/predict", JPEG)), range(64)))
        assert [status for status, _ in answers] == [200] * 64
        assert num_open_files(proxied) < num_before + 100
        for connection in idle:
            with suppress(ConnectionError):
                assert connection.recv(1) == b""


def num_open_files(proxied: Proxied) -> int:
    return len(list(Path(f"/proc/{proxied.service.process.pid}/fd").iterdir()))


# A second request within the body of a first, for whoever takes the length of that for another.
HIDDEN = f"GET /model HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
AMBIGUOUS = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
    b"Content-Length: +60\r\n\r\n",
    b"Content-Length: 0, 60\r\n\r\n",
    b"Content-Length : 60\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding\r\n: chunked\r\n\r\n0\r\n\r\n",
    b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: 60\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("lines", AMBIGUOUS)
@pytest.mark.parametrize("ending", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_a_request_cannot_be_smuggled_past_it(proxied: Proxied, lines: bytes, ending: bytes) -> None:
    """What the proxy takes for one request, the server takes for one: it sees no more than are answered."""
    num_before = proxied.num_seen()
    start = b"POST /healthz HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\n"
    with proxied.connect() as connection:
        connection.sendall((start + lines).replace(b"\r\n", ending) + HIDDEN)
        connection.settimeout(PATIENCE_S + 2)
        received = bytearray()
        with suppress(OSError):
            while part := connection.recv(1 << 16):
                received += part
    time.sleep(0.1)
    assert proxied.num_seen() - num_before <= received.count(b"HTTP/1.1 ")


@pytest.mark.parametrize("path", ["/metrics%0a", "/metrics%0d", "//metrics"])
def test_other_spellings_of_the_metrics_are_no_way_to_them(proxied: Proxied, path: str) -> None:
    assert proxied.ask(named(path))[0] in (404, 422)


def test_what_is_too_large_is_refused_before_it_is_sent(nginx: Proxied) -> None:
    head = named("/predict", b"x").replace(b"Content-Length: 1\r\n", b"Content-Length: 600000000\r\n")[:-1]
    assert nginx.ask(head) == (413, {"error": "the request is too large"})


def test_one_address_has_so_many_requests_under_way_and_no_more(nginx: Proxied) -> None:
    with ExitStack() as stack:
        for _ in range(64):
            connection = stack.enter_context(nginx.connect())
            connection.sendall(named("/predict", JPEG)[:-1])
        assert comes_true(lambda: nginx.ask(named("/healthz"))[0] == 429, timeout_s=PATIENCE_S)


def test_who_does_not_take_the_answers_is_let_go(nginx: Proxied) -> None:
    with nginx.connect(buffer_bytes=4096) as connection:
        connection.settimeout(2)
        with suppress(OSError):
            connection.sendall(named("/openapi.json") * 6000)
        time.sleep(2 * PATIENCE_S)
        received = bytearray()
        with suppress(OSError):
            while part := connection.recv(1 << 16):
                received += part
    assert received.count(b"HTTP/1.1 200") < 6000


def test_nobody_can_say_to_be_somebody_else(proxied: Proxied) -> None:
    proxied.ask(named("/healthz", None, "X-Forwarded-For: 6.6.6.6"))
    assert comes_true(lambda: proxied.log.read_text().endswith("\n"))
    assert "6.6.6.6" not in proxied.log.read_text()


@pytest.mark.parametrize("is_nginx", [True, False], ids=["nginx", "caddy"])
def test_what_was_accepted_is_answered_when_the_server_stops(run: "Run", tmp_path: Path, is_nginx: bool) -> None:
    with (
        served(run.path, "--allow-host", NAME) as service,
        behind_proxy(service, tmp_path, tmp_path, is_nginx=is_nginx) as proxied,
    ):
        with ExitStack() as stack:
            clients = [stack.enter_context(proxied.connect()) for _ in range(32)]
            for client in clients:
                client.sendall(named("/predict", JPEG))
            assert comes_true(lambda: num_taken_on(service) == 32)
            assert service.stop() == 0
            assert [answer(client)[0] for client in clients] == [200] * 32
        # Nobody is there now.
        assert proxied.ask(named("/healthz")) == (503, {"error": "the server is unavailable or too busy"})


def num_taken_on(service: Service) -> float:
    """Return how many images the server has answered, or has in work."""
    text = httpx.get(f"http://127.0.0.1:{service.port}/metrics").text
    counts = re.findall(r"^mien_images_(?:waiting|total\{.*\}) ([0-9.]+)$", text, re.MULTILINE)
    return sum(map(float, counts))
