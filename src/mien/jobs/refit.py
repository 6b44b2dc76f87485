"""Refitting: heads fitted anew on the features of a run's images, with labels as they are decided now."""

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
    """What is said of the images of a run by a head that learnt from labels as they are decided.

    Attributes:
        dataset: The images with these labels, and the split of the run.
        method: What fitted the head.
        test: Answers for the test split.
    """

    dataset: Dataset
    method: Method
    test: Predictions

    @cached_property
    def others(self) -> Predictions:
        """Answers for all other images, each by what the others look like; made when they are asked for."""
        found = predict_labels(self.method, self.dataset, None)
        return found or Predictions(*_NOTHING, self.test.probs[:0], class_names=self.dataset.class_names)

    @cached_property
    def label_issues(self) -> tuple[LabelIssue, ...]:
        """Images among the others whose label is probably wrong, the worst first."""
        return find_label_issues(self.dataset, self.others)


def refit(
    run: Run,
    decisions: Mapping[str, str],
    *,
    elsewhere: Sequence[ImageRecord] = (),
    cache_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Refit:
    """Fit a head on the images of a run with other decisions on labels.

    It takes seconds where the features are in the cache, as a training leaves them. Changed copies of images are not
    learnt from, as a training does where that helps: two refits differ in the labels alone.

    Args:
        run: Whose images, settings and split are taken. Networks are not trained: a run of one gets a head, too.
        decisions: By path: a class name, or "leave-out".
        elsewhere: Images of other folders, which come after those of the run; those that have a class are trained on.
        cache_dir: Where the features are.
        progress: Told how far it is.

    Raises:
        UserError: As `train`, such as TooFewImagesError where nothing is left of a class.
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
    """Return an image of another folder with its class; without one it is left out."""
    label = decisions.get(record.path, LEAVE_OUT)
    if label != LEAVE_OUT:
        return replace(record, label=label)
    return replace(record, used=False, problems=(*record.problems, Problem("left_out", "no class yet")))


def linear_settings(run: Run) -> TrainConfig:
    """Return the settings of a run for the method linear, so that its images stay in their splits."""
    config = run.config
    if config.fit.method != "linear":
        fit = FitConfig(may_matter=config.fit.may_matter, class_weights=config.fit.class_weights)
        config = TrainConfig(clean=config.clean, fit=fit, predict=config.predict, labels=config.labels)
    return config.changed(split=str(run.path))
