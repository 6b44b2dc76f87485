"""The access log: one line of JSON for each request, which never reveals anything about the images."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Full, Queue
from threading import Thread
from typing import TextIO

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_MAX_WAITING = 10_000
_CLOSING_S = 1.0


@dataclass(slots=True)
class Exchange:
    """A request and its response, as far as they got.

    Attributes:
        client: Address of the client.
        method: HTTP method, e.g. "POST".
        route: The route that answered, e.g. "/predict", or None if no route matches the path.
        status: HTTP status of the response, or None if the client left first.
        duration_s: Seconds from the request headers to the end of the response.
        bytes_in: Bytes read from the request body.
        bytes_out: Bytes of the response body.
        num_images: Number of images in the request.
    """

    client: str
    method: str
    route: str | None = None
    status: int | None = None
    duration_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    num_images: int = 0


class AccessLog:
    """Writes log lines in a thread of its own, so that a reader that stalls delays no request.

    The standard library's QueueListener would wait for such a reader when the server stops, and does not count lost
    lines.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """Create the log. The thread starts with the first line.

        Args:
            stream: Where to write, e.g. `sys.stdout`. Nothing is written to a terminal, a closed stream, or None.
        """
        self._descriptor = _descriptor_of(stream)
        self._waiting: Queue[bytes | None] = Queue(_MAX_WAITING)
        # Each is changed by one thread only: the first by the caller, the second by the writer.
        self._num_left_out, self._num_failed = 0, 0
        self._thread: Thread | None = None

    def write(self, exchange: Exchange) -> None:
        """Queue a line for writing. If the writer cannot keep up, the line is dropped, and a later line counts it."""
        if self._descriptor is None:
            return
        if self._thread is None:
            self._thread = Thread(target=self._write_all, args=(self._descriptor,), name="mien-log", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(line_of(exchange))
        except Full:
            self._num_left_out += 1

    @property
    def num_lost(self) -> int:
        """Number of lines that could not be written."""
        return self._num_left_out + self._num_failed

    def close(self) -> None:
        """Write the queued lines, for at most a second."""
        if self._thread is not None:
            with suppress(Full):
                self._waiting.put(None, timeout=_CLOSING_S / 2)
            self._thread.join(_CLOSING_S / 2)

    def _write_all(self, descriptor: int) -> None:
        num_told = 0
        while (line := self._waiting.get()) is not None:
            num_lost = self.num_lost
            if num_lost > num_told:
                line = _json_line({"num_lines_lost": num_lost - num_told}) + line
            try:
                # In a single write, so that lines of several processes do not mix.
                os.write(descriptor, line)
                num_told = num_lost
            except OSError:
                self._num_failed += 1


def line_of(exchange: Exchange) -> bytes:
    """Return the line for a request.

    Source: RFC 3339 for the time, https://www.rfc-editor.org/rfc/rfc3339

    Example:
        >>> line_of(Exchange(client="127.0.0.1", method="GET", route="/healthz", status=200))
        b'{"time": "...Z", "client": "127.0.0.1", "method": "GET", "route": "/healthz", "status": 200, ...}\\n'
    """
    return _json_line(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            # Behind a proxy, anyone can choose both of these.
            "client": exchange.client[:64],
            "method": exchange.method if exchange.method in _METHODS else "other",
            "route": exchange.route,
            "status": exchange.status,
            "duration_ms": round(1000 * exchange.duration_s, 2),
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
            "num_images": exchange.num_images,
        }
    )


def _json_line(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _descriptor_of(stream: TextIO | None) -> int | None:
    """Return a stream's file descriptor. Never assume 1: if standard output is closed, a socket may have that one."""
    with suppress(OSError, ValueError):
        return stream.fileno() if stream and not stream.isatty() else None
    return None
