"""The server process: runs uvicorn from the first request to the last."""

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

# Longer than the minute for which most proxies keep idle connections, so that both never close at the same time.
_KEEP_ALIVE_S = 75
# A terminal that closes may send this more than once. The second one never kills the process.
_HANGUP = getattr(signal, "SIGHUP", None)
_TWICE_S = 0.2
# How long connections made before a signal are still accepted.
_LAST_CONNECTIONS_S = 1.0
# Options of mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# The memory for a 1-megapixel image is kept for the next one, because page faults would cost 10% of the time. The
# memory for a 12-megapixel image is returned.
_LARGE_BYTES, _KEPT_BYTES = 4 * 1024**2, 16 * 1024**2


def serve(app: FastAPI, config: ServeConfig, listener: socket.socket) -> None:
    """Serve requests until SIGINT, SIGTERM or SIGHUP, then finish the accepted ones.

    Args:
        app: The application. Its `state.stop` is called when stopping begins.
        config: Sets how long requests may still take after that.
        listener: Result of `listen`.
    """
    _give_memory_back()
    settings = uvicorn.Config(
        app,
        # Unlike the other parser, this one limits the size of headers and accepts no protocol upgrades.
        http="h11",
        ws="none",
        log_config=None,
        # Client errors go to the client only, and the application logs its own errors.
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=ceil(config.stop_timeout_s),
    )
    server = _Server(settings)
    # Unless it is ignored, as under nohup.
    if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
        signal.signal(_HANGUP, server.handle_exit)
    server.run([listener])


class _Server(uvicorn.Server):
    """Stops with exit code 0 on the first signal, and immediately on the second."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True
        cast(FastAPI, self.config.app).state.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        asyncio.get_running_loop().set_exception_handler(_log_mistake)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close, after accepting the connections that were made before."""
        # Some programs send the signal twice at a time, e.g. timeout(1).
        await asyncio.sleep(_TWICE_S)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LAST_CONNECTIONS_S
        while select.select(sockets or [], [], [], 0)[0] and loop.time() < deadline:
            # Each turn of the event loop accepts one waiting connection.
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        # Time to read what the last connections have sent.
        await asyncio.sleep(_TWICE_S)
        if num_left := len(self.server_state.tasks):
            _say_what_is_left(num_left)
        await super().shutdown(sockets)


def _log_mistake(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # A client that sends garbage after its response cannot get an error. The connection just closes.
    if not isinstance(context.get("exception"), LocalProtocolError):
        loop.default_exception_handler(context)


def _say_what_is_left(num_requests: int) -> None:
    requests = "1 request is" if num_requests == 1 else f"{num_requests} requests are"
    # The terminal may be gone.
    with suppress(OSError):
        terminal.ERR.print(f"Stopping: {requests} still running. Press Ctrl-C again to stop immediately.")


def _give_memory_back() -> None:
    """Make the C library return the memory of large images to the system instead of keeping it.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    # Other C libraries do not have this setting.
    with suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
