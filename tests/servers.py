"""Servers on this machine, good and hostile, and a name server that leads to them."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore
import pytest

PUBLIC = "93.184.216.34"  # `Names` leads connections to it to this machine.
PATIENCE_S = 20  # How long a hostile answer goes on: a client that stays so long should have hung up, and gets an end.

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
                connection.settimeout(PATIENCE_S)
                server.requests.append(connection.recv(1 << 16))
                answer = answers[min(len(server.requests), len(answers)) - 1]
                connection.sendall(answer) if isinstance(answer, bytes) else answer(connection)


def reply(body: bytes = b"image", status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return reply(b"", status, f"Location: {location}")


def drip(start: bytes, drop: bytes = b"x") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(50 * PATIENCE_S):
            time.sleep(0.02)
            connection.sendall(drop)

    return answer


def pour(start: bytes, block: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        ends_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends_at:
            connection.sendall(block)

    return answer


def say_nothing(connection: socket.socket) -> None:
    connection.recv(1)


@dataclass
class Gallery:
    """A web server with an image under each path, and what it was asked for."""

    url: str
    contents: dict[str, bytes]
    asked: list[str] = field(default_factory=list)


@contextmanager
def gallery(contents: dict[str, bytes], *, pause_s: float = 0) -> Iterator[Gallery]:
    """Serve each content under its path; many at a time."""

    class Visit(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.asked.append(self.path)
            time.sleep(pause_s)
            content = shown.contents.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args: object) -> None:
            pass

    with _web_server(Visit) as url:
        shown = Gallery(url, contents)
        yield shown


@contextmanager
def git_serving(project_root: Path) -> Iterator[str]:
    """Serve the bare repositories in a folder, as a git server does."""
    environment = {**os.environ, "GIT_PROJECT_ROOT": str(project_root), "GIT_HTTP_EXPORT_ALL": "1"}

    class Visit(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = {
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment | asked, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
            self.send_response(int(dict(lines).get("Status", "200")[:3]))
            for name, value in lines:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    with _web_server(Visit) as url:
        yield url


@contextmanager
def _web_server(visit: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: object) -> None:
            """Say nothing of clients that were killed."""

    with Server(("127.0.0.1", 0), visit) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(3)


@dataclass
class Names:
    """A name server: what each name means, what was asked, and which addresses were then connected to."""

    table: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    real: Callable[..., Any] = field(default_factory=lambda: socket.getaddrinfo)
    real_connect: Callable[..., Any] = field(default_factory=lambda: httpcore.AnyIOBackend.connect_tcp)

    def look_up(self, host: str, *args: object, **options: object) -> list[object]:
        self.asked.append(host)
        # A literal address asks no name server.
        return [entry for address in self.table.get(host, [host]) for entry in self.real(address, *args, **options)]

    async def connect(self, address: str, port: int, *args: object) -> httpcore.AsyncNetworkStream:
        self.connected.append(address)
        real: httpcore.AsyncNetworkStream = await self.real_connect(
            httpcore.AnyIOBackend(), self.table.get(address, [address])[0], port, *args
        )
        return real


def write_certificate(folder: Path, *, has_expired: bool = False) -> Path:
    """Make a self-signed certificate of images.test, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("the openssl command is not installed")
    path = folder / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=images.test"
    extension = ["-addext", "subjectAltName=DNS:images.test", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True, cwd=folder)
    if has_expired:
        command = "openssl x509 -in cert.pem -signkey key.pem -days -1 -out cert.pem"
        subprocess.run(command.split(), check=True, capture_output=True, cwd=folder)
    path.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return path
