import asyncio
import gc
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpcore
import pytest

from mien.config import FetchLimits
from mien.core.parallel import in_threads
from mien.errors import BusyError, FetchError, SettingsError
from mien.fetching.addresses import is_public
from mien.fetching.http import Lookups, fetch, receive
from servers import PUBLIC, Answer, Names, drip, pour, redirect, reply, say_nothing, serving, write_certificate

pytestmark = pytest.mark.medium

HERE = FetchLimits(timeout_s=5, allow_private=True)
HURRIED = FetchLimits(timeout_s=0.3, allow_private=True)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    known = Names({PUBLIC: ["127.0.0.1"]})
    monkeypatch.setattr(socket, "getaddrinfo", known.look_up)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", known.connect)
    return known


def refusal(url: str, limits: FetchLimits = HERE) -> str:
    """What `fetch` says when it refuses: one printable line."""
    with pytest.raises(FetchError) as caught:
        fetch(url, limits)
    assert str(caught.value).isprintable()
    return str(caught.value)


def assert_ends_at_the_deadline(url: str) -> None:
    """Nothing else ends what these servers do before `PATIENCE_S`; then the message is another."""
    assert "timed out after 0.3 s" in refusal(url, HURRIED)


@pytest.mark.parametrize("url", ["ftp://h/x", "file:///etc/passwd", "s3://b/k", "data:image/png,A", "file:/x", "a.jpg"])
def test_fetch_refuses_every_scheme_but_http_and_https(url: str) -> None:
    assert "only http and https" in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x",
        "http://[::1",
        "http://h:1:2/",
        "http://h:65536/",
        "http://.h/",
        "http://a b/",
        "http://\udcff/",
    ],
)
def test_fetch_refuses_a_malformed_url(url: str) -> None:
    assert "cannot fetch" in refusal(url)


def test_fetch_shows_a_hostile_url_on_one_line() -> None:
    message = refusal("http://h/\n\x1b[2J\u202e" + "x" * 10_000)
    assert len(message) < 500


def test_fetch_refuses_a_password_and_does_not_repeat_it() -> None:
    message = refusal("http://me:secret@127.0.0.1/x")
    assert "password" in message and "secret" not in message


def test_fetch_says_that_a_name_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*args: object, **options: object) -> object:
        raise socket.gaierror(-2, "Name or\nservice not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert "unknown host 'images.test'" in refusal("http://images.test/x")


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_is_public_accepts_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    """0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 192.0.0.192 192.0.2.1
    192.168.1.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
    168.63.129.16 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
    64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:101:101:: 3fff::1 5f00::1 fc00::1
    fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 2606:4700::1111%eth0""".split(),
)
def test_is_public_refuses_addresses_of_machines_and_local_networks(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "host", "127.0.0.1 127.1 2130706433 0x7f000001 localhost LOCALHOST [::1] [::ffff:127.0.0.1]".split()
)
def test_fetch_refuses_every_spelling_of_this_machine(host: str) -> None:
    with serving(reply()) as server:
        message = refusal(f"http://{host}:{server.port}/", FetchLimits())
    assert "is not a public address. Add --allow-private to allow it" in message
    assert server.requests == []


def test_fetch_refuses_a_name_that_means_a_private_address(names: Names) -> None:
    names.table["images.test"] = ["10.0.0.1"]
    assert "10.0.0.1 is not a public address" in refusal("http://images.test/", FetchLimits())


def test_fetch_refuses_a_name_with_one_private_address_among_public_ones(names: Names) -> None:
    names.table["images.test"] = [PUBLIC, "169.254.169.254"]
    assert "169.254.169.254 is not a public address" in refusal("http://images.test/", FetchLimits())


def test_fetch_connects_to_the_address_that_was_checked_and_asks_only_once(names: Names) -> None:
    names.table["images.test"] = [PUBLIC]
    with serving(reply()) as server:
        assert fetch(f"http://images.test:{server.port}/a%20b?q=1#part", FetchLimits()) == b"image"
    assert (names.asked, names.connected) == (["images.test"], [PUBLIC])
    head = server.requests[0].decode().split("\r\n")
    assert head[0] == "GET /a%20b?q=1 HTTP/1.1"
    assert f"Host: images.test:{server.port}" in head and "Accept-Encoding: identity" in head


def test_fetch_refuses_a_redirect_to_a_private_address(names: Names) -> None:
    names.table["images.test"] = [PUBLIC]
    with serving(redirect("http://127.0.0.1/")) as server:
        message = refusal(f"http://images.test:{server.port}/", FetchLimits())
    assert "redirected to 'http://127.0.0.1/': 127.0.0.1 is not a public address" in message


def test_fetch_goes_on_to_the_address_that_was_checked_where_the_name_has_changed(names: Names) -> None:
    names.table["images.test"] = [PUBLIC]

    def rebind(connection: socket.socket) -> None:
        names.table["images.test"] = ["127.0.0.1"]
        connection.sendall(redirect("/again"))

    with serving(rebind, reply(b"image")) as server:
        assert fetch(f"http://images.test:{server.port}/", FetchLimits()) == b"image"
    assert names.asked == ["images.test"]
    assert names.connected == [PUBLIC, PUBLIC]


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_fetch_refuses_a_port_that_there_is_not(port: int) -> None:
    assert "port" in refusal(f"http://127.0.0.1:{port}/").lower()


def test_a_lookup_that_fails_when_nobody_waits_for_it_any_more_is_no_news(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        time.sleep(0.2)
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    async def leave() -> None:
        lookups = Lookups(HERE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lookups.addresses("images.test"), 0.05)
        await asyncio.sleep(0.4)
        del lookups
        gc.collect()

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    asyncio.run(leave())
    assert caplog.records == []


def test_a_host_that_cannot_be_reached_is_looked_up_again_the_next_time(names: Names) -> None:
    async def ask(url: str) -> bytes:
        content, lookups = bytearray(), Lookups(HERE)
        names.table["images.test"] = ["::1"]
        with pytest.raises(FetchError, match="refused"):
            await receive(url, lookups, take=content.extend)
        names.table["images.test"] = ["127.0.0.1"]
        await receive(url, lookups, take=content.extend)
        return bytes(content)

    with serving(reply(b"image")) as server:
        assert asyncio.run(ask(f"http://images.test:{server.port}/")) == b"image"


@pytest.mark.parametrize("waits", [False, True], ids=["refuses", "is silent"])
def test_fetch_tries_the_next_address_when_one_cannot_be_reached(
    waits: bool, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(network: object, host: str, port: int, timeout: float, *args: Any) -> httpcore.AsyncNetworkStream:
        if host == "127.0.0.9":
            assert timeout <= 10  # half the time is left for the other address
            raise httpcore.ConnectTimeout if waits else httpcore.ConnectError
        return await names.connect(host, port, timeout, *args)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    names.table["images.test"] = ["127.0.0.9", "127.0.0.1"]
    with serving(reply()) as server:
        assert fetch(f"http://images.test:{server.port}/", FetchLimits(20, allow_private=True)) == b"image"


def test_fetch_goes_on_to_an_address_where_somebody_listens(names: Names) -> None:
    names.table["images.test"] = ["::1", "127.0.0.1"]
    with serving(reply()) as server:
        assert fetch(f"http://images.test:{server.port}/", HERE) == b"image"
    assert names.connected == ["::1", "127.0.0.1"]


def test_fetch_takes_a_literal_ipv6_address() -> None:
    try:
        with serving(reply(), host="::1") as server:
            assert fetch(f"http://[::1]:{server.port}/", HERE) == b"image"
            assert f"Host: [::1]:{server.port}".encode() in server.requests[0]
    except OSError as error:
        if isinstance(error, FetchError):
            raise
        pytest.skip(f"no IPv6 here: {error}")


def test_fetch_uses_no_proxy_and_no_password_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login me password secret")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(reply()) as server:
        assert fetch(server.url, HERE) == b"image"
    assert b"authorization" not in server.requests[0].lower()


def test_fetch_follows_a_relative_redirect() -> None:
    with serving(redirect("../b.jpg?x=1", "308 Permanent Redirect"), reply()) as server:
        assert fetch(f"{server.url}/a/c", HERE) == b"image"
    assert server.requests[1].startswith(b"GET /b.jpg?x=1 ")


def test_fetch_gives_up_on_endless_redirects() -> None:
    with serving(redirect("/next")) as server:
        assert "more than 3 redirects" in refusal(server.url)
    assert len(server.requests) == 4


def test_fetch_follows_no_more_than_it_may_of_ten_thousand_redirects() -> None:
    limits = FetchLimits(timeout_s=1, max_redirects=10_000, allow_private=True)
    with serving(redirect("/next")) as server:
        assert "timed out after 1 s" in refusal(server.url, limits)
        assert "more than 10 redirects" in refusal(server.url, FetchLimits(5, max_redirects=10, allow_private=True))


def test_fetch_ends_a_loop_of_redirects() -> None:
    with serving(redirect("/a"), redirect("/b"), redirect("/a"), redirect("/b")) as server:
        assert "more than 3 redirects" in refusal(server.url)


def test_fetch_carries_no_cookie_to_the_next_hop() -> None:
    with serving(reply(b"", "302 Found", "Location: /b", "Set-Cookie: id=1; Path=/"), reply()) as server:
        fetch(server.url, HERE)
    assert b"cookie" not in server.requests[1].lower()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://h/x", "data:image/png;base64,AA", "javascript:x"])
def test_fetch_refuses_a_redirect_to_another_scheme(location: str) -> None:
    with serving(redirect(location)) as server:
        assert "only http and https" in refusal(server.url)


@pytest.mark.parametrize("location", ["http://[", "http://", "http://me:secret@127.0.0.1/", "\x80\xff//\x7f"])
def test_fetch_refuses_a_redirect_to_nonsense(location: str) -> None:
    with serving(redirect(location), reply(b"", "404 Not Found")) as server:
        assert "secret" not in refusal(server.url)


def test_fetch_returns_whatever_the_server_calls_it() -> None:
    with serving(reply(b"<html>", "200 OK", "Content-Type: text/html")) as server:
        assert fetch(server.url, HERE) == b"<html>"


def test_fetch_takes_a_body_in_chunks_and_a_body_without_a_length() -> None:
    with serving(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nima\r\n2\r\nge\r\n0\r\n\r\n") as server:
        assert fetch(server.url, HERE) == b"image"
    with serving(b"HTTP/1.0 200 OK\r\n\r\nimage") as server:
        assert fetch(server.url, HERE) == b"image"


def test_fetch_takes_no_more_of_a_body_than_the_server_said() -> None:
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nimage and much more") as server:
        assert fetch(server.url, HERE) == b"imag"


def test_fetch_returns_an_empty_body() -> None:
    with serving(reply(b"")) as server:
        assert fetch(server.url, HERE) == b""


def test_fetch_reports_a_connection_that_is_reset_in_the_middle() -> None:
    def reset(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with serving(reset) as server:
        assert server.url in refusal(server.url)


@pytest.mark.parametrize(
    ("answer", "may_pass", "status_code"),
    [
        (reply(b"", "503 Busy", "Retry-After: 7"), True, 503),
        (reply(b"", "404 None"), False, 404),
        (b"", True, 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nimage", True, 0),
        (reply(bytes(1000)), False, 0),
        (redirect("file:///x"), False, 0),
    ],
)
def test_fetch_says_whether_another_try_may_go_well(answer: bytes, may_pass: bool, status_code: int) -> None:
    with serving(answer) as server, pytest.raises(FetchError) as caught:
        fetch(server.url, FetchLimits(5, 100, allow_private=True))
    assert (caught.value.may_pass, caught.value.status_code) == (may_pass, status_code)
    assert caught.value.retry_after_s == (7 if status_code == 503 else 0)
    assert server.url not in caught.value.reason


@pytest.mark.parametrize(
    "status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial", "304 Not Modified", "302 X"]
)
def test_fetch_refuses_every_status_but_200(status: str) -> None:
    with serving(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode()) as server:
        assert f"answered {status}" in refusal(server.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nimage",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nimage",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\nimage",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nimage",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nimage",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nimage",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 \x1b[2J\x00\r\n\r\n",
    ],
)
def test_fetch_refuses_a_broken_answer(answer: bytes) -> None:
    with serving(answer) as server:
        assert server.url in refusal(server.url)


def test_fetch_refuses_a_compressed_body_without_unpacking_it() -> None:
    with serving(reply(b"\x1f\x8b bomb", "200 OK", "Content-Encoding: gzip")) as server:
        assert "compressed data ('gzip')" in refusal(server.url)


def test_fetch_refuses_a_body_that_says_it_is_too_long_before_reading_it() -> None:
    with serving(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")) as server:
        assert "99999999999 bytes, more than the limit of 33554432" in refusal(server.url)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_fetch_stops_an_endless_body_at_the_limit(start: bytes) -> None:
    block = b"2000\r\n" + bytes(0x2000) + b"\r\n"  # as good as any body where there are no chunks
    with serving(pour(start, block)) as server:
        assert "more than 100000 bytes" in refusal(server.url, FetchLimits(5, 100_000, allow_private=True))


def test_fetch_takes_a_body_of_exactly_the_limit() -> None:
    with serving(reply(bytes(1000))) as server:
        assert fetch(server.url, FetchLimits(max_bytes=1000, allow_private=True)) == bytes(1000)
        assert "1000 bytes, more than the limit of 999" in refusal(
            server.url, FetchLimits(max_bytes=999, allow_private=True)
        )


@pytest.mark.parametrize(
    "answer",
    [
        say_nothing,
        drip(b"HTTP/1.1 200 OK\r\nX: "),
        drip(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        drip(b"HTTP/1.0 200 OK\r\n\r\n"),
        pour(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["silence", "slow header", "slow 100s", "slow body", "slow body without a length", "flood of 100s"],
)
def test_fetch_ends_at_the_deadline_and_hangs_up(answer: Answer) -> None:
    with serving(answer) as server:  # which checks that its connection was closed
        assert_ends_at_the_deadline(server.url)


def test_fetch_counts_every_hop_in_one_deadline() -> None:
    def later(connection: socket.socket) -> None:
        time.sleep(0.15)
        connection.sendall(redirect("/next"))

    with serving(later) as server:
        assert_ends_at_the_deadline(server.url)


def test_fetch_ends_at_the_deadline_when_the_name_server_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: released.wait(5) and [])
    assert_ends_at_the_deadline("http://images.test/")
    released.set()


def test_fetch_hangs_up_on_a_connection_that_comes_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    real = httpcore.AnyIOBackend.connect_tcp

    async def connect(*args: Any) -> httpcore.AsyncNetworkStream:
        await asyncio.sleep(0.4)
        return await real(*args)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    with serving(drip(b"HTTP/1.1 200 OK\r\nX: ")) as server:
        assert_ends_at_the_deadline(server.url)
        time.sleep(0.3)  # by now it would be there


def test_fetch_ends_at_the_deadline_when_a_tls_greeting_never_comes() -> None:
    with serving(say_nothing) as server:
        assert_ends_at_the_deadline(f"https://127.0.0.1:{server.port}")


def test_names_that_nobody_answers_for_take_a_limited_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: released.wait(20) and [])
    before = threading.active_count()
    for number in range(80):
        told = "timed out after" if number < 64 else "the DNS server does not respond"
        assert told in refusal("http://images.test/", FetchLimits(0.01))
    assert threading.active_count() - before <= 64
    released.set()


SILENT_NAME_SERVER = """
import socket, sys, time
socket.getaddrinfo = lambda *arguments, **options: (print("asked", flush=True), time.sleep(60))
from mien.config import FetchLimits, IntakeLimits
from mien.fetching.downloads import download
from mien.fetching.http import fetch
"""


@pytest.mark.parametrize(
    "statement",
    [
        "fetch('http://images.test/', FetchLimits(0.2))",
        "for _, error in download(['http://images.test/'], IntakeLimits(retries=0), FetchLimits(0.2)): raise error",
    ],
)
def test_a_process_need_not_wait_for_a_name_server_at_its_end(statement: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SILENT_NAME_SERVER + statement], stderr=subprocess.PIPE, timeout=20, check=False
    )
    assert done.returncode == 1 and b"timed out after 0.2 s" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has another signal for it")
@pytest.mark.parametrize(
    "statement",
    ["fetch('http://images.test/')", "next(download(['http://images.test/'], IntakeLimits(), FetchLimits()))"],
)
def test_ctrl_c_ends_what_waits_for_a_name_server(statement: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SILENT_NAME_SERVER + statement], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline() == b"asked\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=15)
    assert time.monotonic() - began < 10 and said.splitlines()[-1] == b"KeyboardInterrupt"


def test_fetch_works_where_an_event_loop_runs() -> None:
    async def fetch_without_waiting() -> bytes:
        return fetch(server.url, HERE)

    with serving(reply()) as server:
        assert asyncio.run(fetch_without_waiting()) == b"image"


def test_who_leaves_an_exchange_hangs_up() -> None:
    async def leave() -> None:
        begun = asyncio.Event()
        exchange = asyncio.create_task(receive(server.url, Lookups(HERE), take=lambda chunk: begun.set()))
        await begun.wait()
        exchange.cancel()
        await asyncio.wait([exchange])
        assert exchange.cancelled()

    with serving(drip(b"HTTP/1.0 200 OK\r\n\r\n")) as server:  # which checks that its connection was closed
        asyncio.run(leave())


def test_what_cannot_be_taken_ends_an_exchange_with_its_own_error() -> None:
    def take(chunk: bytes) -> None:
        raise BusyError("no room")

    with serving(drip(b"HTTP/1.0 200 OK\r\n\r\n")) as server, pytest.raises(BusyError, match="no room"):
        asyncio.run(receive(server.url, Lookups(HERE), take=take))


@pytest.mark.parametrize(
    "wrong", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"max_bytes": 0}, {"max_redirects": -1}]
)
def test_fetch_limits_refuse_values_without_a_meaning(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        FetchLimits(**wrong)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_fetch_checks_the_certificate_for_the_name_and_not_for_the_address(
    tls: ssl.SSLContext, certificate: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    greeted: list[str] = []
    tls.sni_callback = lambda connection, name, context: greeted.append(name)
    names.table |= {"images.test": [PUBLIC], "images.test.": [PUBLIC], "other.test": [PUBLIC]}
    monkeypatch.setattr("certifi.where", lambda: str(certificate))
    with serving(reply(), tls=tls) as server:
        assert fetch(f"https://images.test:{server.port}/", FetchLimits()) == b"image"
        assert fetch(f"https://images.test.:{server.port}/", FetchLimits()) == b"image"
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(f"https://other.test:{server.port}/", FetchLimits())
    assert greeted == ["images.test", "images.test", "other.test"]


def test_fetch_checks_the_certificate_again_after_a_redirect(
    tls: ssl.SSLContext, certificate: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.table |= {"images.test": [PUBLIC], "other.test": [PUBLIC]}
    monkeypatch.setattr("certifi.where", lambda: str(certificate))

    def stay(connection: socket.socket) -> None:
        connection.sendall(redirect(f"https://other.test:{connection.getsockname()[1]}/"))
        connection.recv(1 << 16)
        connection.sendall(reply())

    with serving(stay, tls=tls) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(f"https://images.test:{server.port}/", FetchLimits())


def test_fetch_refuses_a_self_signed_certificate(tls: ssl.SSLContext) -> None:
    with serving(reply(), tls=tls) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(f"https://127.0.0.1:{server.port}")


def test_fetch_refuses_a_certificate_that_has_expired(
    tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired = write_certificate(tmp_path, has_expired=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(expired)
    names.table["images.test"] = [PUBLIC]
    monkeypatch.setattr("certifi.where", lambda: str(expired))
    with serving(reply(), tls=context) as server:
        assert "expired" in refusal(f"https://images.test:{server.port}", FetchLimits())


def test_fetch_reports_https_to_a_port_that_speaks_http() -> None:
    with serving(reply()) as server:
        assert "SSL" in refusal(f"https://127.0.0.1:{server.port}")


def test_fetch_reports_a_port_where_nobody_listens() -> None:
    with serving(reply()) as server:
        pass
    assert "refused" in refusal(server.url)


def test_importing_fetching_does_not_import_httpx() -> None:
    modules = "mien.fetching.sources, mien.fetching.intake"
    code = f"import sys, {modules}; sys.exit('httpx' in sys.modules or 'ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fetch_works_in_many_threads_at_once() -> None:
    with serving(reply()) as server:
        assert list(in_threads(lambda url: fetch(url, HERE), [server.url] * 30, num_threads=8)) == [b"image"] * 30
