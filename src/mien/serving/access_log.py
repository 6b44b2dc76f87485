"""The access log: one line of JSON for each request, of which none can tell what is in an image."""

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
    """A request and its answer, as far as they came.

    Attributes:
        client: The address that it came from.
        method: Such as "POST".
        route: The route that answered, such as "/predict"; None where there is none for the path.
        status: Of the answer; None where the client left before.
        duration_s: From the request's head to the end of the answer, in seconds.
        bytes_in: What was read of the request's body.
        bytes_out: Of the answer's body.
        num_images: How many were in it.
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
    """Lines on their way out. A thread of its own writes them: whoever does not read them holds up no request.

    QueueListener of the standard library would wait for such a reader when the server stops, and counts no lost lines.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """Begin.

        Args:
            stream: What to write to, such as `sys.stdout`; a terminal, None, or what is no open file, takes no lines.
        """
        self._descriptor = _descriptor_of(stream)
        self._waiting: Queue[bytes | None] = Queue(_MAX_WAITING)
        # Each is changed by one thread alone: the one that asks, and the one that writes.
        self._num_left_out, self._num_failed = 0, 0
        self._thread: Thread | None = None

    def write(self, exchange: Exchange) -> None:
        """Pass a line on to the thread that writes; where it cannot keep up, the line is lost, which is told later."""
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
        """How many lines could not be written."""
        return self._num_left_out + self._num_failed

    def close(self) -> None:
        """Write what waits, as far as that takes no more than a second."""
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
                # In one piece, so that those of several processes do not mix.
                os.write(descriptor, line)
                num_told = num_lost
            except OSError:
                self._num_failed += 1


def line_of(exchange: Exchange) -> bytes:
    """Return the line for a request.

    Source: for the time, RFC 3339, https://www.rfc-editor.org/rfc/rfc3339

    Example:
        >>> line_of(Exchange(client="127.0.0.1", method="GET", route="/healthz", status=200))
        b'{"time": "...Z", "client": "127.0.0.1", "method": "GET", "route": "/healthz", "status": 200, ...}\\n'
    """
    return _json_line(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            # Behind a proxy both are what somebody wrote.
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
    """Return an open file's number, never a fixed one: where standard output is closed, a socket may have number 1."""
    with suppress(OSError, ValueError):
        return stream.fileno() if stream and not stream.isatty() else None
    return None
