"""What is printed of the demo, and the report that it opens."""

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.scores import Score
from mien.core.terminal import printable, show_prose
from mien.core.text import as_typed, counted
from mien.scoring.results import Evaluation

if TYPE_CHECKING:
    from mien.jobs.demo import Demo, Trial


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
        lambda trial: (
            f"{_right_of(trial.known_styles)} right in known styles, {_right_of(trial.new_style)} in a new style"
        )
    )
    show_prose(f"On {len(fast.predictions)} new drawings: {drawings}.")
    report = fast.evaluated.path / "report.html"
    path = printable(str(report))
    look = f"read the report in your browser ({path})" if _opened_in_browser(report) else f"open {path} in a browser"
    typed = "mien" if shutil.which("mien") else os.path.relpath(Path(sys.executable).with_name("mien"))
    show_prose(
        f"Next: {look}. To train on your own photos, put those of each class into a folder, e.g. data/happy and "
        f"data/sad, and type: {as_typed(typed)} train data"
    )


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
