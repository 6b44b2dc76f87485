"""Engines: apply a function to many items, in threads of this process or with Ray on many machines."""

import logging
import os
import platform
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mien.config import EngineConfig
from mien.core.extras import needing
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted
from mien.errors import SettingsError
from mien.version import __version__

if TYPE_CHECKING:
    import ray

# Items per message, and unanswered batches per core.
_BATCH, _PER_CORE = 8, 4
# After this many losses of the same batch, the batch itself is what kills the workers.
_MOST_TRIES = 4
_CONNECT_S = 5.0
# Ray silently kills the process some seconds after losing the local node.
_LOOK_S = 2.0
_OF_RAY = "--engine ray"
Item = TypeVar("Item")
Result = TypeVar("Result")
# The result of a batch: the results up to the first error, and that error.
Outcome = tuple[list[Any], Exception | None]


def spread(function: Callable[[Item], Result], items: Iterable[Item], *, folder: str | Path = ".") -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, using the current engine.

    Only a few items per core are in progress at a time, so memory use stays flat.

    Args:
        function: What to do with an item. It may run in another process, so everything it needs must be picklable, and
            it must not change anything in this process.
        items: Taken one by one, as cores become free. They must be picklable too.
        folder: The folder that the function reads. Every machine must be able to see it and the current folder.

    Raises:
        SettingsError: The machines cannot run it.
    """
    workers = _in_force.get()
    yield from in_threads(function, items) if workers is None else workers.spread(function, items, folder=folder)


def on_many_machines() -> bool:
    """Return whether `spread` uses other processes, each reading files for itself."""
    return _in_force.get() is not None


@contextmanager
def using(config: EngineConfig, progress: Progress = SILENCE) -> Iterator[None]:
    """Make `spread` use an engine within the block. Consume its results in the block too.

    Args:
        config: Which engine.
        progress: Receives a message when a worker is lost.

    Raises:
        SettingsError: The machines cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    if config.engine == "local":
        yield
        return
    _connect(config.ray_address)
    import ray

    before = _in_force.set(_Workers(progress))
    try:
        yield
    finally:
        _in_force.reset(before)
        # This also stops work in progress.
        ray.shutdown()


class _Workers:
    """Ray processes, one per core of every machine."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._has_told = progress, False
        self._needed = _needed_addresses()

    def spread(self, function: Callable[[Any], Any], items: Iterable[Any], *, folder: str | Path) -> Iterator[Any]:
        """Apply a function to items; see `mien.core.engines.spread`."""
        import ray

        # Sent once. Inside a list it stays a reference.
        references, work = [ray.put(function)], ray.remote(max_retries=0)(_work)
        num_ahead, folders = _PER_CORE * _num_cores(), (os.path.abspath(folder), os.getcwd())
        running: deque[tuple[list[Any], ray.ObjectRef[Outcome]]] = deque()

        def submit(batch: list[Any]) -> "ray.ObjectRef[Outcome]":
            return work.remote(references, batch, folders, __version__)

        for batch in _batches(items):
            running.append((batch, submit(batch)))
            if len(running) > num_ahead:
                yield from self._results(*running.popleft(), submit)
        while running:
            yield from self._results(*running.popleft(), submit)

    def _results(
        self,
        batch: list[Any],
        outcome: "ray.ObjectRef[Outcome]",
        submit: Callable[[list[Any]], "ray.ObjectRef[Outcome]"],
    ) -> Iterator[Any]:
        """Yield the results of a batch, resubmitting it if its worker was lost."""
        import ray

        for tries_left in reversed(range(_MOST_TRIES)):
            try:
                results, error = self._awaited(outcome)
                break
            except ray.exceptions.RayTaskError as failure:
                raise SettingsError(f"{_OF_RAY}: a worker failed: {_last_line(failure)}") from failure
            except ray.exceptions.RayError as failure:
                self._refuse_silence()
                if not tries_left:
                    raise SettingsError(
                        f"{_OF_RAY}: {_MOST_TRIES} workers were lost on the same {counted(len(batch), 'item')}, "
                        "probably because memory ran out. Use fewer cores per machine: ray start --num-cpus N"
                    ) from failure
                self._tell_loss()
                outcome = submit(batch)
        yield from results
        if error is not None:
            raise error

    def _awaited(self, outcome: "ray.ObjectRef[Outcome]") -> Outcome:
        import ray

        while True:
            try:
                found: Outcome = ray.get(outcome, timeout=_LOOK_S)
                return found
            except ray.exceptions.GetTimeoutError:
                self._refuse_silence()

    def _refuse_silence(self) -> None:
        """Raise an error if the head node or the local node is gone; no other machine can replace them."""
        for address in self._needed:
            if problem := _silence_at(address):
                raise SettingsError(
                    f"{_OF_RAY}: the cluster's head node or Ray on this machine has stopped. No answer from {address} "
                    f"({problem}). Start it again, then rerun this command"
                )

    def _tell_loss(self) -> None:
        if not self._has_told:
            self._progress.say("lost a worker; redoing its items")
        self._has_told = True


_in_force: ContextVar[_Workers | None] = ContextVar("_in_force", default=None)


def _work(references: "list[ray.ObjectRef[Any]]", batch: list[Any], folders: Iterable[str], version: str) -> Outcome:
    """Apply a function to items on a worker."""
    results: list[Any] = []
    try:
        if version != __version__:
            raise SettingsError(f"{_OF_RAY}: {platform.node()} has mien {__version__}, but this machine has {version}")
        _enter(folders)
        function = _fetched(references[0])
        for item in batch:
            results.append(function(item))
    except Exception as error:
        return results, error
    return results, None


def _enter(folders: Iterable[str]) -> None:
    """Check that the folders are visible, and change to the last one, where the command was typed."""
    for folder in folders:
        try:
            os.chdir(folder)
        except OSError as error:
            raise SettingsError(
                f"{_OF_RAY}: {platform.node()} cannot see the folder {folder!r}. The images and the folder you run "
                "this in must have the same path on every machine. Also set XDG_CACHE_HOME to a shared folder if you "
                "use archives or stores"
            ) from error


@lru_cache(maxsize=1)
def _fetched(reference: "ray.ObjectRef[Any]") -> Callable[[Any], Any]:
    """Return the function, cached because it may hold a network."""
    import ray

    function: Callable[[Any], Any] = ray.get(reference)
    return function


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _num_cores() -> int:
    import ray

    num_cores = int(ray.cluster_resources().get("CPU", 0))
    if not num_cores:
        raise SettingsError(f"{_OF_RAY}: the cluster has no CPU cores to offer. Set them with: ray start --num-cpus N")
    return num_cores


def _connect(address: str) -> None:
    """Join the cluster at an address, or start one on this machine only."""
    # Read when Ray is loaded. Without these, Ray sends usage statistics and prints lost workers among the results.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}
    with needing("ray"):
        import ray
    address = address or os.environ.get("RAY_ADDRESS", "")
    if ":" in address and (problem := _silence_at(address)):
        # Ray would retry for minutes and then kill the process.
        raise SettingsError(
            f"{_OF_RAY}: no answer from {address} ({problem}). Start the cluster there with ray start --head, which "
            "prints its address"
        )
    try:
        # Without an address Ray would look for the last cluster started here, and wait for it even if it is gone.
        ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"at {address} " if address else ""
        raise SettingsError(
            f"{_OF_RAY}: cannot join the cluster {where}({_last_line(error)}). This machine must be part of it, with "
            f"the same Python, Ray and RAY_AUTH_MODE: ray start --address={address or 'HOST:PORT'}"
        ) from error


def _needed_addresses() -> list[str]:
    """Return the addresses of the cluster's head and of the node on this machine."""
    import ray

    context = ray.get_runtime_context()
    own = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    return [context.gcs_address, f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}"]


def _silence_at(address: str) -> str:
    """Return why nothing answers at HOST:PORT, or an empty text if something does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError, ValueError) as error:
        return str(error)
    return ""


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[-1].rstrip(".")
