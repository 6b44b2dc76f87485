"""Static files: the page for people, and /docs, which describes the API by Swagger UI; nothing from elsewhere."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files as package_files
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mien.core.extras import require

# As strict as Swagger UI works with: it puts style attributes and data: icons into the page.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_NAMES = (
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
    folder = package_files("mien.serving") / "page"
    base_css = (package_files("mien.core") / "base.css").read_bytes()
    routes = [_route(address, name, (folder / name).read_bytes()) for address, name in _ADDRESSES.items()]
    return [*routes, _route("/page/base.css", "base.css", base_css)]


def docs_routes() -> list[Route]:
    """Return the routes of /docs and its files, served likewise.

    Raises:
        MissingExtraError: The package with Swagger UI is not installed.
    """
    folder, swagger_dir = package_files("mien.serving") / "page", _swagger_dir()
    files = [
        ("/docs", folder / "docs.html"),
        ("/docs/docs.js", folder / "docs.js"),
        ("/docs/swagger-ui.css", swagger_dir / "swagger-ui.css"),
        ("/docs/swagger-ui-bundle.js", swagger_dir / "swagger-ui-bundle.js"),
    ]
    policy = {"Content-Security-Policy": _DOCS_POLICY}
    return [_route(address, file.name, file.read_bytes(), policy) for address, file in files]


def _route(address: str, name: str, content: bytes, policy: Mapping[str, str] = MappingProxyType({})) -> Route:
    kind = _KINDS[name.rpartition(".")[2]]
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": f"{kind}; charset=utf-8", **policy}

    async def send(request: Request) -> Response:
        known = {told.strip().removeprefix("W/") for told in request.headers.get("if-none-match", "").split(",")}
        if tag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return Route(address, send, include_in_schema=False)


def _swagger_dir() -> Path:
    # Only its files are used: it stands here for a package that is nothing but them.
    require("serve", "fastapi_offline")
    found = find_spec("fastapi_offline")
    return Path(str(found and found.origin)).parent / "static"
