"""The processes of the server: they end in order when they are told to, and nothing that was accepted is lost."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from conftest import draw_image, encoded
from serve_process import Service, answer, begin, request, served

if TYPE_CHECKING:
    from mien.runs.run import Run

if sys.platform == "win32":
    pytest.skip("sends the signals of Linux and macOS", allow_module_level=True)
pytestmark = pytest.mark.medium

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
IMAGES = [encoded(draw_image(seed, width=400, height=300), "JPEG") for seed in range(8)]


def memory_mb(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) / 1024


def comes_true(condition: Callable[[], Any], timeout_s: float = 15) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError, FileNotFoundError):
            if condition():
                return True
        time.sleep(0.02)
    return False


def is_alive(service: Service) -> bool:
    return service.ask(request("/healthz"))[0] == 200


@pytest.fixture
def service(run: "Run") -> Iterator[Service]:
    with served(run.path) as service:
        assert comes_true(lambda: is_alive(service))
        yield service


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_it_ends_at_a_signal_and_gives_the_port_back(service: Service, run: "Run", number: int) -> None:
    with service.connect(), service.connect() as connection:
        connection.sendall(request("/healthz"))
        assert answer(connection)[0] == 200
        # Idle connections hold nothing up.
        assert service.stop(number, timeout_s=5) == 0
    with served(run.path, port=service.port) as second:
        assert is_alive(second)


@pytest.mark.parametrize(
    "tell", [os.kill, pytest.param(os.killpg, marks=pytest.mark.slow)], ids=["the process", "all processes"]
)
def test_what_was_accepted_is_answered_when_it_stops(service: Service, tell: Callable[[int, int], None]) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(service.connect()) for _ in range(64)]
        for number, client in enumerate(clients):
            client.sendall(request("/predict", IMAGES[number % len(IMAGES)]))
        # As timeout(1) does.
        tell(service.process.pid, signal.SIGTERM)
        tell(service.process.pid, signal.SIGTERM)
        answers = [answer(client) for client in clients]
    assert [status for status, _ in answers] == [200] * 64
    assert service.process.wait(5) == 0
    for number, (_, document) in enumerate(answers):
        assert document == answers[number % len(IMAGES)][1]


@pytest.mark.slow
def test_who_is_still_sending_gets_an_answer_but_no_new_connection_is_made(service: Service) -> None:
    sent = request("/predict", IMAGES[0])
    with service.connect() as connection:
        begin(connection, sent[:-1])
        service.process.send_signal(signal.SIGTERM)
        assert comes_true(lambda: not _accepts(service.port))
        connection.sendall(sent[-1:])
        assert answer(connection)[0] == 200
    assert service.process.wait(5) == 0


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_who_never_stops_sending_cannot_hold_it(run: "Run") -> None:
    with served(run.path, "--stop-timeout-s", 1) as service, service.connect() as connection:
        begin(connection, request("/predict", IMAGES[0])[:-1])
        assert service.stop(timeout_s=8) == 0
        assert answer(connection) == (503, {"error": "the server is stopping"})
        assert answer(connection) == (0, None)
        assert service.process.stderr is not None
        told = service.process.stderr.read()
        assert told == "Stopping: 1 request is still running. Press Ctrl-C again to stop immediately.\n"


@pytest.mark.slow
def test_it_ends_in_order_when_its_terminal_is_closed(service: Service) -> None:
    with service.connect() as connection:
        sent = request("/predict", IMAGES[0])
        begin(connection, sent[:-1])
        # Both the shell and the system may tell it.
        os.killpg(service.process.pid, signal.SIGHUP)
        assert comes_true(lambda: not _accepts(service.port))
        os.killpg(service.process.pid, signal.SIGHUP)
        connection.sendall(sent[-1:])
        assert answer(connection)[0] == 200
    assert service.process.wait(8) == 0


def test_a_second_signal_ends_it_at_once(run: "Run") -> None:
    with served(run.path, "--stop-timeout-s", 60) as service, service.connect() as connection:
        connection.sendall(request("/predict", IMAGES[0])[:-1])
        assert comes_true(lambda: is_alive(service))
        service.process.send_signal(signal.SIGTERM)
        assert comes_true(lambda: not _accepts(service.port))
        assert service.process.poll() is None
        assert service.stop(timeout_s=3) == -signal.SIGTERM
        connection.settimeout(3)
        assert answer(connection) == (0, None)


@pytest.mark.slow
def test_after_a_kill_the_port_is_free(service: Service, run: "Run") -> None:
    with service.connect() as connection:
        connection.sendall(request("/healthz"))
        assert answer(connection)[0] == 200
        service.stop(signal.SIGKILL)
        assert not _accepts(service.port)
    with served(run.path, port=service.port) as second:
        assert is_alive(second)


@pytest.mark.slow
@on_linux
def test_a_terminal_shows_the_start_and_the_end_and_no_requests(run: "Run") -> None:
    ours, its = os.openpty()
    command = [sys.executable, "-m", "mien", "serve", str(run.path), "--port", "0"]
    with subprocess.Popen(command, start_new_session=True, stdin=its, stdout=its, stderr=its, text=True) as process:
        try:
            shown = os.read(ours, 10_000).decode()
            found = re.search(r":(\d+) ", shown)
            assert found, shown
            service = Service(process, int(found[1]), shown)
            assert comes_true(lambda: is_alive(service))
            assert service.stop(signal.SIGINT) == 0
        finally:
            process.kill()
    assert os.read(ours, 10_000).decode() == "stopped\r\n"
    os.close(ours)
    os.close(its)


@on_linux
@pytest.mark.slow
def test_it_needs_no_open_streams(run: "Run") -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "mien", "serve", str(run.path), "--port", str(port)]
    with subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], start_new_session=True) as process:
        try:
            service = Service(cast(Any, process), port, "")
            assert comes_true(lambda: is_alive(service))
            assert service.stop() == 0
        finally:
            process.kill()


@on_linux
@pytest.mark.slow
def test_memory_stays_small_under_load_and_goes_back_after_large_images(run: "Run") -> None:
    large = encoded(draw_image(0, width=4000, height=3000), "JPEG", quality=95)
    with served(run.path) as service, ThreadPoolExecutor(64) as pool:
        ask = lambda image: service.ask(request("/predict", image))[0]  # noqa: E731
        assert list(pool.map(ask, IMAGES * 100)) == [200] * 800
        assert memory_mb(service.process.pid) < 250
        assert list(pool.map(ask, [large] * 64)) == [200] * 64
        assert comes_true(lambda: memory_mb(service.process.pid) < 250)


@pytest.mark.slow
def test_the_head_of_an_answer_comes_without_its_body(run: "Run") -> None:
    with served(run.path) as service, service.connect() as connection:
        assert comes_true(lambda: is_alive(service))
        for path in (b"/model", b"/docs", b"/healthz"):
            connection.sendall(b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    heads = received.split(b"\r\n\r\n")
    assert heads.pop() == b"" and len(heads) == 4
    assert all(head.startswith(b"HTTP/1.1 200 OK\r\n") and b"content-length: 0" not in head for head in heads)
