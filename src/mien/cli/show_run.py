"""Printing a run: its verdict, scores, predictions, and the files in its folder."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.csv_tables import table_parts
from mien.core.files import write_parts
from mien.core.scores import Score
from mien.core.terminal import ERR, OUT, TABLE_WIDTH, new_table, printable, show_json, show_prose
from mien.core.text import MANY_CLASSES, as_percent, as_typed, counted, first_few, in_points, signed
from mien.data.dataset import SPLITS, Dataset
from mien.model.prediction import UNSURE, Prediction, prediction_rows
from mien.scoring.results import Evaluation, Finding, Predictions, Scores, percent
from mien.scoring.stress import WORDS, Stressed, weakness_of

if TYPE_CHECKING:
    from rich.table import Table

    from mien.jobs.compare import Comparison
    from mien.model.classifier import ModelFacts, Provenance
    from mien.model.explained_images import Explained
    from mien.runs.run import Run

RUN_FILES = {
    "report.html": "the report: start here",
    "model.onnx": "the classifier, in one file",
    "model.keras": "the classifier, for Keras",
    "MODEL_CARD.md": "what it can do, and what it is and is not for",
    "metrics.json": "all scores",
    "predictions.csv": "predictions for the test images",
    "out_of_fold.csv": "predictions for all other images, by cross-validation",
    "manifest.csv": "every file, with its problems and its split",
    "looks.npy": "tiny versions of the images, to recognise copies",
    "config.json": "all settings and package versions",
    "label_issues.csv": "images whose label may be wrong, with a column for decisions",
    "label_issues.png": "those images",
    "decisions.csv": "your decisions in mien review",
    "history.csv": "loss and accuracy by epoch",
    "samples.png": "sample images with their labels",
    "curves.svg": "chart of loss and accuracy",
    "confusion.svg": "the confusion matrix",
    "reliability.svg": "charts of calibration and thresholds",
    "explained/": "where it looked, from mien explain",
    "logs/": "TensorBoard logs",
}
# The ones to look at; the others are there to be read by programs, and documented.
_MAIN_FILES = ("report.html", "model.onnx", "MODEL_CARD.md", "metrics.json", "label_issues.csv")
_NUM_WEAKEST, _NUM_CONFUSED = 10, 5
# A confusion matrix with more classes is wider than a terminal.
_MAX_COLUMNS, _MAX_MISTAKES = 6, 10
_WARNINGS = (
    "subjects missed_class underfitting overfitting miscalibrated out_of_distribution changed out_of_reach".split()
)


def show_scores(scores: Scores, findings: Iterable[Finding], *, every_change: bool = False) -> None:
    """Print the verdict and the most important warning, then the scores with their intervals, then other findings.

    Args:
        scores: The scores.
        findings: What they mean, the verdict first.
        every_change: Whether to print the scores on changed images that are no lower, too.
    """
    verdict, *others = findings
    warning = next((finding for finding in others if finding.kind in _WARNINGS), None)
    OUT.print()
    _show_finding(verdict, bold=True)
    if warning:
        _show_finding(warning)
    _show_summary(scores)
    _show_classes(scores.judged)
    _show_stressed(scores.stressed, every_change=every_change)
    rest = [finding for finding in others if finding is not warning]
    if rest:
        OUT.print()
    for finding in rest:
        _show_finding(finding)


def _show_finding(finding: Finding, *, bold: bool = False) -> None:
    show_prose(printable(finding.text), bold=bold)
    show_prose(printable(finding.advice), head="  ")


def _show_summary(scores: Scores) -> None:
    """Print the accuracy, the baseline and the calibration."""
    judged, by_folds, unlike = scores.judged, scores.out_of_fold is not None, scores.test.out_of_distribution
    OUT.print()
    for name, text in (
        ("accuracy", f"{judged.accuracy}{' in cross-validation' if by_folds else ''}"),
        ("test", str(scores.test.accuracy) if by_folds else ""),
        ("baseline", f"{judged.baseline} for always guessing {judged.baseline_label!r}"),
        ("calibration", judged.calibration_text),
        ("unlike", f"{unlike} of the {'test ' * by_folds}images are unlike the training images" if unlike else ""),
    ):
        if text:
            show_prose(printable(text), head=f"{name:<13}")
    if by_folds:
        show_prose("In cross-validation, each image is predicted by a classifier that was not trained on it.")
        show_prose("The test images were never used for training or for choosing anything.")


def _show_classes(judged: Evaluation) -> None:
    """Print the scores of each class; with many classes, only the weakest, and the most confused pairs."""
    num_classes = len(judged.classes)
    many = num_classes > MANY_CLASSES
    columns = ["class", "precision", "recall", "F1"][: 4 if OUT.width >= TABLE_WIDTH else 3]
    table = new_table(*columns)
    for found in judged.weakest(_NUM_WEAKEST) if many else judged.classes:
        cells = (printable(found.label), _cell(found.precision), _cell(found.recall, "no images"), _cell(found.f1))
        table.add_row(*cells[: len(columns)])
    OUT.print()
    OUT.print(table)
    if many:
        show_prose(f"The {_NUM_WEAKEST} of {num_classes} classes with the lowest F1.")
    if num_classes > _MAX_COLUMNS:
        pairs = [(label, other, count) for label, other, count in judged.most_confused(_NUM_CONFUSED) if count > 1]
        told = ", ".join(f"{label!r} mistaken for {other!r} ({count})" for label, other, count in pairs)
        show_prose(f"Most confused: {printable(told) or 'no pair of classes more than once'}.")
    show_prose("Below each score is its 95% interval.")
    show_prose("n: images predicted as the class (precision), images of the class (recall), or either (F1).")


def _show_stressed(stressed: Sequence[Stressed], *, every_change: bool) -> None:
    """Print the accuracy on changed images, next to that on the same images unchanged."""
    if not stressed:
        return
    shown = [each for each in stressed if each.is_lower or every_change]
    harmless = [WORDS[each.change] for each in stressed if each not in shown]
    OUT.print()
    if shown:
        OUT.print(_table_of_changes(shown))
    if harmless:
        show_prose(f"No drop beyond chance on images that are {', '.join(harmless)}.")
    counts = sorted({each.changed.num_images for each in stressed})
    several = (
        f"{counts[0]} to {counts[-1]} held-out images" if len(counts) > 1 else counted(counts[0], "held-out image")
    )
    show_prose(
        f"Each change was tried on {several}. None should matter; if one does for your classes, add --may-matter when "
        "you train."
    )


def _table_of_changes(stressed: Sequence[Stressed]) -> "Table":
    before = ["untrained"] if any(each.before for each in stressed) else []
    table = new_table("right on images that are", "changed", "unchanged", *before)
    for each in stressed:
        changed, *others = (score for score in (each.changed, each.unchanged, each.before) if score)
        interval = f"{changed.value:.0%} ({changed.low:.0%} to {changed.high:.0%})"
        table.add_row(WORDS[each.change], interval, *(f"{score.value:.0%}" for score in others))
    if before:
        table.caption = "untrained: without training on changed copies"
    return table


def show_mistakes(evaluation: Evaluation, dataset: Dataset, predictions: Predictions) -> None:
    """Print the confusion matrix, and the most confident mistakes."""
    names = [printable(name) for name in evaluation.class_names]
    rows = predictions.mistakes()
    if not len(rows):
        return
    OUT.print()
    if len(names) <= _MAX_COLUMNS:
        OUT.print(f"On the {counted(len(predictions.labels), 'test image')}:")
        table = new_table("true class", *(f"predicted {name}" for name in names))
        for name, counts in zip(names, evaluation.confusion, strict=True):
            table.add_row(name, *map(str, counts))
        OUT.print(table)
    show_prose(
        f"{counted(len(rows), 'mistake')} in {counted(len(predictions.labels), 'test image')}, most confident first:"
    )
    for row in rows[:_MAX_MISTAKES]:
        record, place = dataset.records[predictions.indexes[row]], predictions.probs[row].argmax()
        told = (
            f"{printable(record.label)}, predicted {names[place]} ({as_percent(float(predictions.probs[row, place]))})"
        )
        OUT.print(f"  {printable(record.path)}: {told}")
    if len(rows) > _MAX_MISTAKES:
        OUT.print(f"  and {len(rows) - _MAX_MISTAKES} more; to list all, add --csv FILE.csv")


def show_comparison(comparison: "Comparison") -> None:
    """Print the verdict on two runs, then their accuracies, where they disagree, and settings that differ."""
    first, second = map(printable, comparison.names)
    width = max(len(first), len(second), len("difference"))
    OUT.print()
    show_prose(printable(comparison.sentence), bold=True)
    OUT.print()
    for name, accuracy in zip((first, second), comparison.accuracies, strict=True):
        OUT.print(f"{name:<{width}}  {accuracy}")
    difference = comparison.difference
    low, high = signed(100 * difference.low), signed(100 * difference.high)
    interval = f"(95% interval {low} to {high} points, {difference.basis})"
    OUT.print(f"{'difference':<{width}}  {in_points(difference.value or 0.0)} {interval}\n")
    table = new_table("images", "both right", f"only {first}", f"only {second}", "both wrong")
    counts = (comparison.both_right, comparison.only_first, comparison.only_second, comparison.both_wrong)
    table.add_row(str(difference.num_images), *map(str, counts))
    OUT.print(table)
    OUT.print("Source of the predictions:")
    for source, count in comparison.sources.items():
        OUT.print(f"  {counted(count, 'image')}: {printable(source)}")
    for note in comparison.notes:
        show_prose(printable(note), head="  ")
    OUT.print(
        f"\nSettings that differ ({first} / {second}):" if comparison.settings else "\nAll settings are the same."
    )
    for setting, (one, other) in comparison.settings.items():
        OUT.print(f"  {printable(f'{setting}: {_setting(one)} / {_setting(other)}')}")


def _setting(value: object) -> str:
    return "none" if value in ("", None, (), []) else str(value)


def show_run(run: "Run") -> None:
    """Print the verdict and scores of a run, the files in its folder, and what to do next."""
    show_scores(run.scores, run.findings)
    if run.label_issues:
        from mien.runs.saving import describe_label_issues

        show_prose(f"\n{printable(describe_label_issues(run.label_issues, run.path))}")
    others = [name for name in RUN_FILES if (run.path / name).exists() and name not in _MAIN_FILES]
    _show_files(run.path, {name: RUN_FILES[name] for name in _MAIN_FILES})
    OUT.print(f"  and {counted(len(others), 'other file')}")
    accuracy, path = run.scores.judged.accuracy, as_typed(run.path)
    interval = f"95% interval {accuracy.low:.0%} to {accuracy.high:.0%}"
    show_prose(f"\n{percent(accuracy.value)} accurate ({interval}).", bold=True)
    show_prose(f"Next: open {as_typed(run.path / 'report.html')}, or: mien predict {path} photo.jpg")
    show_prose(f"To share it as a web page: mien serve {path}")


def show_about(facts: "ModelFacts") -> None:
    """Print the facts stored in a model file."""
    from mien.scoring.model_card import scores_of

    OUT.print(f"classes      {printable(', '.join(first_few(facts.class_names, MANY_CLASSES)))}")
    scores = scores_of(facts)
    for source, evaluation in scores.by_source.items() if scores else ():
        how = "in cross-validation" if source == "out_of_fold" else "on the test split"
        OUT.print(f"accuracy     {evaluation.accuracy} {how}")
        OUT.print(
            f"baseline     {evaluation.baseline} for always guessing {printable(repr(evaluation.baseline_label))}"
        )
        show_prose(evaluation.calibration_text, head="calibration  ")
    if weakness := weakness_of(scores.stressed if scores else ()):
        show_prose(weakness, head="weakness     ")
    if facts.threshold:
        OUT.print(f"unsure       below a probability of {facts.threshold:g}")
    height, width = facts.image_size
    OUT.print(f"input        images of {width} x {height} pixels, resize mode {facts.resize_mode}")
    for rule in facts.rules:
        OUT.print(f"             {rule}")
    if facts.faces == "on":
        OUT.print("faces        used, in addition to the whole image")
    OUT.print(f"images       fingerprint {printable(facts.data_fingerprint)}")
    if facts.provenance is None:
        OUT.print(f"trained      with mien {printable(facts.mien_version)}; no other details are stored")
    else:
        _show_provenance(facts.provenance)


def _show_provenance(provenance: "Provenance") -> None:
    splits = [
        f"{name}: {', '.join(f'{counts.get(split, 0)} {split}' for split in SPLITS)}"
        for name, counts in provenance.split.items()
    ]
    for line in first_few(splits, MANY_CLASSES, rest="more classes"):
        OUT.print(f"             {printable(line)}")
    left_out = ", ".join(f"{count} {code}" for code, count in provenance.left_out.items())
    settings = ", ".join(f"{name} {value}" for name, value in provenance.settings.items())
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
    for name, text in (
        ("skipped", left_out or "nothing"),
        ("split", f"seed {provenance.seed}, fingerprint {provenance.split_fingerprint}"),
        ("trained", f"on {provenance.made_on}, preset {provenance.preset}, method {provenance.method}"),
        ("settings", settings or "those of the preset"),
        ("versions", versions),
    ):
        show_prose(printable(text), head=f"{name:<12} ")
    OUT.print("\nNot for:")
    for limit in provenance.limits:
        show_prose(printable(limit), head="  ")


def show_predictions(
    predictions: Iterable[Prediction], class_names: Sequence[str], *, json: bool, csv_path: Path | None, top: int = 1
) -> int:
    """Print predictions as they arrive, as text or as JSON lines, or write them to a CSV file.

    Args:
        predictions: The predictions.
        class_names: The classes, in the classifier's order.
        json: Print JSON lines with all details.
        csv_path: The CSV file to write, with all details.
        top: Number of classes to print per image, the most likely first.

    Returns:
        The number of images that could not be read; 1 if there were no images.

    Raises:
        OutputError: The CSV file cannot be written.
    """
    width = max(map(len, map(printable, (*class_names, "error", UNSURE))))
    is_failure = Counter[bool]()

    def shown() -> Iterator[Prediction]:
        for prediction in predictions:
            is_failure[prediction.error is not None] += 1
            if json:
                show_json(prediction.to_dict())
            elif not csv_path:
                show_prediction(prediction, width, top=top)
            yield prediction

    if csv_path:
        write_parts(csv_path, table_parts(prediction_rows(shown(), class_names)))
        ERR.print(f"{printable(str(csv_path))}: {counted(is_failure.total(), 'image')}")
    else:
        for _ in shown():
            pass
    return failures_of(is_failure[True], is_failure.total())


def show_explanations(explained: "Iterable[Explained]", class_names: Sequence[str], *, json: bool) -> int:
    """Print for each image the prediction and the path of its map, or print both as JSON lines.

    Returns:
        The number of images that could not be read; 1 if there were no images.
    """
    width = max(map(len, map(printable, (*class_names, "error", UNSURE))))
    num_images, num_errors = 0, 0
    for item in explained:
        num_images += 1
        num_errors += item.png is None
        if json:
            show_json(item.to_dict())
            continue
        show_prediction(item.prediction, width)
        if item.png is not None:
            faces = f"; faces {', '.join(signed(face.log_odds, 1) for face in item.faces)}" if item.faces else ""
            told = f"{printable(str(item.label))}, {item.method}{faces}"
            OUT.print(f"{'':<{width}}        {printable(str(item.png))}: {told}")
    return failures_of(num_errors, num_images)


def failures_of(num_errors: int, num_images: int) -> int:
    """Print how many images could not be read, and return that number; 1 if there were no images."""
    if num_errors:
        ERR.print(f"{num_errors} of {counted(num_images, 'image')} could not be read")
    if not num_images:
        ERR.print("no images found")
    return num_errors or int(num_images == 0)


def show_prediction(prediction: Prediction, width: int, *, mark: str = "", top: int = 1) -> None:
    """Print one line: the prediction, its probability, the source, and remarks such as the next most likely classes."""
    source = f"{mark}  {printable(prediction.source)}".lstrip()
    if prediction.label is None:
        OUT.print(f"{'error':<{width}}        {source}: {printable(str(prediction.error))}")
        return
    likeliest, *others = sorted(prediction.probs, key=prediction.probs.__getitem__, reverse=True)[:top]
    remarks = [f"perhaps {printable(likeliest)}"] if prediction.label == UNSURE else []
    next_ones = ", ".join(f"{printable(name)} {as_percent(prediction.probs[name])}" for name in others)
    remarks += [f"then {next_ones}"] if next_ones else []
    remarks += [f"unlike the training images: {prediction.unlike}"] if prediction.unlike else []
    remark = f"  ({'; '.join(remarks)})" if remarks else ""
    OUT.print(f"{printable(prediction.label):<{width}}  {as_percent(prediction.probs[likeliest]):>4}  {source}{remark}")


def _show_files(folder: Path, meanings: dict[str, str]) -> None:
    OUT.print(f"\nIn {printable(str(folder))}:")
    for name, meaning in meanings.items():
        if (folder / name).exists():
            show_prose(meaning, head=f"  {name:<17} ")


def _cell(score: Score, if_none: str = "never predicted") -> str:
    if score.value is None:
        return if_none
    basis = score.basis.replace(" images", "").replace(" image", "")
    return f"{score.value:.0%}, {basis}\n{score.low:.0%} to {score.high:.0%}"
