"""The demo: draws images, trains one or two presets on them, and classifies images drawn separately."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien.config import PRESETS, CleanConfig
from mien.core.extras import require
from mien.core.progress import SILENCE, Progress
from mien.core.scores import Score, wilson_score
from mien.data.sample_styles import HELD_OUT
from mien.data.samples import draw
from mien.jobs.evaluate import Evaluated, evaluate_run
from mien.jobs.train import train
from mien.model.prediction import Prediction, predict
from mien.runs.folder import RunFolder

_KERAS_MODULES = ("keras", "tf2onnx", "cv2", "tensorboard")
# Without the tutorial's lower limit of 10 KB, so that both presets use and test on the same images.
_CONFIGS = {
    "fast": PRESETS["fast"],
    "classic": replace(PRESETS["classic"], clean=CleanConfig()),
}


@dataclass(frozen=True)
class Trial:
    """The result of one preset on the drawings.

    Attributes:
        evaluated: Scores of the run. Its `path` is the run folder.
        predictions: Predictions for the images drawn separately.
        known_styles: Accuracy on those in the styles that were trained on.
        new_style: Accuracy on those in a style that was not.
    """

    evaluated: Evaluated
    predictions: tuple[Prediction, ...]
    known_styles: Score
    new_style: Score


@dataclass(frozen=True)
class Demo:
    """The result of the demo.

    Attributes:
        folder: The folder with data/, unseen/ and the run of each preset.
        trials: Results keyed by preset, "fast" first.
    """

    folder: Path
    trials: dict[str, Trial]


def run_demo(folder: str | Path, *, with_classic: bool = False, progress: Progress = SILENCE) -> Demo:
    """Draw images, train on them, and classify other images. Finished parts of an earlier demo are reused.

    Args:
        folder: Output folder.
        with_classic: Also train the preset classic, which takes minutes and needs Keras.
        progress: Receives progress.

    Raises:
        OutputError: The folder holds something else, or cannot be written.
        MissingExtraError: `with_classic` needs Keras, which is not installed.
    """
    if with_classic:
        require("keras", *_KERAS_MODULES)
    folder = Path(folder)
    draw(folder, progress=progress)
    presets = list(_CONFIGS) if with_classic else ["fast"]
    return Demo(folder, {preset: _try(folder, preset, progress) for preset in presets})


def _try(folder: Path, preset: str, progress: Progress) -> Trial:
    run = RunFolder(folder / preset)
    if run.metrics_path.exists():
        progress.say(f"using the run of an earlier demo. To train again, delete {run.path}")
    else:
        progress.say(f"\ntraining with the preset {preset}")
        begun = run.config_path.exists()
        train(folder / "data", _CONFIGS[preset], out=run.path, resume=begun, progress=progress)
    evaluated = evaluate_run(run.path)
    predictions = tuple(predict(evaluated.classifier, [folder / "unseen"]))
    apart = [p for p in predictions if HELD_OUT in Path(p.source).name]
    known = [p for p in predictions if p not in apart]
    return Trial(evaluated, predictions, _share_right(known), _share_right(apart))


def _share_right(predictions: Sequence[Prediction]) -> Score:
    """Return the share of predictions that match the name of the image's folder."""
    num_right = sum(Path(p.source).parent.name == p.label for p in predictions)
    return wilson_score(num_right, len(predictions))
