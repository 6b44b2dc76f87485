"""The server: a classifier behind HTTP, and a page for people."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mien import __version__
from mien.access_log import AccessLog
from mien.classifier import Classifier
from mien.errors import ImageError, MienError
from mien.gatekeeping import gate_for, key_schemes, read_api_key
from mien.inference_queue import InferenceQueue
from mien.refusals import refusal
from mien.request_layers import layered
from mien.results import Prediction
from mien.serve_config import ServeConfig
from mien.service_metrics import CONTENT_TYPE, ServiceMetrics
from mien.uploads import Upload, read_uploads


def create_app(classifier: Classifier, config: ServeConfig = ServeConfig()) -> FastAPI:
    """Return the ASGI application that serves a classifier.

    Args:
        classifier: What `load` returned.
        config: Who may ask, and the limits.
    """
    api_key = read_api_key(config, os.environ)
    metrics = ServiceMetrics(classifier.class_names)
    log = AccessLog(sys.stdout if config.access_log else None)
    queue = InferenceQueue(classifier, config, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        queue.close()
        log.close()

    app = FastAPI(title="mien", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(layered, gate=gate_for(config, api_key), log=log, metrics=metrics)

    @app.exception_handler(MienError)
    async def refuse(_request: Request, error: MienError) -> Response:
        return refusal(error)

    @app.post("/predict", dependencies=key_schemes(api_key))
    async def predict(request: Request) -> Response:
        """Say which class pictures belong to."""
        uploads = await read_uploads(request.headers.get("content-type", ""), request.stream(), config)
        request.state.num_pictures = len(uploads)
        answers = await queue.answer(uploads)
        if len(answers) == 1 and isinstance(answers[0], ImageError):
            raise answers[0]
        return JSONResponse({"predictions": [_told(*pair) for pair in zip(uploads, answers, strict=True)]})

    @app.get("/healthz")
    async def healthz() -> Response:
        """Say that the process is alive."""
        return JSONResponse({"status": "alive"})

    @app.get("/metrics", response_class=PlainTextResponse)
    async def tell_metrics() -> Response:
        """Count requests, pictures and seconds, in the form that Prometheus reads."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return app


def _told(upload: Upload, answer: Prediction | ImageError) -> dict[str, object]:
    if isinstance(answer, ImageError):
        answer = Prediction(upload.name, None, {}, str(answer))
    return answer.to_dict()
