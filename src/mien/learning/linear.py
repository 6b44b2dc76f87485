"""The method linear: a linear head on the features of a pretrained backbone."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.config import TrainConfig
from mien.core.changes import Change
from mien.core.progress import Progress
from mien.core.text import counted, in_points
from mien.data.dataset import Dataset
from mien.data.shortcuts import Shortcut
from mien.learning.backbone import Backbone
from mien.learning.exporting import facts_of, join, prove_equal
from mien.learning.face_features import with_faces
from mien.learning.feature_cache import FeatureCache
from mien.learning.features import ChangedImages, extract, extract_changed, fit_head_on, predict_from_others
from mien.learning.fewer import learn_from_fewer
from mien.learning.heads import Head
from mien.learning.methods import Fitted, places_seen
from mien.learning.out_of_distribution import fit_distribution
from mien.learning.withstanding import Withstood, images_to_change, withstand
from mien.runs.training_details import TrainingDetails
from mien.scoring.candidates import Selection
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.stress import WORDS, Stressed, joined, judge_stress

# The name of its only candidate.
FAST = "fast"
# The number of images on which the saved file is compared with the head.
_NUM_PROOFS = 64


class Linear:
    """Computes the features once; after that, a fit takes a fraction of a second."""

    takes_long = False

    def __init__(
        self, dataset: Dataset, config: TrainConfig, backbone: Backbone, cache: FeatureCache | None, progress: Progress
    ) -> None:
        self._config, self._backbone, self._progress = config, backbone, progress
        self._cache, self._heads = cache, dict[tuple[bytes, tuple[Change, ...]], Head]()
        self._maker = with_faces(backbone) if dataset.config.faces == "on" and backbone.takes_faces else backbone
        self._num_face_features = self._maker.num_face_features
        self._features = extract(dataset, self._maker, cache=cache, progress=progress)
        self._learnt_from: tuple[ChangedImages, ...] = ()
        self._stressed: tuple[Stressed, ...] = ()
        self._learning_curve: LearningCurve | None = None

    def withstand(self, parts: Sequence[Dataset], shortcuts: Sequence[Shortcut] = ()) -> None:
        """Evaluate on changed copies of held-out images; from then on, heads also learn from those that help.

        Args:
            parts: The folds, or one of them; none if there are too few images.
            shortcuts: Facts that give the class away.
        """
        if not parts:
            return
        started = time.monotonic()
        copies = extract_changed(
            parts[0],
            self._maker,
            images_to_change(parts[0], self._config.fit.aspects_that_may_matter),
            cache=self._cache,
            progress=self._progress,
        )
        if not copies:
            return
        aspects = [shortcut.aspect for shortcut in shortcuts if shortcut.aspect]
        withstood = withstand(
            copies,
            parts,
            self._features,
            self._head,
            shortcuts=aspects,
        )
        self._learnt_from = withstood.learnt_from
        self._stressed = judge_stress(
            withstood.answers,
            before=withstood.before,
            shortcuts=aspects,
            num_folds=len(parts) if len(parts) > 1 else 0,
            by_groups=parts[0].knows_groups,
        )
        self._progress.say(_told(withstood, time.monotonic() - started))

    def learn_from_fewer(self, parts: Sequence[Dataset]) -> None:
        """Measure the accuracy after training on parts of the images, for the learning curve."""
        if len(parts) < 2:
            return
        started = time.monotonic()
        self._learning_curve = learn_from_fewer(
            parts,
            self._features,
            lambda fold: self._head(fold, self._learnt_from),
            seed=self._config.split.seed,
        )
        shares = ", ".join(f"{point.share:.0%}" for point in self._learning_curve.points)
        seconds = time.monotonic() - started
        self._progress.say(f"learning curve: trained on {shares} of the images in {seconds:.1f} s")

    def fit(self, dataset: Dataset, run_dir: Path | None = None, selection: Selection | None = None) -> Fitted:
        """Fit the head on the training and validation splits, choosing strength and temperature within them."""
        head = self._head(dataset, self._learnt_from)
        seen = places_seen(dataset)
        groups, seed = dataset.group_numbers(seen), self._config.split.seed
        distribution = fit_distribution(self.image_features[seen], groups=groups, seed=seed)
        classifier = join(self._backbone, head, distribution, facts_of(dataset))
        some = dataset.indexes("val")[:_NUM_PROOFS]
        difference = prove_equal([head.probs(self._features[some])], [classifier.probs(dataset.inputs(some))])
        self._progress.say(f"model.onnx matches the trained model: probabilities differ by at most {difference:.1e}")
        if self._num_face_features:
            num_with_face = int((self._features[seen, -1] > 0).sum())
            said = "they help, so it uses them" if classifier.looks_at_faces else "they do not help, so it ignores them"
            self._progress.say(f"faces found in {num_with_face} of {counted(len(seen), 'image')}; {said}")
        details = TrainingDetails(
            backbone=self._backbone.name,
            strength=head.strength,
            temperature=head.temperature,
            onnx_max_difference=difference,
        )
        return Fitted(classifier, details, stressed=self._stressed, learning_curve=self._learning_curve)

    def fit_predict(self, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
        """Fit the head in the same way; return the probabilities, (N, C), for the test split."""
        return {FAST: self._head(dataset, self._learnt_from).probs(self._features[dataset.indexes("test")])}

    def predict_from_others(self, dataset: Dataset) -> NDArray[np.float32]:
        """Return the probabilities, (N, C), for training and validation images, each predicted from the others."""
        num_face_features = self._num_face_features
        return predict_from_others(
            dataset, self._features, places_seen(dataset), self._config, num_face_features=num_face_features
        )

    @property
    def image_features(self) -> NDArray[np.float32]:
        """The features of all images, (num_records, D), without face features."""
        return self._features[:, : self._backbone.num_features]

    def features_of(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some images, (N, D), without face features."""
        return self.image_features[places]

    def _head(self, dataset: Dataset, learnt_from: Sequence[ChangedImages]) -> Head:
        places = places_seen(dataset)
        # Trying changed images and cross-validation need the same heads.
        key = places.tobytes(), tuple(each.change for each in learnt_from)
        if key not in self._heads:
            self._heads[key] = fit_head_on(
                dataset,
                self._features,
                places,
                self._config,
                changed=learnt_from,
                num_face_features=self._num_face_features,
                progress=self._progress,
            )
        return self._heads[key]


def _told(withstood: Withstood, seconds: float) -> str:
    """Say how long trying changed images took, and what it gained."""
    num_tried = sum(len(each.labels) for each in withstood.answers)
    told = f"tried {counted(num_tried, 'changed image')} (grey, blurred and so on) in {seconds:.1f} s"
    names = [each.change.name for each in withstood.learnt_from]
    words = [WORDS[name] for name in names]
    if not names:
        return f"{told}; training on them would not help"
    after, before = (joined(answers, names) for answers in (withstood.answers, withstood.before))
    return (
        f"{told}. Also training on images that are {', '.join(words)}: loss {after.loss:.2f} instead of "
        f"{before.loss:.2f}, accuracy {after.share_right:.0%} instead of {before.share_right:.0%} on those; "
        f"{in_points(withstood.gain, 1)} on unchanged images"
    )
