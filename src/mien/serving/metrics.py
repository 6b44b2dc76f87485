"""The metrics of the server, for Prometheus: what it was asked, what it answered, how long that took, what it holds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from mien.core.text import visible

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServiceMetrics:
    """Counts, kept apart from those of anything else in the process; no label has more values than are known before.

    Attributes:
        num_waiting: Images that wait or are in work; changed by whoever takes them on.
        num_busy: Threads at work.
        num_threads: Threads there are.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        # They would double the number of lines, for dates that nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        # A backslash is doubled, so that no name looks as the escape of another.
        self._class_names = {name: visible(name.replace("\\", r"\\")) for name in class_names}
        ProcessCollector(registry=self._registry)
        self.num_waiting = self._gauge("mien_images_waiting", "Images that wait for their answer.")
        self.num_busy = self._gauge("mien_threads_busy", "Threads that are at work on an image.")
        self.num_threads = self._gauge("mien_threads", "Threads that work on images.")
        self._make_request_metrics()
        self._make_image_metrics()

    def count_request(self, route: str | None, status: int | None, duration_s: float) -> None:
        """Count a request that is over.

        Args:
            route: The route that answered; None where there is none for the path.
            status: Of the answer; None where the client left before.
            duration_s: How long it took.
        """
        self._requests.labels(route or "none", str(status or "none")).inc()
        self._durations.labels(route or "none").observe(duration_s)

    def count_answer(self, label: str | None, *, out_of_distribution: bool = False) -> None:
        """Count what was said of an image.

        Args:
            label: A class name, or "unsure"; None where there was an error.
            out_of_distribution: The image is unlike those of the training.
        """
        # A class may be called "unsure" or "error" as well: the two labels together cannot be mistaken.
        name = self._class_names.get(label or "", "")
        self._images.labels("class" if name else "unsure" if label else "error", name).inc()
        self._out_of_distribution.inc(out_of_distribution)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count a thread as busy for the block, and its seconds as spent.

        Args:
            stage: What it does: "decoding", "inference" or "heat_map".
        """
        began = perf_counter()
        self.num_busy.inc()
        try:
            yield
        finally:
            self.num_busy.dec()
            self._work.labels(stage).inc(perf_counter() - began)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)

    def _make_request_metrics(self) -> None:
        self._requests = Counter(
            "mien_requests",
            "Requests that are over, by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "mien_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def _make_image_metrics(self) -> None:
        self._images = Counter(
            "mien_images", "Images by what was said of them.", ["outcome", "class"], registry=self._registry
        )
        self._out_of_distribution = Counter(
            "mien_out_of_distribution_images", "Images unlike those of the training.", registry=self._registry
        )
        self._work = Counter(
            "mien_work_seconds", "Seconds that threads spent on images.", ["stage"], registry=self._registry
        )
        for stage in ("decoding", "inference", "heat_map"):
            self._work.labels(stage)
        for outcome, name in [*(("class", name) for name in self._class_names.values()), ("unsure", ""), ("error", "")]:
            self._images.labels(outcome, name)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)
