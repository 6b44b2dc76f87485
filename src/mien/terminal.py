"""The terminal: what a command prints. Results go to stdout; progress and errors to stderr."""

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from mien.dataset import PROBLEMS, Dataset
from mien.files import write_text
from mien.results import Evaluation, Finding, Prediction, Score

if TYPE_CHECKING:
    from mien.demo import Demo
    from mien.pipeline import Run
    from mien.quarantine import Move

RUN_FILES = {
    "model.onnx": "the classifier: one file with everything in it",
    "model.keras": "the same, for Keras",
    "metrics.json": "every score",
    "predictions.csv": "the test pictures, one by one",
    "out_of_fold.csv": "all others, each answered by a classifier that had not seen it",
    "manifest.csv": "every file, what is wrong with it, and its split",
    "config.json": "every setting, and the versions",
    "history.csv": "loss and accuracy by epoch",
    "samples.png": "pictures with their labels",
    "curves.png": "loss and accuracy, drawn",
    "confusion.png": "which class was taken for which",
    "logs/": "for TensorBoard",
}
DEMO_FILES = {
    "data/": "the drawn people, with a dozen bad files among them: mien check shows them",
    "unseen/": "people drawn apart, some in a style that was not trained on",
    "fast/": "the run of the preset fast: fast/samples.png and fast/confusion.png are worth a look",
    "classic/": "that of the tutorial's network: classic/curves.png too",
}
_LINE_EVERY_S = 10.0
# Names of files and classes are printed as they are: "[red]" in one of them is no markup.
OUT = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
ERR = Console(markup=False, highlight=False, emoji=False, soft_wrap=True, stderr=True)


class TerminalProgress:
    """Shows progress on stderr: a bar where that is a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, TextColumn("{task.fields[note]}"), console=ERR, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._last_line_s = time.monotonic()

    def __enter__(self) -> "TerminalProgress":
        if ERR.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if ERR.is_terminal:
            self._bars.stop()

    def say(self, text: str) -> None:
        """Print one line."""
        self._last_line_s = time.monotonic()
        ERR.print(printable(text, keep_lines=True))

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of a stage; a stage that is done leaves the screen."""
        if not ERR.is_terminal:
            self._step_in_lines(f"{stage} {done}/{total}  {note}".rstrip())
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note=note)
        self._bars.update(self._tasks[stage], completed=done, total=total, note=note, visible=done < total)

    def _step_in_lines(self, line: str) -> None:
        """Print a line now and then, for logs."""
        if time.monotonic() - self._last_line_s > _LINE_EVERY_S:
            self.say(line)


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Return text with everything that could move a terminal's cursor, or cannot be printed, written as an escape."""
    kept = "\n" if keep_lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def show_check(dataset: Dataset) -> None:
    """Print what a folder holds, and what is wrong with it."""
    table = _table("no.", "class", "files", "used")
    before, after = dataset.counts(), dataset.counts(used_only=True)
    for number, name in enumerate(dataset.class_names):
        table.add_row(str(number), printable(name), str(before[name]), str(after[name]))
    OUT.print(table)
    _show_problems(dataset)
    groups = dataset.groups()
    if groups:
        num_copies = sum(map(len, groups))
        OUT.print(f"\n{num_copies} pictures are near copies of one another, in {len(groups)} groups.")


def _show_problems(dataset: Dataset) -> None:
    found = [(problem, record) for record in dataset.records for problem in record.problems]
    counts = Counter(problem.code for problem, _ in found)
    for code in (code for code in PROBLEMS if counts[code]):
        OUT.print(f"\n{code}: {PROBLEMS[code]} ({counts[code]})")
        rows = [(problem, record) for problem, record in found if problem.code == code]
        for problem, record in rows[:10]:
            use = "still used" if record.used else "left out"
            OUT.print(f"  {printable(record.path)}: {printable(problem.detail)}; {use}")
        if len(rows) > 10:
            OUT.print(f"  and {len(rows) - 10} more (--json lists all)")


def show_evaluation(
    evaluation: Evaluation, findings: Iterable[Finding], *, out_of_fold: Evaluation | None = None
) -> None:
    """Print the scores, each with its interval and the baseline, and the verdict; those with most pictures first."""
    headline = out_of_fold or evaluation
    OUT.print(f"\naccuracy  {headline.accuracy}")
    OUT.print(f"baseline  {headline.baseline}: always saying {printable(headline.baseline_label)}")
    if out_of_fold:
        OUT.print(f"test      {evaluation.accuracy}")
    OUT.print()
    table = _table("class", "precision", "recall", "F1", "pictures")
    for scores in headline.classes:
        cells = (_cell(scores.precision), _cell(scores.recall), _cell(scores.f1), str(scores.recall.num_images))
        table.add_row(printable(scores.label), *cells)
    OUT.print(table)
    OUT.print("Below each score, its 95% interval.")
    if out_of_fold:
        OUT.print(
            "Accuracy and table are by cross-validation: each picture judged by a classifier that had not seen it."
        )
        OUT.print("The test is of the saved classifier, on pictures that nothing was chosen by.")
    OUT.print()
    for finding in findings:
        OUT.print(printable(finding.text))
        OUT.print(f"  What to do: {printable(finding.advice)}")


def show_run(run: "Run") -> None:
    """Print the scores of a run, and what lies in its folder."""
    show_evaluation(run.evaluation, run.findings, out_of_fold=run.out_of_fold)
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
    width = max(map(len, map(printable, (*class_names, "error"))))
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
    else:
        prob = prediction.probs[prediction.label]
        OUT.print(f"{printable(prediction.label):<{width}}  {prob:>4.0%}  {source}")


def _predictions_csv(predictions: Iterable[Prediction], class_names: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["source", "label", *(f"prob_{name}" for name in class_names), "error"])
    for prediction in predictions:
        probs = [f"{prediction.probs[name]:.6f}" if prediction.probs else "" for name in class_names]
        writer.writerow([prediction.source, prediction.label or "", *probs, prediction.error or ""])
    return text.getvalue()


def _show_files(folder: Path, meanings: dict[str, str]) -> None:
    OUT.print(f"\nIn {printable(str(folder))}:")
    for name, meaning in meanings.items():
        if (folder / name).exists():
            OUT.print(f"  {name:<16} {meaning}")


def show_moves(moves: Sequence["Move"], what: str) -> None:
    """Print which files were moved, or would be, and why."""
    for move in moves:
        OUT.print(f"{printable(str(move.source))}: {move.reason}")
    OUT.print(f"{what}: {len(moves)} files")


def show_json(document: Any) -> None:
    """Print one JSON document on one line; what is not ASCII is escaped, so that any terminal can take it."""
    OUT.print(json.dumps(document))


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
    table = _table("answered right", *demo.trials)
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


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in ("class", "answered right") else "right")
    return table
