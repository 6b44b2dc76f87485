import asyncio
import os
import socket
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from mien.config import FetchLimits, IntakeLimits
from mien.errors import FetchError, SettingsError
from mien.fetching import downloads
from mien.fetching.downloads import download, download_file
from mien.fetching.http import Lookups
from servers import Answer, pour, reply, say_nothing, serving

pytestmark = pytest.mark.medium

HERE = FetchLimits(timeout_s=5, allow_private=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_FIRST_PAUSE_S", 0.01)


def outcome_of(*answers: Answer, limits: IntakeLimits = IntakeLimits(), fetch_limits: FetchLimits = HERE) -> object:
    """What comes of one URL, and of how many requests."""
    with serving(*answers) as server:
        ((_, outcome),) = download([server.url], limits, fetch_limits)
    return (outcome if isinstance(outcome, bytes) else outcome.status_code), len(server.requests)


def reset(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf a pict")


@pytest.mark.parametrize("status", ["408 X", "429 X", "500 X", "502 X", "503 X", "504 X"])
def test_a_server_that_is_busy_is_asked_again(status: str) -> None:
    assert outcome_of(reply(b"", status), reply()) == (b"image", 2)


def test_a_connection_that_breaks_is_made_again() -> None:
    assert outcome_of(b"", reset, reply()) == (b"image", 3)


def test_a_timeout_is_tried_again() -> None:
    assert outcome_of(say_nothing, reply(), fetch_limits=FetchLimits(0.3, allow_private=True)) == (b"image", 2)


@pytest.mark.parametrize("status", ["400 X", "401 X", "403 X", "404 X", "410 X", "204 X", "501 X"])
def test_a_server_that_says_no_is_not_asked_again(status: str) -> None:
    assert outcome_of(reply(b"", status), reply()) == (int(status[:3]), 1)


def test_retries_end() -> None:
    assert outcome_of(reply(b"", "503 X"), limits=IntakeLimits(retries=2)) == (503, 3)
    assert outcome_of(reply(b"", "503 X"), limits=IntakeLimits(retries=0)) == (503, 1)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each pause would have been: none is made."""
    kept: list[float] = []

    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            kept.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return kept


@pytest.mark.parametrize("seconds", [1, 30])
def test_the_pause_that_a_server_asks_for_is_kept(seconds: int, pauses: list[float]) -> None:
    assert outcome_of(reply(b"", "429 X", f"Retry-After: {seconds}"), reply()) == (b"image", 2)
    assert pauses == [seconds]


@pytest.mark.parametrize("seconds", ["31", "99999999", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "1e9", "\u0663"])
def test_a_pause_that_is_too_long_or_no_number_keeps_nobody_waiting(seconds: str, pauses: list[float]) -> None:
    answer = f"HTTP/1.1 429 X\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n".encode()
    outcome_of(answer, reply())
    assert all(pause_s < 0.1 for pause_s in pauses)


def test_urls_are_fetched_at_once_and_a_slow_one_keeps_none_waiting() -> None:
    with serving(say_nothing) as slow, ExitStack() as stack:
        others = [stack.enter_context(serving(reply())).url for _ in range(3)]
        found = download([slow.url, *others], IntakeLimits(workers=2, retries=0), FetchLimits(1, allow_private=True))
        assert [url for url, _ in found] == [*others, slow.url]


def test_one_host_is_asked_for_a_few_at_a_time() -> None:
    at_work, most = Counter[str](), 0
    urls = [f"http://images.test/{number}" for number in range(40)]

    async def receive(url: str, lookups: Lookups, *, take: object) -> None:
        nonlocal most
        at_work["begun"] += 1
        at_work["now"] += 1
        most = max(most, at_work["now"])
        # Until as many are at work as may be, none ends; the last one has nobody to wait for.
        async with asyncio.timeout(20):
            while most < 3 and at_work["begun"] < len(urls):
                await asyncio.sleep(0.01)
        at_work["now"] -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "receive", receive)
        assert len(list(download(urls, IntakeLimits(max_per_host=3), HERE))) == 40
    assert most == 3


def test_an_error_that_is_no_refusal_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive(url: str, lookups: Lookups, *, take: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(downloads, "receive", receive)
    with pytest.raises(RuntimeError, match="new thread"):
        list(download(["http://h/"], IntakeLimits(), HERE))


def test_a_malformed_url_is_refused_like_any_other() -> None:
    ((url, outcome),) = download(["http://[::1"], IntakeLimits(), HERE)
    assert url == "http://[::1" and isinstance(outcome, FetchError)


def test_who_stops_taking_stops_the_workers() -> None:
    with serving(reply()) as server:
        before = set(threading.enumerate())
        found = download([f"{server.url}/{number}" for number in range(200)], IntakeLimits(workers=2), HERE)
        next(found)
        found.close()
        for thread in set(threading.enumerate()) - before:
            thread.join(20)
            assert not thread.is_alive()
    assert len(server.requests) < 20


def test_what_is_not_taken_is_not_fetched() -> None:
    with serving(reply()) as server:
        found = download([f"{server.url}/{number}" for number in range(200)], IntakeLimits(workers=2), HERE)
        next(found)
        time.sleep(0.5)
        assert len(server.requests) <= 4  # one is taken, one waits, and the two workers wait with one each
        found.close()


def test_who_stops_taking_does_not_wait_for_a_silent_server() -> None:
    with serving(reply()) as server, serving(say_nothing) as silent:
        found = download([server.url, silent.url], IntakeLimits(), FetchLimits(600, allow_private=True))
        assert next(found) == (server.url, b"image")
        found.close()


def test_a_file_is_written_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with serving(reply(bytes(5_000_000))) as server:
        download_file(server.url, path, limits=IntakeLimits(), fetch_limits=HERE)
        assert path.read_bytes() == bytes(5_000_000)
        tracemalloc.start()
        download_file(server.url, Path(os.devnull), limits=IntakeLimits(), fetch_limits=HERE)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


def test_a_file_is_written_no_further_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with serving(pour(b"HTTP/1.0 200 OK\r\n\r\n", bytes(8192))) as server, pytest.raises(FetchError, match="100000"):
        download_file(server.url, path, limits=IntakeLimits(), fetch_limits=FetchLimits(5, 100_000, allow_private=True))
    assert path.stat().st_size <= 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        *({"retries": -1}, {"workers": 0}, {"max_per_host": 0}, {"max_files": 0}, {"max_ratio": 0.5}),
        *({"max_total_bytes": 0}, {"source_timeout_s": float("nan")}, {"max_ratio": float("nan")}),
    ],
)
def test_limits_refuse_values_without_a_meaning(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        IntakeLimits(**wrong)  # type: ignore[arg-type]
