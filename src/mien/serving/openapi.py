"""The description of the API, for OpenAPI: what each request may bring, and each answer that it may get."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# What each status means, in the words of the description and of the documentation.
REFUSED_FOR = {
    400: "An image alone, or a URL alone, that cannot be used.",
    401: "The API key is missing, or another.",
    403: "This server does not do that, or not for whoever asks.",
    408: "The request did not come in whole in time.",
    413: "Too large, or too many.",
    415: "Something else than images.",
    422: "The request cannot be read.",
    429: "Others are served first.",
    503: "The server is stopping, or too slow.",
}
_EXAMPLES = {
    400: "damaged: it begins like an image, but goes on otherwise",
    401: "this needs the API key, in the header X-API-Key",
    403: "this server gives no heat maps",
    408: "the request did not come in whole within 30 s",
    413: "an image has more than 32 MiB",
    415: "text, not an image",
    422: "there is no file in the form",
    429: "the server is busy",
    503: "the server is stopping",
}
DESCRIPTION = """Send images, and get the class of each with how sure the classifier is. GET /model names the
classes, says how often the answers are right, and what may be sent. Every refusal is {"error": "one sentence"}."""
# The headings under which the addresses stand.
PREDICTING, MODEL, SERVER = "Predictions", "The classifier", "The server"


class _Document(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class FaceDocument(_Document):
    """What a face says."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the face, as shares of the image's width and height."""
    log_odds: float
    """What it adds to the log-odds of the class: above 0 it speaks for it, below 0 against it."""


class HeatMapDocument(_Document):
    """Where the classifier looked."""

    label: str
    """The class that is explained: the most probable one."""
    method: Literal["class activation", "occlusion"]
    """How: exact class activation, or by hiding parts of the image in turn."""
    image: str
    """A PNG as a data: URL. The image in grey; orange speaks for the class, blue against it; faces have a frame."""
    faces: list[FaceDocument]
    """What the faces in it say, where the classifier looks at faces."""


class PredictionDocument(_Document):
    """What the classifier says of one image."""

    source: str = Field(examples=["photo.jpg"])
    """The name sent; "-" for an image without one."""
    label: str | None = Field(examples=["happy"])
    """A class name; "unsure" where none is probable enough; null with an error."""
    probs: dict[str, float] = Field(examples=[{"happy": 0.97, "sad": 0.03}])
    """The probability of each class; empty with an error."""
    error: str | None = Field(examples=[None])
    """Why there is no answer."""
    out_of_distribution: bool = Field(examples=[False])
    """The image is unlike those of the training: the probabilities may mean little."""
    unlike: str = Field(examples=[""])
    """In what, in words."""
    heat_map: HeatMapDocument | None = None
    """There where explain=true was asked; null with an error."""


class PredictionsDocument(_Document):
    """The answers, in the order of the images."""

    predictions: list[PredictionDocument]


class UrlsDocument(_Document):
    """Where images are."""

    urls: list[str] = Field(examples=[["https://example.org/photo.jpg"]], min_length=1)
    """From public addresses, by http or https."""


class AccuracyDocument(_Document):
    """How often it is right for images that it had not seen, with the 95% interval."""

    value: float
    low: float
    high: float
    num_images: int
    judged_by: Literal["cross-validation", "test split"]


class LimitsDocument(_Document):
    """What one request may bring."""

    max_files: int
    max_file_bytes: int
    max_pixels: int


class ModelDocument(_Document):
    """What the classifier is, how sure one can be of it, and what may be sent."""

    class_names: list[str]
    """The classes."""
    image_size: tuple[int, int]
    """Height and width that an image is brought to, in pixels."""
    resize_mode: Literal["stretch", "crop", "pad"]
    """How one of another shape is brought to it."""
    faces: bool
    """Whether it looks at faces, beside the whole image."""
    threshold: float
    """Where no class is as probable, the label is "unsure", unless a request asks for another threshold."""
    data_fingerprint: str
    """Hash of the images that it was made from."""
    model_sha256: str
    """Hash of its file."""
    mien_version: str
    """The version of mien that made it."""
    accuracy: AccuracyDocument | None
    """How often it is right for images that it had not seen, with its 95% interval; null where nothing is known."""
    evaluations: dict[str, Any]
    """All scores, as in metrics.json: "out_of_fold" and "test"; on changed images, "stressed"; what more images
    would bring, "learning_curve"."""
    weakness: str
    """On which changed images, such as grey ones, it is right less often, in one sentence; empty where on none."""
    not_for: list[str]
    """What it must not be used for, in sentences."""
    model_card: str
    """Its model card, in Markdown."""
    model_card_html: str
    """The same in HTML, for the page."""
    limits: LimitsDocument
    """What one request may bring: `max_files`, `max_file_bytes`, `max_pixels`."""
    allows_urls: bool
    """Whether /predict/url may be used."""
    explains: bool
    """Whether explain=true may be asked."""
    needs_key: bool
    """Whether requests must bring an API key."""


class StatusDocument(_Document):
    """How the server is."""

    status: Literal["alive", "ready"]


class RefusalDocument(_Document):
    """Why a request is refused."""

    error: str = Field(examples=["there is no file in the form"])
    """One sentence."""


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
    """Return the description of some statuses, for FastAPI's `responses`."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        example = {"application/json": {"example": {"error": _EXAMPLES[status]}}}
        found[status] = {"model": RefusalDocument, "description": REFUSED_FOR[status], "content": example}
        if status == 429:
            found[status]["headers"] = {
                "Retry-After": {"description": "When to try again, in seconds.", "schema": {"type": "integer"}}
            }
    return found
