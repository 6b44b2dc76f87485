"""Fetching for requests: a few at a time in all, within memory and time, and telling nothing of the network here."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mien.config import ServeConfig
from mien.errors import BusyError, FetchError, TooLargeError
from mien.fetching.http import Lookups
from mien.serving import urls
from mien.serving.answers import Answer
from mien.serving.limits import MemoryBudget
from mien.serving.uploads import Upload
from mien.serving.urls import UrlFetcher

BUDGET = 100 * 1024**2
Take = Callable[[bytes], object]


class Internet:
    """Answers only when it is told to, and knows how many wait for it."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.num_asking = 0
        self.most_asking = 0

    async def receive(self, url: str, lookups: Lookups, *, take: Take) -> None:
        self.num_asking += 1
        self.most_asking = max(self.most_asking, self.num_asking)
        try:
            take(url.encode())
            await self.opened.wait()
        finally:
            self.num_asking -= 1


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    internet = Internet()
    monkeypatch.setattr(urls, "receive", internet.receive)
    return internet


async def fetch(fetcher: UrlFetcher, budget: MemoryBudget, num_urls: int) -> list[Upload | Answer]:
    with budget.share() as share:
        return await fetcher.fetch([f"https://example.org/{number}" for number in range(num_urls)], share)


async def until(holds: Any) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came to that")


def fetcher_of(**settings: Any) -> UrlFetcher:
    return UrlFetcher(ServeConfig(**{"max_file_mb": 1, **settings}))


def test_images_come_in_order_and_only_a_few_are_fetched_at_a_time(internet: Internet) -> None:
    internet.opened.set()
    budget = MemoryBudget(BUDGET)
    found = asyncio.run(fetch(fetcher_of(), budget, 64))
    assert found == [Upload(url, url.encode()) for url in (f"https://example.org/{number}" for number in range(64))]
    assert 1 <= internet.most_asking <= 8
    assert budget.num_taken == 0


def test_what_has_come_in_counts_and_no_more(internet: Internet) -> None:
    budget = MemoryBudget(BUDGET)

    async def look() -> None:
        fetching = asyncio.create_task(fetch(fetcher_of(), budget, 3))
        await until(lambda: internet.num_asking == 3)
        assert budget.num_taken == 3 * len("https://example.org/0")
        internet.opened.set()
        await fetching

    asyncio.run(look())
    assert budget.num_taken == 0


def test_small_images_need_no_memory_that_large_ones_would(internet: Internet) -> None:
    fetcher, budget = fetcher_of(), MemoryBudget(1000)

    async def ask() -> None:
        together = [asyncio.create_task(fetch(fetcher, budget, 20)) for _ in range(2)]
        await until(lambda: internet.num_asking == 8)
        internet.opened.set()
        for found in await asyncio.gather(*together):
            assert len(found) == 20 and all(isinstance(item, Upload) for item in found)

    asyncio.run(ask())
    assert internet.most_asking == 8 and budget.num_taken == 0


def test_images_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive(url: str, lookups: Lookups, *, take: Take) -> None:
        for _ in range(9):
            take(bytes(100_000))

    monkeypatch.setattr(urls, "receive", receive)
    fetcher, budget = fetcher_of(), MemoryBudget(2 * 1024**2)
    for _ in range(10):
        with pytest.raises(TooLargeError):
            asyncio.run(fetch(fetcher, budget, 3))
    assert budget.num_taken == 0
    assert len(asyncio.run(fetch(fetcher, budget, 2))) == 2


def test_memory_that_others_hold_is_not_waited_for(internet: Internet) -> None:
    budget = MemoryBudget(1000)
    with budget.share() as other:
        other.take(990)
        with pytest.raises(BusyError):
            asyncio.run(fetch(fetcher_of(), budget, 1))
        assert budget.num_taken == 990 and internet.num_asking == 0


def test_what_came_of_an_image_that_never_came_whole_is_given_back(internet: Internet) -> None:
    budget = MemoryBudget(BUDGET)

    async def ask() -> None:
        with budget.share() as share:
            (late,) = await fetcher_of(upload_timeout_s=0.1).fetch(["https://example.org/"], share)
            assert isinstance(late, Answer) and (share.num_bytes, budget.num_taken) == (0, 0)

    asyncio.run(ask())


def test_who_leaves_gives_the_places_to_others(internet: Internet) -> None:
    fetcher, budget = fetcher_of(), MemoryBudget(BUDGET)

    async def leave_often() -> None:
        for _ in range(5):
            leaving = asyncio.create_task(fetch(fetcher, budget, 20))
            await until(lambda: internet.num_asking == 8)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            assert budget.num_taken == 0 and internet.num_asking == 0
        internet.opened.set()
        assert len(await fetch(fetcher, budget, 20)) == 20

    asyncio.run(leave_often())
    assert internet.most_asking == 8


def test_there_is_a_limit_to_what_waits_and_for_how_long(internet: Internet) -> None:
    fetcher, budget = fetcher_of(max_waiting=10, max_files=10, upload_timeout_s=1), MemoryBudget(BUDGET)

    async def ask() -> None:
        waiting = asyncio.create_task(fetch(fetcher, budget, 10))
        await until(lambda: internet.num_asking == 8)
        with pytest.raises(BusyError):
            await fetch(fetcher, budget, 1)
        late = await waiting
        assert all(isinstance(answer, Answer) and "or too slow" in str(answer.refusal) for answer in late)
        assert budget.num_taken == 0
        internet.opened.set()
        assert len(await fetch(fetcher, budget, 10)) == 10

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FetchError("10.0.0.7 is not a public address"), "it must be an image at a public http or https address"),
        (FetchError("the name 'db.internal' is not known"), "it must be an image at a public http or https address"),
        (FetchError("connection to 10.0.0.7 refused", may_pass=True), "is unreachable or too slow"),
        (FetchError("the server at db answered 404 secret", status_code=404), "its server answered 404"),
        (FetchError("the server answered 503", status_code=503, may_pass=True), "its server answered 503"),
    ],
)
def test_why_a_url_cannot_be_fetched_is_told_without_what_only_the_server_knows(
    error: FetchError, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(url: str, lookups: Lookups, *, take: Take) -> None:
        take(b"half an im")
        raise error

    monkeypatch.setattr(urls, "receive", fail)
    (answer,) = asyncio.run(fetch(fetcher_of(), MemoryBudget(BUDGET), 1))
    assert isinstance(answer, Answer) and isinstance(answer.refusal, FetchError)
    assert told in str(answer.prediction.error)
    assert not any(secret in str(answer) for secret in ("10.0", "db", "secret"))


def test_a_host_that_does_not_answer_keeps_no_other_from_its_answer(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def receive(url: str, lookups: Lookups, *, take: Take) -> None:
        await internet.receive(url, lookups, take=take) if url.endswith("1") else take(b"image")

    monkeypatch.setattr(urls, "receive", receive)
    found = asyncio.run(fetch(fetcher_of(upload_timeout_s=0.2), MemoryBudget(BUDGET), 3))
    assert [isinstance(item, Upload) for item in found] == [True, False, True]


@pytest.mark.parametrize("seconds", [0.01, 30, 1e6])
def test_any_setting_of_the_server_is_one_for_fetching(seconds: float) -> None:
    fetcher_of(upload_timeout_s=seconds)
