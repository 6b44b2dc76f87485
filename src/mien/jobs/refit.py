"""Refitting: heads fitted anew on the features of a run's images, with labels as they are decided now."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.config import FitConfig, TrainConfig
from mien.core.progress import SILENCE, Progress
from mien.data.dataset import Dataset
from mien.data.leaks import refuse_straddling
from mien.data.looks import with_looks
from mien.data.relabelling import undecided
from mien.jobs.prepare import prepared, split_as_before
from mien.learning.fitting import find_backbone, predict_labels, prepare
from mien.runs.folder import RunFolder
from mien.runs.run import Run
from mien.scoring.label_issues import LabelIssue, find_label_issues
from mien.scoring.results import Predictions


@dataclass(frozen=True)
class Refit:
    """What is said of the images of a run by heads that learnt from labels as they are decided.

    Attributes:
        dataset: The images with these labels, and the split of the run.
        test: Answers for the test split.
        others: Answers for all other images, each by what the others look like.
        label_issues: Images among the others whose label is probably wrong, the worst first.
    """

    dataset: Dataset
    test: Predictions
    others: Predictions
    label_issues: tuple[LabelIssue, ...]


def refit(
    run: Run, decisions: Mapping[str, str], *, cache_dir: Path | None = None, progress: Progress = SILENCE
) -> Refit:
    """Fit a head on the images of a run with other decisions on labels.

    It takes seconds where the features are in the cache, as a training leaves them. Changed copies of images are not
    learnt from, as a training does where that helps: two refits differ in the labels alone.

    Args:
        run: Whose images, settings and split are taken. Networks are not trained: a run of one gets a head, too.
        decisions: By path: a class name, or "leave-out".
        cache_dir: Where the features are.
        progress: Told how far it is.

    Raises:
        UserError: As `train`, such as TooFewImagesError where nothing is left of a class.
    """
    config = split_as_before(_linear(run))
    backbone = find_backbone(config)
    scan_config = replace(run.dataset.config, image_size=backbone.image_size) if backbone else run.dataset.config
    records = with_looks(RunFolder(run.path).looks_path, run.dataset.records)
    scanned = undecided(replace(run.dataset, config=scan_config).with_records(records))
    dataset = prepared(scanned, config, decisions, progress)
    refuse_straddling([dataset], config.clean)
    method = prepare(dataset, config, backbone, cache_dir=cache_dir, progress=progress)
    places = dataset.indexes("test")
    (probs,) = method.fit_predict(dataset).values()
    groups, names = dataset.subject_numbers(places), dataset.class_names
    others = predict_labels(method, dataset, None)
    if others is None:
        others = Predictions(np.empty(0, np.int64), np.empty(0, np.int64), probs[:0], class_names=names)
    return Refit(
        dataset,
        Predictions(places, dataset.labels(places), probs, groups=groups, class_names=names),
        others,
        find_label_issues(dataset, others),
    )


def _linear(run: Run) -> TrainConfig:
    """Return the settings of a run for the method linear, so that its images stay in their splits."""
    config = run.config
    if config.fit.method != "linear":
        fit = FitConfig(may_matter=config.fit.may_matter, class_weights=config.fit.class_weights)
        config = TrainConfig(clean=config.clean, fit=fit, predict=config.predict, labels=config.labels)
    return config.changed(split=str(run.path))
