"""The demo: draws the sample folder, trains on it, and judges pictures that were drawn apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.pipeline import train
from mien.prediction import predict
from mien.progress import SILENCE, Progress
from mien.results import Prediction, Score, wilson_score
from mien.reviewing import Review, review
from mien.run_folder import RunFolder
from mien.sample_styles import HELD_OUT
from mien.samples import draw


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        folder: Where everything lies: data/, unseen/ and run/.
        review: Scores on the test split.
        predictions: Answers for the pictures that were drawn apart.
        known_styles: Share answered right of those in the styles that were trained on.
        new_style: Share answered right of those in a style that was not.
    """

    folder: Path
    review: Review
    predictions: tuple[Prediction, ...]
    known_styles: Score
    new_style: Score


def run_demo(folder: str | Path, *, progress: Progress = SILENCE) -> Demo:
    """Draw, train, judge; what an earlier call left there whole is used as it is.

    Args:
        folder: Where everything is put.
        progress: Told how far it is.

    Raises:
        OutputError: The folder holds something else, or cannot be written.
        MissingExtraError: A package for drawing or training is not installed.
    """
    folder = Path(folder)
    draw(folder, progress=progress)
    run = RunFolder(folder / "run")
    if run.metrics_path.exists():
        progress.say(f"using what an earlier demo left in {folder}; delete that to do it again")
    else:
        train(folder / "data", out=run.path, resume=run.config_path.exists(), progress=progress)
    reviewed = review(run.path)
    predictions = tuple(predict(reviewed.classifier, [folder / "unseen"]))
    apart = [p for p in predictions if HELD_OUT in Path(p.source).name]
    known = [p for p in predictions if p not in apart]
    return Demo(folder, reviewed, predictions, _share_right(known), _share_right(apart))


def _share_right(predictions: Sequence[Prediction]) -> Score:
    """Return the share of answers that are the name of the picture's folder."""
    num_right = sum(Path(p.source).parent.name == p.label for p in predictions)
    return wilson_score(num_right, len(predictions))
