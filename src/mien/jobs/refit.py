"""Refitting: fit a new linear head on the images of a run with the current label decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mien.config import FitConfig, TrainConfig
from mien.core.progress import SILENCE, Progress
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.decisions import LEAVE_OUT, is_elsewhere
from mien.data.looks import with_looks
from mien.data.relabelling import undecided
from mien.jobs.prepare import prepared, split_as_before
from mien.learning.fitting import find_backbone, predict_labels, prepare
from mien.learning.methods import Method
from mien.runs.folder import RunFolder
from mien.runs.run import Run
from mien.scoring.label_issues import LabelIssue, find_label_issues
from mien.scoring.results import Predictions

_NOTHING = np.empty(0, np.int64), np.empty(0, np.int64)


@dataclass(frozen=True)
class Refit:
    """A head fitted with the current labels, and its predictions for the images of a run.

    Attributes:
        dataset: The images with these labels, and the split of the run.
        method: The method that fitted the head.
        test: Predictions for the test split.
    """

    dataset: Dataset
    method: Method
    test: Predictions

    @cached_property
    def others(self) -> Predictions:
        """Predictions for all other images, each from the rest; computed on first use."""
        found = predict_labels(self.method, self.dataset, None)
        return found or Predictions(*_NOTHING, self.test.probs[:0], class_names=self.dataset.class_names)

    @cached_property
    def label_issues(self) -> tuple[LabelIssue, ...]:
        """Images outside the test split whose label is probably wrong, the worst first."""
        return find_label_issues(self.dataset, self.others)


def refit(
    run: Run,
    decisions: Mapping[str, str],
    *,
    elsewhere: Sequence[ImageRecord] = (),
    cache_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Refit:
    """Fit a linear head on the images of a run with other label decisions.

    It takes seconds if the features are in the cache, as they are after a training. Unlike a training, it does not use
    changed copies of images, so that two refits differ only in the labels.

    Args:
        run: The run whose images, settings and split to use. Networks are not retrained; they get a linear head too.
        decisions: Label decisions by path: a class name, or "leave-out".
        elsewhere: Images of other folders, added after those of the run. Those with a class are used for training.
        cache_dir: The folder of the feature cache.
        progress: Receives progress updates.

    Raises:
        UserError: As for `train`, such as TooFewImagesError if a class has no images left.
    """
    config = split_as_before(linear_settings(run))
    backbone = find_backbone(config)
    scan_config = replace(run.dataset.config, image_size=backbone.image_size) if backbone else run.dataset.config
    records = with_looks(RunFolder(run.path).looks_path, run.dataset.records)
    scanned = undecided(replace(run.dataset, config=scan_config).with_records(records))
    own = (_as_decided(r, decisions) if is_elsewhere(r.path) else r for r in scanned.records)
    scanned = scanned.with_records([*own, *(_as_decided(record, decisions) for record in elsewhere)])
    dataset = prepared(scanned, config, decisions, progress)
    method = prepare(dataset, config, backbone, cache_dir=cache_dir, progress=progress)
    places = dataset.indexes("test")
    (probs,) = method.fit_predict(dataset).values()
    groups, names = dataset.subject_numbers(places), dataset.class_names
    return Refit(dataset, method, Predictions(places, dataset.labels(places), probs, groups=groups, class_names=names))


def _as_decided(record: ImageRecord, decisions: Mapping[str, str]) -> ImageRecord:
    """Return an image of another folder with its class; without one it is skipped."""
    label = decisions.get(record.path, LEAVE_OUT)
    if label != LEAVE_OUT:
        return replace(record, label=label)
    return replace(record, used=False, problems=(*record.problems, Problem("left_out", "no class yet")))


def linear_settings(run: Run) -> TrainConfig:
    """Return the settings of a run for the method linear, with the same split."""
    config = run.config
    if config.fit.method != "linear":
        fit = FitConfig(may_matter=config.fit.may_matter, class_weights=config.fit.class_weights)
        config = TrainConfig(clean=config.clean, fit=fit, predict=config.predict, labels=config.labels)
    return config.changed(split=str(run.path))
