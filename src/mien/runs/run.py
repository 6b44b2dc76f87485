"""The Run: what one training made, in memory while it is made and read back from its folder later."""

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

# The splits that a run is trained and chosen on.
SEEN = ("train", "val")


@dataclass(frozen=True)
class Run:
    """What one training made.

    Attributes:
        path: Its folder.
        config: The settings.
        versions: Of the packages that the results may depend on, by name.
        dataset: The images, and the split of each.
        classifier: What was trained.
        scores: On images that the classifier had not seen.
        findings: What the scores mean, and what to do.
        training: How the training went.
        history: Its epochs, where it had any.
        label_issues: Images whose label is probably wrong, the worst first; those of the test are not asked about.
        shortcuts: Facts about files, such as their size, that give the label away.
        test_predictions: For the test split; None where their file has gone.
        out_of_fold_predictions: By cross-validation for all other images; None where there was none, or their file has
            gone.
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
        """The predictions that `scores.judged` is of; None where their file has gone."""
        return self.out_of_fold_predictions if self.scores.out_of_fold else self.test_predictions

    @property
    def predictions_by_source(self) -> dict[Source, Predictions]:
        """The predictions whose files are there, by who predicted."""
        found: dict[Source, Predictions] = {}
        if self.test_predictions is not None:
            found["test"] = self.test_predictions
        if self.out_of_fold_predictions is not None:
            found["out_of_fold"] = self.out_of_fold_predictions
        return found

    def metrics(self) -> dict[str, Any]:
        """Return metrics.json: the scores, the verdict, the data, how the training went, and what may be wrong."""
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
    """Read a finished run back from its folder.

    Args:
        path: The folder.
        with_predictions: Whether to read the predictions, too; without, they are None as if their files had gone.

    Raises:
        SourceNotFoundError: It is not finished, or a file that it cannot do without is missing or damaged.
        SettingsError: A setting is unknown, or its value is wrong.
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
            f"{str(path)!r} is damaged, or was made by another version of mien: {error}. Train again."
        ) from error


def _dataset(run_folder: RunFolder, classifier: Classifier) -> Dataset:
    """Read the Dataset that a run was made from; its images must lie in the folder of the data."""
    records = load_records(run_folder.manifest_path)
    if not records:
        raise ValueError("manifest.csv is empty")
    added = load_decisions(run_folder.decisions_path) if run_folder.decisions_path.is_file() else {}
    for record in records:
        is_outside = record.path.startswith(("/", "\\")) or ".." in record.path.split("/")
        if is_outside and record.path not in added:
            raise ValueError(f"manifest.csv names {record.path!r}, outside of the folder")
    return Dataset(run_folder.data_dir(), classifier.class_names, records, classifier.facts.scan_config())


def _read_out_of_fold(run_folder: RunFolder, dataset: Dataset, scores: Evaluation | None) -> Predictions | None:
    return read_predictions(run_folder.path, dataset, "out_of_fold", num_folds=scores.num_folds) if scores else None


def _read_metrics(document: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Return what metrics.json says, by the attributes of a Run."""
    places = {record.path: place for place, record in enumerate(dataset.records)}
    scores = scores_from_dict(document)
    if any(evaluation.class_names != dataset.class_names for evaluation in scores.by_source.values()):
        raise ValueError("metrics.json has scores of other classes than those of model.onnx")
    if document["data"]["fingerprint"] != dataset.fingerprint():
        raise ValueError("metrics.json is about other images than manifest.csv")
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
    """Return what a run was trained or chosen on, with the copies of it that were left out, from its manifest.

    Raises:
        SourceNotFoundError: As `load_split`.
    """
    records = load_split(run_folder)
    groups = {record.group for record in records if record.split in SEEN} - {None}
    return [record for record in records if record.phash and (record.split in SEEN or record.group in groups)]


def load_split(run_folder: RunFolder) -> list[ImageRecord]:
    """Return what a run knows of every file, with its split and what it looks like, from its manifest.

    Raises:
        SourceNotFoundError: There is no run, or its manifest is damaged, or not what its model was made from.
    """
    if not run_folder.manifest_path.is_file():
        raise SourceNotFoundError(
            f"{str(run_folder.path)!r} holds no manifest.csv, which says what was trained on: name a run folder"
        )
    records = load_records(run_folder.manifest_path)
    made = load(run_folder.model_path).facts.provenance if run_folder.model_path.is_file() else None
    if made is not None and made.split_fingerprint != split_fingerprint(records):
        raise SourceNotFoundError(
            f"{str(run_folder.manifest_path)!r} is not what model.onnx was made from: it was changed, so that what was "
            "trained on cannot be told"
        )
    return with_looks(run_folder.looks_path, records)


def groups_are_known(run_folder: RunFolder) -> bool:
    """Say whether the user told the groups of a run. Those that it noticed by itself mean nothing in another folder."""
    if not run_folder.metrics_path.is_file():
        return True
    return all(finding.get("kind") != "subjects" for finding in read_json(run_folder.metrics_path).get("verdict", ()))


def settings_of(run_folder: RunFolder) -> TrainConfig:
    """Return the settings of a run, which hold for the images that it is judged by, too; else the defaults.

    Raises:
        SettingsError: Its config.json holds a setting that is wrong.
    """
    return load_config(run_folder.config_path) if run_folder.config_path.is_file() else TrainConfig()


def as_trained(labels: LabelConfig, trained: LabelConfig) -> LabelConfig:
    """Return which labels of a folder count that a run is judged by: classes are put together as in the training.

    Args:
        labels: What the user says.
        trained: The settings of the run.
    """
    default = LabelConfig()
    names = ("exclude", "merge_classes")
    taken = {name: getattr(trained, name) for name in names if getattr(labels, name) == getattr(default, name)}
    return replace(labels, **taken)
