"""Work for a client: it is done while somebody waits for it, and given up, cleanly, when nobody does."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from mien.serving.queue import while_connected


def request_that(*events: Any) -> Request:
    """Return a request that gets some events, each after a moment, and then nothing more."""
    waiting = iter(events)

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        for event in waiting:
            return {"type": event}
        await asyncio.Event().wait()

    return Request({"type": "http"}, receive)


async def work(seconds: float, ended: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
        return "answer"
    finally:
        await asyncio.sleep(0)
        ended.append("ended")


def test_who_stays_gets_the_answer() -> None:
    assert asyncio.run(while_connected(request_that("http.request"), work(0.05, []))) == "answer"


def test_work_for_who_is_gone_is_over_before_anything_else_goes_on() -> None:
    ended: list[str] = []

    async def leave() -> None:
        with pytest.raises(ClientDisconnect):
            await while_connected(request_that("http.request", "http.disconnect"), work(10, ended))
        assert ended == ["ended"]

    asyncio.run(leave())


def test_who_is_cancelled_cancels_the_work() -> None:
    ended: list[str] = []

    async def cancel() -> None:
        task = asyncio.create_task(while_connected(request_that(), work(10, ended)))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["ended"]

    asyncio.run(cancel())


def test_what_goes_wrong_in_the_work_is_told() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(while_connected(request_that(), fail()))
