"""What is printed of a run: its scores, its verdict, its answers, and what lies in its folder."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.files import write_text
from mien.results import UNSURE, Evaluation, Finding, Prediction
from mien.scores import Score
from mien.terminal import ERR, OUT, new_table, printable, show_json

if TYPE_CHECKING:
    from mien.demo import Demo
    from mien.pipeline import Run

RUN_FILES = {
    "model.onnx": "the classifier: one file with everything in it",
    "model.keras": "the same, for Keras",
    "metrics.json": "every score",
    "predictions.csv": "the test pictures, one by one",
    "out_of_fold.csv": "all others, each answered by a classifier that had not seen it",
    "manifest.csv": "every file, what is wrong with it, and its split",
    "config.json": "every setting, and the versions",
    "suspects.csv": "pictures whose label may be wrong, with room for your decisions",
    "suspects.png": "those pictures",
    "history.csv": "loss and accuracy by epoch",
    "samples.png": "pictures with their labels",
    "curves.png": "loss and accuracy, drawn",
    "confusion.png": "which class was taken for which",
    "reliability.png": "whether its probabilities mean what they say, and what a threshold leaves",
    "logs/": "for TensorBoard",
}
DEMO_FILES = {
    "data/": "the drawn people, with a dozen bad files among them: mien check shows them",
    "unseen/": "people drawn apart, some in a style that was not trained on",
    "fast/": "the run of the preset fast: fast/samples.png and fast/confusion.png are worth a look",
    "classic/": "that of the tutorial's network: classic/curves.png too",
}


def show_evaluation(
    evaluation: Evaluation, findings: Iterable[Finding], *, out_of_fold: Evaluation | None = None
) -> None:
    """Print the scores, each with its interval and the baseline, and the verdict; those with most pictures first."""
    headline = out_of_fold or evaluation
    OUT.print(f"\naccuracy  {headline.accuracy}")
    OUT.print(f"baseline  {headline.baseline}: always saying {printable(headline.baseline_label)}")
    if out_of_fold:
        OUT.print(f"test      {evaluation.accuracy}")
    calibration = headline.calibration
    OUT.print(f"sure      {calibration.confidence:.0%} on average; calibration error {calibration.error}")
    if evaluation.unfamiliar is not None:
        OUT.print(f"unlike    {evaluation.unfamiliar} of the {_judged(out_of_fold)} are unlike those of the training")
    OUT.print()
    table = new_table("class", "precision", "recall", "F1", "pictures")
    for scores in headline.classes:
        cells = (_cell(scores.precision), _cell(scores.recall), _cell(scores.f1), str(scores.recall.num_images))
        table.add_row(printable(scores.label), *cells)
    OUT.print(table)
    OUT.print(
        f"Below each score, its 95% interval: {headline.accuracy.method}; calibration: {calibration.error.method}."
    )
    if out_of_fold:
        OUT.print(
            "Accuracy and table are by cross-validation: each picture judged by a classifier that had not seen it."
        )
        OUT.print("The test is of the saved classifier, on pictures that nothing was chosen by.")
    OUT.print()
    for finding in findings:
        OUT.print(printable(finding.text))
        OUT.print(f"  What to do: {printable(finding.advice)}")


def _judged(out_of_fold: Evaluation | None) -> str:
    return "test pictures" if out_of_fold else "pictures"


def show_run(run: "Run") -> None:
    """Print the scores of a run, and what lies in its folder."""
    show_evaluation(run.evaluation, run.findings, out_of_fold=run.out_of_fold)
    if run.suspects:
        from mien.suspects import describe_suspects

        OUT.print(f"\n{printable(describe_suspects(run.suspects, run.path))}")
    _show_files(run.path, RUN_FILES)
    OUT.print(f"\nUse it: mien predict {printable(str(run.path))} photo.jpg")


def show_predictions(
    predictions: Iterable[Prediction], class_names: Sequence[str], *, json: bool, csv_path: Path | None
) -> int:
    """Print answers as they come, as a table or as JSON lines, or write them to a CSV file.

    Returns:
        How many pictures could not be read; 1 where there was none.

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
            show_prediction(prediction, width)
    if csv_path:
        write_text(csv_path, _predictions_csv(rows, class_names))
    if num_errors:
        ERR.print(f"{num_errors} of {num_predictions} pictures could not be read")
    if not num_predictions:
        ERR.print("no pictures found")
    return num_errors or int(num_predictions == 0)


def show_prediction(prediction: Prediction, width: int, *, mark: str = "") -> None:
    """Print one line: the answer, its probability, a remark, and the source."""
    source = f"{mark}  {printable(prediction.source)}".lstrip()
    if prediction.label is None:
        OUT.print(f"{'error':<{width}}        {source}: {printable(str(prediction.error))}")
        return
    likeliest = max(prediction.probs, key=prediction.probs.__getitem__)
    remarks = [f"perhaps {printable(likeliest)}"] if prediction.label == UNSURE else []
    remarks += ["unlike the training pictures"] if prediction.unfamiliar else []
    remark = f"  ({'; '.join(remarks)})" if remarks else ""
    OUT.print(f"{printable(prediction.label):<{width}}  {prediction.probs[likeliest]:>4.0%}  {source}{remark}")


def _predictions_csv(predictions: Iterable[Prediction], class_names: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["source", "label", *(f"prob_{name}" for name in class_names), "unfamiliar", "error"])
    for prediction in predictions:
        probs = [f"{prediction.probs[name]:.6f}" if prediction.probs else "" for name in class_names]
        unfamiliar = "yes" if prediction.unfamiliar else ""
        writer.writerow([prediction.source, prediction.label or "", *probs, unfamiliar, prediction.error or ""])
    return text.getvalue()


def _show_files(folder: Path, meanings: dict[str, str]) -> None:
    OUT.print(f"\nIn {printable(str(folder))}:")
    for name, meaning in meanings.items():
        if (folder / name).exists():
            OUT.print(f"  {name:<16} {meaning}")


def show_demo(demo: "Demo") -> None:
    """Print what the presets scored, side by side, the answers for pictures drawn apart, and where to look."""
    fast = demo.trials["fast"]
    OUT.print("\nThe preset fast:")
    show_evaluation(fast.review.evaluation, fast.review.findings, out_of_fold=fast.review.out_of_fold)
    OUT.print("\nWhat it says of pictures drawn apart, after the training:")
    for prediction in fast.predictions:
        right = Path(prediction.source).parent.name == prediction.label
        show_prediction(prediction, width=5, mark="right" if right else "wrong")
    OUT.print("\nBoth presets, each on the same pictures that it had not seen:\n")
    table = new_table("answered right", *demo.trials)
    trials = demo.trials.values()
    table.add_row("test pictures", *(_cell(trial.review.evaluation.accuracy) for trial in trials))
    table.add_row(
        f"always {fast.review.evaluation.baseline_label}", *(_cell(t.review.evaluation.baseline) for t in trials)
    )
    table.add_row("drawn apart, in the styles trained on", *(_cell(trial.known_styles) for trial in trials))
    table.add_row("drawn apart, in another style", *(_cell(trial.new_style) for trial in trials))
    OUT.print(table)
    _show_files(demo.folder, DEMO_FILES)
    OUT.print("\nNow your own photos: mien train DATA, then mien predict runs/train photo.jpg")


def _cell(score: Score) -> str:
    return "none called so" if score.value is None else f"{score.value:.0%}\n{score.low:.0%} to {score.high:.0%}"
