"""A finished run, read back from its folder: all that its files say, checked."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mien.config import CleanConfig, TrainConfig, from_json
from mien.core import files
from mien.core.csv_tables import read_rows
from mien.core.files import read_json
from mien.core.progress import Epoch
from mien.data.dataset import ImageRecord, load_records, split_fingerprint
from mien.data.shortcuts import Shortcut
from mien.errors import MienError, SettingsError, SourceNotFoundError
from mien.model.classifier import Classifier, load
from mien.runs.folder import RunFolder, load_config
from mien.runs.history import load_history
from mien.schema import built
from mien.scoring.label_issues import LabelIssue
from mien.scoring.results import Evaluation, Finding, evaluation_from_dict

_SEEN = ("train", "val")
_CANDIDATES = {
    "frozen": "the pretrained backbone with a linear head",
    "half-way": "the network half-way between pretrained and fine-tuned",
    "finetuned": "the fine-tuned network",
}


@dataclass(frozen=True)
class Fitted:
    """A classifier that was trained, and how that went.

    Attributes:
        classifier: Ready to answer; it has no scores yet.
        details: How the training went, as JSON values.
        history: Its epochs, where it had any.
        model: The same as a Keras network, where it is one.
    """

    classifier: Classifier
    details: dict[str, Any]
    history: tuple[Epoch, ...] = field(default=(), repr=False)
    model: "keras.Model | None" = None


if TYPE_CHECKING:
    import keras

Source = Literal["test", "out_of_fold"]
_PREDICTION_FILES: dict[Source, str] = {"test": "predictions.csv", "out_of_fold": "out_of_fold.csv"}


@dataclass(frozen=True)
class LabelledPrediction:
    """What was answered for one image that the classifier had not seen.

    Attributes:
        path: Of the image, as in the manifest.
        label: Its class.
        predicted: The class that it was taken for.
        prob_predicted: Probability of that class; likewise `prob_label`.
        source: Who answered: the classifier itself ("test"), or one of its cross-validation ("out_of_fold").
    """

    path: str
    label: str
    predicted: str
    prob_predicted: float
    prob_label: float
    source: Source


@dataclass(frozen=True)
class FinishedRun:
    """All that the files of a finished run say.

    Attributes:
        folder: Where they lie.
        config: The settings.
        data_dir: Where the images lay.
        versions: Of the packages, by name.
        records: One per file of the data.
        classifier: What was made.
        scores: By "out_of_fold", where there was cross-validation, and "test"; what is judged by comes first.
        findings: What the scores mean, and what to do.
        fingerprint: Hash of the content of the used images.
        training: How the training went, by name.
        choice: Which weights were kept and why, in words, where there were several to choose from.
        label_issues: Images whose label is probably wrong, the worst first.
        shortcuts: Facts about files that give the label away.
        history: The epochs, where there were any.
        predictions: One per image that was judged; empty where the files are missing.
    """

    folder: RunFolder
    config: TrainConfig
    data_dir: Path
    versions: dict[str, str]
    records: tuple[ImageRecord, ...]
    classifier: Classifier
    scores: dict[str, Evaluation]
    findings: tuple[Finding, ...]
    fingerprint: str
    training: dict[str, Any]
    choice: str
    label_issues: tuple[LabelIssue, ...]
    shortcuts: tuple[Shortcut, ...]
    history: tuple[Epoch, ...]
    predictions: tuple[LabelledPrediction, ...]

    @property
    def judged(self) -> Evaluation:
        """The scores that rest on most images: by cross-validation, or else of the test."""
        return next(iter(self.scores.values()))


def load_run(path: Path, *, metrics: Any = None) -> FinishedRun:
    """Read a finished run back.

    Args:
        path: The folder of the run.
        metrics: What is to stand in metrics.json, of a run that lacks only that to be finished.

    Raises:
        SourceNotFoundError: It is not finished, or a file that it cannot do without is missing or damaged.
        SettingsError: A setting is unknown, or its value is wrong.
        ModelFileError: Its model.onnx is damaged.
    """
    run = RunFolder(path)
    if not path.is_dir():
        raise SourceNotFoundError(f"{str(path)!r} is no run folder: name one that mien train made, such as runs/train")
    if metrics is None and not run.metrics_path.is_file():
        raise SourceNotFoundError(f"{str(path)!r} holds no finished run: finish it by mien train --resume")
    settings, found = read_json(run.config_path), metrics or read_json(run.metrics_path)
    records = load_records(run.manifest_path)
    try:
        classifier = load(path)
        predictions = tuple(answer for source in _PREDICTION_FILES for answer in _predictions(path, source))
        _refuse_others(records, predictions, classifier.class_names)
        unknown = {answer.path for answer in predictions} - {record.path for record in records}
        if unknown or not records:
            raise ValueError(f"manifest.csv lacks {min(unknown)!r}" if unknown else "manifest.csv is empty")
        return FinishedRun(
            folder=run,
            config=from_json(settings),
            data_dir=run.data_dir(),
            versions={name: str(version) for name, version in settings.get("versions", {}).items()},
            records=records,
            classifier=classifier,
            history=load_history(run.history_path) if run.history_path.exists() else (),
            predictions=predictions,
            **_found(found, records, classifier.class_names),
        )
    except SettingsError as error:
        raise SettingsError(f"{str(run.config_path)!r}: {error}") from error
    except MienError:
        raise
    except (OSError, ArithmeticError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise SourceNotFoundError(
            f"{str(path)!r} is damaged, or was made by another version of mien: {error}. Train again."
        ) from error


def _refuse_others(
    records: Iterable[ImageRecord], predictions: Iterable[LabelledPrediction], class_names: tuple[str, ...]
) -> None:
    """Make sure that images lie in the folder of the run, and that answers are of its classes."""
    for record in records:
        if record.path.startswith(("/", "\\")) or ".." in record.path.split("/"):
            raise ValueError(f"manifest.csv names {record.path!r}, outside of the folder")
    for answer in predictions:
        if not {answer.label, answer.predicted} <= set(class_names):
            raise ValueError(f"the answer for {answer.path!r} is of no class of the classifier")
        if not all(0 <= prob <= 1 for prob in (answer.prob_predicted, answer.prob_label)):
            raise ValueError(f"a probability of {answer.path!r} is none")


def _found(
    document: Mapping[str, Any], records: tuple[ImageRecord, ...], class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Return what metrics.json says, as attributes of a FinishedRun."""
    places = {record.path: place for place, record in enumerate(records)}
    scores = {name: evaluation_from_dict(document[name]) for name in ("out_of_fold", "test") if document.get(name)}
    if "test" not in scores or any(evaluation.class_names != class_names for evaluation in scores.values()):
        raise ValueError("metrics.json has no scores of the test for the classes of model.onnx")
    label_issues = [dict(found) for found in document.get("label_issues", [])]
    training = dict(document.get("training", {}))
    training |= {name: float(training[name]) for name in ("strength", "temperature") if name in training}
    return {
        "scores": scores,
        "findings": tuple(built(Finding, finding) for finding in document["verdict"]),
        "fingerprint": str(document["data"]["fingerprint"]),
        "training": training,
        "choice": describe_choice(training) if "kept" in training else "",
        "label_issues": tuple(
            built(LabelIssue, {"index": places[found.pop("path")], **found}) for found in label_issues
        ),
        "shortcuts": tuple(built(Shortcut, shortcut) for shortcut in document.get("shortcuts", [])),
    }


def _predictions(path: Path, source: Source) -> Iterator[LabelledPrediction]:
    """Read the answers one by one; a hundred probabilities a row are not kept, nor even made numbers of."""
    with (
        suppress(FileNotFoundError),
        files.open_text(path / _PREDICTION_FILES[source], errors="surrogateescape") as file,
    ):
        rows = read_rows(file)
        columns = {name: place for place, name in enumerate(next(rows, []))}
        place, label, answer = columns["path"], columns["label"], columns["predicted"]
        for row in rows:
            given, true = (float(row[columns[f"prob_{row[name]}"]]) for name in (answer, label))
            yield LabelledPrediction(row[place], row[label], row[answer], given, true, source)


def load_seen(run: RunFolder) -> list[ImageRecord]:
    """Return what a run was trained or chosen on, with the copies of it that were left out, from its manifest.

    Raises:
        SourceNotFoundError: There is no run, or its manifest is damaged, or not what its model was made from.
    """
    if not run.manifest_path.is_file():
        raise SourceNotFoundError(
            f"{str(run.path)!r} holds no {run.manifest_path.name}, which says what was trained on: name a run folder"
        )
    records = load_records(run.manifest_path)
    made = load(run.model_path).facts.provenance if run.model_path.is_file() else None
    if made is not None and made.split_fingerprint != split_fingerprint(records):
        raise SourceNotFoundError(
            f"{str(run.manifest_path)!r} is not what {run.model_path.name} was made from: it was changed, so that what "
            "was trained on cannot be told"
        )
    groups = {record.group for record in records if record.split in _SEEN} - {None}
    return [record for record in records if record.phash and (record.split in _SEEN or record.group in groups)]


def near_bits_of(run: RunFolder) -> int:
    """Return how many bits apart near copies are at most in a run; the default where it does not say.

    Raises:
        SettingsError: Its config.json holds a setting that is wrong.
    """
    return load_config(run.config_path).clean.near_bits if run.config_path.is_file() else CleanConfig.near_bits


def describe_choice(details: Mapping[str, Any]) -> str:
    """Say which weights of a fine-tuned network were kept, and by how much they are better than the others.

    Args:
        details: How the fit went; has `kept`, `val_images`, `val_loss` and `val_accuracy`.
    """
    kept, losses, accuracies = details["kept"], details["val_loss"], details["val_accuracy"]
    scores = {name: f"loss {losses[name]:.3f}, accuracy {accuracies[name]:.0%}" for name in losses}
    others = "; ".join(f"{_CANDIDATES[name]}: {scores[name]}" for name in losses if name != kept)
    why = f"kept, for the lowest loss on {details['val_images']} validation images"
    return f"{why}: {_CANDIDATES[kept]} ({scores[kept]}); {others}"
