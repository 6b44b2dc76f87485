"""Finishing: what was trained -> a finished run: judged once, told in words, written down."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.config import PredictConfig, TrainConfig
from mien.core import files
from mien.core.progress import SILENCE, Epoch, Progress
from mien.data.dataset import Dataset
from mien.data.relabelling import load_decisions
from mien.data.shortcuts import Shortcut
from mien.model.classifier import Classifier
from mien.runs.folder import RunFolder
from mien.runs.report import save_report
from mien.runs.run import Fitted
from mien.runs.saving import metrics, provenance, save_card, save_label_issues, save_scores
from mien.runs.tensorboard import log_run
from mien.scoring.evaluation import predict_dataset, score
from mien.scoring.label_issues import LabelIssue
from mien.scoring.results import Evaluation, Finding, Predictions
from mien.scoring.verdict import JUDGE_BY_ALL, decide_threshold, kept_epochs, verdict


@dataclass(frozen=True)
class Run:
    """A finished run; its folder holds the same and more.

    Attributes:
        path: The folder.
        dataset: The images, and the split of each.
        classifier: What was trained.
        evaluation: Scores on the test split.
        out_of_fold: Scores by cross-validation on all other images, where there was one.
        predictions: About images not seen before: by cross-validation where there was one, else on the test split.
        findings: What the scores mean, and what to do.
        history: The epochs of the training, where it had any.
        label_issues: Images whose label is probably wrong; those for the test are not asked about.
        shortcuts: Facts about files, such as their size, that give the label away.
    """

    path: Path
    dataset: Dataset
    classifier: Classifier
    evaluation: Evaluation
    out_of_fold: Evaluation | None
    predictions: Predictions = field(repr=False)
    findings: tuple[Finding, ...]
    history: tuple[Epoch, ...]
    label_issues: tuple[LabelIssue, ...]
    shortcuts: tuple[Shortcut, ...]


@dataclass(frozen=True)
class Doubts:
    """What about the data may be wrong, found before the training.

    Attributes:
        label_issues: Images whose label is probably wrong.
        shortcuts: Facts about files, such as their size, that give the label away.
    """

    label_issues: tuple[LabelIssue, ...]
    shortcuts: tuple[Shortcut, ...]

    def to_dict(self, dataset: Dataset) -> dict[str, Any]:
        """Return plain JSON values, with the images by their paths in the Dataset."""
        return {
            "label_issues": [issue.to_dict(dataset) for issue in self.label_issues],
            "shortcuts": [shortcut.to_dict() for shortcut in self.shortcuts],
        }


def finish(
    run: RunFolder,
    dataset: Dataset,
    config: TrainConfig,
    fitted: Fitted,
    *,
    out_of_fold: Predictions | None,
    doubts: Doubts,
    progress: Progress = SILENCE,
) -> Run:
    """Judge what was trained, and write all that a run leaves; metrics.json last, which makes it whole.

    This is where the test images are read.

    Args:
        run: Where it goes.
        dataset: What was trained on, with its split.
        config: The settings.
        fitted: What was trained.
        out_of_fold: What cross-validation answered, where there was one.
        doubts: To be told beside the scores.
        progress: Told where the page could not be written.

    Raises:
        OutputError: A file cannot be written.
    """
    predictions = {"out_of_fold": out_of_fold} if out_of_fold else {}
    predictions["test"] = predict_dataset(fitted.classifier, dataset, split="test")
    asked = config.predict.threshold
    scores = {name: score(fitted.classifier, given, threshold=asked) for name, given in predictions.items()}
    threshold, findings = _judged(fitted, dataset, scores, config)
    told = {name: evaluation.to_dict() for name, evaluation in scores.items()}
    made = provenance(dataset, config)
    classifier = fitted.classifier.telling(scores=told, threshold=threshold, provenance=made)

    save_scores(run, dataset, predictions, scores)
    if fitted.history:
        log_run(run, config, scores)
    decisions = load_decisions(run.decisions_path) if config.labels.relabel else {}
    save_label_issues(run.path, dataset, doubts.label_issues, decisions)
    dataset.save(run.manifest_path)
    classifier.save(run.model_path)
    save_card(run, classifier)
    found = metrics(scores, findings, dataset, fitted.details) | doubts.to_dict(dataset)
    _save_page(run, found, dataset, progress)
    run.save_json(run.metrics_path, found)
    run.tidy()
    return Run(
        path=run.path,
        dataset=dataset,
        classifier=classifier,
        evaluation=scores["test"],
        out_of_fold=scores.get("out_of_fold"),
        predictions=out_of_fold or predictions["test"],
        findings=findings,
        history=fitted.history,
        label_issues=doubts.label_issues,
        shortcuts=doubts.shortcuts,
    )


def _save_page(run: RunFolder, found: dict[str, Any], dataset: Dataset, progress: Progress) -> None:
    """Write report.html. Whatever keeps a page from being written is no reason to lose a training."""
    try:
        save_report(run, found, dataset)
    except Exception as error:
        reason = files.reason_of(error).rstrip(".")
        progress.say(f"report.html is missing: {reason}. To write it: mien report {run.path}")


def _judged(
    fitted: Fitted, dataset: Dataset, scores: dict[str, Evaluation], config: TrainConfig
) -> tuple[float, tuple[Finding, ...]]:
    """Return below which probability to say "unsure", and what the scores mean in words."""
    judged = scores.get("out_of_fold", scores["test"])
    epochs = kept_epochs(fitted.history, fitted.details)
    findings = verdict(judged, epochs, remedy="" if "out_of_fold" in scores else JUDGE_BY_ALL, config=config)
    if config.predict == PredictConfig():
        return 0.0, findings
    if "out_of_fold" not in scores:
        # The test is read once, and nothing is chosen by it.
        val = predict_dataset(fitted.classifier, dataset, split="val")
        judged = score(fitted.classifier, val, threshold=config.predict.threshold)
    threshold, consequences = decide_threshold(config.predict, judged)
    return threshold, (*findings, *consequences)
