"""Clients that are greedy or hostile: they get their answer or are let go, and others do not notice.

What only a proxy can promise is in tests/end_to_end/test_proxy.py.
"""

import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import draw_image, encoded
from serve_process import Service, answer, request, served

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.medium

TIMEOUT_S = 1.0
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


@pytest.fixture(scope="module")
def service(run: "Run") -> Iterator[Service]:
    """A server that is quick to lose its patience. At the end it has said nothing, and none of this was its mistake."""
    with served(run.path, "--upload-timeout-s", TIMEOUT_S) as service:
        yield service
        assert service.stop() == 0
        assert service.process.stderr is not None
        assert service.process.stderr.read() == ""


@pytest.fixture(autouse=True)
def _others_are_served(service: Service) -> Iterator[None]:
    yield
    assert service.ask(request("/healthz")) == (200, {"status": "alive"})


def until_closed(connection: socket.socket) -> None:
    """Wait until the server closes; its patience must end before that of the connection."""
    with suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass


@pytest.mark.slow
def test_a_connection_serves_many_requests(service: Service) -> None:
    image = encoded(draw_image(1), "JPEG")
    with service.connect() as connection:
        for _ in range(5):
            connection.sendall(request("/predict", image))
            status, document = answer(connection)
            assert (status, document["predictions"][0]["source"]) == (200, "-")
        time.sleep(1.5 * TIMEOUT_S)
        connection.sendall(request("/healthz"))
        assert answer(connection)[0] == 200


def test_requests_may_be_sent_ahead(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(request("/healthz") * 50 + HALF_A_HEAD)
        assert [answer(connection)[0] for _ in range(50)] == [200] * 50
        connection.sendall(b"\r\n\r\n")
        assert answer(connection)[0] == 200


@pytest.mark.parametrize("head", [b"GET /" + b"x" * 400_000, HALF_A_HEAD + b"x" * 400_000, b"X: y\r\n" * 80_000])
def test_heads_have_a_limit(service: Service, head: bytes) -> None:
    start = b"" if head.startswith(b"GET") else b"GET / HTTP/1.1\r\n"
    with service.connect() as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(start + head)
        # Where bytes are still under way, the system may throw the answer away.
        assert answer(connection)[0] in (400, 0)


CHUNKED = b"Host: localhost\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("trailer", [b"a: b\r\n" * 40_000, b"a: " + b"b" * 240_000], ids=["many", "one"])
@pytest.mark.parametrize("start", [b"POST /predict", b"GET /healthz"])
def test_what_follows_a_body_has_a_limit(service: Service, start: bytes, trailer: bytes) -> None:
    with service.connect() as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(start + b" HTTP/1.1\r\n" + CHUNKED + b"\r\n0\r\n")
            connection.sendall(trailer)
        assert answer(connection)[0] in (0, 200, 400)
        until_closed(connection)
        with pytest.raises(OSError):
            connection.sendall(trailer * 50)


def test_a_body_may_come_in_many_small_chunks(run: "Run") -> None:
    # With the usual patience: so many chunks may take a slow machine a second.
    with served(run.path) as service, service.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\n" + CHUNKED + b"Content-Type: image/jpeg\r\n\r\n")
        image = encoded(draw_image(1, width=300, height=300), "PNG")
        for start in range(len(image)):
            connection.sendall(b"1;what=%s\r\n%c\r\n" % (b"x" * 9, image[start]))
        connection.sendall(b"0\r\nSum: 1\r\n\r\n")
        assert answer(connection)[0] == 200


def test_a_header_after_the_body_is_none(service: Service) -> None:
    late = b"Host: evil.example\r\nSec-Fetch-Site: cross-site\r\n"
    with service.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\n" + CHUNKED + b"\r\n1\r\nx\r\n0\r\n" + late + b"\r\n")
        assert answer(connection)[0] == 415


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
@pytest.mark.parametrize("pause_s", [0, 0.1])
def test_an_offer_to_speak_something_else_is_passed_over(service: Service, offer: bytes, pause_s: float) -> None:
    upgrade = b"HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: " + offer + b"\r\n"
    sent = request("/predict", encoded(draw_image(1), "JPEG")).replace(b"HTTP/1.1\r\n", upgrade)
    head, end, image = sent.partition(b"\r\n\r\n")
    with service.connect() as connection:
        for _ in range(2):
            connection.sendall(head + end)
            time.sleep(pause_s)
            connection.sendall(image + request("/healthz").replace(b"HTTP/1.1\r\n", upgrade))
            assert answer(connection)[0] == 200
            assert answer(connection) == (200, {"status": "alive"})


def test_nonsense_after_an_answer_ends_the_connection_without_a_word(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\n" + CHUNKED + b"\r\n")
        assert answer(connection)[0] == 404
        connection.sendall(b"zz\r\n")
        until_closed(connection)


def test_what_is_no_http_is_told_so(service: Service) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"):
        with service.connect() as connection:
            connection.sendall(nonsense)
            assert answer(connection)[0] == 400


def test_random_requests_never_break_it(service: Service) -> None:
    rng = random.Random(0)
    good = [request("/healthz"), request("/predict", b"x" * 50), request("/predict", b"--x--", "multipart/form-data")]
    for _ in range(200):
        content = bytearray(rng.choice(good))
        for _ in range(rng.randrange(1, 6)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        with service.connect() as connection:
            connection.sendall(content)


def num_open_files(service: Service) -> int:
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def test_when_those_who_took_all_connections_are_gone_others_are_served(run: "Run") -> None:
    if sys.platform != "linux":
        pytest.skip("sets the limit of another process")
    import resource

    with served(run.path) as service:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (60, 60))
        with ExitStack() as stack:
            for _ in range(120):
                stack.enter_context(service.connect())
            wait_until(lambda: num_open_files(service) == 60)
        # Before the server has come round to see that they are gone, it turns others away.
        wait_until(lambda: num_open_files(service) < 60)
        assert service.ask(request("/predict", encoded(draw_image(1), "JPEG")))[0] == 200
        assert service.stop() == 0
