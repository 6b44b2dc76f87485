"""An S3 server on this machine, and before it a proxy that counts requests, refuses them, or fails at random."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mien.fetching import stores

BUCKET = "photos-of-moods"
SECRET = "a-secret-that-nobody-may-see"
REFUSAL = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass
class Store:
    """A bucket, and what is asked of it.

    Attributes:
        client: Of boto3, past the proxy.
        endpoint: Where the proxy listens.
        requests: Method and path of what came through the proxy, in order.
        failing: The share of requests that fail.
        refused: Which requests are refused, by method and path.
        held: A part of paths, and what is waited for before these are answered.
    """

    client: Any
    endpoint: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    failing: float = 0.0
    refused: Callable[[str, str], bool] = lambda _method, _path: False
    held: tuple[str, threading.Event] | None = None
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def put_folder(self, folder: Path, prefix: str) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def keys(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", [])]

    def content(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def hold(self, part: str) -> threading.Event:
        """Answer no request whose path has this part until the event that is returned is set."""
        self.held = part, threading.Event()
        return self.held[1]

    def num_read(self, start: str) -> int:
        """Return how many objects whose keys begin so were asked for."""
        return sum(method == "GET" and path.startswith(f"/{BUCKET}/{start}") for method, path in self.requests)


def address(key: str = "") -> str:
    return f"s3://{BUCKET}/{key}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, _serving(patch) as store:
        yield store


@pytest.fixture
def store(s3_server: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """A store with an empty bucket that does what it is asked, and a cache that is empty, too."""
    from s3fs import S3FileSystem

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(stores, "_FIRST_PAUSE_S", 0.01)
    s3_server.requests.clear()
    yield s3_server
    s3_server.failing, s3_server.refused, s3_server.held = 0.0, lambda _method, _path: False, None
    S3FileSystem.clear_instance_cache()
    for key in s3_server.keys(""):
        s3_server.client.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def _serving(patch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Serve a bucket, and let the libraries of stores find it by the environment."""
    import boto3
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    for name, value in {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        patch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket=BUCKET)
        with _proxy_before(host, port) as (proxy, endpoint):
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            S3FileSystem.clear_instance_cache()
            proxy.store = Store(client, endpoint)
            yield proxy.store
        client.close()
    finally:
        S3FileSystem.clear_instance_cache()
        server.stop()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    store: Store
    behind: tuple[str, int]


@contextmanager
def _proxy_before(host: str, port: int) -> Iterator[tuple[_Proxy, str]]:
    with _Proxy(("127.0.0.1", 0), _Passing) as proxy:
        proxy.behind = host, port
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield proxy, f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()
        thread.join()


class _Passing(BaseHTTPRequestHandler):
    """Passes a request on, and the answer back; or an error, or half of the answer, or nothing at all."""

    protocol_version = "HTTP/1.1"
    server: _Proxy

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        setattr(self, f"do_{self.command}", self._pass_on)
        return True

    def _pass_on(self) -> None:
        store = self.server.store
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        store.requests.append((self.command, self.path.partition("?")[0]))
        if store.held and store.held[0] in self.path:
            store.held[1].wait(60)
        if store.refused(self.command, self.path):
            return self._answer(403, {}, REFUSAL)
        failure = (
            store.chance.choice(["500", "503", "nothing", "half"]) if store.chance.random() < store.failing else ""
        )
        if failure in ("500", "503"):
            return self._answer(int(failure), {}, b"")
        if failure == "nothing":
            self.close_connection = True
            return None
        connection = HTTPConnection(*self.server.behind)
        connection.request(self.command, self.path, content, dict(self.headers))
        answer = connection.getresponse()
        self._answer(answer.status, dict(answer.headers), answer.read(), is_cut=failure == "half")
        connection.close()
        return None

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, is_cut: bool = False) -> None:
        passed = {
            name: value for name, value in headers.items() if name.lower() not in ("connection", "date", "server")
        }
        if self.command != "HEAD":
            passed = {name: value for name, value in passed.items() if name.lower() != "transfer-encoding"}
            passed["Content-Length"] = str(len(content))
        self.send_response(status)
        for name, value in passed.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Write nothing."""
