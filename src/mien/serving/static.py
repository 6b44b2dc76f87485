"""Static files: the page for people, and /docs, which describes the API by Swagger UI; nothing from elsewhere."""

import hashlib
from importlib.resources import files as package_files
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from mien.core.extras import require

_PAGE_DIR = Path(__file__).parent / "page"
# As strict as Swagger UI works with: it puts style attributes and data: icons into the page.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
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


def add_api_page(app: FastAPI) -> None:
    """Add /docs and its files to an application.

    Raises:
        MissingExtraError: The package with Swagger UI is not installed.
    """
    swagger_dir = _swagger_dir()
    for path, file in {
        "/docs": _PAGE_DIR / "docs.html",
        "/docs/docs.js": _PAGE_DIR / "docs.js",
        "/docs/swagger-ui.css": swagger_dir / "swagger-ui.css",
        "/docs/swagger-ui-bundle.js": swagger_dir / "swagger-ui-bundle.js",
    }.items():
        _add_file(app, path, file)


def _add_file(app: FastAPI, path: str, file: Path) -> None:
    @app.get(path, include_in_schema=False)
    async def send() -> FileResponse:
        return FileResponse(file, headers={"Content-Security-Policy": _POLICY})


def _swagger_dir() -> Path:
    # Only its files are used: it stands here for a package that is nothing but them.
    require("serve", "fastapi_offline")
    found = find_spec("fastapi_offline")
    return Path(str(found and found.origin)).parent / "static"
