"""Engines: where one function is applied to many items: in threads of this process, or by Ray on many machines."""

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
from mien.errors import SettingsError
from mien.version import __version__

if TYPE_CHECKING:
    import ray

# So many items are sent at a time, and for each core so many times that are not answered yet.
_BATCH, _PER_CORE = 8, 4
# A batch that was lost so often is what the workers die of.
_MOST_TRIES = 4
_CONNECT_S = 5.0
# Ray itself ends the process without a word some seconds after it has lost the node of this machine.
_LOOK_S = 2.0
_OF_RAY = "--engine ray"
Item = TypeVar("Item")
Result = TypeVar("Result")
# What became of a batch: the results up to the first error, and that error.
Outcome = tuple[list[Any], Exception | None]


def spread(function: Callable[[Item], Result], items: Iterable[Item], *, folder: str | Path = ".") -> Iterator[Result]:
    """Yield `function(item)` for every item, in the order of the items, by the engine in force.

    At most a few items for each core are in work at a time, so that memory stays flat.

    Args:
        function: What to do with an item. Another process may do it, so that it must need nothing of this one but what
            can be pickled, and change nothing here.
        items: Taken one by one, as cores become free; they can be pickled, too.
        folder: What the function reads: every machine must see it, as it must see the current one.

    Raises:
        SettingsError: The machines cannot do it.
    """
    workers = _in_force.get()
    yield from in_threads(function, items) if workers is None else workers.spread(function, items, folder=folder)


def on_many_machines() -> bool:
    """Say whether `spread` uses other processes, each of which reads for itself."""
    return _in_force.get() is not None


@contextmanager
def using(config: EngineConfig, progress: Progress = SILENCE) -> Iterator[None]:
    """Let `spread` use an engine in the block; what it yields must be taken there, too.

    Args:
        config: Which.
        progress: Told where a worker was lost.

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
        # Ends what is still in work, too.
        ray.shutdown()


class _Workers:
    """Processes of Ray, one for each core of every machine."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._has_told = progress, False
        self._needed = _needed_addresses()

    def spread(self, function: Callable[[Any], Any], items: Iterable[Any], *, folder: str | Path) -> Iterator[Any]:
        """Do it as `mien.core.engines.spread` says."""
        import ray

        # Sent once. In a list it stays a reference.
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
        """Yield what became of a batch; where it was lost with its worker, let another do it again."""
        import ray

        for tries_left in reversed(range(_MOST_TRIES)):
            try:
                results, error = self._awaited(outcome)
                break
            except ray.exceptions.RayTaskError as failure:
                raise SettingsError(f"{_OF_RAY}: a worker cannot do it: {_last_line(failure)}") from failure
            except ray.exceptions.RayError as failure:
                self._refuse_silence()
                if not tries_left:
                    raise SettingsError(
                        f"{_OF_RAY}: {_MOST_TRIES} workers were lost with the same {len(batch)} items. Their memory "
                        "may be too small for so many cores: ray start --num-cpus says how many are used"
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
        """Make sure that what no other machine can stand in for is there."""
        for address in self._needed:
            if problem := _silence_at(address):
                raise SettingsError(
                    f"{_OF_RAY}: the head of the cluster, or Ray on this machine, has ended: nothing answers at "
                    f"{address} ({problem}). Start it again, and type the same command"
                )

    def _tell_loss(self) -> None:
        if not self._has_told:
            self._progress.say("a worker was lost; what it had in work is done again")
        self._has_told = True


_in_force: ContextVar[_Workers | None] = ContextVar("_in_force", default=None)


def _work(references: "list[ray.ObjectRef[Any]]", batch: list[Any], folders: Iterable[str], version: str) -> Outcome:
    """Apply a function to items, on a worker."""
    results: list[Any] = []
    try:
        if version != __version__:
            raise SettingsError(f"{_OF_RAY}: mien is {__version__} on {platform.node()}, and {version} here")
        _enter(folders)
        function = _fetched(references[0])
        for item in batch:
            results.append(function(item))
    except Exception as error:
        return results, error
    return results, None


def _enter(folders: Iterable[str]) -> None:
    """Make sure that folders are seen, and let paths mean the same as in the last, where the command was typed."""
    for folder in folders:
        try:
            os.chdir(folder)
        except OSError as error:
            raise SettingsError(
                f"{_OF_RAY}: {platform.node()} does not see the folder {folder!r}. Every machine must see the images, "
                "and the folder in which this is typed, at the same path; for copies of archives and stores, let "
                "XDG_CACHE_HOME name a shared folder"
            ) from error


@lru_cache(maxsize=1)
def _fetched(reference: "ray.ObjectRef[Any]") -> Callable[[Any], Any]:
    """Return the function, ready to be used again: it may hold a network."""
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
        raise SettingsError(f"{_OF_RAY}: no machine offers a core: ray start --num-cpus says how many it does")
    return num_cores


def _connect(address: str) -> None:
    """Join the cluster at an address, or start one of this machine alone."""
    # Read when it is loaded. Otherwise it tells its makers about its use, and prints of lost workers among the results.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}
    with needing("ray"):
        import ray
    address = address or os.environ.get("RAY_ADDRESS", "")
    if ":" in address and (problem := _silence_at(address)):
        # Ray would try for minutes, and then end the process.
        raise SettingsError(
            f"{_OF_RAY}: nothing answers at {address} ({problem}): begin there with ray start --head, which prints "
            "the address"
        )
    try:
        # Without an address Ray would look for the cluster that was started here last, and wait for it, were it gone.
        ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"at {address} " if address else ""
        raise SettingsError(
            f"{_OF_RAY}: the cluster {where}cannot be joined: {_last_line(error)}. This machine must belong to it, "
            f"with the same Python, Ray and RAY_AUTH_MODE: ray start --address={address or 'HOST:PORT'}"
        ) from error


def _needed_addresses() -> list[str]:
    """Return where the head of the cluster listens, and the node of this machine."""
    import ray

    context = ray.get_runtime_context()
    own = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    return [context.gcs_address, f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}"]


def _silence_at(address: str) -> str:
    """Say why nothing answers at HOST:PORT; an empty text where something does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        return str(error)
    return ""


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[-1].rstrip(".")
