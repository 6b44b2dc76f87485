"""The review page and its HTTP interface, for one person on their own machine."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from mien.config import ServeConfig
from mien.errors import ImageError, MienError
from mien.labelling.pictures import PICTURE_SIDE, THUMBNAIL_SIDE, picture_of
from mien.labelling.review import MAX_IMAGES, Review
from mien.labelling.work import Work
from mien.serving.gate import gate_for
from mien.serving.middleware import guarded, hardened, shielded
from mien.serving.refusals import refuse_errors
from mien.serving.static import routes_of_page

_PAGE_DIR = Path(__file__).parent / "page"
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_LONGEST_NAME = 200
# In one request, which is then a few megabytes.
_MAX_DECIDED = 1_000_000


class _Decision(BaseModel):
    ids: Annotated[list[int], Field(max_length=_MAX_DECIDED)]
    decision: str


def create_review_app(review: Review) -> FastAPI:
    """Return the ASGI application of a review.

    Args:
        review: Result of `review_of`. The application closes it.

    Raises:
        MissingExtraError: A package is not installed.
    """
    work = Work()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=review.prepare, daemon=True).start()
        yield
        review.close()

    app = FastAPI(title="mien review", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    stopping = threading.Event()
    app.state.stop = stopping.set
    app.add_middleware(_layered, is_stopping=stopping.is_set)
    refuse_errors(app)
    app.add_exception_handler(MienError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_request)
    app.add_exception_handler(HTTPException, _refuse_address)
    _show(app, review, work)
    _decide(app, review)
    _train(app, review, work)
    app.router.routes.extend(routes_of_page(_PAGE_DIR, "review.html"))
    return app


def _layered(app: ASGIApp, *, is_stopping: Callable[[], bool]) -> ASGIApp:
    return hardened(shielded(guarded(app, gate_for(ServeConfig()))), is_stopping)


def _show(app: FastAPI, review: Review, work: Work) -> None:
    @app.get("/state")
    def state() -> Response:
        return JSONResponse(review.state() | {"training": _told(review, work)})

    @app.get("/images")
    def images(
        queue: str,
        start: Annotated[int, Query(ge=0)] = 0,
        count: Annotated[int, Query(ge=0, le=MAX_IMAGES)] = MAX_IMAGES,
        name: Annotated[str, Query(max_length=_LONGEST_NAME)] = "",
    ) -> Response:
        return JSONResponse(review.images(queue, start, count, name))

    @app.get("/thumbnail/{number}/{version}")
    def thumbnail(number: int, version: str) -> Response:
        return _picture(review, number, THUMBNAIL_SIDE)

    @app.get("/picture/{number}/{version}")
    def picture(number: int, version: str) -> Response:
        return _picture(review, number, PICTURE_SIDE)


def _picture(review: Review, number: int, side: int) -> Response:
    record = review.record(number)
    try:
        content = picture_of(review.dataset.root, record, review.dataset.config, side=side)
    except ImageError as error:
        return JSONResponse({"error": str(error)}, 404)
    return Response(content, media_type="image/jpeg", headers=_FOR_EVER)


def _decide(app: FastAPI, review: Review) -> None:
    @app.post("/decide")
    def decide(decision: _Decision) -> Response:
        return JSONResponse(review.decide(decision.ids, decision.decision))

    @app.post("/undo")
    def undo() -> Response:
        return JSONResponse(review.undo())

    @app.get("/changes")
    def changes(revision: int) -> Response:
        return JSONResponse(review.changes(revision))


def _train(app: FastAPI, review: Review, work: Work) -> None:
    @app.post("/train")
    def train() -> Response:
        work.start(lambda: review.train(work))
        return JSONResponse({}, 202)

    @app.post("/save")
    def save() -> Response:
        work.start(lambda: review.save(work))
        return JSONResponse({}, 202)

    @app.get("/training")
    def training() -> Response:
        return JSONResponse(_told(review, work))


async def _refuse_address(_request: Request, error: Any) -> Response:
    return JSONResponse({"error": "there is nothing at this address"}, error.status_code)


def _told(review: Review, work: Work) -> dict[str, Any]:
    return work.to_dict() | {"result": review.result(), "can_save": review.can_save}


async def _refuse_request(_request: Request, _error: Any) -> Response:
    return JSONResponse({"error": "the page does not fit this version of mien. Reload it"}, 422)


async def _refuse(_request: Request, error: Any) -> Response:
    # Any other error comes from the disk: it is full, or the file was changed.
    return JSONResponse({"error": str(error)}, 507)
