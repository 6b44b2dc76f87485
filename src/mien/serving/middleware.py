"""The layers that every request goes through: metrics and log, security headers, error handling, access control.

Each is a plain ASGI application around another, and adds a few microseconds.
"""

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable
from time import perf_counter

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.core.text import visible
from mien.errors import MienError
from mien.serving.access_log import AccessLog, Exchange
from mien.serving.gate import SECURITY_HEADERS, Gate
from mien.serving.metrics import ServiceMetrics
from mien.serving.refusals import refusal

_LOG = logging.getLogger(__name__)
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


def layered(
    app: ASGIApp, *, gate: Gate, log: AccessLog, metrics: ServiceMetrics, is_stopping: Callable[[], bool]
) -> ASGIApp:
    """Wrap an application in all layers.

    Args:
        app: The application.
        gate: Access rules.
        log: Receives a line for each request.
        metrics: Count each request.
        is_stopping: Returns whether the server is stopping. If so, connections close after their response.
    """

    def note(exchange: Exchange) -> None:
        log.write(exchange)
        metrics.count_request(exchange.route, exchange.status, exchange.duration_s)

    return observed(hardened(shielded(guarded(app, gate)), is_stopping), note)


def observed(app: ASGIApp, note: Callable[[Exchange], object]) -> ASGIApp:
    """Wrap an application so that the duration, size and status of each request are recorded.

    A route sets the number of images as `num_images` in the request's state.

    Args:
        app: The application.
        note: Called for each request when the response has been sent or the client has left.
    """

    async def observe(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        exchange = Exchange(client=(scope.get("client") or ("",))[0], method=scope["method"])
        state = scope.setdefault("state", {})
        if scope["method"] == "HEAD":
            # GET routes also answer HEAD. The server keeps the original scope, so it sends no body.
            scope = {**scope, "method": "GET"}

        async def receive_counted() -> Message:
            message = await receive()
            exchange.bytes_in += len(message.get("body", b""))
            return message

        async def send_counted(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            exchange.bytes_out += len(message.get("body", b""))
            await send(message)

        began = perf_counter()
        try:
            await app(scope, receive_counted, send_counted)
        finally:
            exchange.duration_s = perf_counter() - began
            exchange.route = _route_in(scope)
            exchange.num_images = state.get("num_images", 0)
            note(exchange)

    return observe


def _route_in(scope: Scope) -> str | None:
    """Return the template of the route that answered, never a path made up by a client."""
    if "route" in scope:
        return str(scope["route"].path)
    # FastAPI sets the route only for its own. Any other route is its own template if it has no path parameters.
    is_plain = inspect.isroutine(scope.get("endpoint")) and not scope.get("path_params")
    return _path_in(scope) if is_plain else None


def _path_in(scope: Scope) -> str:
    """Return the path of a request, without the path of an application that this one is mounted under."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def hardened(app: ASGIApp, is_stopping: Callable[[], bool] = lambda: False) -> ASGIApp:
    """Wrap an application to add security headers that it does not set itself.

    Args:
        app: The application.
        is_stopping: Returns whether connections should close after their next response.
    """

    async def harden(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", []))
                names = {name.lower() for name, _ in own}
                message["headers"] = own + [header for header in _RAW_HEADERS if header[0] not in names]
                if is_stopping() and b"connection" not in names:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        await app(scope, receive, send_hardened)

    return harden


def shielded(app: ASGIApp) -> ASGIApp:
    """Wrap an application so that unexpected errors are logged with their traceback, and answered without it.

    A request that is cancelled because the server stops gets an answer that says so. Failing to send a response to the
    client is not an error.
    """

    async def shield(scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = is_sending = False

        async def send_watched(message: Message) -> None:
            nonlocal has_begun, is_sending
            has_begun = is_sending = True
            await send(message)
            is_sending = False

        try:
            await app(scope, receive, send_watched)
        except asyncio.CancelledError:
            if has_begun or scope["type"] != "http":
                raise
            await JSONResponse({"error": "the server is stopping"}, 503)(scope, receive, send)
        except Exception:
            if not is_sending:
                _LOG.error("%s", visible(traceback.format_exc(), kept="\n"))
            # A response that has started cannot be replaced: the server closes the connection.
            if has_begun or scope["type"] != "http":
                raise
            await JSONResponse({"error": "internal error"}, 500)(scope, receive, send)

    return shield


def guarded(app: ASGIApp, gate: Gate) -> ASGIApp:
    """Wrap an application so that only requests allowed by the gate reach it."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                gate.check(scope["method"], _path_in(scope), Headers(scope=scope))
            except MienError as error:
                return await refusal(error, Request(scope))(scope, receive, send)
        await app(scope, receive, send)

    return guard
