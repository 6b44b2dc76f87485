"""Prediction: files, folders, URLs and object stores -> one Prediction per image, in order."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import FetchLimits, PredictConfig, ScanConfig
from mien.core import images
from mien.core.csv_tables import prob_cells
from mien.core.inputs import Inputs
from mien.core.progress import SILENCE, Progress
from mien.errors import FetchError, ImageError, SettingsError
from mien.fetching import sources as intake
from mien.model.classifier import Classifier, load

UNSURE = "unsure"
Source = str | Path | Image.Image | NDArray[Any]
_ONE = (str, Path, Image.Image, np.ndarray)


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        source: The file, URL, or "-".
        label: The most likely class; "unsure" if it is below the threshold; None after an error.
        probs: Probability of every class.
        error: Why there is no prediction.
        out_of_distribution: Whether the image is unlike the training images, so that the probabilities may mean little.
        unlike: How it differs from them, in words.
    """

    source: str
    label: str | None
    probs: dict[str, float]
    error: str | None = None
    out_of_distribution: bool = False
    unlike: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def predict(
    classifier: Classifier | str | Path,
    sources: Source | Iterable[Source],
    *,
    threshold: float | None = None,
    max_pixels: int = ScanConfig.max_pixels,
    limits: FetchLimits = FetchLimits(),
    progress: Progress = SILENCE,
) -> Iterator[Prediction]:
    """Classify images: yields one Prediction per image, in order.

    An image that cannot be read gets a Prediction with `error` set; the others continue.

    Args:
        classifier: What `load` returned, or a run folder, or a model.onnx.
        sources: One or several of: image files, folders (searched recursively), http(s) URLs, object store addresses
            such as s3://bucket/photos, "-" for standard input, Pillow images, and arrays (uint8, (H, W, 3) or (H, W),
            values 0 to 255).
        threshold: Return "unsure" if the top probability is below this. Default: the classifier's own threshold.
        max_pixels: Reject larger images, which could fill all memory.
        limits: Limits for downloads.
        progress: Told how many files in folders are not images.

    Yields:
        Prediction(source, label, probs, error, out_of_distribution, unlike); the probabilities sum to 1.

    Raises:
        SourceNotFoundError: A path does not exist (raised before any image is read), or an object store denies access
            or cannot be reached.
        SettingsError: A source has the wrong type, the threshold is not between 0 and 1, or a class is named "unsure".

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> for prediction in mien.predict(classifier, ["data/happy/00.jpg", "notes.txt"]):
        ...     print(prediction.source, sorted(prediction.probs), prediction.error)
        data/happy/00.jpg ['happy', 'sad'] None
        notes.txt [] text, not an image
    """
    asked = classifier if isinstance(classifier, Classifier) else load(classifier)
    threshold = threshold_in_force(asked, threshold)
    given = list(sources) if isinstance(sources, Iterable) and not isinstance(sources, _ONE) else [sources]
    opened = {f"image {number}": _image_of(one) for number, one in enumerate(given) if not isinstance(one, str | Path)}
    # Expand all paths together, so that one error names everything that is wrong.
    names = intake.expand([one for one in given if isinstance(one, str | Path)], progress)
    if opened:
        each = (
            [f"image {n}"] if not isinstance(one, str | Path) else intake.expand(one) for n, one in enumerate(given)
        )
        names = [name for some in each for name in some]

    return predict_each(asked, names, threshold=threshold, max_pixels=max_pixels, limits=limits, opened=opened)


def predict_each(
    classifier: Classifier,
    names: Sequence[str],
    *,
    threshold: float | None = None,
    max_pixels: int = ScanConfig.max_pixels,
    limits: FetchLimits = FetchLimits(),
    opened: Mapping[str, Image.Image] = MappingProxyType({}),
) -> Iterator[Prediction]:
    """Classify named images as `predict` does, without expanding the names.

    Args:
        classifier: What `load` returned.
        names: What `mien.fetching.sources.expand` returned.
        threshold: As `predict_image` takes it.
        max_pixels: Reject larger images.
        limits: Limits for downloads.
        opened: Images that are already open, by name.
    """
    config = classifier.facts.scan_config(max_pixels)

    def predict_one(place: int, content: Callable[[], bytes]) -> Prediction:
        name = names[place]
        try:
            image = images.of_pillow(opened[name], config) if name in opened else images.decode(content(), config)
        except (ImageError, FetchError) as error:
            # The source is already named.
            return Prediction(name, None, {}, error.reason if isinstance(error, FetchError) else str(error))
        inputs, hidden = classifier.inputs_of(image.rgb), image.hidden_by(config)
        return predict_image(classifier, inputs, source=name, threshold=threshold, hidden=hidden)

    return intake.read_each(names, predict_one, limits)


def _image_of(image: Image.Image | NDArray[Any]) -> Image.Image:
    """Convert an array to an image; return an image unchanged."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
            raise SettingsError(
                f"an array is {image.dtype} {image.shape}; expected uint8 (H, W, 3) or (H, W), with values 0 to 255"
            )
        image = Image.fromarray(image.squeeze(axis=2) if image.ndim == 3 and image.shape[2] == 1 else image)
    if not isinstance(image, Image.Image):
        raise SettingsError(f"a source is {type(image).__name__}; expected a path, a URL, a Pillow image or an array")
    return image


def threshold_in_force(classifier: Classifier, threshold: float | None = None) -> float:
    """Return the threshold to use.

    Args:
        classifier: What `load` returned.
        threshold: The requested threshold; None for the classifier's own.

    Raises:
        SettingsError: The threshold is not between 0 and 1, or a class is named "unsure".
    """
    least = classifier.facts.threshold if threshold is None else PredictConfig(threshold=threshold).threshold
    if least and UNSURE in classifier.class_names:
        raise SettingsError(f"a class is named {UNSURE!r}, so no threshold can be used. Omit --threshold, or rename it")
    return least


def predict_image(
    classifier: Classifier, inputs: Inputs, *, source: str, threshold: float | None = None, hidden: str = ""
) -> Prediction:
    """Classify one decoded image.

    Args:
        classifier: What `load` returned.
        inputs: What its `prepare` returned.
        source: Name of the source.
        threshold: Return "unsure" if the top probability is below this. Default: the classifier's own threshold.
        hidden: Why the image is hardly visible, if so (see `mien.core.images.DecodedImage.hidden_by`).
    """
    rows, reasons = classifier.predict(inputs)
    return prediction_of(classifier, rows[0], source=source, threshold=threshold, unlike=hidden or reasons[0])


def prediction_of(
    classifier: Classifier,
    row: NDArray[np.float32],
    *,
    source: str,
    threshold: float | None = None,
    unlike: str = "",
) -> Prediction:
    """Return the Prediction for the probabilities of one image.

    Args:
        classifier: The classifier, for its class names.
        row: The probability of each class, (C,).
        source: Name of the source.
        threshold: As `predict_image` takes it.
        unlike: How the image differs from the training images, in words.
    """
    probs = dict(zip(classifier.class_names, map(float, row), strict=True))
    label = max(probs, key=probs.__getitem__)
    least = classifier.facts.threshold if threshold is None else threshold
    label = label if probs[label] >= least else UNSURE
    return Prediction(source, label, probs, out_of_distribution=unlike != "", unlike=unlike)


def prediction_rows(predictions: Iterable[Prediction], class_names: Sequence[str]) -> Iterator[list[str]]:
    """Yield predictions as table rows, starting with the column names."""
    num_classes = len(class_names)
    yield ["source", "label", *(f"prob_{name}" for name in class_names), "out_of_distribution", "error"]
    for prediction in predictions:
        probs = prob_cells([prediction.probs[name] for name in class_names]) if prediction.probs else [""] * num_classes
        out_of_distribution = "true" if prediction.out_of_distribution else "false"
        yield [prediction.source, prediction.label or "", *probs, out_of_distribution, prediction.error or ""]
