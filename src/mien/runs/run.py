"""The Run: the result of one training, in memory or read back from its folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.config import LabelConfig, TrainConfig
from mien.core.files import read_json
from mien.core.progress import Epoch
from mien.data.dataset import SPLITS, Dataset, ImageRecord, load_records, split_fingerprint
from mien.data.decisions import load_decisions
from mien.data.looks import with_looks
from mien.data.shortcuts import Shortcut
from mien.errors import MienError, SettingsError, SourceNotFoundError
from mien.model.classifier import Classifier, load
from mien.runs.folder import RunFolder, load_config
from mien.runs.history import load_history
from mien.runs.predictions import read_predictions
from mien.runs.training_details import TrainingDetails
from mien.schema import built
from mien.scoring.label_issues import LabelIssue
from mien.scoring.results import Evaluation, Finding, Predictions, Scores, Source, scores_from_dict

# The splits used to train a run and to choose its settings.
SEEN = ("train", "val")


@dataclass(frozen=True)
class Run:
    """The result of one training.

    Attributes:
        path: The run folder.
        config: The settings.
        versions: Versions of the packages that the results may depend on, by name.
        dataset: The images, and the split of each.
        classifier: The trained classifier.
        scores: Scores on held-out images.
        findings: What the scores mean, and what to do about it.
        training: Details of the training.
        history: Its epochs, if it had any.
        label_issues: Images whose label is probably wrong, the worst first. Test images are not checked.
        shortcuts: Facts about files, such as their size, that give the label away.
        test_predictions: Predictions for the test split; None if their file is missing.
        out_of_fold_predictions: Predictions by cross-validation for all other images; None if there was none, or their
            file is missing.
    """

    path: Path
    config: TrainConfig
    versions: dict[str, str]
    dataset: Dataset
    classifier: Classifier
    scores: Scores
    findings: tuple[Finding, ...]
    training: TrainingDetails
    history: tuple[Epoch, ...]
    label_issues: tuple[LabelIssue, ...]
    shortcuts: tuple[Shortcut, ...]
    test_predictions: Predictions | None = field(repr=False)
    out_of_fold_predictions: Predictions | None = field(repr=False)

    def __repr__(self) -> str:
        names = " and ".join(self.dataset.class_names) if len(self.dataset.class_names) < 4 else ""
        told = names or f"{len(self.dataset.class_names)} classes"
        return f"Run({str(self.path)!r}, {told}: {self.scores.judged.accuracy})"

    @property
    def predictions(self) -> Predictions | None:
        """The predictions behind `scores.judged`; None if their file is missing."""
        return self.out_of_fold_predictions if self.scores.out_of_fold else self.test_predictions

    @property
    def predictions_by_source(self) -> dict[Source, Predictions]:
        """The available predictions, by source."""
        found: dict[Source, Predictions] = {}
        if self.test_predictions is not None:
            found["test"] = self.test_predictions
        if self.out_of_fold_predictions is not None:
            found["out_of_fold"] = self.out_of_fold_predictions
        return found

    def metrics(self) -> dict[str, Any]:
        """Return the content of metrics.json: scores, verdict, data, training details, and possible problems."""
        return {
            **self.scores.to_dict(),
            "verdict": [asdict(finding) for finding in self.findings],
            "data": {
                "fingerprint": self.dataset.fingerprint(),
                "files": self.dataset.counts(),
                "used": self.dataset.counts(used_only=True),
                "splits": {name: len(self.dataset.indexes(name)) for name in SPLITS},
            },
            "training": self.training.to_dict(),
            "label_issues": [issue.to_dict(self.dataset) for issue in self.label_issues],
            "shortcuts": [shortcut.to_dict() for shortcut in self.shortcuts],
        }


def load_run(path: str | Path, *, with_predictions: bool = True) -> Run:
    """Load a finished run from its folder.

    Args:
        path: The run folder.
        with_predictions: Whether to load the predictions. If not, they are None.

    Raises:
        SourceNotFoundError: The run is not finished, or a required file is missing or damaged.
        SettingsError: A setting is unknown or has an invalid value.
        ModelFileError: Its model.onnx is damaged.
    """
    run_folder = RunFolder(Path(path))
    run_folder.check_finished()
    settings, metrics = read_json(run_folder.config_path), read_json(run_folder.metrics_path)
    try:
        config = run_folder.config_of(settings)
        classifier = load(run_folder.path)
        dataset = _dataset(run_folder, classifier)
        found = _read_metrics(metrics, dataset)
        out_of_fold = found["scores"].out_of_fold
        return Run(
            path=run_folder.path,
            config=config,
            versions={name: str(version) for name, version in settings.get("versions", {}).items()},
            dataset=dataset,
            classifier=classifier,
            history=load_history(run_folder.history_path) if run_folder.history_path.exists() else (),
            test_predictions=read_predictions(run_folder.path, dataset, "test") if with_predictions else None,
            out_of_fold_predictions=_read_out_of_fold(run_folder, dataset, out_of_fold) if with_predictions else None,
            **found,
        )
    except SettingsError as error:
        raise SettingsError(f"{str(run_folder.config_path)!r}: {error}") from error
    except MienError:
        raise
    except (OSError, ArithmeticError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise SourceNotFoundError(
            f"{str(path)!r} is damaged, or was made by another version of mien: {error}. Train it again."
        ) from error


def _dataset(run_folder: RunFolder, classifier: Classifier) -> Dataset:
    """Load the Dataset of a run; its images must be inside the data folder."""
    records = load_records(run_folder.manifest_path)
    if not records:
        raise ValueError("manifest.csv is empty")
    added = load_decisions(run_folder.decisions_path) if run_folder.decisions_path.is_file() else {}
    for record in records:
        is_outside = record.path.startswith(("/", "\\")) or ".." in record.path.split("/")
        if is_outside and record.path not in added:
            raise ValueError(f"manifest.csv names {record.path!r}, which is outside the data folder")
    return Dataset(run_folder.data_dir(), classifier.class_names, records, classifier.facts.scan_config())


def _read_out_of_fold(run_folder: RunFolder, dataset: Dataset, scores: Evaluation | None) -> Predictions | None:
    return read_predictions(run_folder.path, dataset, "out_of_fold", num_folds=scores.num_folds) if scores else None


def _read_metrics(document: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Return the content of metrics.json as attributes of a Run."""
    places = {record.path: place for place, record in enumerate(dataset.records)}
    scores = scores_from_dict(document)
    if any(evaluation.class_names != dataset.class_names for evaluation in scores.by_source.values()):
        raise ValueError("metrics.json and model.onnx have different classes")
    if document["data"]["fingerprint"] != dataset.fingerprint():
        raise ValueError("metrics.json and manifest.csv describe different images")
    label_issues = [dict(found) for found in document["label_issues"]]
    return {
        "scores": scores,
        "findings": tuple(built(Finding, finding) for finding in document["verdict"]),
        "training": built(TrainingDetails, document["training"]),
        "label_issues": tuple(
            built(LabelIssue, {"index": places[found.pop("path")], **found}) for found in label_issues
        ),
        "shortcuts": tuple(built(Shortcut, shortcut) for shortcut in document["shortcuts"]),
    }


def load_seen(run_folder: RunFolder) -> list[ImageRecord]:
    """Return the training and validation images of a run, with their skipped copies, from its manifest.

    Raises:
        SourceNotFoundError: As for `load_split`.
    """
    records = load_split(run_folder)
    groups = {record.group for record in records if record.split in SEEN} - {None}
    return [record for record in records if record.phash and (record.split in SEEN or record.group in groups)]


def load_split(run_folder: RunFolder) -> list[ImageRecord]:
    """Return every file of a run with its split and its thumbnail for finding copies, from its manifest.

    Raises:
        SourceNotFoundError: There is no run, its manifest is damaged, or its manifest does not match its model.
    """
    if not run_folder.manifest_path.is_file():
        raise SourceNotFoundError(
            f"{str(run_folder.path)!r} has no manifest.csv, which lists the training images. Name a run folder"
        )
    records = load_records(run_folder.manifest_path)
    made = load(run_folder.model_path).facts.provenance if run_folder.model_path.is_file() else None
    if made is not None and made.split_fingerprint != split_fingerprint(records):
        raise SourceNotFoundError(
            f"{str(run_folder.manifest_path)!r} does not match model.onnx: it was changed, so the training images are "
            "unknown"
        )
    return with_looks(run_folder.looks_path, records)


def groups_are_known(run_folder: RunFolder) -> bool:
    """Return whether the user set the groups of a run. Groups that mien guessed mean nothing in another folder."""
    if not run_folder.metrics_path.is_file():
        return True
    return all(finding.get("kind") != "subjects" for finding in read_json(run_folder.metrics_path).get("verdict", ()))


def settings_of(run_folder: RunFolder) -> TrainConfig:
    """Return the settings of a run, to apply to the images that it is evaluated on; otherwise the defaults.

    Raises:
        SettingsError: Its config.json has an invalid setting.
    """
    return load_config(run_folder.config_path) if run_folder.config_path.is_file() else TrainConfig()


def as_trained(labels: LabelConfig, trained: LabelConfig) -> LabelConfig:
    """Return the label settings for a folder that a run is evaluated on, merging classes as in the training.

    Args:
        labels: The user's label settings.
        trained: The label settings of the run.
    """
    default = LabelConfig()
    names = ("exclude", "merge_classes")
    taken = {name: getattr(trained, name) for name in names if getattr(labels, name) == getattr(default, name)}
    return replace(labels, **taken)
