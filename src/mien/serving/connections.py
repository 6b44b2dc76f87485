"""Connections: clients that send too slowly, too much or nothing, and take their answers too late, hold nobody up."""

import asyncio
import json
from typing import Any, cast

from httptools import HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mien.config import ServeConfig
from mien.serving.gate import SECURITY_HEADERS

_MOST_HEAD_BYTES = 64 * 1024
# When the server stops, a request may be on its way on a connection that seems idle.
_LAST_REQUESTS_S = 0.3
# A body that brings less in that time makes room for others.
_SLOW_S, _SLOW_BYTES = 5.0, 64 * 1024
_HEADERS = {"Content-Type": "application/json", **SECURITY_HEADERS, "Connection": "close"}


class Connection(HttpToolsProtocol):
    """A client's connection: uvicorn's, with the bounds that it lacks.

    Each of these may take the time of an upload at most: the head of a request, from its first byte on; what is left of
    a request that is answered already; and the answer, until the client has taken it. Where as many connections
    are open as may, the one that has asked nothing for longest makes room for another, or else one that sends slowly.

    Source: https://en.wikipedia.org/wiki/Slowloris_(cyber_attack)
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ServeConfig,
    ) -> None:
        """Take what uvicorn gives to a protocol, and the limits."""
        super().__init__(config, server_state, app_state, _loop)
        self.parser = _Parser(self)
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        # A head is what comes before the body: the first line of a request, and its headers.
        self._is_in_head = True
        # Of the head, or since the last bytes of the body: what may follow those are headers, too.
        self._num_head_bytes = 0
        self._idle_since_s = self.loop.time()
        # When the body had brought something worth of late, and how much has come since.
        self._progress_s, self._num_body_bytes = self._idle_since_s, 0
        self._is_stopping = False
        # Of the requests that have come in, the one that is being answered.
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the client, or send it away."""
        super().connection_made(transport)
        self._expect_progress()
        if len(self.connections) > self._limits.max_connections and not self._make_room():
            self._refuse(503, "too many connections are open")

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more, and let the application know."""
        self._settle()
        if self._running is not None and self._is_at_work:
            # uvicorn tells the request that came in last, which may still wait for its turn.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take on what came in, as long as it can become a request."""
        self._num_head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or not self._num_head_bytes:
            return
        if self._num_head_bytes > _MOST_HEAD_BYTES:
            self._refuse(431, "the headers are too large")
        elif self._is_in_head and self._deadline is None:
            self._expect_progress()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take on a header, but none that comes after the body: nobody may be let in by it.

        Source: https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1
        """
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application see to the body."""
        if self.parser.should_upgrade():
            # The parser comes back with a head that says nothing of it.
            return
        self._is_in_head, self._num_head_bytes = False, 0
        self._progress_s, self._num_body_bytes = self.loop.time(), 0
        self._settle_if_taken()
        super().on_headers_complete()
        if not self._is_at_work:
            self._running = self.cycle
        if self._is_stopping:
            super().shutdown()

    def on_body(self, body: bytes) -> None:
        """Pass on what came in of the body."""
        self._num_head_bytes = 0
        self._num_body_bytes += len(body)
        if self._num_body_bytes >= _SLOW_BYTES:
            self._progress_s, self._num_body_bytes = self.loop.time(), 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next request."""
        if self.parser.should_upgrade():
            return
        self._is_in_head, self._num_head_bytes = True, 0
        self._settle_if_taken()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for what the client has still to send, or to take."""
        if self.pipeline:
            self._running = self.pipeline[-1][0]
        super().on_response_complete()
        self._idle_since_s = self.loop.time()
        self._settle()
        if not self._is_in_head or self.transport.get_write_buffer_size():
            self._expect_progress()

    def head_without_upgrade(self) -> bytes:
        """Return the head that has just come in, without its offers to speak something else than HTTP/1."""
        first = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([first, *lines, b"", b""])

    def shutdown(self) -> None:
        """Take no further request, but for one that is on its way."""
        self._is_stopping = True
        if self._is_at_work:
            super().shutdown()
        else:
            self.loop.call_later(_LAST_REQUESTS_S, super().shutdown)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the form of all refusals."""
        self._refuse(400, "this is no HTTP request")

    @property
    def _is_at_work(self) -> bool:
        return self._running is not None and not self._running.response_complete

    @property
    def _is_slow(self) -> bool:
        # Where the server does not read on, the client cannot help it.
        is_sending = self._is_at_work and not (self._is_in_head or self.flow.read_paused)
        return is_sending and self.loop.time() - self._progress_s > _SLOW_S

    def _expect_progress(self) -> None:
        self._deadline = self.loop.call_later(self._limits.upload_timeout_s, self._give_up)

    def _settle(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _settle_if_taken(self) -> None:
        # Where an earlier answer is still to be taken, the next request does not put that off.
        if not self.transport.get_write_buffer_size():
            self._settle()

    def _give_up(self) -> None:
        self._deadline = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._is_at_work:
            # The start of a second request has come in while the first is in work.
            self.shutdown()
        elif self._is_in_head and self._num_head_bytes:
            self._refuse(408, "the request did not come in whole in time")
        elif self._running is None or not self._is_in_head:
            self.transport.close()

    def _make_room(self) -> bool:
        others = [cast(Connection, other) for other in self.connections if other is not self]
        others = [other for other in others if not other.transport.is_closing()]
        if idle := [other for other in others if not other._is_at_work]:
            min(idle, key=lambda other: other._idle_since_s).transport.abort()
        elif slow := [other for other in others if other._is_slow]:
            min(slow, key=lambda other: other._progress_s)._refuse(408, "the request came in slowly, and others wait")
        else:
            return False
        return True

    def _refuse(self, status: int, sentence: str) -> None:
        is_over = self._is_in_head and not self._is_at_work
        if self._running is not None and self._running.response_started and not is_over:
            # It would stand in the midst of the answer, or be a second one.
            return self.transport.abort()
        body = json.dumps({"error": sentence}).encode()
        headers = "".join(f"{name}: {value}\r\n" for name, value in {**_HEADERS, "Content-Length": len(body)}.items())
        self.transport.write(STATUS_LINE[status] + headers.encode() + b"\r\n" + body)
        self.transport.close()


class _Parser(HttpRequestParser):
    """Reads on where a request offers to speak something else than HTTP/1, as if it had not.

    httptools takes what follows the head for that other protocol, so the body is lost, or taken for a request.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-7.8
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        # As uvicorn does: further requests may come with the last one.
        self.set_dangerous_leniencies(lenient_data_after_close=True)
        self._connection = connection

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        while True:
            try:
                return super().feed_data(data)
            except HttpParserUpgrade as offer:
                if self.get_method() == b"CONNECT":
                    raise HttpParserInvalidMethodError("this is no proxy") from offer
                data = self._connection.head_without_upgrade() + data[offer.args[0] :]
