"""`mien serve` as a process of its own, and clients that speak to it byte by byte."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Service:
    process: "subprocess.Popen[str]"
    port: int
    greeting: str

    def connect(self, timeout_s: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def ask(self, request: bytes) -> tuple[int, Any]:
        """Return the status and the document of the answer to a request on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request)
            return answer(connection)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 30) -> int:
        """Return the exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


@contextmanager
def served(
    run: Path,
    *flags: object,
    what: str = "serve",
    port: int = 0,
    python: str | Path = sys.executable,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[Service]:
    """Run `mien serve`, or `mien review`; at the end it is killed, where the test has not stopped it."""
    command = [python, "-m", "mien", what, str(run), "--port", str(port), *map(str, flags)]
    pipes: Any = {"stdout": stdout, "stderr": subprocess.PIPE, "text": True}
    # A group of its own: signals to all of it do not reach the tests.
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            assert process.stderr is not None
            greeting = process.stderr.readline()
            found = re.search(r":(\d+) ", greeting)
            assert found, greeting + process.stderr.read()
            yield Service(process, int(found[1]), greeting)
        finally:
            process.kill()


def request(path: str, body: bytes | None = None, kind: str = "image/jpeg") -> bytes:
    """Return the bytes of a GET, or of a POST with a body."""
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    return f"{head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def answer(connection: socket.socket) -> tuple[int, Any]:
    """Return the status and the JSON document of the next answer; (0, None) where the connection ends instead."""
    received = bytearray()
    try:
        while b"\r\n\r\n" not in received:
            if not (part := connection.recv(1)):
                return 0, None
            received += part
        head = received.decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        left, body = int(length[1]) if length else 0, bytearray()
        while len(body) < left:
            body += connection.recv(left - len(body))
        return int(head.split()[1]), json.loads(body) if body else None
    except ConnectionResetError:
        return 0, None


def begin(connection: socket.socket, sent: bytes) -> None:
    """Send the start of a request, behind a whole one: when that is answered, the server has begun with this one."""
    connection.sendall(request("/healthz") + sent)
    assert answer(connection) == (200, {"status": "alive"})
