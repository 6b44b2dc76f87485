"""The demo: draws the sample folder, trains on it in one or two ways, and judges images that were drawn apart."""

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
# The same images are used by both, so that the same are tested on: the tutorial's limit of 10 KB is left out.
_CONFIGS = {
    "fast": PRESETS["fast"],
    "classic": replace(PRESETS["classic"], clean=CleanConfig()),
}


@dataclass(frozen=True)
class Trial:
    """What one preset makes of the drawn people.

    Attributes:
        evaluated: Scores on the test split; its `path` is the run folder.
        predictions: Predictions for the images that were drawn apart.
        known_styles: Share answered right of those in the styles that were trained on.
        new_style: Share answered right of those in a style that was not.
    """

    evaluated: Evaluated
    predictions: tuple[Prediction, ...]
    known_styles: Score
    new_style: Score


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        folder: Where everything is: data/, unseen/ and the run of each preset.
        trials: By the name of the preset, "fast" first.
    """

    folder: Path
    trials: dict[str, Trial]


def run_demo(folder: str | Path, *, with_classic: bool = False, progress: Progress = SILENCE) -> Demo:
    """Draw, train, judge; what an earlier call left there whole is used as it is.

    Args:
        folder: Where everything is put.
        with_classic: Train the preset classic too, which takes minutes and needs Keras.
        progress: Told how far it is.

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
        progress.say(f"using the run that an earlier demo left in {run.path}; delete that to do it again")
    else:
        progress.say(f"\npreset {preset}")
        begun = run.config_path.exists()
        train(folder / "data", _CONFIGS[preset], out=run.path, resume=begun, progress=progress)
    evaluated = evaluate_run(run.path)
    predictions = tuple(predict(evaluated.classifier, [folder / "unseen"]))
    apart = [p for p in predictions if HELD_OUT in Path(p.source).name]
    known = [p for p in predictions if p not in apart]
    return Trial(evaluated, predictions, _share_right(known), _share_right(apart))


def _share_right(predictions: Sequence[Prediction]) -> Score:
    """Return the share of answers that are the name of the image's folder."""
    num_right = sum(Path(p.source).parent.name == p.label for p in predictions)
    return wilson_score(num_right, len(predictions))
