"""The process of the server: uvicorn, from the first request to the last."""

import asyncio
import ctypes
import select
import signal
import socket
from contextlib import suppress
from math import ceil
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from h11 import LocalProtocolError

from mien.config import ServeConfig
from mien.core import terminal

# A proxy keeps idle connections for a minute as a rule; were the server's time shorter, both would close at once.
_KEEP_ALIVE_S = 75
# A terminal that is closed may say so more than once: the second time never ends the process.
_HANGUP = getattr(signal, "SIGHUP", None)
_TWICE_S = 0.2
# How long those who had connected before a signal are taken in.
_LAST_CONNECTIONS_S = 1.0
# Of mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# What an image of a megapixel takes is kept for the next one: given back each time, it costs a tenth of the time in
# page faults. What one of twelve megapixels takes is given back.
_LARGE_BYTES, _KEPT_BYTES = 4 * 1024**2, 16 * 1024**2


def serve(app: FastAPI, config: ServeConfig, listener: socket.socket) -> None:
    """Answer requests until told to stop by SIGINT, SIGTERM or SIGHUP, and what was accepted is finished.

    Args:
        app: What answers; its `state.stop` is told when the end begins.
        config: How long a request may take to be finished then.
        listener: What `listen` returned.
    """
    _give_memory_back()
    settings = uvicorn.Config(
        app,
        # Of the two parsers the one that bounds the head, and takes no offer to speak another protocol.
        http="h11",
        ws="none",
        log_config=None,
        # What clients do wrong is told to them alone; what the server does wrong, the application logs.
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=ceil(config.stop_timeout_s),
    )
    server = _Server(settings)
    # Not where that is to be ignored, as under nohup.
    if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
        signal.signal(_HANGUP, server.handle_exit)
    server.run([listener])


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is told to, and at once when it is told again."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True
        cast(FastAPI, self.config.app).state.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        asyncio.get_running_loop().set_exception_handler(_log_mistake)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close, after those who had connected before have come in."""
        # Some that end a process tell it twice at a time, as timeout(1) does.
        await asyncio.sleep(_TWICE_S)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LAST_CONNECTIONS_S
        while select.select(sockets or [], [], [], 0)[0] and loop.time() < deadline:
            # Whenever the event loop comes round, it takes in one of those who wait.
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        # What the last of them have sent is read.
        await asyncio.sleep(_TWICE_S)
        if num_left := len(self.server_state.tasks):
            _say_what_is_left(num_left)
        await super().shutdown(sockets)


def _log_mistake(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Nonsense from a client that has its answer already cannot be refused: the connection ends, and that is all.
    if not isinstance(context.get("exception"), LocalProtocolError):
        loop.default_exception_handler(context)


def _say_what_is_left(num_requests: int) -> None:
    requests = "1 request is" if num_requests == 1 else f"{num_requests} requests are"
    # Its terminal may be gone.
    with suppress(OSError):
        terminal.ERR.print(f"Stopping: {requests} still in work; Ctrl-C again ends it now.")


def _give_memory_back() -> None:
    """Let the C library return the memory of large images to the system, which it would rather keep for the next.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    # Other C libraries have no such setting, or none that is called so.
    with suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
