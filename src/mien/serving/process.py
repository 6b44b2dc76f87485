"""Serving: the processes that answer, one or several, from the first request to the last."""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from math import ceil
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection as PipeConnection
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from mien.config import ServeConfig
from mien.core import terminal
from mien.core.streams import show_native_libraries, silence_native_libraries
from mien.errors import MienError
from mien.model.classifier import Classifier
from mien.serving.app import create_app
from mien.serving.connections import Connection

# A proxy keeps idle connections for a minute as a rule; were the server's time shorter, both would close at once.
_KEEP_ALIVE_S = 75
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A terminal that is closed may say so more than once: the second time never ends the process.
_HANGUP = getattr(signal, "SIGHUP", None)
_SPAWN = multiprocessing.get_context("spawn")
_TWICE_S = 0.2
# How long those who had connected before a signal are taken in.
_LAST_CONNECTIONS_S = 1.0
# Of mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# What an image of a megapixel takes is kept for the next one: given back each time, it costs a tenth of the time in
# page faults. What one of twelve megapixels takes is given back.
_LARGE_BYTES, _KEPT_BYTES = 4 * 1024**2, 16 * 1024**2
# How long a worker may take to end, after it has given up on its requests.
_GRACE_S = 3.0
# Workers that end so soon after their start are replaced ever later, and given up when there are too many in a minute.
_EARLY_S, _MOST_EARLY, _REMEMBERED_S = 5.0, 5, 60.0
_FIRST_PAUSE_S = 0.05


def serve(app: FastAPI, config: ServeConfig, listener: socket.socket) -> None:
    """Answer requests in this process until it is told to stop, and what was accepted is finished."""
    _give_memory_back()
    server = _Server(
        uvicorn.Config(
            app,
            http=cast("type[Connection]", partial(Connection, limits=config)),
            ws="none",
            log_config=None,
            # What clients do wrong is told to them alone.
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            # After the server's own time: for those who do not take their answers.
            timeout_graceful_shutdown=ceil(config.stop_timeout_s) + 1,
        ),
        config.stop_timeout_s,
    )
    _at_hangup(server.handle_exit)
    server.run([listener])


def supervise(classifier: Classifier, config: ServeConfig, listener: socket.socket) -> None:
    """Keep as many processes answering as asked for, until told to stop, and what was accepted is finished."""
    signals: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    def start() -> SpawnProcess:
        receiver, sender = _SPAWN.Pipe(duplex=False)
        worker = _SPAWN.Process(target=_work, args=(receiver, config, listener))
        with _interrupts_blocked():
            worker.start()
        receiver.close()
        # As an argument it would be sent through a pipe whose end this process keeps open: a worker that died before
        # it had read all would be waited for to the end of time.
        with sender, suppress(BrokenPipeError):
            sender.send(classifier)
        return worker

    for number in _SIGNALS:
        signal.signal(number, stop)
    _at_hangup(stop)
    show_native_libraries()
    workers = [start() for _ in range(config.workers)]
    try:
        _keep_alive(workers, start, signals)
    finally:
        listener.close()
        for worker in workers:
            worker.terminate()
        time.sleep(_TWICE_S)
        _let_signals_end_this()
        for worker in workers:
            worker.join(config.stop_timeout_s + _GRACE_S)
            worker.kill()


def _keep_alive(workers: list[SpawnProcess], start: Callable[[], SpawnProcess], signals: Sequence[int]) -> None:
    """Replace each worker that ends, until a signal comes; give up where that is of no use."""
    started_s = [time.monotonic()] * len(workers)
    early_s: list[float] = []
    while not signals:
        wait([worker.sentinel for worker in workers], timeout=0.2)
        for place, worker in enumerate(workers):
            if signals or worker.exitcode is None:
                continue
            now_s = time.monotonic()
            if now_s - started_s[place] < _EARLY_S:
                early_s = [end_s for end_s in early_s if now_s - end_s < _REMEMBERED_S] + [now_s]
                if len(early_s) == _MOST_EARLY:
                    raise MienError(
                        f"{_MOST_EARLY} workers ended within {_EARLY_S:g} s of their start, the last with "
                        f"{worker.exitcode}; without --workers the server may tell more, or get by with the memory"
                    )
                time.sleep(_FIRST_PAUSE_S * 2 ** len(early_s))
            terminal.ERR.print(f"A worker ended with {worker.exitcode}; another takes its place.")
            workers[place], started_s[place] = start(), time.monotonic()


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is told to, and at once when it is told again."""

    def __init__(self, config: uvicorn.Config, stop_timeout_s: float) -> None:
        super().__init__(config)
        self._stop_timeout_s = stop_timeout_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Where Ctrl-C cannot be blocked.
        if sig != signal.SIGINT or not _is_worker():
            self.should_exit = True
            cast(FastAPI, self.config.app).state.queue.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close, after those who had connected before have come in."""
        # Some that end a process tell it twice at a time, as timeout(1) does.
        await asyncio.sleep(_TWICE_S)
        if not _is_worker():
            _let_signals_end_this()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LAST_CONNECTIONS_S
        while select.select(sockets or [], [], [], 0)[0] and loop.time() < deadline:
            # Whenever the event loop comes round, it takes in one of those who wait.
            await asyncio.sleep(0)
        if num_left := len(self.server_state.tasks):
            _say_what_is_left(num_left)
        loop.call_later(self._stop_timeout_s, self._cut_off)
        await super().shutdown(sockets)

    def _cut_off(self) -> None:
        # What uvicorn says from here on are tracebacks of requests that it ends.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        for task in list(self.server_state.tasks):
            task.cancel()


def _say_what_is_left(num_requests: int) -> None:
    requests = "1 request is" if num_requests == 1 else f"{num_requests} requests are"
    # Its terminal may be gone.
    with suppress(OSError):
        terminal.ERR.print(f"Stopping: {requests} still in work; Ctrl-C again ends it now.")


def _at_hangup(stop: Callable[[int, FrameType | None], object]) -> None:
    """Stop when the terminal is closed, but where that is to be ignored, as under nohup."""
    if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
        signal.signal(_HANGUP, stop)


def _give_memory_back() -> None:
    """Let the C library return the memory of large images to the system, which it would rather keep for the next.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    # Other C libraries have no such setting, or none that is called so.
    with suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _let_signals_end_this() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _work(receiver: "PipeConnection[Classifier, Classifier]", config: ServeConfig, listener: socket.socket) -> None:
    silence_native_libraries()
    warnings.filterwarnings("ignore", module="PIL")
    app = create_app(receiver.recv(), config)
    threading.Thread(target=_follow_supervisor, args=(app,), daemon=True).start()
    serve(app, config, listener)


def _follow_supervisor(app: FastAPI) -> None:
    """Stop when the supervisor is gone, however it ended: nothing may keep the port."""
    cast(BaseProcess, multiprocessing.parent_process()).join()
    if app.state.queue.is_stopping:
        os._exit(1)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that never see Ctrl-C, which reaches all those of a terminal: the supervisor tells them."""
    if sys.platform == "win32":
        yield
        return
    # Started later, it would unblock them again.
    resource_tracker.ensure_running()
    # What is blocked when a process starts stays so in it; here it comes through afterwards.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _is_worker() -> bool:
    return multiprocessing.parent_process() is not None
