"""Reporting: a finished run -> report.html, one self-contained page without scripts."""

import base64
import hashlib
import html
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core import files
from mien.core.progress import SILENCE, Progress, best_epoch
from mien.core.scores import Score
from mien.core.text import MANY_CLASSES, as_percent, as_typed, counted, shorten, visible
from mien.data.dataset import PROBLEMS, SPLITS, ImageRecord
from mien.errors import SourceNotFoundError
from mien.fetching.stored_folders import how_to_have_again
from mien.model.prediction import UNSURE
from mien.runs import charts
from mien.runs.folder import RunFolder
from mien.runs.highlights import Highlights, find_highlights, find_looks
from mien.runs.run import Run, load_run
from mien.runs.thumbnails import load_thumbnails
from mien.scoring.candidates import WORDS
from mien.scoring.model_card import limits
from mien.scoring.results import Evaluation, percent
from mien.scoring.stress import WORDS as CHANGE_WORDS
from mien.scoring.verdict import headline
from mien.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT_NAME = "report.html"
_DRAWN: tuple[Callable[..., charts.Chart | charts.Svg], ...] = (
    charts.plot_accuracy,
    charts.plot_epochs,
    charts.plot_sureness,
    charts.plot_coverage,
    charts.plot_learning_curve,
    charts.interval_bar,
)
_FACTS = {
    "backbone": "Pretrained network",
    "strength": "Regularisation strength C, chosen by cross-validation",
    "temperature": "Calibration temperature (divides the logits)",
    "precision": "Numeric precision of the training",
    "flip": "Averages the image and its mirror image",
    "onnx_max_difference": "Largest difference between model.onnx and the trained model",
}
_MAX_PAIRS, _MAX_EPOCHS = 20, 200
_LONG_NAME = 80
# What could be better, and good news: below what is wrong with the classifier or the data.
_LATER = {"more_images", "enough_images", "short_curve", "mended", "threshold", "threshold_tried", "stopped_in_time"}
_COMMAND = re.compile(r"\bmien [a-z]+\b|(?<!\S)--[a-z-]+[a-z]")
# Invisible characters that join letters and emoji.
_JOINERS = "\u200c\u200d"
_TITLES = {
    "subjects": "It may have learnt the subjects",
    "weak": "Better than guessing, but often wrong",
    "fine": "Clearly better than guessing",
    "one_class": "Images of a single class",
    "no_better": "No better than guessing",
    "too_little_data": "Too few images to tell how good it is",
    "underfitting": "Underfitting",
    "overfitting": "Overfitting",
    "stopped_in_time": "Stopped before it overfitted",
    "missed_class": "A class is mostly missed",
    "miscalibrated": "Its probabilities are off",
    "out_of_distribution": "Some images are unlike the training images",
    "mended": "It also learnt from changed images",
    "changed": "Accuracy drops on changed images",
    "more_images": "More images would probably help",
    "enough_images": "More of the same will hardly help",
    "short_curve": "Would more images help?",
    "threshold": "When it answers “unsure”",
    "threshold_tried": "The threshold on other images",
    "out_of_reach": "The target precision is out of reach",
}


@dataclass(frozen=True)
class ClassCounts:
    """The files of one class: how many there are, how many are used, and how many are in each split."""

    label: str
    num_files: int
    num_used: int
    splits: dict[str, int]


def report(run: str | Path, *, progress: Progress = SILENCE) -> Path:
    """Write report.html of a finished run again: how good the classifier is, and how we know.

    The page is one self-contained file, with thumbnails. It is made from the run folder and the photos. A photo that is
    missing or has changed is marked as such.

    Args:
        run: The run folder.
        progress: Told how many photos are missing.

    Returns:
        The path of the page.

    Raises:
        SourceNotFoundError: The run is not finished, or one of its files is missing or damaged; or all photos are
            missing, and a page that shows them would be overwritten.
        OutputError: The page cannot be written.

    Example:
        >>> import mien
        >>> mien.report("runs/train").name
        'report.html'
    """
    found = load_run(run)
    used = [record for record in found.dataset.records if record.used]
    page, data_dir = found.path / REPORT_NAME, str(found.dataset.root)
    num_gone = sum(not os.path.exists(os.path.join(data_dir, record.path)) for record in used)
    if num_gone == len(used) and page.exists():
        raise SourceNotFoundError(
            f"the photos are no longer in {data_dir!r}, and {str(page)!r} may show them: "
            f"{how_to_have_again(found.dataset.root)}, or delete that page to get one without photos"
        )
    if num_gone:
        progress.say(f"{num_gone} of {counted(len(used), 'photo')} missing from {data_dir!r}; the page shows which")
    return write_report(found)


def write_report(run: Run) -> Path:
    """Write report.html of a run into its folder.

    Raises:
        OutputError: The page cannot be written.
    """
    path = run.path / REPORT_NAME
    files.write_text(path, render(run))
    return path


def render(run: Run, *, elsewhere: str = "") -> str:
    """Return the report of a run, with the images its Dataset keeps in memory, or those still on disk.

    Args:
        run: The run.
        elsewhere: The folder that it was evaluated on, if its Dataset and scores are not those of its training.
    """
    highlights, facts = find_highlights(run), run.classifier.facts
    by_path = {record.path: record for record in run.dataset.records}
    thumbnails = load_thumbnails(run.dataset, _shown(run, highlights, by_path))
    base, own = package_files("mien.core") / "base.css", package_files("mien.runs") / "page"
    css = "".join(part.read_text("utf-8") for part in (base, own / "report.css", own / "charts.css"))
    page = _environment().get_template("report.html.jinja")
    return page.render(
        run=run,
        elsewhere=elsewhere,
        judged=run.scores.judged,
        num_right=run.scores.judged.num_right,
        headline=headline(run.scores.judged),
        later=_LATER,
        facts=facts,
        highlights=highlights,
        thumbnails=thumbnails,
        records=by_path,
        classes=_class_counts(run),
        left_out=_left_out(run.dataset.records),
        many=len(run.classifier.class_names) > MANY_CLASSES,
        pairs=run.scores.judged.most_confused(_MAX_PAIRS),
        sure_row=_telling_row(run.scores.judged),
        looks=find_looks(run),
        settings=_settings(run),
        training=_training(run.training.to_dict()),
        limits=limits(run.classifier.facts),
        css=css,
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        titles=_TITLES,
        candidate_words=WORDS,
        change_words=CHANGE_WORDS,
        best=best_epoch(run.history) if run.history else None,
        epochs=run.history[:: -(-len(run.history) // _MAX_EPOCHS) or 1],
        versions=facts.provenance.versions if facts.provenance else run.versions,
        version=__version__,
    )


def shown(value: Any) -> Any:
    """Return text with invisible and direction-changing characters escaped. The template escapes markup itself."""
    # Markup made here stays as it is. The images are long, printable texts.
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return visible(value, kept=f"\n{_JOINERS}")


def short(name: str) -> str:
    """Return a name to show below an image, shortened in the middle if it is long."""
    return shorten(name, _LONG_NAME, end=18)


def interval(score: Score) -> str:
    """Return the 95% interval of a score as text."""
    return f"{score.low:.0%} to {score.high:.0%}"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mien.runs", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "short": short,
        "percent": percent,
        "probability": as_percent,
        "interval": interval,
        "count": "{:,}".format,
        "commands": _with_commands,
        "typed": as_typed,
        "counted": counted,
        "basis": _basis,
        "exact": lambda share: f"{100 * share:g}%",
    }
    environment.globals |= {draw.__name__: draw for draw in _DRAWN}
    environment.globals |= {"SPLITS": SPLITS, "PROBLEMS": PROBLEMS, "UNSURE": UNSURE, "shade": charts.shade}
    return environment


def _with_commands(text: str) -> str:
    """Return text as HTML, with commands and flags set as code."""
    return _COMMAND.sub(r"<code>\g<0></code>", html.escape(shown(text)))


def _basis(score: Score) -> str:
    return f"n = {score.num_images:,}" if score.num_groups is None else score.basis


def _shown(run: Run, highlights: Highlights, by_path: dict[str, ImageRecord]) -> list[ImageRecord]:
    """Return all images that the page shows."""
    samples = [record for some in highlights.samples.values() for record in some]
    copies = [record for group in highlights.groups for record in group.records]
    label_issues = [run.dataset.records[issue.index] for issue in highlights.label_issues]
    answered = [by_path[found.path] for found in (*highlights.mistakes, *highlights.hits)]
    return [*samples, *copies, *label_issues, *answered]


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings of a run by name; label decisions are named as in its folder."""
    settings = run.config.flat()
    return settings | {"relabel": Path(settings["relabel"] and RunFolder(run.path).decisions_path).name}


def _class_counts(run: Run) -> list[ClassCounts]:
    num_files = Counter(record.label for record in run.dataset.records)
    splits = Counter((record.label, record.split) for record in run.dataset.records if record.used)
    found = []
    for name in run.classifier.class_names:
        of_class = {split: splits[name, split] for split in SPLITS}
        found.append(ClassCounts(name, num_files[name], sum(of_class.values()), of_class))
    return found


def _left_out(records: tuple[ImageRecord, ...]) -> list[tuple[str, int, list[str]]]:
    """Return why files were skipped: the reason, the number of files, and examples; the most frequent first."""
    paths: dict[str, list[str]] = {}
    for record in records:
        if not record.used:
            paths.setdefault(record.problems[-1].code if record.problems else "", []).append(record.path)
    ranked = sorted(paths.items(), key=lambda item: -len(item[1]))
    return [(PROBLEMS.get(code, code or "unknown"), len(found), found[:5]) for code, found in ranked]


def _training(details: dict[str, Any]) -> dict[str, Any]:
    """Return details of the training by readable names, without those that the page gives in sentences."""
    return {name: _worded(details[key]) for key, name in _FACTS.items() if key in details}


def _worded(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else value


def _telling_row(evaluation: Evaluation) -> Any:
    """Return the threshold to suggest: the most accurate one that still answers at least half of the images."""
    rows = [row for row in evaluation.coverage if row.threshold and 0.5 <= (row.answered.value or 0) < 1]
    return max(rows, key=lambda row: row.accuracy.value or 0.0, default=None)
