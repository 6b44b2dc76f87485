"""The metrics of the server, for Prometheus: what it was asked, what it answered, how long that took, what it holds."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.core import GaugeMetricFamily

from mien.core import files
from mien.core.text import visible
from mien.errors import OutputError

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SHARED_BYTES = 1024**2
_SUM: Final = "livesum"


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
        if _is_shared():
            _make_room()
        else:
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
        """Return all of it as Prometheus reads it; of all processes, where several count together."""
        if not _is_shared():
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(_Memory())
        return generate_latest(registry)

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
        return Gauge(name, text, registry=self._registry, multiprocess_mode=_SUM)


@contextmanager
def counted_together() -> Iterator[Path]:
    """Have the processes that are started in the block count together, in a folder that is removed after it.

    Source: https://prometheus.github.io/client_python/multiprocess/

    Yields:
        The folder.

    Raises:
        OutputError: There is no place for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="mien-metrics-", ignore_cleanup_errors=True)
    except OSError as error:
        reason = files.reason_of(error)
        raise OutputError(f"no place for what workers count together: {reason}. Set TMPDIR, or --workers 1") from error
    before = os.environ.get(FOLDER_VARIABLE)
    with folder as name:
        # The package reads it when it is first imported, in each process.
        os.environ[FOLDER_VARIABLE] = name
        try:
            yield Path(name)
        finally:
            os.environ.pop(FOLDER_VARIABLE)
            os.environ.update({FOLDER_VARIABLE: before} if before is not None else {})


class _Memory:
    """The memory of the processes that count together: the collector of the package knows its own process alone."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Ask Linux; elsewhere nothing is told."""
        family = GaugeMetricFamily("process_resident_memory_bytes", "Resident memory size in bytes.", labels=["pid"])
        if sys.platform == "win32":
            yield family
            return
        for number in _processes(_shared_folder()):
            with suppress(OSError):
                pages = Path(f"/proc/{number}/statm").read_text("ascii").split()[1]
                family.add_metric([str(number)], int(pages) * os.sysconf("SC_PAGE_SIZE"))
        yield family


def _make_room() -> None:
    """Take room on the disk for what is counted together, and forget what processes that died had in work.

    The files are written as memory: where the disk then had no room, that would kill the process.
    """
    folder = _shared_folder()
    for number in _processes(folder):
        if not _is_alive(number):
            # Another that begins now may be doing the same.
            _gauge_path(folder, number).unlink(missing_ok=True)
    own = os.getpid()
    for path in (folder / f"counter_{own}.db", folder / f"histogram_{own}.db", _gauge_path(folder, own)):
        with files.writing(folder), path.open("ab") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, _SHARED_BYTES)


def _is_shared() -> bool:
    return bool(values.ValueClass._multiprocess)


def _shared_folder() -> Path:
    return Path(os.environ[FOLDER_VARIABLE])


def _gauge_path(folder: Path, process: int) -> Path:
    return folder / f"gauge_{_SUM}_{process}.db"


def _processes(folder: Path) -> set[int]:
    """Return the numbers of the processes that have counted in a folder."""
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_*.db")}


def _is_alive(number: int) -> bool:
    if os.name == "nt":
        # There is no asking on Windows: it would end the process.
        return True
    with suppress(PermissionError):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return False
    return True
