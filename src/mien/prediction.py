"""Prediction: files, folders and URLs -> one Prediction per picture, in order."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien import sources as intake
from mien.classifier import Classifier
from mien.engine import LOCAL, Engine
from mien.errors import FetchError, ImageError
from mien.fetching import FetchLimits
from mien.results import Prediction

_BATCH_SIZE = 32
# A source's name, and its picture or why there is none.
_Loaded = tuple[str, NDArray[np.uint8] | str]


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

    def load_one(name: str) -> _Loaded:
        try:
            return name, classifier.prepare(intake.read(name, limits))
        except (ImageError, FetchError) as error:
            return name, str(error)

    return _in_batches(classifier, engine.map(load_one, names))


def _in_batches(classifier: Classifier, loaded: Iterator[_Loaded]) -> Iterator[Prediction]:
    while batch := list(islice(loaded, _BATCH_SIZE)):
        pictures = [picture for _, picture in batch if not isinstance(picture, str)]
        probs = iter(classifier.probs(np.stack(pictures)) if pictures else ())
        for name, picture in batch:
            if isinstance(picture, str):
                yield Prediction(name, None, {}, picture)
            else:
                yield _prediction(classifier, name, next(probs))


def _prediction(classifier: Classifier, name: str, probs: NDArray[np.float32]) -> Prediction:
    by_class = dict(zip(classifier.class_names, map(float, probs), strict=True))
    return Prediction(name, max(by_class, key=by_class.__getitem__), by_class)
