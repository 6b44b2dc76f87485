"""The queue of the server: pictures wait, a thread a core decodes and judges them one by one, nobody waits for ever.

Batches would not make it faster: one picture at a time in one thread is half as fast again as batches over all cores
(see `mien.inference`), and as decoding and inference run in the same threads, they share the cores by themselves.
"""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from mien import images
from mien.classifier import Classifier
from mien.engine import LOCAL
from mien.errors import BusyError, ImageError, NotReadyError
from mien.prediction import predict_picture
from mien.results import Prediction
from mien.serve_config import ServeConfig
from mien.service_metrics import ServiceMetrics
from mien.uploads import Upload

# What a picture takes, in seconds, until one has been timed.
_FIRST_GUESS_S = 0.02


class InferenceQueue:
    """Answers for uploaded pictures, in a bounded number of threads and places."""

    def __init__(self, classifier: Classifier, config: ServeConfig, metrics: ServiceMetrics | None = None) -> None:
        self._classifier = classifier
        self._metrics = metrics or ServiceMetrics(classifier.class_names)
        self._config = config
        facts = classifier.facts
        self._scan_config = replace(facts.scan_config(), max_pixels=min(facts.max_pixels, config.max_pixels))
        self._num_threads = max(1, LOCAL.num_threads // config.workers)
        self._metrics.num_threads.set(self._num_threads)
        self._pool = ThreadPoolExecutor(self._num_threads, thread_name_prefix="mien")
        self._mean_s = _FIRST_GUESS_S
        self.num_waiting = 0

    async def answer(self, uploads: Sequence[Upload]) -> list[Prediction | ImageError]:
        """Return what the classifier says of pictures, in their order; an ImageError for one that cannot be used.

        Raises:
            BusyError: There are not as many places in the queue; nothing of the request was taken on.
            NotReadyError: It took too long.
        """
        if self.num_waiting + len(uploads) > self._config.max_waiting:
            wait_s = self.num_waiting * self._mean_s / self._num_threads
            raise BusyError("the server is busy", retry_after_s=max(1, math.ceil(wait_s)))
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(self._pool, self._answer_one, upload) for upload in uploads]
        self.num_waiting += len(uploads)
        self._metrics.num_waiting.inc(len(uploads))
        for future in futures:
            future.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(self._config.answer_timeout_s):
                return await asyncio.gather(*futures)
        except TimeoutError as error:
            raise NotReadyError("the answer took too long") from error

    def close(self) -> None:
        """Finish what was accepted."""
        self._pool.shutdown()

    def _leave(self, _future: Any) -> None:
        self.num_waiting -= 1
        self._metrics.num_waiting.dec()

    def _answer_one(self, upload: Upload) -> Prediction | ImageError:
        answer = self._judge(upload)
        if isinstance(answer, ImageError):
            self._metrics.count_answer(None)
        else:
            self._metrics.count_answer(answer.label, unfamiliar=answer.unfamiliar)
        return answer

    def _judge(self, upload: Upload) -> Prediction | ImageError:
        try:
            with self._metrics.timed("decoding"):
                picture = images.to_array(upload.content, self._scan_config)
        except ImageError as error:
            return error
        with self._metrics.timed("inference"):
            return predict_picture(self._classifier, picture, source=upload.name)
