"""What every method of fitting has in common: it is prepared once for a Dataset, and says how a fit went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.core.progress import Epoch
from mien.data.dataset import Dataset
from mien.model.classifier import Classifier

if TYPE_CHECKING:
    import keras

_CANDIDATES = {
    "frozen": "the pretrained backbone with a linear head",
    "half-way": "the network half-way between pretrained and fine-tuned",
    "finetuned": "the fine-tuned network",
}


@dataclass(frozen=True)
class Fitted:
    """A classifier that was trained, and how that went.

    Attributes:
        classifier: Ready to answer; it has no scores yet.
        details: How the training went, as JSON values.
        history: Its epochs, where it had any.
        model: The same as a Keras network, where it is one.
    """

    classifier: Classifier
    details: dict[str, Any]
    history: tuple[Epoch, ...] = field(default=(), repr=False)
    model: "keras.Model | None" = None


def places_seen(dataset: Dataset) -> NDArray[np.int64]:
    """Return the places of the pictures that are in training or validation, in order."""
    return np.sort(np.concatenate([dataset.indexes("train"), dataset.indexes("val")]))


class Method(Protocol):
    """A way of fitting, made ready for the pictures of one Dataset, however they are split.

    Attributes:
        takes_long: A fit is a matter of minutes, in which one wants to know where it is.
    """

    takes_long: bool

    def fit(self, dataset: Dataset, run_dir: Path | None = None) -> Fitted:
        """Train on the training and validation splits. A run folder gets the records of the training."""
        ...

    def answer(self, dataset: Dataset) -> NDArray[np.float32]:
        """Train on the training and validation splits; return the probabilities, (N, C), for the test split."""
        ...

    def answer_from_others(self, dataset: Dataset) -> NDArray[np.float32] | None:
        """Return quick probabilities, (N, C), for the training and validation splits, each judged by the others.

        None where the method has no features to judge by.
        """
        ...


def describe_choice(details: Mapping[str, Any]) -> str:
    """Say which weights of a fine-tuned network were kept, and by how much they are better than the others.

    Args:
        details: How the fit went; has `kept`, `val_images`, `val_loss` and `val_accuracy`.
    """
    kept, losses, accuracies = details["kept"], details["val_loss"], details["val_accuracy"]
    scores = {name: f"loss {losses[name]:.3f}, accuracy {accuracies[name]:.0%}" for name in losses}
    others = "; ".join(f"{_CANDIDATES[name]}: {scores[name]}" for name in losses if name != kept)
    why = f"kept, for the lowest loss on {details['val_images']} validation pictures"
    return f"{why}: {_CANDIDATES[kept]} ({scores[kept]}); {others}"
