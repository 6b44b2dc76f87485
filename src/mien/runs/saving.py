"""Run files: what a run found -> the files in its folder."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mien.config import PRESETS, TrainConfig
from mien.core import files
from mien.core.csv_tables import table_text
from mien.data.dataset import SPLITS, Dataset, split_fingerprint
from mien.data.relabelling import decisions_csv
from mien.model.classifier import Classifier, Provenance
from mien.runs.figures import plot_confusion, plot_label_issues, plot_reliability, plot_samples, save_figure
from mien.runs.folder import RunFolder
from mien.scoring.label_issues import LabelIssue
from mien.scoring.model_card import limits, model_card
from mien.scoring.results import Evaluation, Finding, Predictions
from mien.version import __version__

_COLUMNS = "path label suggested prob_label prob_suggested rank decision".split()


_NUM_DRAWN = 24


_KERAS_PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "jax")
_PACKAGES = (*_KERAS_PACKAGES, "onnxruntime", "numpy", "pillow")


def describe(dataset: Dataset, *, decided: bool = False) -> list[str]:
    """Return the counts of a split Dataset in words: a line for each class, and one for the split.

    Args:
        dataset: What `split` returned.
        decided: Whether decisions on labels were asked for; then a line says how many took effect, be it none.
    """
    before, after = dataset.counts(), dataset.counts(used_only=True)
    lines = []
    for number, name in enumerate(dataset.class_names):
        reasons = ", ".join(f"{count} {code}" for code, count in dataset.left_out(name).items())
        line = f"class {number}, {name}: {after[name]} of {before[name]} files are used"
        lines.append(f"{line} (left out: {reasons})" if reasons else line)
    if decided:
        counts = Counter(problem.code for record in dataset.records for problem in record.problems)
        lines.append(f"by decision: {counts['relabelled']} relabelled, {counts['left_out']} left out")
    sizes = ", ".join(f"{len(dataset.indexes(name))} {name}" for name in SPLITS)
    return [*lines, f"split: {sizes}; copies never stand on two sides"]


def save_data(
    run: RunFolder, dataset: Dataset, config: TrainConfig, *, decisions: Mapping[str, str] | None = None
) -> None:
    """Write what is known before the training: relabel.csv where there are decisions, config.json and samples.png.

    manifest.csv comes last.

    Raises:
        OutputError: A file cannot be written.
    """
    # A run can be gone on with from its config.json; a manifest says that the rest is there too.
    if config.labels.relabel:
        files.write_text(run.decisions_path, decisions_csv(decisions or {}))
    run.save_config(config, dataset.root, _versions())
    save_figure(plot_samples(dataset), run.path / "samples.png")
    dataset.save(run.manifest_path)


def save_scores(
    run: RunFolder, dataset: Dataset, predictions: Mapping[str, Predictions | None], scores: Mapping[str, Evaluation]
) -> None:
    """Write predictions.csv, confusion.png and reliability.png, and out_of_fold.csv where there was cross-validation.

    Raises:
        OutputError: A file cannot be written.
    """
    for name, given in predictions.items():
        if given is not None:
            file_name = "predictions.csv" if name == "test" else f"{name}.csv"
            files.write_text(run.path / file_name, predictions_csv(dataset, given, scores[name].class_names))
    judged = scores.get("out_of_fold", scores["test"])
    save_figure(plot_confusion(judged), run.path / "confusion.png")
    save_figure(plot_reliability(judged), run.path / "reliability.png")


def metrics(
    scores: Mapping[str, Evaluation], findings: Sequence[Finding], dataset: Dataset, training: dict[str, Any]
) -> dict[str, Any]:
    """Return metrics.json: the scores, the verdict, the data, and how the training went."""
    return {
        **{name: evaluation.to_dict() for name, evaluation in scores.items()},
        "verdict": [asdict(finding) for finding in findings],
        "data": {
            "fingerprint": dataset.fingerprint(),
            "files": dataset.counts(),
            "used": dataset.counts(used_only=True),
            "splits": {name: len(dataset.indexes(name)) for name in SPLITS},
        },
        "training": training,
    }


def provenance(dataset: Dataset, config: TrainConfig) -> Provenance:
    """Return what a classifier is to carry of its making: the images, their split, the settings, the versions."""
    used = [dataset.records[index] for index in dataset.indexes()]
    split = {name: dict.fromkeys(SPLITS, 0) for name in dataset.class_names}
    for record in used:
        split[record.label][record.split] += 1
    versions = _versions()
    if config.fit.method == "linear":
        # Keras had no part in it.
        versions = {name: found for name, found in versions.items() if name not in _KERAS_PACKAGES}
    began_as = PRESETS.get(config.preset, TrainConfig()).flat()
    return Provenance(
        made_on=datetime.now(UTC).date().isoformat(),
        preset=config.preset,
        method=config.fit.method,
        settings={name: value for name, value in config.flat().items() if value != began_as[name]},
        seed=config.split.seed,
        split=split,
        split_fingerprint=split_fingerprint(dataset.records),
        left_out=dict(sum((Counter(dataset.left_out(name)) for name in dataset.class_names), Counter())),
        smallest_side=min(min(record.width, record.height) for record in used),
        versions={"python": platform.python_version(), **versions},
        limits=limits(dataset.class_names),
    )


def save_card(run: RunFolder, classifier: Classifier) -> None:
    """Write MODEL_CARD.md: what the classifier can do, what it is for and not for.

    Raises:
        OutputError: It cannot be written.
    """
    files.write_text(run.path / "MODEL_CARD.md", model_card(classifier.facts))


def predictions_csv(dataset: Dataset, predictions: Predictions, class_names: Sequence[str]) -> str:
    """Return one row per image: path, label, predicted class, and the probability of every class."""
    rows = [["path", "label", "predicted", *(f"prob_{name}" for name in class_names)]]
    for index, probs in zip(predictions.indexes, predictions.probs, strict=True):
        record = dataset.records[index]
        row = [record.path, record.label, class_names[int(probs.argmax())]]
        rows.append([*row, *(f"{prob:.6f}" for prob in probs.tolist())])
    return table_text(rows)


def _versions() -> dict[str, str]:
    """Return the version of mien and of every package that the results may depend on."""
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
    decisions: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write label_issues.csv, in which decisions can be filled in, and label_issues.png; nothing where there are none.

    Args:
        folder: Where to.
        dataset: Where they are.
        label_issues: What `find_label_issues` returned.
        decisions: Those of this training, by path: they stand in the table too, so that the next one keeps them.

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
    drawn = label_issues[:_NUM_DRAWN]
    titles = {s.index: f"{s.label}? {s.suggested} {s.prob_suggested:.0%}" for s in drawn}
    save_figure(plot_label_issues(dataset, titles), folder / "label_issues.png")


def describe_label_issues(label_issues: Sequence[LabelIssue], folder: Path) -> str:
    """Say in one line how many label issues there are, and what can be done; "" where there are none."""
    if not label_issues:
        return ""
    count = "1 label may be" if len(label_issues) == 1 else f"{len(label_issues)} labels may be"
    path = folder / "label_issues.csv"
    return f"{count} wrong: look at {folder / 'label_issues.png'}, fill in {path}, and train with --relabel {path}"
