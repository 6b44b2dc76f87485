"""The method linear: the features of a pretrained backbone, and a linear head on them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.config import TrainConfig
from mien.core.progress import Progress
from mien.data.dataset import Dataset
from mien.learning.backbone import Backbone
from mien.learning.exporting import facts_of, join, prove_equal
from mien.learning.face_features import with_faces
from mien.learning.feature_cache import FeatureCache
from mien.learning.features import extract, fit_head_on, predict_from_others
from mien.learning.heads import Head
from mien.learning.methods import Fitted, places_seen
from mien.learning.out_of_distribution import fit_distribution
from mien.runs.training_details import TrainingDetails
from mien.scoring.candidates import Selection

# The name of its one candidate.
FAST = "fast"
# The joined file is shown to answer as the head does on at most this many images.
_NUM_PROOFS = 64


class Linear:
    """Its features are made once; a fit takes a fraction of a second after that."""

    takes_long = False

    def __init__(
        self, dataset: Dataset, config: TrainConfig, backbone: Backbone, cache: FeatureCache | None, progress: Progress
    ) -> None:
        self._config, self._backbone, self._progress = config, backbone, progress
        maker = with_faces(backbone) if dataset.config.faces == "on" and backbone.takes_faces else backbone
        self._num_face_features = maker.num_face_features
        self._features = extract(dataset, maker, cache=cache, progress=progress)

    def fit(self, dataset: Dataset, run_dir: Path | None = None, selection: Selection | None = None) -> Fitted:
        """Fit the head on the training and validation splits; strength and temperature are chosen within them."""
        head = self._head(dataset)
        seen = places_seen(dataset)
        groups, seed = dataset.group_numbers(seen), self._config.split.seed
        distribution = fit_distribution(self.image_features[seen], groups=groups, seed=seed)
        classifier = join(self._backbone, head, distribution, facts_of(dataset))
        some = dataset.indexes("val")[:_NUM_PROOFS]
        difference = prove_equal([head.probs(self._features[some])], [classifier.probs(dataset.inputs(some))])
        self._progress.say(f"model.onnx answers as what was trained does: probabilities differ by {difference:.1e}")
        if self._num_face_features:
            num_with_face = int((self._features[seen, -1] > 0).sum())
            said = "it looks at them too" if classifier.looks_at_faces else "they do not help, and are not looked at"
            self._progress.say(f"faces: found in {num_with_face} of {len(seen)} images; {said}")
        details = TrainingDetails(
            backbone=self._backbone.name,
            strength=head.strength,
            temperature=head.temperature,
            onnx_max_difference=difference,
        )
        return Fitted(classifier, details)

    def fit_predict(self, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
        """Fit the head likewise; return the probabilities, (N, C), for the test split."""
        return {FAST: self._head(dataset).probs(self._features[dataset.indexes("test")])}

    def predict_from_others(self, dataset: Dataset) -> NDArray[np.float32]:
        """Return the probabilities, (N, C), for the training and validation splits, each judged by the others."""
        num_face_features = self._num_face_features
        return predict_from_others(
            dataset, self._features, places_seen(dataset), self._config, num_face_features=num_face_features
        )

    @property
    def image_features(self) -> NDArray[np.float32]:
        """The features of all images, (num_records, D), without those of faces."""
        return self._features[:, : self._backbone.num_features]

    def features_of(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of the images at some places, (N, D), without those of faces."""
        return self.image_features[places]

    def _head(self, dataset: Dataset) -> Head:
        return fit_head_on(
            dataset,
            self._features,
            places_seen(dataset),
            self._config,
            num_face_features=self._num_face_features,
            progress=self._progress,
        )
