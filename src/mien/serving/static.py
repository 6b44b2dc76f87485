"""Static files: the page for people, and /docs, which describes the API by Swagger UI; nothing from elsewhere."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import mien.core
from mien.core.extras import require

# As strict as Swagger UI works with: it puts style attributes and data: icons into the page.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# Said here: what a machine takes a script for depends on its settings, and browsers run none of another kind.
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE_DIR, _CORE_DIR = Path(__file__).parent / "page", Path(mien.core.__file__).parent


def page_routes() -> list[Route]:
    """Return the routes of the page's files.

    A browser keeps them and asks each time whether they have changed; if not, nothing is sent.
    """
    page = _Files(_PAGE_DIR)
    # In the page they are named relative to it, so that a proxy may put it below any path.
    names = sorted(path.name for path in _PAGE_DIR.iterdir() if path.suffix != ".html")
    return [
        page.route("/", "serve.html"),
        page.route("/favicon.ico", "icon.svg"),
        *(page.route(f"/page/{name}", name) for name in names),
        _Files(_CORE_DIR).route("/page/base.css", "base.css"),
    ]


def docs_routes() -> list[Route]:
    """Return the routes of /docs and its files, served likewise.

    Raises:
        MissingExtraError: The package with Swagger UI is not installed.
    """
    # Only its files are used: it stands here for a package that is nothing but them.
    require("serve", "fastapi_offline")
    package = find_spec("fastapi_offline")
    policy = {"Content-Security-Policy": _DOCS_POLICY}
    page, swagger = _Files(_PAGE_DIR, policy), _Files(Path(str(package and package.origin)).parent / "static", policy)
    return [
        page.route("/docs", "docs.html"),
        page.route("/docs/docs.js", "docs.js"),
        *(swagger.route(f"/docs/{name}", name) for name in ("swagger-ui.css", "swagger-ui-bundle.js")),
    ]


class _Files(StaticFiles):
    """A folder, some of whose files are served."""

    def __init__(self, folder: Path, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(directory=folder)
        self._headers = {"Cache-Control": "no-cache", **headers}

    def route(self, address: str, name: str) -> Route:
        async def send(request: Request) -> Response:
            return await self.get_response(name, request.scope)

        return Route(address, send, include_in_schema=False)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        kind = _KINDS[Path(full_path).suffix]
        response.headers.update({**self._headers, "Content-Type": f"{kind}; charset=utf-8"})
        return response
