"""Writing the files of a run, in order."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mien.config import PRESETS, TrainConfig
from mien.core import files
from mien.core.csv_tables import table_text
from mien.core.progress import SILENCE, Progress
from mien.core.text import as_typed
from mien.data.dataset import SPLITS, Dataset, split_fingerprint
from mien.data.decisions import decisions_csv
from mien.data.looks import save_looks
from mien.model.classifier import Provenance
from mien.runs.contact_sheets import plot_label_issues, plot_samples
from mien.runs.figures import plot_confusion, plot_reliability
from mien.runs.folder import RunFolder
from mien.runs.predictions import write_predictions
from mien.runs.report import write_report
from mien.runs.run import Run
from mien.runs.tensorboard import log_run
from mien.scoring.label_issues import LabelIssue
from mien.scoring.model_card import model_card
from mien.version import __version__

_COLUMNS = "path label suggested prob_label prob_suggested rank decision".split()
_NUM_DRAWN = 24
_KERAS_PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "jax")
_PACKAGES = (*_KERAS_PACKAGES, "onnxruntime", "numpy", "pillow")


def save_data(
    run_folder: RunFolder, dataset: Dataset, config: TrainConfig, *, decisions: Mapping[str, str] | None = None
) -> None:
    """Write what is known before the training: relabel.csv if there are label decisions, config.json and samples.png.

    manifest.csv comes last.

    Raises:
        OutputError: A file cannot be written.
    """
    # config.json makes a run resumable; manifest.csv says that the other files are there.
    if config.labels.relabel:
        files.write_text(run_folder.decisions_path, decisions_csv(decisions or {}))
    run_folder.save_config(config, dataset.root, installed_versions())
    plot_samples(dataset).savefig(run_folder.path / "samples.png")
    save_looks(run_folder.looks_path, dataset.records)
    dataset.save(run_folder.manifest_path)


def save_run(run: Run, *, decisions: Mapping[str, str], progress: Progress = SILENCE) -> None:
    """Write the results of the training; metrics.json last, which completes the run.

    Args:
        run: The run; `save_data` has already written to its `path`.
        decisions: The label decisions it was trained with, by path.
        progress: Told if report.html cannot be written, and why.

    Raises:
        OutputError: A file cannot be written.
    """
    run_folder = RunFolder(run.path)
    for source, predictions in run.predictions_by_source.items():
        write_predictions(run.path, run.dataset, predictions, source)
    plot_confusion(run.scores.judged).savefig(run.path / "confusion.svg")
    plot_reliability(run.scores.judged).savefig(run.path / "reliability.svg")
    if run.history:
        log_run(run_folder, run.config, run.scores)
    save_label_issues(run.path, run.dataset, run.label_issues, decisions)
    run.dataset.save(run_folder.manifest_path)
    run.classifier.save(run_folder.model_path)
    files.write_text(run.path / "MODEL_CARD.md", model_card(run.classifier.facts))
    _save_report(run, progress)
    run_folder.save_json(run_folder.metrics_path, run.metrics())
    run_folder.tidy()


def _save_report(run: Run, progress: Progress) -> None:
    """Write report.html. If that fails for any reason, the training is still saved."""
    try:
        write_report(run)
    except Exception as error:
        reason = files.reason_of(error).rstrip(".")
        progress.say(f"report.html could not be written: {reason}. To try again: mien report {as_typed(run.path)}")


def provenance(dataset: Dataset, config: TrainConfig, *, method: str, limits: tuple[str, ...]) -> Provenance:
    """Return the provenance to store in a classifier: images, split, settings and versions.

    Args:
        dataset: The Dataset it was trained on.
        config: The settings.
        method: The method that was used in the end.
        limits: What it must not be used for, as sentences.
    """
    used = [dataset.records[index] for index in dataset.indexes()]
    split = {name: dict.fromkeys(SPLITS, 0) for name in dataset.class_names}
    for record in used:
        split[record.label][record.split] += 1
    versions = installed_versions()
    if method == "linear":
        # Keras was not involved.
        versions = {name: found for name, found in versions.items() if name not in _KERAS_PACKAGES}
    began_as = PRESETS.get(config.preset, TrainConfig()).flat()
    return Provenance(
        made_on=datetime.now(UTC).date().isoformat(),
        preset=config.preset,
        method=method,
        settings={name: value for name, value in config.flat().items() if value != began_as[name]},
        seed=config.split.seed,
        split=split,
        split_fingerprint=split_fingerprint(dataset.records),
        left_out=dict(sum((Counter(dataset.left_out(name)) for name in dataset.class_names), Counter())),
        smallest_side=min(min(record.width, record.height) for record in used),
        versions={"python": platform.python_version(), **versions},
        limits=limits,
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of mien and of every package that the results may depend on."""
    found = {"mien": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def save_label_issues(
    folder: Path,
    dataset: Dataset,
    label_issues: Sequence[LabelIssue],
    decisions: Mapping[str, str],
) -> None:
    """Write label_issues.csv, with a column for decisions, and label_issues.png; nothing if there are no label issues.

    Args:
        folder: The folder to write to.
        dataset: The Dataset that holds the images.
        label_issues: What `find_label_issues` returned.
        decisions: The label decisions of this training, by path. They are included, so that the next training keeps
            them.

    Raises:
        OutputError: A file cannot be written.
    """
    if not label_issues:
        return
    rows = [_COLUMNS]
    for rank, found in enumerate(label_issues, start=1):
        probs = f"{found.prob_label:.6f}", f"{found.prob_suggested:.6f}"
        path = dataset.records[found.index].path
        rows.append([path, found.label, found.suggested, *probs, str(rank), decisions.get(path, "")])
    labels = {record.path: record.label for record in dataset.records}
    listed = {dataset.records[found.index].path for found in label_issues}
    rows += [
        [path, labels.get(path, ""), "", "", "", "", said]
        for path, said in sorted(decisions.items())
        if path not in listed
    ]
    files.write_text(folder / "label_issues.csv", table_text(rows))
    plot_label_issues(dataset, label_issues[:_NUM_DRAWN]).savefig(folder / "label_issues.png")


def describe_label_issues(label_issues: Sequence[LabelIssue], folder: Path) -> str:
    """Say in one line how many label issues there are, and how to fix them; "" if there are none."""
    if not label_issues:
        return ""
    count = "1 label may be" if len(label_issues) == 1 else f"{len(label_issues)} labels may be"
    return f"{count} wrong. To check and correct them: {as_typed('mien', 'review', folder)}"
