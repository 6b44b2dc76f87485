"""The queue of the server: pictures wait, threads decode and judge them one by one, nobody waits for ever.

Batches would not make it faster: one picture at a time in one thread is half as fast again as batches over all cores
(see `mien.inference`), and as decoding and inference run in the same threads, they share the cores by themselves.
"""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from mien import answers
from mien.answers import Answer
from mien.classifier import Classifier
from mien.decoding_room import DecodingRoom
from mien.engine import LOCAL
from mien.errors import BusyError, NotReadyError
from mien.serve_config import ServeConfig
from mien.service_metrics import ServiceMetrics
from mien.uploads import Upload

# What a picture takes, in seconds, until one has been timed; and how much of the mean the last one counts.
_FIRST_GUESS_S = 0.02
_WEIGHT_OF_LAST = 0.05


class InferenceQueue:
    """Answers for uploaded pictures, in a bounded number of threads and places.

    Attributes:
        num_waiting: Pictures that wait or are in work.
        is_stopping: Set by `stop`.
    """

    def __init__(self, classifier: Classifier, config: ServeConfig, metrics: ServiceMetrics | None = None) -> None:
        self._classifier = classifier
        self._metrics = metrics or ServiceMetrics(classifier.class_names)
        self._config = config
        facts = classifier.facts
        self._scan_config = replace(facts.scan_config(), max_pixels=min(facts.max_pixels, config.max_pixels))
        # One more than cores: a thread that waits for another's Python code would leave its core idle.
        self._num_threads = max(1, LOCAL.num_threads // config.workers) + 1
        self._metrics.num_threads.set(self._num_threads)
        self._pool = ThreadPoolExecutor(self._num_threads, thread_name_prefix="mien")
        self._room = DecodingRoom()
        self._mean_s = _FIRST_GUESS_S
        self.num_waiting = 0
        self.is_stopping = False

    def check_ready(self) -> None:
        """Make sure that another picture would be taken on.

        Raises:
            NotReadyError: It would not.
        """
        if self.is_stopping:
            raise NotReadyError("the server is stopping")
        try:
            self.check_room(1)
        except BusyError as error:
            raise NotReadyError(str(error)) from error

    def check_room(self, num_pictures: int) -> None:
        """Make sure that so many pictures would be taken on now.

        Raises:
            BusyError: There are not as many places in the queue, or it would take too long.
        """
        wait_s = self.num_waiting * self._mean_s / self._num_threads
        if self.num_waiting + num_pictures > self._config.max_waiting or wait_s > self._config.answer_timeout_s:
            raise BusyError("the server is busy", retry_after_s=max(1, math.ceil(wait_s)))

    async def answer(self, uploads: Sequence[Upload], *, explain: bool = False) -> list[Answer]:
        """Return what the classifier says of pictures, in their order.

        Cancelled, it takes those from the queue that no thread has begun with.

        Args:
            uploads: Whatever was sent.
            explain: Say where the classifier looked, too.

        Raises:
            BusyError: There are not as many places in the queue, or it would take too long; nothing was taken on.
            NotReadyError: It took too long.
        """
        self.check_room(len(uploads))
        loop = asyncio.get_running_loop()
        places = [[upload] for upload in uploads]
        futures = [loop.run_in_executor(self._pool, self._answer_one, place, explain) for place in places]
        self.num_waiting += len(uploads)
        self._metrics.num_waiting.inc(len(uploads))
        for place, future in zip(places, futures, strict=True):
            future.add_done_callback(partial(self._leave, place))
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
        """Finish what was accepted, and end the threads."""
        self.stop()
        self._pool.shutdown()

    def _leave(self, place: list[Upload], _future: Any) -> None:
        # The pool keeps a call that is cancelled until a thread comes to it, which may be minutes: not the picture too.
        place.clear()
        self.num_waiting -= 1
        self._metrics.num_waiting.dec()

    def _answer_one(self, place: list[Upload], explain: bool) -> Answer:
        start_s = perf_counter()
        answer = answers.answer(
            self._classifier, place.pop(), self._scan_config, room=self._room, metrics=self._metrics, explain=explain
        )
        self._metrics.count_answer(answer.prediction.label, unfamiliar=answer.prediction.unfamiliar)
        # Several threads may write at once, and one be lost: it is an estimate.
        self._mean_s += _WEIGHT_OF_LAST * (perf_counter() - start_s - self._mean_s)
        return answer
