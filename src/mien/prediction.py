"""Prediction: files, folders and URLs -> one Prediction per picture, in order."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from mien import sources as intake
from mien.classifier import Classifier
from mien.engine import LOCAL, Engine
from mien.errors import FetchError, ImageError
from mien.fetching import FetchLimits
from mien.results import Prediction


def predict(
    classifier: Classifier,
    sources: Iterable[str | Path],
    *,
    limits: FetchLimits = FetchLimits(),
    engine: Engine = LOCAL,
) -> Iterator[Prediction]:
    """Say which class each picture belongs to: one Prediction per picture, in order.

    A picture that cannot be read gives a Prediction with `error` set; the others go on.

    Args:
        classifier: What `load` returned.
        sources: Picture files, folders (searched to the bottom), http(s) URLs, or "-" for standard input.
        limits: What may be fetched from a URL.
        engine: Where the work runs.

    Yields:
        Prediction(source, label, probs, error); the probabilities sum to 1.

    Raises:
        SourceNotFoundError: A path does not exist. Raised before any picture is read.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> for prediction in mien.predict(classifier, ["data/happy/00.jpg", "notes.txt"]):
        ...     print(prediction.source, sorted(prediction.probs), prediction.error)
        data/happy/00.jpg ['happy', 'sad'] None
        notes.txt [] text, not a picture
    """
    names = intake.expand(sources)

    def predict_one(name: str) -> Prediction:
        try:
            picture = classifier.prepare(intake.read(name, limits))
        except (ImageError, FetchError) as error:
            return Prediction(name, None, {}, str(error))
        probs = dict(zip(classifier.class_names, map(float, classifier.probs(picture[None])[0]), strict=True))
        return Prediction(name, max(probs, key=probs.__getitem__), probs)

    return engine.map(predict_one, names)
