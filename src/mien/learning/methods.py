"""What every method of fitting has in common: it is prepared once for a Dataset, and says how a fit went."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.core.progress import Epoch
from mien.data.dataset import Dataset
from mien.data.shortcuts import Shortcut
from mien.model.classifier import Classifier
from mien.runs.training_details import TrainingDetails
from mien.scoring.candidates import Selection
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.stress import Stressed

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Fitted:
    """A classifier that was trained, and how that went.

    Attributes:
        classifier: Ready to predict; it has no scores yet.
        details: How the training went.
        history: Its epochs, where it had any.
        model: The same as a Keras network, where it is one.
        stressed: What it answers of changed images, where that was tried.
        learning_curve: How its accuracy grows with the number of images, where that was tried.
    """

    classifier: Classifier
    details: TrainingDetails
    history: tuple[Epoch, ...] = field(default=(), repr=False)
    model: "keras.Model | None" = None
    stressed: tuple[Stressed, ...] = ()
    learning_curve: LearningCurve | None = None


def places_seen(dataset: Dataset) -> NDArray[np.int64]:
    """Return the places of the images that are in training or validation, in order."""
    return np.sort(np.concatenate([dataset.indexes("train"), dataset.indexes("val")]))


class Method(Protocol):
    """A way of fitting, made ready for the images of one Dataset, however they are split.

    Attributes:
        takes_long: A fit is a matter of minutes, in which one wants to know where it is.
    """

    takes_long: bool

    def withstand(self, parts: Sequence[Dataset], shortcuts: Sequence[Shortcut] = ()) -> None:
        """Try changed copies of images, where that costs little; learn from them from now on where that helps.

        Args:
            parts: Folds, or one of them; none where there are too few images.
            shortcuts: Facts that give the class away.
        """
        ...

    def learn_from_fewer(self, parts: Sequence[Dataset]) -> None:
        """Try how much is right after learning from fewer images, where that costs little.

        Args:
            parts: The folds of a cross-validation; none where there is none.
        """
        ...

    def fit(self, dataset: Dataset, run_dir: Path | None = None, selection: Selection | None = None) -> Fitted:
        """Train on the training and validation splits.

        Args:
            dataset: What `split` returned.
            run_dir: A run folder, which gets the records of the training.
            selection: Which of its candidates to train; a method that has several chooses where it is not told.
        """
        ...

    def fit_predict(self, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
        """Train on the training and validation splits; return the probabilities, (N, C), for the test split.

        They are by the name of the candidate, the simplest first; one that had no time is missing.
        """
        ...

    def predict_from_others(self, dataset: Dataset) -> NDArray[np.float32] | None:
        """Return quick probabilities, (N, C), for the training and validation splits, each judged by the others.

        None where the method has no features to judge by.
        """
        ...

    def features_of(self, places: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the features of the images at some places, (N, D); None where the method has none."""
        ...
