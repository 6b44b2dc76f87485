"""Judging: a trained classifier -> a Run with its scores and verdict. This is the only time test images are read."""

from collections.abc import Sequence
from pathlib import Path

from mien.config import PredictConfig, TrainConfig
from mien.core.progress import SILENCE, Progress
from mien.data.dataset import Dataset
from mien.data.shortcuts import Shortcut
from mien.learning.methods import Fitted
from mien.runs.run import Run
from mien.runs.saving import installed_versions, provenance
from mien.scoring.evaluation import predict_dataset, score, stress_beside
from mien.scoring.label_issues import LabelIssue
from mien.scoring.model_card import limits
from mien.scoring.results import Finding, Predictions, Scores
from mien.scoring.verdict import (
    JUDGE_BY_ALL,
    decide_threshold,
    judge_changes,
    judge_choice,
    judge_learning_curve,
    verdict,
)


def judge(
    fitted: Fitted,
    dataset: Dataset,
    config: TrainConfig,
    *,
    path: Path,
    unseen: Predictions | None,
    label_issues: Sequence[LabelIssue],
    shortcuts: Sequence[Shortcut],
    progress: Progress = SILENCE,
) -> Run:
    """Score a trained classifier on the test images, and say what the scores mean.

    Args:
        fitted: The trained classifier.
        dataset: The Dataset it was trained on, with its split.
        config: The settings.
        path: The run folder.
        unseen: Predictions for held-out images: by cross-validation for all but the test images, or for some, to choose
            a threshold on; None if there are none.
        label_issues: Images whose label is probably wrong.
        shortcuts: Facts about files that give the label away.
        progress: Receives progress updates.
    """
    out_of_fold = unseen if unseen and unseen.num_folds else None
    test = predict_dataset(fitted.classifier, dataset, split="test")
    threshold, may_matter = config.predict.threshold, config.fit.aspects_that_may_matter
    scores = Scores(
        score(fitted.classifier, test, threshold=threshold),
        score(fitted.classifier, out_of_fold, threshold=threshold) if out_of_fold else None,
        fitted.stressed or stress_beside(test, fitted.classifier, dataset, may_matter=may_matter, progress=progress),
        fitted.learning_curve if out_of_fold else None,
    )
    threshold, findings = _findings(fitted, dataset, scores, unseen, label_issues, config)
    classifier = fitted.classifier.telling(
        scores=scores.to_dict(),
        threshold=threshold,
        provenance=provenance(
            dataset,
            config,
            # The method finetune may have kept the linear head.
            method="linear" if fitted.model is None else config.fit.method,
            limits=limits(fitted.classifier.facts),
        ),
    )
    return Run(
        path=path,
        config=config,
        versions=installed_versions(),
        dataset=dataset,
        classifier=classifier,
        scores=scores,
        findings=findings,
        training=fitted.details,
        history=fitted.history,
        label_issues=tuple(label_issues),
        shortcuts=tuple(shortcuts),
        test_predictions=test,
        out_of_fold_predictions=out_of_fold,
    )


def _findings(
    fitted: Fitted,
    dataset: Dataset,
    scores: Scores,
    unseen: Predictions | None,
    label_issues: Sequence[LabelIssue],
    config: TrainConfig,
) -> tuple[float, tuple[Finding, ...]]:
    """Return the threshold below which to say "unsure", and the verdict."""
    epochs = fitted.details.kept_epochs(fitted.history)
    findings = verdict(scores.judged, epochs, remedy="" if scores.out_of_fold else JUDGE_BY_ALL, config=config)
    findings += judge_changes(scores.stressed)
    findings += judge_learning_curve(scores.learning_curve, num_label_issues=len(label_issues))
    if config.predict == PredictConfig():
        return 0.0, findings
    judged = scores.out_of_fold
    if judged is None:
        # The test split is read once, and nothing is chosen on it.
        chosen_by = predict_dataset(fitted.classifier, dataset, split="val") if unseen is None else unseen
        judged = score(fitted.classifier, chosen_by, threshold=config.predict.threshold)
    threshold, consequences = decide_threshold(config.predict, judged)
    if config.predict.target_precision and threshold:
        consequences += (judge_choice(config.predict, unseen, scores.test, threshold),)
    return threshold, (*findings, *consequences)
