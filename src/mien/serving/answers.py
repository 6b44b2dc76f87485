"""Answers: one uploaded image -> what the classifier says of it, and where it looked; or why there is no answer."""

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
    """What is said of one image of a request.

    Attributes:
        prediction: As `mien.predict` gives it.
        refusal: Why there is none; None where there is one.
        heat_map: Where the classifier looked, as JSON values; None where that was not asked, or there is no answer.
    """

    prediction: Prediction
    refusal: ImageError | FetchError | None = None
    heat_map: dict[str, Any] | None = None

    def to_dict(self, *, explain: bool = False) -> dict[str, Any]:
        """Return plain JSON values: those of the Prediction, with `explain` also the heat map."""
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
    """Say which class an uploaded image belongs to, in the thread that asks.

    Args:
        classifier: What `load` returned.
        upload: Whatever was sent.
        config: How it is decoded: that of the classifier, or one with fewer pixels.
        room: Where it is decoded.
        metrics: Are told how long each stage takes.
        threshold: Say "unsure" where no class is as probable as this; by default what the classifier was made with.
        explain: Say where the classifier looked, too.
    """
    try:
        with room.taking(images.decoding_bytes(upload.content, config)), metrics.timed("decoding"):
            image = images.decode(upload.content, config)
            inputs, size, hidden = classifier.inputs_of(image.rgb), image.rgb.size, image.hidden_by(config)
            shown = fair_size(image.rgb) if explain else None
            # Its pixels are not kept while it waits for the network.
            del image
    except ImageError as error:
        # What led to it would keep the file in memory for as long as somebody keeps the error.
        error.__cause__ = error.__context__ = None
        return refused(upload.name, error.with_traceback(None))
    with metrics.timed("inference"):
        predicted = predict_image(classifier, inputs, source=upload.name, threshold=threshold, hidden=hidden)
    answered = Answer(predicted)
    if shown is None:
        return answered
    with metrics.timed("heat_map"):
        # The other threads of the server are for other images.
        heat_map = explain_inputs(classifier, inputs, size, num_threads=1)
        drawn = _png(Image.fromarray(overlay(shown, heat_map)))
    faces = [asdict(face) for face in heat_map.faces]
    told = {"label": heat_map.label, "method": heat_map.method, "image": drawn, "faces": faces}
    return replace(answered, heat_map=told)


def refused(name: str, error: ImageError | FetchError) -> Answer:
    """Return the answer that says why there is none.

    Args:
        name: What the sender calls the image.
        error: Why it cannot be used.
    """
    return Answer(Prediction(name, None, {}, error.detail), error)


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
