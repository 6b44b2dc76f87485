"""Reporting: a finished run -> report.html, one page that needs no network, no script and no other file."""

import base64
import hashlib
import math
import os
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
from mien.core.text import MANY_CLASSES, shorten, visible
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
from mien.scoring.results import Evaluation
from mien.scoring.stress import WORDS as CHANGE_WORDS
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
    "strength": "Strength of the regularisation, chosen by cross-validation",
    "temperature": "Temperature: what the logits are divided by, so that it is as sure as it is right",
    "precision": "Numbers that the network was trained in",
    "flip": "Asks about the mirrored image too",
    "onnx_max_difference": "Most that a probability of model.onnx differs from what was trained",
}
_MAX_PAIRS, _MAX_EPOCHS = 20, 200
_LONG_NAME = 56
# What joins letters and emoji into one, and is no letter itself.
_JOINERS = "\u200c\u200d"
_TITLES = {
    "subjects": "It may have learnt the subjects",
    "weak": "Better than guessing",
    "fine": "Clearly better than guessing",
    "one_class": "Images of one class alone",
    "too_little_data": "Too little data to tell",
    "underfitting": "Underfitting: it has not learnt enough",
    "overfitting": "Overfitting: it learnt its images by heart",
    "stopped_in_time": "Kept in time, before it learnt its images by heart",
    "miscalibrated": "Its probabilities are off",
    "out_of_distribution": "Some images are unlike those of the training",
    "mended": "It learnt from changed images",
    "changed": "It does worse on changed images",
    "more_images": "More images would probably help",
    "enough_images": "More of the same will hardly help",
    "short_curve": "Whether more images would help",
    "threshold": "When it says that it is not sure",
    "threshold_tried": "What that comes to on other images",
    "out_of_reach": "The target is out of reach",
}


@dataclass(frozen=True)
class ClassCounts:
    """The files of one class: how many there are, are used, and stand in each split."""

    label: str
    num_files: int
    num_used: int
    splits: dict[str, int]


def report(run: str | Path, *, progress: Progress = SILENCE) -> Path:
    """Write the report.html of a finished run anew: what it can do, and how that is known, on one page.

    The page is one file with everything in it, small images too. It is made from the folder of the run, and from the
    photos, if these are still where they were; the place of one that has gone or changed says so.

    Args:
        run: The folder of the run.
        progress: Told how many photos have gone.

    Returns:
        The page.

    Raises:
        SourceNotFoundError: The run is not finished, or a file of it is missing or damaged; or every photo has gone,
            and a page that shows them would be written over.
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
            f"no photo is in {data_dir!r} any longer, and {str(page)!r} may show them: "
            f"{how_to_have_again(found.dataset.root)}, or remove that page to have one without them"
        )
    if num_gone:
        progress.say(f"{num_gone} of {len(used)} photos are no longer in {data_dir!r}: the page says where")
    return write_report(found)


def write_report(run: Run) -> Path:
    """Write the report.html of a run into its folder.

    Raises:
        OutputError: The page cannot be written.
    """
    path = run.path / REPORT_NAME
    files.write_text(path, render(run))
    return path


def render(run: Run, *, elsewhere: str = "") -> str:
    """Return the page of a run, with the images that its Dataset keeps, or those that lie where they lay.

    Args:
        run: The run.
        elsewhere: The folder that it was judged by, where its Dataset and its scores are of other images than its own.
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
    """Return text that cannot harm a page: what has no form of its own, such as half a letter, is written as an escape.

    Signs that turn the direction of writing around are among that. Markup is left to the template, which escapes it.
    """
    # Markup is text too; it was made here. And the images are long texts, all of it printable.
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return visible(value, kept=f"\n{_JOINERS}")


def short(name: str) -> str:
    """Return a name for beneath an image: of a long one the start and the end."""
    return shorten(name, _LONG_NAME, end=18)


def percent(share: float | None) -> str:
    """Return a share as a percentage; 100% and 0% stand for themselves alone.

    Example:
        >>> percent(0.84), percent(0.9997), percent(1.0), percent(0.001)
        ('84%', '99.9%', '100%', '0.1%')
    """
    if share is None:
        return "–"
    if 0.995 <= share < 1:
        return f"{math.floor(1000 * share) / 10:.1f}%"
    return f"{math.ceil(1000 * share) / 10:.1f}%" if 0 < share < 0.005 else f"{share:.0%}"


def interval(score: Score) -> str:
    """Return the interval of a score in words."""
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
        "interval": interval,
        "count": "{:,}".format,
        "basis": _basis,
        "exact": lambda share: f"{100 * share:g}%",
    }
    environment.globals |= {draw.__name__: draw for draw in _DRAWN}
    environment.globals |= {"SPLITS": SPLITS, "PROBLEMS": PROBLEMS, "UNSURE": UNSURE}
    return environment


def _basis(score: Score) -> str:
    return f"n = {score.num_images:,}" if score.num_groups is None else score.basis


def _shown(run: Run, highlights: Highlights, by_path: dict[str, ImageRecord]) -> list[ImageRecord]:
    """Return every image that the page shows."""
    samples = [record for some in highlights.samples.values() for record in some]
    copies = [record for group in highlights.groups for record in group.records]
    label_issues = [run.dataset.records[issue.index] for issue in highlights.label_issues]
    answered = [by_path[found.path] for found in (*highlights.mistakes, *highlights.hits)]
    return [*samples, *copies, *label_issues, *answered]


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings of a run by name; decisions on labels are named as in its folder, wherever that lies."""
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
    """Return why files were left out: the reason in words, how many, and some of them; the most frequent first."""
    paths: dict[str, list[str]] = {}
    for record in records:
        if not record.used:
            paths.setdefault(record.problems[-1].code if record.problems else "", []).append(record.path)
    ranked = sorted(paths.items(), key=lambda item: -len(item[1]))
    return [(PROBLEMS.get(code, code or "not said"), len(found), found[:5]) for code, found in ranked]


def _training(details: dict[str, Any]) -> dict[str, Any]:
    """Return how the training went, by names that say what they are; what the page says in sentences is left out."""
    return {name: _worded(details[key]) for key, name in _FACTS.items() if key in details}


def _worded(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else value


def _telling_row(evaluation: Evaluation) -> Any:
    """Return the threshold to speak of: that which leaves the most accurate half or more of the images."""
    rows = [row for row in evaluation.coverage if row.threshold and (row.answered.value or 0) >= 0.5]
    return max(rows, key=lambda row: row.accuracy.value or 0.0, default=None)
