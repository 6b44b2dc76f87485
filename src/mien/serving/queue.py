"""The queue of the server: images wait, threads decode and judge them one by one, nobody waits for ever.

Batches would not make it faster: one image at a time in one thread is half as fast again as batches over all cores
(see `mien.core.inference`), and as decoding and inference run in the same threads, they share the cores by themselves.

Those who ask for heat maps wait in a line of their own: a map may take as long as 200 answers.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from mien.config import ServeConfig
from mien.core.parallel import count_cores
from mien.errors import BusyError, NotReadyError
from mien.model.classifier import Classifier
from mien.model.prediction import threshold_in_force
from mien.serving import answers
from mien.serving.answers import Answer
from mien.serving.limits import DecodingRoom, Line
from mien.serving.metrics import ServiceMetrics
from mien.serving.uploads import Upload

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what some work comes to; cancel it where the client goes away before that.

    Args:
        request: Its body has been read whole.
        work: What the client waits for.

    Raises:
        ClientDisconnect: The client is gone.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        # What the work holds is given back before anybody else goes on.
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class InferenceQueue:
    """Predictions for uploaded images, in a bounded number of threads and places.

    Attributes:
        lines: The images that wait, by whether heat maps are asked for.
        is_stopping: Set by `stop`.
    """

    def __init__(self, classifier: Classifier, config: ServeConfig, metrics: ServiceMetrics | None = None) -> None:
        self._classifier = classifier
        self._metrics = metrics or ServiceMetrics(classifier.class_names)
        self._config = config
        self._threshold = threshold_in_force(classifier, config.threshold)
        self._scan_config = classifier.facts.scan_config(config.max_pixels)
        # One more than cores: a thread that waits for another's Python code would leave its core idle.
        num_threads = {False: count_cores() + 1, True: count_cores()}
        most, patience_s = config.max_waiting, config.answer_timeout_s
        self.lines = {explain: Line(number, most, patience_s) for explain, number in num_threads.items()}
        self._pools = {explain: ThreadPoolExecutor(number, "mien") for explain, number in num_threads.items()}
        self._metrics.num_threads.set(sum(num_threads.values()))
        self._room = DecodingRoom()
        self.is_stopping = False

    @property
    def num_waiting(self) -> int:
        """How many images wait or are in work."""
        return sum(line.num_waiting for line in self.lines.values())

    def check_ready(self) -> None:
        """Make sure that another image would be taken on.

        Raises:
            NotReadyError: It would not.
        """
        if self.is_stopping:
            raise NotReadyError("the server is stopping")
        try:
            self.check_room(1)
        except BusyError as error:
            raise NotReadyError(str(error)) from error

    def check_room(self, num_images: int, *, explain: bool = False) -> None:
        """Make sure that so many images would be taken on now.

        Args:
            num_images: How many.
            explain: Where the classifier looked is to be said, too.

        Raises:
            BusyError: There are not as many places in the queue, or it would take too long.
        """
        self.lines[explain].check(num_images)

    async def answer(
        self, uploads: Sequence[Upload], *, explain: bool = False, threshold: float | None = None
    ) -> list[Answer]:
        """Return what the classifier says of images, in their order.

        Cancelled, it takes those from the queue that no thread has begun with.

        Args:
            uploads: Whatever was sent.
            explain: Say where the classifier looked, too.
            threshold: Say "unsure" where no class is as probable as this; by default what the server is set to.

        Raises:
            BusyError: There are not as many places in the queue, or it would take too long; nothing was taken on.
            NotReadyError: It took too long.
        """
        self.check_room(len(uploads), explain=explain)
        least = self._threshold if threshold is None else threshold
        loop, line, pool = asyncio.get_running_loop(), self.lines[explain], self._pools[explain]
        places = [[upload] for upload in uploads]
        futures = [loop.run_in_executor(pool, self._answer_one, place, explain, least) for place in places]
        line.num_waiting += len(uploads)
        self._metrics.num_waiting.inc(len(uploads))
        for place, future in zip(places, futures, strict=True):
            future.add_done_callback(partial(self._leave, line, place))
        try:
            async with asyncio.timeout(self._config.answer_timeout_s):
                return await asyncio.gather(*futures)
        except TimeoutError as error:
            raise NotReadyError("the answer took too long") from error
        finally:
            for future in futures:
                future.cancel()

    def stop(self) -> None:
        """Say from now on that the server is not ready; who is connected still gets an answer."""
        self.is_stopping = True

    def close(self) -> None:
        """Let the threads end; nobody waits for what is in work, and what is not is given up."""
        self.stop()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _leave(self, line: Line, place: list[Upload], _future: Any) -> None:
        # The pool keeps a call that is cancelled until a thread comes to it, which may be minutes: not the image too.
        place.clear()
        line.num_waiting -= 1
        self._metrics.num_waiting.dec()

    def _answer_one(self, place: list[Upload], explain: bool, threshold: float) -> Answer:
        start_s = perf_counter()
        answer = answers.answer(
            self._classifier,
            place.pop(),
            self._scan_config,
            room=self._room,
            metrics=self._metrics,
            threshold=threshold,
            explain=explain,
        )
        self._metrics.count_answer(answer.prediction.label, out_of_distribution=answer.prediction.out_of_distribution)
        self.lines[explain].note(perf_counter() - start_s)
        return answer
