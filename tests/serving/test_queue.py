"""The queue: a bounded number wait, nobody for ever, and what nobody waits for is not done."""

import asyncio
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from http_asking import JPEG
from mien.config import ServeConfig
from mien.errors import BusyError, NotReadyError
from mien.serving import answers
from mien.serving.answers import Answer
from mien.serving.queue import InferenceQueue, while_connected
from mien.serving.uploads import Upload
from onnx_models import colour_classifier

pytestmark = pytest.mark.medium


class Gate:
    """Holds every image back until it is opened, and counts those that came to it."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.names: list[str] = []

    def answer(self, *arguments: Any, **options: Any) -> Answer:
        self.names.append(arguments[1].name)
        assert self.opened.wait(5)
        return _answer(*arguments, **options)


_answer = answers.answer


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(answers, "answer", gate.answer)
    yield gate
    gate.opened.set()


def uploads(num: int) -> list[Upload]:
    return [Upload(str(number), JPEG) for number in range(num)]


def queue_of(**settings: Any) -> InferenceQueue:
    return InferenceQueue(colour_classifier(), ServeConfig(**settings))


async def until(holds: Any) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came to that")


def test_answers_come_in_the_order_of_the_images() -> None:
    found = asyncio.run(queue_of().answer(uploads(20)))
    assert [answer.prediction.source for answer in found] == [str(number) for number in range(20)]
    assert len({answer.prediction.label for answer in found}) == 1


def test_what_has_no_place_is_not_taken_on(gate: Gate) -> None:
    queue = queue_of(max_waiting=4, max_files=4)

    async def ask() -> None:
        waiting = asyncio.create_task(queue.answer(uploads(3)))
        await until(lambda: queue.num_waiting == 3)
        with pytest.raises(BusyError) as refused:
            await queue.answer(uploads(2))
        assert refused.value.retry_after_s >= 1 and queue.num_waiting == 3
        queue.check_ready()
        last = asyncio.create_task(queue.answer(uploads(1)))
        await until(lambda: queue.num_waiting == 4)
        with pytest.raises(NotReadyError, match="busy"):
            queue.check_ready()
        gate.opened.set()
        assert len(await waiting) == 3 and len(await last) == 1
        assert queue.num_waiting == 0
        queue.check_ready()

    asyncio.run(ask())


def test_what_could_not_be_answered_in_time_is_not_taken_on(gate: Gate) -> None:
    # Each image is thought to take 0.02 s at first.
    queue = queue_of(answer_timeout_s=0.1, max_waiting=2000)

    async def ask() -> None:
        waiting = asyncio.create_task(queue.answer(uploads(1000)))
        await until(lambda: queue.num_waiting == 1000 or waiting.done())
        with pytest.raises(BusyError):
            await queue.answer(uploads(1))
        with pytest.raises(NotReadyError, match="took too long"):
            await waiting

    asyncio.run(ask())


def test_nobody_waits_for_ever_and_what_was_not_begun_leaves_the_queue(gate: Gate) -> None:
    queue = queue_of(answer_timeout_s=0.2)

    async def ask() -> None:
        with pytest.raises(NotReadyError, match="took too long"):
            await queue.answer(uploads(60))
        assert queue.num_waiting == 0
        num_begun = len(gate.names)
        gate.opened.set()
        assert len(await queue.answer([Upload("last", JPEG)])) == 1
        assert gate.names[num_begun:] == ["last"]

    asyncio.run(ask())


def test_who_goes_away_takes_the_images_out_of_the_queue(gate: Gate) -> None:
    queue = queue_of()

    async def ask() -> None:
        leaving = asyncio.create_task(queue.answer(uploads(60)))
        await until(lambda: gate.names)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert queue.num_waiting == 0
        gate.opened.set()

    asyncio.run(ask())
    queue.close()
    assert len(gate.names) < 60


def test_an_image_that_nobody_waits_for_is_held_no_longer(gate: Gate) -> None:
    async def run() -> None:
        queue = queue_of()
        staying = asyncio.create_task(queue.answer(uploads(64)))
        await asyncio.sleep(0)
        gone = uploads(1)
        image = weakref.ref(gone[0])
        going = asyncio.create_task(queue.answer(gone))
        await asyncio.sleep(0)
        going.cancel()
        await asyncio.wait([going])
        del going, gone
        await until(lambda: image() is None)
        assert not gate.opened.is_set()
        gate.opened.set()
        assert len(await staying) == 64
        queue.close()

    asyncio.run(run())


def test_what_was_accepted_is_finished_when_it_stops_and_nobody_new_is_invited(gate: Gate) -> None:
    queue = queue_of()

    async def ask() -> None:
        waiting = asyncio.create_task(queue.answer(uploads(20)))
        await until(lambda: queue.num_waiting == 20)
        queue.stop()
        with pytest.raises(NotReadyError, match="the server is stopping"):
            queue.check_ready()
        gate.opened.set()
        assert len(await waiting) == 20
        # A connection that is open may still ask.
        assert len(await queue.answer(uploads(1))) == 1

    asyncio.run(ask())


def test_a_mistake_of_ours_ends_its_request_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_classifier: Any, upload: Upload, *arguments: Any, **options: Any) -> Answer:
        if upload.name == "3":
            raise ZeroDivisionError
        return _answer(_classifier, upload, *arguments, **options)

    monkeypatch.setattr(answers, "answer", fail)
    queue = queue_of()

    async def ask() -> None:
        with pytest.raises(ZeroDivisionError):
            await queue.answer(uploads(20))
        await until(lambda: queue.num_waiting == 0)
        assert len(await queue.answer(uploads(3))) == 3

    asyncio.run(ask())


def test_the_wait_that_it_names_follows_what_images_take(gate: Gate) -> None:
    queue = queue_of(max_waiting=1000, max_files=1)

    async def ask() -> None:
        threading.Timer(0.5, gate.opened.set).start()
        await queue.answer(uploads(1))
        gate.opened.clear()
        leaving = asyncio.create_task(queue.answer(uploads(1000)))
        await until(lambda: queue.num_waiting == 1000)
        with pytest.raises(BusyError) as refused:
            await queue.answer(uploads(1))
        assert refused.value.retry_after_s > 1000 * 0.03 / ((os.cpu_count() or 1) + 1)
        leaving.cancel()
        gate.opened.set()

    asyncio.run(ask())


def test_heat_maps_keep_no_plain_answer_waiting_and_have_a_time_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = threading.Event()

    def answer(*arguments: Any, **options: Any) -> Answer:
        assert not options["explain"] or opened.wait(5)
        return _answer(*arguments, **options)

    monkeypatch.setattr(answers, "answer", answer)
    queue, num_maps = queue_of(answer_timeout_s=2), os.cpu_count() or 1

    async def ask() -> None:
        explaining = asyncio.create_task(queue.answer(uploads(num_maps), explain=True))
        await until(lambda: queue.num_waiting == num_maps)
        assert len(await queue.answer(uploads(20))) == 20
        await asyncio.sleep(0.5)
        opened.set()
        assert all(item.heat_map for item in await explaining)
        opened.clear()
        # What maps take is known now, and is nothing to those who ask for none.
        explaining = asyncio.create_task(queue.answer(uploads(240), explain=True))
        await until(lambda: queue.num_waiting == 240)
        with pytest.raises(BusyError):
            queue.check_room(1, explain=True)
        queue.check_room(256)
        opened.set()
        explaining.cancel()

    asyncio.run(ask())


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
