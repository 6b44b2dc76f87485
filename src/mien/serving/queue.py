"""The inference queue: images wait, threads decode and classify them one by one, and nobody waits forever.

Batches would be slower: one image at a time per thread is 1.5 times as fast as batches over all cores (see
`mien.core.inference`). Decoding and inference run in the same threads, so they share the cores automatically.

Requests for heat maps have a line of their own, because one heat map may take as long as 200 predictions.
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
    """Await some work, and cancel it if the client disconnects first.

    Args:
        request: A request whose body has been read.
        work: What the client waits for.

    Raises:
        ClientDisconnect: The client has disconnected.
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
        # Wait until the work has released its resources.
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class InferenceQueue:
    """Classifies uploaded images, with a limited number of threads and of waiting images.

    Attributes:
        lines: Waiting images, keyed by whether heat maps are requested.
        is_stopping: Set by `stop`.
    """

    def __init__(self, classifier: Classifier, config: ServeConfig, metrics: ServiceMetrics | None = None) -> None:
        self._classifier = classifier
        self._metrics = metrics or ServiceMetrics(classifier.class_names)
        self._config = config
        self._threshold = threshold_in_force(classifier, config.threshold)
        self._scan_config = classifier.facts.scan_config(config.max_pixels)
        # One more than there are cores, because a thread that waits for the interpreter leaves its core idle.
        num_threads = {False: count_cores() + 1, True: count_cores()}
        most, patience_s = config.max_waiting, config.answer_timeout_s
        self.lines = {explain: Line(number, most, patience_s) for explain, number in num_threads.items()}
        self._pools = {explain: ThreadPoolExecutor(number, "mien") for explain, number in num_threads.items()}
        self._metrics.num_threads.set(sum(num_threads.values()))
        self._room = DecodingRoom()
        self.is_stopping = False

    @property
    def num_waiting(self) -> int:
        """Number of images waiting or being processed."""
        return sum(line.num_waiting for line in self.lines.values())

    def check_ready(self) -> None:
        """Check that another image would be accepted.

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
        """Check that this many images would be accepted now.

        Args:
            num_images: Number of images.
            explain: Whether heat maps are requested.

        Raises:
            BusyError: The queue has no room for them, or they would wait too long.
        """
        self.lines[explain].check(num_images)

    async def answer(
        self, uploads: Sequence[Upload], *, explain: bool = False, threshold: float | None = None
    ) -> list[Answer]:
        """Classify images, and return the answers in order.

        If cancelled, it removes the images that no thread has started on from the queue.

        Args:
            uploads: The uploaded files.
            explain: Also make heat maps.
            threshold: Answer "unsure" if no class is at least this probable. Default: the server's own threshold.

        Raises:
            BusyError: The queue has no room for them, or they would wait too long. None was accepted.
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
        """Report from now on that the server is not ready. Connected clients still get answers."""
        self.is_stopping = True

    def close(self) -> None:
        """Let the threads end, without waiting for running work, and drop the rest."""
        self.stop()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _leave(self, line: Line, place: list[Upload], _future: Any) -> None:
        # The pool keeps a cancelled call until a thread reaches it, which may take minutes. Free the image now.
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
