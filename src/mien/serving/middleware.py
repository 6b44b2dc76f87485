"""The layers around the routes, which every request goes through: counted, hardened, kept from tracebacks, let in.

Each is a plain ASGI application around another, and adds some millionths of a second.
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
    """Return an application within all layers.

    Args:
        app: What answers.
        gate: Who may come in.
        log: Gets a line for each request.
        metrics: Count each request.
        is_stopping: Tells whether the server ends: answers are then the last of their connections.
    """

    def note(exchange: Exchange) -> None:
        log.write(exchange)
        metrics.count_request(exchange.route, exchange.status, exchange.duration_s)

    return observed(hardened(shielded(guarded(app, gate)), is_stopping), note)


def observed(app: ASGIApp, note: Callable[[Exchange], object]) -> ASGIApp:
    """Return an application whose requests are noted: how long, how much, and with what status.

    A route leaves the number of images in the request's state, as `num_images`.

    Args:
        app: What answers.
        note: Told of each request when its answer has been sent, or nobody waits for it any more.
    """

    async def observe(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        exchange = Exchange(client=(scope.get("client") or ("",))[0], method=scope["method"])
        state = scope.setdefault("state", {})
        if scope["method"] == "HEAD":
            # What answers GET answers HEAD; the server, which holds the scope as it was, sends no body.
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
    """Return the template of the route that answered, never a path that a client made up."""
    if "route" in scope:
        return str(scope["route"].path)
    # FastAPI names those that it made itself. Of others only one without parts to fill in is its own template.
    is_plain = inspect.isroutine(scope.get("endpoint")) and not scope.get("path_params")
    return _path_in(scope) if is_plain else None


def _path_in(scope: Scope) -> str:
    """Return the path of a request; mounted below another application, it has that one's path before its own."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def hardened(app: ASGIApp, is_stopping: Callable[[], bool] = lambda: False) -> ASGIApp:
    """Return an application with the headers that tell browsers what not to do, where it has not set its own.

    Args:
        app: What answers.
        is_stopping: Tells whether connections are to end with their next answer.
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
    """Return an application whose mistakes are logged with their traceback, and told without.

    A request that is cut off, as at the end of the server, is told that. An answer that the connection does not take
    is nobody's mistake here.
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
            # What has begun cannot be taken back: the server ends the connection.
            if has_begun or scope["type"] != "http":
                raise
            await JSONResponse({"error": "internal error"}, 500)(scope, receive, send)

    return shield


def guarded(app: ASGIApp, gate: Gate) -> ASGIApp:
    """Return an application that only those reach whom the gate lets in."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                gate.check(scope["method"], _path_in(scope), Headers(scope=scope))
            except MienError as error:
                return await refusal(error, Request(scope))(scope, receive, send)
        await app(scope, receive, send)

    return guard
