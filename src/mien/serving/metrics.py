"""Prometheus metrics of the server: requests, predictions, durations and images in progress."""

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
    """Metrics in a registry of their own. Every label has a fixed set of values.

    Attributes:
        num_waiting: Images waiting or being processed. Callers change it.
        num_busy: Threads processing an image.
        num_threads: Threads for processing images.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        # These would double the number of lines, for timestamps that nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        # A backslash is doubled, so that no name looks like the escape of another.
        self._class_names = {name: visible(name.replace("\\", r"\\")) for name in class_names}
        ProcessCollector(registry=self._registry)
        self.num_waiting = self._gauge("mien_images_waiting", "Images waiting or being processed.")
        self.num_busy = self._gauge("mien_threads_busy", "Threads processing an image.")
        self.num_threads = self._gauge("mien_threads", "Threads for processing images.")
        self._make_request_metrics()
        self._make_image_metrics()

    def count_request(self, route: str | None, status: int | None, duration_s: float) -> None:
        """Count a finished request.

        Args:
            route: The route that answered, or None if no route matches the path.
            status: HTTP status of the response, or None if the client left first.
            duration_s: How long it took.
        """
        self._requests.labels(route or "none", str(status or "none")).inc()
        self._durations.labels(route or "none").observe(duration_s)

    def count_answer(self, label: str | None, *, out_of_distribution: bool = False) -> None:
        """Count a processed image.

        Args:
            label: A class name, "unsure", or None if there was an error.
            out_of_distribution: Whether the image is unlike the training images.
        """
        # A class may itself be named "unsure" or "error", so there are two labels.
        name = self._class_names.get(label or "", "")
        self._images.labels("class" if name else "unsure" if label else "error", name).inc()
        self._out_of_distribution.inc(out_of_distribution)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count a thread as busy during the block, and add up the seconds.

        Args:
            stage: "decoding", "inference" or "heat_map".
        """
        began = perf_counter()
        self.num_busy.inc()
        try:
            yield
        finally:
            self.num_busy.dec()
            self._work.labels(stage).inc(perf_counter() - began)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def _make_request_metrics(self) -> None:
        self._requests = Counter(
            "mien_requests",
            "Finished requests, by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "mien_request_duration_seconds",
            "Seconds from the headers of a request to the end of its response.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def _make_image_metrics(self) -> None:
        self._images = Counter(
            "mien_images", "Processed images, by outcome and class.", ["outcome", "class"], registry=self._registry
        )
        self._out_of_distribution = Counter(
            "mien_out_of_distribution_images", "Images unlike the training images.", registry=self._registry
        )
        self._work = Counter(
            "mien_work_seconds", "Seconds that threads spent on images, by stage.", ["stage"], registry=self._registry
        )
        for stage in ("decoding", "inference", "heat_map"):
            self._work.labels(stage)
        for outcome, name in [*(("class", name) for name in self._class_names.values()), ("unsure", ""), ("error", "")]:
            self._images.labels(outcome, name)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)
