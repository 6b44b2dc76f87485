"""Static files: the web page, and /docs with Swagger UI. Nothing is loaded from other sites."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import mien.core
from mien.core.extras import require

# As strict as Swagger UI allows: it uses style attributes and data: icons.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE_DIR, _CORE_DIR = Path(__file__).parent / "page", Path(mien.core.__file__).parent


def page_routes() -> list[Route]:
    """Return the routes of the web page."""
    return routes_of_page(_PAGE_DIR, "serve.html")


def routes_of_page(folder: Path, name: str) -> list[Route]:
    """Return the routes of a page and its files, which are read now and served from memory.

    Starlette's StaticFiles would read them on each request: a newer version than this server after an upgrade, and
    none at all if it runs out of file descriptors. Browsers cache the files and only check whether they have changed.

    Args:
        folder: The folder with the files.
        name: File name of the page.

    Source:
        RFC 9110, sections 8.8.3 (entity tags) and 13.1.2 (If-None-Match).
    """
    # The page refers to them by relative paths, so that a proxy can serve it under any path.
    icon = _PAGE_DIR / "icon.svg"
    files = [("/", folder / name), ("/favicon.ico", icon)]
    own = sorted(path for path in folder.iterdir() if path.suffix not in (".html", ".svg"))
    parts = [*own, icon, _CORE_DIR / "base.css", _CORE_DIR / "names.js"]
    return _routes([*files, *((f"/page/{path.name}", path) for path in parts)])


def docs_routes() -> list[Route]:
    """Return the routes of /docs and its files, served in the same way.

    Raises:
        MissingExtraError: The package with Swagger UI is not installed.
    """
    # Only used for the Swagger UI files that it contains.
    require("serve", "fastapi_offline")
    package = find_spec("fastapi_offline")
    swagger_dir = Path(str(package and package.origin)).parent / "static"
    files = [
        ("/docs", _PAGE_DIR / "docs.html"),
        ("/docs/docs.js", _PAGE_DIR / "docs.js"),
        ("/docs/swagger-ui.css", swagger_dir / "swagger-ui.css"),
        ("/docs/swagger-ui-bundle.js", swagger_dir / "swagger-ui-bundle.js"),
    ]
    return _routes(files, {"Content-Security-Policy": _DOCS_POLICY})


def _routes(files: Iterable[tuple[str, Path]], headers: Mapping[str, str] = MappingProxyType({})) -> list[Route]:
    return [_route(address, path.read_bytes(), _KINDS[path.suffix], headers) for address, path in files]


def _route(address: str, content: bytes, kind: str, others: Mapping[str, str]) -> Route:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": f"{kind}; charset=utf-8", **others}

    async def send(request: Request) -> Response:
        known = {told.strip().removeprefix("W/") for told in request.headers.get("if-none-match", "").split(",")}
        is_known = tag in known or "*" in known
        return Response(b"" if is_known else content, 304 if is_known else 200, headers)

    return Route(address, send, include_in_schema=False)
