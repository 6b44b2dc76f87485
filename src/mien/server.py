"""The server: a classifier behind HTTP, and a page for people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from mien import __version__
from mien.classifier import Classifier
from mien.errors import ImageError, MienError
from mien.inference_queue import InferenceQueue
from mien.refusals import refusal
from mien.results import Prediction
from mien.serve_config import ServeConfig
from mien.uploads import Upload, read_uploads


def create_app(classifier: Classifier, config: ServeConfig = ServeConfig()) -> FastAPI:
    """Return the ASGI application that serves a classifier.

    Args:
        classifier: What `load` returned.
        config: Who may ask, and the limits.
    """
    queue = InferenceQueue(classifier, config)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        queue.close()

    app = FastAPI(title="mien", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    # Whoever runs the application says so.
    app.state.is_stopping = False

    @app.exception_handler(MienError)
    async def refuse(_request: Request, error: MienError) -> Response:
        return refusal(error)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        """Say which class pictures belong to."""
        uploads = await read_uploads(request.headers.get("content-type", ""), request.stream(), config)
        answers = await queue.answer(uploads)
        if len(answers) == 1 and isinstance(answers[0], ImageError):
            raise answers[0]
        return JSONResponse({"predictions": [_told(*pair) for pair in zip(uploads, answers, strict=True)]})

    @app.get("/healthz")
    async def healthz() -> Response:
        """Say that the process is alive."""
        return JSONResponse({"status": "alive"})

    return app


def _told(upload: Upload, answer: Prediction | ImageError) -> dict[str, object]:
    if isinstance(answer, ImageError):
        answer = Prediction(upload.name, None, {}, str(answer))
    return answer.to_dict()
