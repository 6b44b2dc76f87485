"""The page that describes the API, at /docs: Swagger UI from this server's own address, with nothing from elsewhere."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse

from mien.extras import require

_PAGE_DIR = Path(__file__).parent / "page"
# As strict as Swagger UI works with: it puts style attributes and data: icons into the page.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


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
