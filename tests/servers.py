"""Servers on this machine, good and hostile, and a name server that leads to them."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PUBLIC = "93.184.216.34"  # `Names` leads connections to it to this machine.

Answer = bytes | Callable[[socket.socket], None]


@dataclass
class Server:
    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(*answers: Answer, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Give each connection the next answer, and every later one the last."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        listener.settimeout(0.02)
        server, stop = Server(listener.getsockname()[1]), threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, server, answers, tls, stop), daemon=True)
        thread.start()
        yield server
        stop.set()
        thread.join(3)
        assert not thread.is_alive(), "the client left its connection open"


def _serve(
    listener: socket.socket,
    server: Server,
    answers: tuple[Answer, ...],
    tls: ssl.SSLContext | None,
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        with suppress(OSError):
            connection = listener.accept()[0]
            with tls.wrap_socket(connection, server_side=True) if tls else connection as connection:
                server.requests.append(connection.recv(1 << 16))
                answer = answers[min(len(server.requests), len(answers)) - 1]
                connection.sendall(answer) if isinstance(answer, bytes) else answer(connection)


def reply(body: bytes = b"picture", status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return reply(b"", status, f"Location: {location}")


def drip(start: bytes, drop: bytes = b"x") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            time.sleep(0.02)
            connection.sendall(drop)

    return answer


def pour(start: bytes, block: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(block)

    return answer


def say_nothing(connection: socket.socket) -> None:
    connection.recv(1)


@dataclass
class Names:
    """A name server: what each name means, and what was asked."""

    table: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)
    real: Callable[..., Any] = field(default_factory=lambda: socket.getaddrinfo)

    def look_up(self, host: str, *args: object, **options: object) -> list[object]:
        self.asked.append(host)
        # A literal address asks no name server.
        return [entry for address in self.table.get(host, [host]) for entry in self.real(address, *args, **options)]


def write_certificate(folder: Path) -> Path:
    """Make a self-signed certificate of pictures.test, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("the openssl command is not installed")
    path = folder / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=pictures.test"
    extension = ["-addext", "subjectAltName=DNS:pictures.test", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True, cwd=folder)
    path.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return path
