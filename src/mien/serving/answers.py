"""Answers: one uploaded image -> its prediction and heat map, or the reason why there is none."""

import base64
import io
from dataclasses import asdict, dataclass, replace
from typing import Any

from PIL import Image

from mien.config import ScanConfig
from mien.core import images
from mien.errors import FetchError, ImageError
from mien.model.classifier import Classifier
from mien.model.explanation import explain_inputs, fair_size, overlay
from mien.model.prediction import Prediction, predict_image
from mien.serving.limits import DecodingRoom
from mien.serving.metrics import ServiceMetrics
from mien.serving.uploads import Upload


@dataclass(frozen=True)
class Answer:
    """The answer for one image of a request.

    Attributes:
        prediction: The same as from `mien.predict`.
        refusal: Why there is no prediction, or None if there is one.
        heat_map: Where the classifier looked, as JSON values, or None if not requested or if there is no prediction.
    """

    prediction: Prediction
    refusal: ImageError | FetchError | None = None
    heat_map: dict[str, Any] | None = None

    def to_dict(self, *, explain: bool = False) -> dict[str, Any]:
        """Return the prediction as plain JSON values, and with `explain` the heat map too."""
        return self.prediction.to_dict() | ({"heat_map": self.heat_map} if explain else {})


def answer(
    classifier: Classifier,
    upload: Upload,
    config: ScanConfig,
    *,
    room: DecodingRoom,
    metrics: ServiceMetrics,
    threshold: float | None = None,
    explain: bool = False,
) -> Answer:
    """Classify an uploaded image, in the calling thread.

    Args:
        classifier: Result of `load`.
        upload: The uploaded file.
        config: How to decode it: the classifier's settings, or the same with fewer pixels.
        room: Limits how much is decoded at a time.
        metrics: Record the time of each stage.
        threshold: Answer "unsure" if no class is at least this probable. Default: the classifier's own threshold.
        explain: Also make a heat map.
    """
    try:
        with room.taking(images.decoding_bytes(upload.content, config)), metrics.timed("decoding"):
            image = images.decode(upload.content, config)
            inputs, size, hidden = classifier.inputs_of(image.rgb), image.rgb.size, image.hidden_by(config)
            shown = fair_size(image.rgb) if explain else None
            # Free the pixels before inference.
            del image
    except ImageError as error:
        # The traceback would keep the file in memory as long as the error lives.
        error.__cause__ = error.__context__ = None
        return refused(upload.name, error.with_traceback(None))
    with metrics.timed("inference"):
        predicted = predict_image(classifier, inputs, source=upload.name, threshold=threshold, hidden=hidden)
    answered = Answer(predicted)
    if shown is None:
        return answered
    with metrics.timed("heat_map"):
        # The server's other threads are for other images.
        heat_map = explain_inputs(classifier, inputs, size, num_threads=1)
        drawn = _png(Image.fromarray(overlay(shown, heat_map)))
    faces = [asdict(face) for face in heat_map.faces]
    told = {"label": heat_map.label, "method": heat_map.method, "image": drawn, "faces": faces}
    return replace(answered, heat_map=told)


def refused(name: str, error: ImageError | FetchError) -> Answer:
    """Return the answer for an image that cannot be used.

    Args:
        name: The file name that was sent.
        error: Why the image cannot be used.
    """
    return Answer(Prediction(name, None, {}, error.detail), error)


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
