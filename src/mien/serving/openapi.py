"""The OpenAPI description: what each request may contain, and each response that it may get."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# Meaning of each status, for the API description and the documentation.
REFUSED_FOR = {
    400: "The only image, or the only URL, cannot be used.",
    401: "The API key is missing or wrong.",
    403: "This server does not allow the request.",
    408: "The request took too long to arrive.",
    413: "The request or an image is too large, or there are too many images.",
    415: "Not an image, or the wrong Content-Type.",
    422: "The request is malformed.",
    429: "The server is busy. Try again after the seconds in Retry-After.",
    503: "The server is stopping, or took too long.",
}
_EXAMPLES = {
    400: "damaged: the file is truncated",
    401: "an API key is required in the X-API-Key header",
    403: "heat maps are turned off on this server",
    408: "the request took longer than 30 s to arrive",
    413: "an image is larger than 32 MiB",
    415: "text, not an image",
    422: "the form contains no file",
    429: "the server is busy",
    503: "the server is stopping",
}
DESCRIPTION = """Send images and get the class of each, with its probability. GET /model returns the classes, the
accuracy and the limits. Every error is {"error": "what went wrong"}."""
# Headings that group the addresses.
PREDICTING, MODEL, SERVER = "Predictions", "Classifier", "Server"


class _Document(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class FaceDocument(_Document):
    """A face, and how it affects the prediction."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the face, as fractions of the image's width and height."""
    log_odds: float
    """What it adds to the log-odds of the class: evidence for it above 0, against it below 0."""


class HeatMapDocument(_Document):
    """Where the classifier looked."""

    label: str
    """The class explained: the most probable one."""
    method: Literal["class activation", "occlusion"]
    """Exact class activation, or occlusion (hiding parts of the image in turn)."""
    image: str
    """A PNG as a data: URL: the image in grey, with evidence for the class in orange, against it in blue, and faces
    framed."""
    faces: list[FaceDocument]
    """The faces, if the classifier looks at faces."""


class PredictionDocument(_Document):
    """The prediction for one image."""

    source: str = Field(examples=["photo.jpg"])
    """The file name sent, or "-" if there was none."""
    label: str | None = Field(examples=["happy"])
    """A class name, "unsure" if no class reaches the threshold, or null if there was an error."""
    probs: dict[str, float] = Field(examples=[{"happy": 0.97, "sad": 0.03}])
    """The probability of each class. Empty if there was an error."""
    error: str | None = Field(examples=[None])
    """Why there is no prediction."""
    out_of_distribution: bool = Field(examples=[False])
    """Whether the image is unlike the training images, so the probabilities may mean little."""
    unlike: str = Field(examples=[""])
    """How it differs, in words."""
    heat_map: HeatMapDocument | None = None
    """Present with explain=true. Null if there was an error."""


class PredictionsDocument(_Document):
    """Predictions, in the order of the images."""

    predictions: list[PredictionDocument]


class UrlsDocument(_Document):
    """URLs of images."""

    urls: list[str] = Field(examples=[["https://example.org/photo.jpg"]], min_length=1)
    """Public http or https addresses."""


class AccuracyDocument(_Document):
    """Accuracy on images not used for training, with its 95% interval."""

    value: float
    low: float
    high: float
    num_images: int
    judged_by: Literal["cross-validation", "test split"]


class LimitsDocument(_Document):
    """The limits of a request."""

    max_files: int
    max_file_bytes: int
    max_pixels: int


class ModelDocument(_Document):
    """The classifier, its accuracy, and what you may send."""

    class_names: list[str]
    """Names of the classes."""
    image_size: tuple[int, int]
    """Height and width that images are resized to, in pixels."""
    resize_mode: Literal["stretch", "crop", "pad"]
    """How images with another aspect ratio are resized."""
    faces: bool
    """Whether it looks at faces as well as the whole image."""
    threshold: float
    """Below this probability the label is "unsure", unless a request sets another threshold."""
    data_fingerprint: str
    """Hash of the images it was made from."""
    model_sha256: str
    """Hash of the model file."""
    mien_version: str
    """The mien version that made it."""
    accuracy: AccuracyDocument | None
    """Accuracy on images not used for training, with its 95% interval. Null if unknown."""
    evaluations: dict[str, Any]
    """All scores, as in metrics.json: "out_of_fold", "test", "stressed" (on changed images) and "learning_curve" (what
    more images would bring)."""
    weakness: str
    """Which changed images, such as grey ones, it gets wrong more often, in one sentence. Empty if none."""
    not_for: list[str]
    """What it must not be used for."""
    model_card: str
    """The model card, in Markdown."""
    model_card_html: str
    """The model card, in HTML, for the page."""
    limits: LimitsDocument
    """The limits of a request: `max_files`, `max_file_bytes`, `max_pixels`."""
    allows_urls: bool
    """Whether /predict/url is allowed."""
    explains: bool
    """Whether explain=true is allowed."""
    needs_key: bool
    """Whether requests need an API key."""


class StatusDocument(_Document):
    """The state of the server."""

    status: Literal["alive", "ready"]


class RefusalDocument(_Document):
    """Why a request was refused."""

    error: str = Field(examples=["the form contains no file"])
    """What went wrong."""


_FILE = {"type": "string", "format": "binary"}
IMAGES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"files": {"type": "array", "items": _FILE, "minItems": 1}},
                    "required": ["files"],
                }
            },
            "application/octet-stream": {"schema": _FILE},
            "image/*": {"schema": _FILE},
        },
    }
}
URLS: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": UrlsDocument.model_json_schema()}}}
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of some error statuses, for FastAPI's `responses`."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        example = {"application/json": {"example": {"error": _EXAMPLES[status]}}}
        found[status] = {"model": RefusalDocument, "description": REFUSED_FOR[status], "content": example}
        if status == 429:
            found[status]["headers"] = {
                "Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}}
            }
    return found
