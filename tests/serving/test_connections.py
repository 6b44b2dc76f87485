"""Clients that are slow, greedy, silent or hostile: they get their answer or are let go, and others do not notice."""

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from conftest import draw_image, encoded
from mien.serving.gate import SECURITY_HEADERS
from serve_process import Service, answer, begin, request, served

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.medium

TIMEOUT_S = 1.0
MAX_CONNECTIONS = 12
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nX-Slow: "


@pytest.fixture(scope="module")
def service(run: "Run") -> Iterator[Service]:
    """A server that is quick to lose its patience. At the end it has said nothing, and none of this was its mistake."""
    flags = ("--upload-timeout-s", TIMEOUT_S, "--max-connections", MAX_CONNECTIONS)
    with served(run.path, *flags) as service:
        yield service
        assert service.stop() == 0
        assert service.process.stderr is not None
        assert service.process.stderr.read() == ""


@pytest.fixture(autouse=True)
def _others_are_served(service: Service) -> Iterator[None]:
    yield
    assert service.ask(request("/healthz")) == (200, {"status": "alive"})


@pytest.fixture(scope="module")
def patient(run: "Run") -> Iterator[Service]:
    """A server that lets nobody go for being slow."""
    with served(run.path, "--upload-timeout-s", 600, "--max-connections", MAX_CONNECTIONS) as service:
        yield service


def until_closed(connection: socket.socket) -> None:
    """Wait until the server closes; its patience must end before that of the connection."""
    with suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass


def drip(connection: socket.socket, drop: bytes) -> bool:
    """Send a drop now and then, until the server closes; say whether it has done so, however long it took."""
    with suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(600):
            connection.sendall(drop)
            time.sleep(0.05)
        return False
    return True


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


def test_half_a_head_is_not_waited_for(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(HALF_A_HEAD)
        assert answer(connection) == (408, {"error": "the request did not come in whole in time"})
        until_closed(connection)


@pytest.mark.parametrize(("start", "drop"), [(HALF_A_HEAD, b"x"), (b"", b"\r\n"), (request("/healthz"), b"\r\n")])
def test_a_head_that_drips_in_is_not_waited_for(service: Service, start: bytes, drop: bytes) -> None:
    with service.connect() as connection:
        connection.sendall(start)
        assert drip(connection, drop)


@pytest.mark.slow
def test_who_is_slow_has_the_time_that_was_said_and_no_more(service: Service) -> None:
    with service.connect() as connection:
        started = time.monotonic()
        connection.sendall(HALF_A_HEAD)
        assert drip(connection, b"x")
        assert TIMEOUT_S / 2 < time.monotonic() - started < 4 * TIMEOUT_S


def test_who_says_nothing_is_let_go_without_a_word(service: Service) -> None:
    with service.connect() as connection:
        assert answer(connection) == (0, None)


@pytest.mark.parametrize("head", [b"GET /" + b"x" * 400_000, HALF_A_HEAD + b"x" * 400_000, b"X: y\r\n" * 80_000])
def test_heads_have_a_limit(service: Service, head: bytes) -> None:
    start = b"" if head.startswith(b"GET") else b"GET / HTTP/1.1\r\n"
    with service.connect() as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(start + head)
        # Where bytes are still under way, the system may throw the answer away.
        assert answer(connection) in [(431, {"error": "the headers are too large"}), (0, None)]


def test_a_head_just_above_the_limit_is_told(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(HALF_A_HEAD + b"x" * 66_000)
        assert answer(connection) == (431, {"error": "the headers are too large"})


CHUNKED = b"Host: localhost\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("trailer", [b"a: b\r\n" * 40_000, b"a: " + b"b" * 240_000], ids=["many", "one"])
@pytest.mark.parametrize("start", [b"POST /predict", b"GET /healthz"])
def test_what_follows_a_body_has_a_limit(service: Service, start: bytes, trailer: bytes) -> None:
    with service.connect() as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(start + b" HTTP/1.1\r\n" + CHUNKED + b"\r\n0\r\n")
            connection.sendall(trailer)
        assert answer(connection)[0] in (0, 200, 431)
        until_closed(connection)
        with pytest.raises(OSError):
            connection.sendall(trailer * 50)


def test_a_body_may_come_in_many_small_chunks(service: Service) -> None:
    with service.connect() as connection:
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


def test_it_is_no_proxy(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n" + request("/healthz"))
        assert answer(connection) == (400, {"error": "this is no HTTP request"})
        assert answer(connection) == (0, None)


def test_a_refusal_tells_browsers_what_not_to_do(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(b"GET\r\n\r\n")
        received = connection.recv(1 << 16).decode()
    for name, value in SECURITY_HEADERS.items():
        assert f"\r\n{name}: {value}\r\n" in received


def test_what_is_no_http_is_told_so(service: Service) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"):
        with service.connect() as connection:
            connection.sendall(nonsense)
            assert answer(connection) == (400, {"error": "this is no HTTP request"})


def test_random_requests_never_break_it(service: Service) -> None:
    rng = random.Random(0)
    good = [request("/healthz"), request("/predict", b"x" * 50), request("/predict", b"--x--", "multipart/form-data")]
    for _ in range(200):
        content = bytearray(rng.choice(good))
        for _ in range(rng.randrange(1, 6)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        with service.connect() as connection:
            connection.sendall(content)


def test_the_rest_of_a_request_that_was_refused_is_not_read_for_ever(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(request("/nowhere", b"x" * 1_000_000)[:5000])
        assert answer(connection)[0] == 404
        assert drip(connection, b"x")


@pytest.mark.slow
def test_who_does_not_take_the_answers_is_let_go(service: Service) -> None:
    num_requests = 6000
    with socket.socket() as connection:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", service.port))
        connection.settimeout(2 * TIMEOUT_S)
        with suppress(TimeoutError, ConnectionError):
            connection.sendall(request("/openapi.json") * num_requests)
        time.sleep(3 * TIMEOUT_S)
        received = bytearray()
        with suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                received += part
    assert 0 < received.count(b"HTTP/1.1 200") < num_requests


def test_silent_connections_make_room(patient: Service) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(patient.connect()) for _ in range(3 * MAX_CONNECTIONS)]
        assert patient.ask(request("/healthz"))[0] == 200
        # The first that came has made room, though nobody waits for it.
        until_closed(silent[0])


def test_where_all_connections_are_at_work_a_further_one_is_told(patient: Service) -> None:
    with ExitStack() as stack:
        at_work = [stack.enter_context(patient.connect()) for _ in range(MAX_CONNECTIONS)]
        for connection in at_work:
            begin(connection, request("/predict", b"x" * 1000)[:-1])
        assert patient.ask(b"") == (503, {"error": "too many connections are open"})
        for connection in at_work:
            connection.sendall(b"x")
            assert answer(connection)[0] == 415


@pytest.mark.slow
def test_those_who_send_slowly_make_room_for_others(run: "Run") -> None:
    sent = request("/predict", b"x" * 6_000_000)
    with served(run.path, "--max-connections", MAX_CONNECTIONS) as service, ExitStack() as stack:
        fast, slow, *_ = sending = [stack.enter_context(service.connect()) for _ in range(MAX_CONNECTIONS)]
        for connection in sending:
            connection.sendall(sent[:300])
        time.sleep(0.2)
        assert service.ask(b"") == (503, {"error": "too many connections are open"})
        for _ in range(6):
            time.sleep(1)
            fast.sendall(b"x" * 100_000)
        assert service.ask(request("/healthz")) == (200, {"status": "alive"})
        assert answer(slow) == (408, {"error": "the request came in slowly, and others wait"})
