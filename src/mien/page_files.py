"""The page for people: its files, each under its own address, and nothing else of the folder that they lie in."""

import hashlib
from importlib.resources import files as package_files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_NAMES = (
    "base.css",
    "camera.js",
    "card.js",
    "csv_table.js",
    "elements.js",
    "icon.svg",
    "intake.js",
    "markdown.js",
    "model.js",
    "names.js",
    "queue.js",
    "requests.js",
    "serve.css",
    "serve.js",
)
# In the page they are named relative to it, so that a proxy may put it below any path.
_ADDRESSES = {"/": "serve.html", "/favicon.ico": "icon.svg"} | {f"/page/{name}": name for name in _NAMES}
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def page_routes() -> list[Route]:
    """Return the routes of the page's files, which are read now and served from memory.

    A browser keeps them and asks each time whether they have changed; if not, nothing is sent.

    Source:
        RFC 9110, sections 8.8.3 (entity tags) and 13.1.2 (If-None-Match).
    """
    folder = package_files("mien") / "page"
    return [_route(address, name, (folder / name).read_bytes()) for address, name in _ADDRESSES.items()]


def _route(address: str, name: str, content: bytes) -> Route:
    kind = _KINDS[name.rpartition(".")[2]]
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": f"{kind}; charset=utf-8"}

    async def send(request: Request) -> Response:
        known = {told.strip().removeprefix("W/") for told in request.headers.get("if-none-match", "").split(",")}
        if tag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return Route(address, send, include_in_schema=False)
