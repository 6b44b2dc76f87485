"""The server: a classifier over HTTP, with a web page. Read this first."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.params import Security
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from mien.config import ServeConfig
from mien.errors import ForbiddenError, ImageError, RequestError, SettingsError
from mien.model.classifier import Classifier
from mien.model.prediction import threshold_in_force
from mien.serving.access_log import AccessLog
from mien.serving.answers import Answer
from mien.serving.gate import gate_for, key_schemes, read_api_key
from mien.serving.limits import MemoryBudget, Share
from mien.serving.metrics import CONTENT_TYPE, ServiceMetrics
from mien.serving.middleware import layered
from mien.serving.model_document import model_document
from mien.serving.openapi import (
    DESCRIPTION,
    IMAGES,
    MODEL,
    PREDICTING,
    SERVER,
    URLS,
    ModelDocument,
    PredictionsDocument,
    StatusDocument,
    refusals,
)
from mien.serving.queue import InferenceQueue, while_connected
from mien.serving.refusals import QUERY_TOLD, refuse_errors
from mien.serving.static import docs_routes, page_routes
from mien.serving.uploads import Upload, advice_on, read_uploads, read_urls
from mien.serving.urls import UrlFetcher
from mien.version import __version__

_PIECE_BYTES = 64 * 1024
_Answering = Callable[[list[Upload]], Coroutine[Any, Any, list[Answer]]]
_Threshold = Annotated[
    float | None,
    Query(ge=0, le=1, description='Answer "unsure" if no class is at least this probable. 0 always names a class.'),
]


def create_app(classifier: Classifier, config: ServeConfig = ServeConfig()) -> FastAPI:
    """Return the ASGI application that serves a classifier.

    Its `state.queue` is the InferenceQueue. Call `state.stop` before you stop the process.

    Args:
        classifier: Result of `load`.
        config: Access rules and limits.

    Raises:
        SettingsError: The API key is invalid, or there is a threshold and a class is named "unsure".
        MissingExtraError: A package is not installed.
    """
    api_key = read_api_key(config, os.environ)
    metrics, log = ServiceMetrics(classifier.class_names), AccessLog(sys.stdout if config.access_log else None)
    queue, fetcher = InferenceQueue(classifier, config, metrics), UrlFetcher(config)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        queue.close()
        log.close()

    app = FastAPI(
        title="mien",
        description=DESCRIPTION,
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.queue, app.state.stop = queue, queue.stop
    gate = gate_for(config, api_key)
    app.add_middleware(layered, gate=gate, log=log, metrics=metrics, is_stopping=lambda: queue.is_stopping)
    refuse_errors(app)
    _answer_images(app, classifier, queue, fetcher, config=config, schemes=key_schemes(api_key))
    _tell_model(app, classifier, config, needs_key=api_key is not None)
    _tell_health(app, queue, metrics)
    app.router.routes.extend(docs_routes())
    app.router.routes.extend(page_routes())
    return app


def _answer_images(
    app: FastAPI,
    classifier: Classifier,
    queue: InferenceQueue,
    fetcher: UrlFetcher,
    *,
    config: ServeConfig,
    schemes: Sequence[Security],
) -> None:
    memory = MemoryBudget(config.max_memory_bytes)
    described: dict[str, Any] = {
        "response_model": PredictionsDocument,
        "responses": refusals(400, 401, 403, 408, 413, 415, 422, 429, 503),
        "dependencies": schemes,
        "tags": [PREDICTING],
    }

    @app.post("/predict", summary="Classify images", openapi_extra=IMAGES, **described)
    async def predict(request: Request, explain: bool = False, threshold: _Threshold = None) -> Response:
        """Classify images. With explain=true, also show where the classifier looked.

        Send one or more files as multipart/form-data, in fields of any name, or a single image as the body. If one of
        several images cannot be used, it gets an error and the others still get predictions.
        """
        _check_query(request, classifier, config, explain=explain, threshold=threshold)
        # Refuse before reading the body if there is no room.
        queue.check_room(1, explain=explain)
        with memory.share() as share:
            uploads = await read_uploads(request, share, config)
            request.state.num_images = len(uploads)
            answering = queue.answer(uploads, explain=explain, threshold=threshold)
            answers = await while_connected(request, answering)
            document = _document(answers, explain, advice=advice_on(request, uploads[0].content))
        return _Predictions(document, memory, config.upload_timeout_s)

    @app.post("/predict/url", summary="Classify images at URLs", openapi_extra=URLS, **described)
    async def predict_url(request: Request, explain: bool = False, threshold: _Threshold = None) -> Response:
        """Download images and classify them, if the server was started with --allow-urls."""
        if not config.allow_urls:
            raise ForbiddenError("this server does not fetch URLs. Start it with --allow-urls to allow that")
        _check_query(request, classifier, config, explain=explain, threshold=threshold)
        queue.check_room(1, explain=explain)
        with memory.share() as share:
            urls = await read_urls(request, share, config)
            request.state.num_images = len(urls)
            answer = partial(queue.answer, explain=explain, threshold=threshold)
            document = _document(await while_connected(request, _answer_urls(urls, share, fetcher, answer)), explain)
        return _Predictions(document, memory, config.upload_timeout_s)


def _check_query(
    request: Request, classifier: Classifier, config: ServeConfig, *, explain: bool, threshold: float | None
) -> None:
    if not request.query_params.keys() <= {"explain", "threshold"}:
        raise RequestError(QUERY_TOLD)
    if explain and not config.explain:
        raise ForbiddenError("heat maps are turned off on this server")
    try:
        threshold_in_force(classifier, threshold)
    except SettingsError as error:
        raise RequestError(str(error)) from error


async def _answer_urls(urls: list[str], share: Share, fetcher: UrlFetcher, answer: _Answering) -> list[Answer]:
    """Return the answer for each URL, in order; for an image that could not be fetched, the error."""
    fetched = await fetcher.fetch(urls, share)
    answers = iter(await answer([item for item in fetched if isinstance(item, Upload)]))
    return [next(answers) if isinstance(item, Upload) else item for item in fetched]


def _tell_model(app: FastAPI, classifier: Classifier, config: ServeConfig, *, needs_key: bool) -> None:
    document = model_document(classifier, config, needs_key=needs_key)

    @app.get(
        "/model",
        response_model=ModelDocument,
        responses=refusals(403),
        tags=[MODEL],
        summary="Describe the classifier",
    )
    async def model() -> Response:
        """Return the classes, the accuracy, and the limits of a request."""
        return JSONResponse(document)


def _tell_health(app: FastAPI, queue: InferenceQueue, metrics: ServiceMetrics) -> None:
    told: dict[str, Any] = {"response_model": StatusDocument, "tags": [SERVER]}

    @app.get("/healthz", responses=refusals(403), summary="Check that the server is alive", **told)
    async def healthz() -> Response:
        """Answer 200 as long as the process runs."""
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", responses=refusals(403, 503), summary="Check that the server is ready", **told)
    async def readyz() -> Response:
        """Answer 200 if the server would accept another image now."""
        queue.check_ready()
        return JSONResponse({"status": "ready"})

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses=refusals(403),
        tags=[SERVER],
        summary="Get metrics for Prometheus",
    )
    async def tell_metrics() -> Response:
        """Return counts of requests, images and seconds in the Prometheus text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _document(answers: Sequence[Answer], explain: bool, *, advice: str = "") -> dict[str, Any]:
    """Return the answers as JSON values. If the only image cannot be used, the whole request fails, with the advice."""
    refusal = answers[0].refusal if len(answers) == 1 else None
    if isinstance(refusal, ImageError) and advice:
        raise ImageError(refusal.problem, f"{refusal.detail}; {advice}")
    if refusal:
        raise refusal
    return {"predictions": [answer.to_dict(explain=explain) for answer in answers]}


class _Predictions(JSONResponse):
    """The answers. Heat maps are large, so they count as memory in use until the client has received them."""

    def __init__(self, document: dict[str, Any], memory: MemoryBudget, timeout_s: float) -> None:
        super().__init__(document)
        self._memory, self._timeout_s = memory, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._memory.share() as share:
            share.hold(len(self.body))
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(self.body), _PIECE_BYTES):
                piece, is_last = self.body[start : start + _PIECE_BYTES], start + _PIECE_BYTES >= len(self.body)
                # The server accepts a piece once the client has received most of the earlier ones.
                async with asyncio.timeout(self._timeout_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": not is_last})
