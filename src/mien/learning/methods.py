"""The common interface of all training methods: prepared once for a Dataset, then fitted."""

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
    """A trained classifier, with the details of its training.

    Attributes:
        classifier: The classifier, without scores yet.
        details: Details of the training.
        history: Its epochs, if it had any.
        model: The Keras network, if it is one.
        stressed: Scores on changed images, if measured.
        learning_curve: Accuracy by number of training images, if measured.
    """

    classifier: Classifier
    details: TrainingDetails
    history: tuple[Epoch, ...] = field(default=(), repr=False)
    model: "keras.Model | None" = None
    stressed: tuple[Stressed, ...] = ()
    learning_curve: LearningCurve | None = None


def places_seen(dataset: Dataset) -> NDArray[np.int64]:
    """Return the indexes of the training and validation images, in order."""
    return np.sort(np.concatenate([dataset.indexes("train"), dataset.indexes("val")]))


class Method(Protocol):
    """A training method, prepared for the images of one Dataset with any split.

    Attributes:
        takes_long: Whether a fit takes minutes, so that progress messages are useful.
    """

    takes_long: bool

    def withstand(self, parts: Sequence[Dataset], shortcuts: Sequence[Shortcut] = ()) -> None:
        """Evaluate on changed copies of images if that is cheap; from then on, learn from them if that helps.

        Args:
            parts: The folds, or one of them; none if there are too few images.
            shortcuts: Facts that give the class away.
        """
        ...

    def learn_from_fewer(self, parts: Sequence[Dataset]) -> None:
        """Measure the accuracy with fewer training images, if that is cheap.

        Args:
            parts: The folds of a cross-validation; none without one.
        """
        ...

    def fit(self, dataset: Dataset, run_dir: Path | None = None, selection: Selection | None = None) -> Fitted:
        """Train on the training and validation splits.

        Args:
            dataset: What `split` returned.
            run_dir: A run folder, for checkpoints and logs.
            selection: Which candidate to train. Without it, a method with several candidates chooses itself.
        """
        ...

    def fit_predict(self, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
        """Train on the training and validation splits; return the probabilities, (N, C), for the test split.

        The keys are the names of the candidates, the simplest first. A candidate that had no time is missing.
        """
        ...

    def predict_from_others(self, dataset: Dataset) -> NDArray[np.float32] | None:
        """Return quick probabilities, (N, C), for training and validation images, each predicted from the others.

        None if the method has no features.
        """
        ...

    def features_of(self, places: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the features of some images, (N, D); None if the method has none."""
        ...
