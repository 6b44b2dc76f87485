"""What is printed of a run: its scores, its verdict, its answers, and what lies in its folder."""

import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.csv_tables import table_text
from mien.core.files import write_text
from mien.core.scores import Score
from mien.core.terminal import ERR, OUT, new_table, printable, show_json, show_prose
from mien.core.text import MANY_CLASSES, counted, first_few, in_points, signed
from mien.data.dataset import SPLITS, Dataset
from mien.model.prediction import UNSURE, Prediction, prediction_rows
from mien.scoring.results import Evaluation, Finding, Predictions, Scores
from mien.scoring.stress import WORDS, Stressed, weakness_of

if TYPE_CHECKING:
    from mien.jobs.compare import Comparison
    from mien.jobs.demo import Demo, Trial
    from mien.model.classifier import ModelFacts, Provenance
    from mien.model.explained_images import Explained
    from mien.runs.run import Run

RUN_FILES = {
    "report.html": "start here: what it can do and how that is known, on one page",
    "model.onnx": "the classifier: one file with everything in it",
    "model.keras": "the same, for Keras",
    "MODEL_CARD.md": "what it can do, what it is for and not for",
    "metrics.json": "every score",
    "predictions.csv": "the test images, one by one",
    "out_of_fold.csv": "all others, each answered by a classifier that had not seen it",
    "manifest.csv": "every file, what is wrong with it, and its split",
    "looks.npy": "what each file looks like, very small: copies are told by it",
    "config.json": "every setting, and the versions",
    "label_issues.csv": "images whose label may be wrong, with room for your decisions",
    "label_issues.png": "those images",
    "decisions.csv": "what was decided in mien review, one decision in each row",
    "history.csv": "loss and accuracy by epoch",
    "samples.png": "images with their labels",
    "curves.svg": "loss and accuracy, drawn",
    "confusion.svg": "which class was taken for which",
    "reliability.svg": "whether its probabilities mean what they say, and what a threshold leaves",
    "explained/": "where it looked, drawn by mien explain",
    "logs/": "for TensorBoard: curves, images, settings, scores",
}
_NUM_WEAKEST = 10
# A matrix of more classes is wider than a terminal.
_MAX_COLUMNS, _MAX_MISTAKES = 6, 10
DEMO_FILES = {
    "data/": "the drawn people, with some bad files among them: {check} shows them",
    "unseen/": "people drawn apart, some in a style that was not trained on",
    "fast/": "the run of the preset fast: start with fast/report.html",
    "classic/": "that of the tutorial's network: classic/report.html",
}


def show_scores(scores: Scores, findings: Iterable[Finding]) -> None:
    """Print the scores, each with its interval and the baseline, and the verdict; those with most images first."""
    headline, by_folds = scores.judged, scores.out_of_fold is not None
    calibration, unlike = headline.calibration, scores.test.out_of_distribution
    tested = "test images" if by_folds else "images"
    OUT.print()
    for name, text in (
        ("accuracy", str(headline.accuracy)),
        ("baseline", f"{headline.baseline}: always saying {headline.baseline_label}"),
        ("test", str(scores.test.accuracy) if by_folds else ""),
        ("sure", f"{calibration.confidence:.0%} on average; calibration error {calibration.error}"),
        ("unlike", f"{unlike} of the {tested} are unlike those of the training" if unlike else ""),
    ):
        if text:
            show_prose(printable(text), head=f"{name:<10}")
    OUT.print()
    table = new_table("class", "precision", "recall", "F1")
    many = len(headline.classes) > MANY_CLASSES
    for found in headline.weakest(_NUM_WEAKEST) if many else headline.classes:
        table.add_row(
            printable(found.label), _cell(found.precision), _cell(found.recall, "no image of it"), _cell(found.f1)
        )
    OUT.print(table)
    if many:
        show_prose(f"These are the {_NUM_WEAKEST} of {len(headline.classes)} classes with the lowest F1.")
        confused = headline.most_confused(_NUM_WEAKEST)
        pairs = [f"{label} for {other} ({count})" for label, other, count in confused if count > 1]
        show_prose(f"Most often taken for one another: {printable(', '.join(pairs) or 'no two of them twice')}.")
    methods = f"{headline.accuracy.method}; calibration: {calibration.error.method}"
    show_prose(f"Below each score, its 95% interval: {printable(methods)}.")
    show_prose("n: the images called so (precision), of the class (recall), and either of the two (F1).")
    if by_folds:
        show_prose(
            "Accuracy and table are by cross-validation: each image judged by a classifier that had not seen it."
        )
        show_prose(
            "The test is of the saved classifier, on images that were never used to train it or to choose anything."
        )
    _show_stressed(scores.stressed)
    OUT.print()
    for finding in findings:
        show_prose(printable(finding.text))
        show_prose(f"What to do: {printable(finding.advice)}", head="  ")


def _show_stressed(stressed: Sequence[Stressed]) -> None:
    """Print how often changed images are answered right, beside the same images as they are."""
    if not stressed:
        return
    num_before = sum(each.before is not None for each in stressed)
    table = new_table("right on images that are", "changed", "unchanged", *(["without such"] if num_before else []))
    for each in stressed:
        changed, *others = (score for score in (each.changed, each.unchanged, each.before) if score)
        interval = f"{changed.value:.0%} ({changed.low:.0%} to {changed.high:.0%})"
        table.add_row(WORDS[each.change], interval, *(f"{score.value:.0%}" for score in others))
    OUT.print()
    OUT.print(table)
    counts = sorted({each.changed.num_images for each in stressed})
    several = f"{counts[0]} to {counts[-1]} images" if len(counts) > 1 else counted(counts[0], "image")
    show_prose(
        f"Each change was tried on {several} that it had not seen, not always the same ones. It should not "
        "matter; what may matter in yours, say with --may-matter."
    )
    if num_before:
        show_prose("Without such: if it did not learn from changed copies of other images.")


def show_mistakes(evaluation: Evaluation, dataset: Dataset, predictions: Predictions) -> None:
    """Print which class was taken for which, and the mistakes of which the classifier was surest."""
    names = [printable(name) for name in evaluation.class_names]
    rows = predictions.mistakes()
    if not len(rows):
        return
    OUT.print()
    if len(names) <= _MAX_COLUMNS:
        table = new_table("true class", *(f"called {name}" for name in names))
        for name, counts in zip(names, evaluation.confusion, strict=True):
            table.add_row(name, *map(str, counts))
        OUT.print(table)
    show_prose(f"Mistakes, those first of which it was surest ({len(rows)} of {len(predictions.labels)}):")
    for row in rows[:_MAX_MISTAKES]:
        record, place = dataset.records[predictions.indexes[row]], predictions.probs[row].argmax()
        told = f"{printable(record.label)}, called {names[place]} with {predictions.probs[row, place]:.0%}"
        OUT.print(f"  {printable(record.path)}: {told}")
    if len(rows) > _MAX_MISTAKES:
        OUT.print(f"  and {len(rows) - _MAX_MISTAKES} more (--csv writes all)")


def show_comparison(comparison: "Comparison") -> None:
    """Print two runs side by side: accuracies, where they differ, what the test says, and settings that differ."""
    first, second = map(printable, comparison.names)
    width = max(len(first), len(second), len("difference"))
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
    show_prose(printable(comparison.sentence))
    OUT.print("\nThe images, by where the answers come from:")
    for source, count in comparison.sources.items():
        OUT.print(f"  {count} by the {printable(source)}")
    for note in comparison.notes:
        show_prose(printable(note), head="  ")
    OUT.print("\nDifferent settings:" if comparison.settings else "\nAll settings are the same.")
    for setting, (one, other) in comparison.settings.items():
        OUT.print(f"  {printable(f'{setting}: {one} / {other}')}")


def show_run(run: "Run") -> None:
    """Print the scores of a run, and what lies in its folder."""
    show_scores(run.scores, run.findings)
    if run.label_issues:
        from mien.runs.saving import describe_label_issues

        show_prose(f"\n{printable(describe_label_issues(run.label_issues, run.path))}")
    _show_files(run.path, RUN_FILES)
    path = printable(str(run.path))
    OUT.print(f"\nUse it: mien predict {path} photo.jpg\nLet others use it: mien serve {path}")


def show_about(facts: "ModelFacts") -> None:
    """Print what a classifier's file says about it."""
    from mien.scoring.model_card import scores_of

    OUT.print(f"classes      {printable(', '.join(first_few(facts.class_names, MANY_CLASSES)))}")
    scores = scores_of(facts)
    for source, evaluation in scores.by_source.items() if scores else ():
        how = "cross-validation" if source == "out_of_fold" else "test"
        OUT.print(f"accuracy     {evaluation.accuracy}: {how}")
        OUT.print(f"baseline     {evaluation.baseline}: always saying {printable(evaluation.baseline_label)}")
        OUT.print(f"calibration  error {evaluation.calibration.error}: {how}")
    if weakness := weakness_of(scores.stressed if scores else ()):
        show_prose(weakness, head="weak         ")
    if facts.threshold:
        OUT.print(f"unsure       where no class has a probability of {facts.threshold:g}")
    height, width = facts.image_size
    OUT.print(f"takes        images of {width} x {height} pixels, resize mode {facts.resize_mode}")
    for rule in facts.rules:
        OUT.print(f"             {rule}")
    if facts.faces == "on":
        OUT.print("faces        looks at them, beside the whole image")
    OUT.print(f"images       fingerprint {printable(facts.data_fingerprint)}")
    if facts.provenance is None:
        OUT.print(f"made         by mien {printable(facts.mien_version)}; the file says no more of it")
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
        ("left out", left_out or "nothing"),
        ("split", f"seed {provenance.seed}, fingerprint {provenance.split_fingerprint}"),
        ("made", f"on {provenance.made_on}, preset {provenance.preset}, method {provenance.method}"),
        ("settings", settings or "the preset's"),
        ("versions", versions),
    ):
        show_prose(printable(text), head=f"{name:<12} ")
    OUT.print("\nIt is not for:")
    for limit in provenance.limits:
        show_prose(printable(limit), head="  ")


def show_predictions(
    predictions: Iterable[Prediction], class_names: Sequence[str], *, json: bool, csv_path: Path | None, top: int = 1
) -> int:
    """Print answers as they come, as a table or as JSON lines, or write them to a CSV file.

    Args:
        predictions: The answers.
        class_names: Those of the classifier, in their order.
        json: As JSON lines, with all that there is.
        csv_path: Where to write them, with all that there is.
        top: How many classes to name for each image, the likeliest first.

    Returns:
        How many images could not be read; 1 where there was none.

    Raises:
        OutputError: The CSV file cannot be written.
    """
    width = max(map(len, map(printable, (*class_names, "error", UNSURE))))
    rows, num_predictions, num_errors = [], 0, 0
    for prediction in predictions:
        num_predictions += 1
        num_errors += prediction.error is not None
        if csv_path:
            rows.append(prediction)
        if json:
            show_json(prediction.to_dict())
        elif not csv_path:
            show_prediction(prediction, width, top=top)
    if csv_path:
        write_text(csv_path, table_text(prediction_rows(rows, class_names)))
        ERR.print(f"{printable(str(csv_path))}: {counted(num_predictions, 'image')}")
    return failures_of(num_errors, num_predictions)


def show_explanations(explained: "Iterable[Explained]", class_names: Sequence[str], *, json: bool) -> int:
    """Print for each image the answer, and below it where the PNG file with the map is, or all as JSON lines.

    Returns:
        How many images could not be read; 1 where there was none.
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
    """Say how many images could not be read, and return it; 1 where there was none."""
    if num_errors:
        ERR.print(f"{num_errors} of {counted(num_images, 'image')} could not be read")
    if not num_images:
        ERR.print("no images found")
    return num_errors or int(num_images == 0)


def show_prediction(prediction: Prediction, width: int, *, mark: str = "", top: int = 1) -> None:
    """Print one line: the answer, its probability, the source, and remarks, such as the next classes of the `top`."""
    source = f"{mark}  {printable(prediction.source)}".lstrip()
    if prediction.label is None:
        OUT.print(f"{'error':<{width}}        {source}: {printable(str(prediction.error))}")
        return
    likeliest, *others = sorted(prediction.probs, key=prediction.probs.__getitem__, reverse=True)[:top]
    remarks = [f"perhaps {printable(likeliest)}"] if prediction.label == UNSURE else []
    next_ones = ", ".join(f"{printable(name)} {percent(prediction.probs[name])}" for name in others)
    remarks += [f"then {next_ones}"] if next_ones else []
    remarks += [f"unlike the training images: {prediction.unlike}"] if prediction.unlike else []
    remark = f"  ({'; '.join(remarks)})" if remarks else ""
    OUT.print(f"{printable(prediction.label):<{width}}  {percent(prediction.probs[likeliest]):>4}  {source}{remark}")


def percent(probability: float) -> str:
    """Return a probability rounded down: what is below a threshold must not read as if it were not."""
    percent = math.floor(100 * probability + 1e-9)
    return f"{percent}%" if percent or not probability else "<1%"


def _show_files(folder: Path, meanings: dict[str, str]) -> None:
    OUT.print(f"\nIn {printable(str(folder))}:")
    for name, meaning in meanings.items():
        if (folder / name).exists():
            show_prose(meaning, head=f"  {name:<17} ")


def show_demo(demo: "Demo") -> None:
    """Print three lines on what happened and one on what to look at next, and open the report if there is a screen."""
    fast, several = demo.trials["fast"], len(demo.trials) > 1

    def of_each(told: Callable[["Trial"], str]) -> str:
        return "; ".join(f"{name} {told(trial)}" if several else told(trial) for name, trial in demo.trials.items())

    def judged(trial: "Trial") -> Evaluation:
        # Only the test images are the same for both presets.
        return trial.evaluated.scores.test if several else trial.evaluated.scores.judged

    dataset, baseline = fast.evaluated.dataset, judged(fast).baseline
    num_used = len(dataset.indexes())
    skipped = counted(len(dataset.records) - num_used, "bad or duplicate file")
    show_prose(f"\nTrained and tested on {num_used} drawings of happy and sad people; skipped {skipped}.")
    accuracies = of_each(lambda trial: str(judged(trial).accuracy))
    guessing = f"always guessing '{printable(judged(fast).baseline_label)}' gets {baseline.value:.0%}"
    show_prose(f"Accuracy on unseen images: {accuracies}; {guessing}.")
    drawings = of_each(
        lambda trial: f"{_right_of(trial.known_styles)} in known styles and {_right_of(trial.new_style)} in a new style"
    )
    show_prose(f"Right on {len(fast.predictions)} new drawings: {drawings}.")
    report = fast.evaluated.path / "report.html"
    path = printable(str(report))
    look = f"read the report in your browser ({path})" if _opened_in_browser(report) else f"open {path} in a browser"
    show_prose(f"Next: {look}, then train on your own photos: mien train DATA")


def _right_of(score: Score) -> str:
    return f"{round((score.value or 0.0) * score.num_images)} of {score.num_images}"


def _opened_in_browser(path: Path) -> bool:
    """Open a file in the browser if somebody is at a screen, and return whether that worked."""
    has_screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not has_screen or os.environ.get("CI") or not sys.stdout.isatty():
        return False
    import webbrowser

    with suppress(webbrowser.Error, OSError):
        return webbrowser.open(path.resolve().as_uri())
    return False


def _cell(score: Score, if_none: str = "none called so") -> str:
    if score.value is None:
        return if_none
    basis = score.basis.replace(" images", "").replace(" image", "")
    return f"{score.value:.0%}, {basis}\n{score.low:.0%} to {score.high:.0%}"
