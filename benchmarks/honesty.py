"""Whether what mien says of a classifier holds for images that it never had.

    python benchmarks/honesty.py PHOTOS [--preset fast] [--num-trials 60]

Many times, a random half of the images is all that mien gets: it trains and judges on it as `mien train` does by
itself. The other half, of which no near copy is in the first, then tells what is true. Printed are: how often
the 95% intervals of the cross-validation contain the accuracy on the other half, with and without the correction for
folds, and those of the test split; how far the probabilities are off there; the share of the other half that is called
unlike the training images; and what a threshold chosen for 90% precision comes to. The other half is of finite size
itself, so that an interval that is right contains its accuracy somewhat less often than 95% of the time.
"""

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.config import PRESETS, TrainConfig
from mien.core.scores import Score, wilson_score
from mien.data.cleaning import clean
from mien.data.dataset import Dataset
from mien.data.scanning import scan
from mien.data.splitting import folds, split
from mien.learning.fitting import cross_validate, find_backbone, num_folds, prepare, scan_config
from mien.learning.methods import Method
from mien.runs.folder import RunFolder
from mien.scoring.calibration import choose_threshold, measure_calibration
from mien.scoring.evaluation import predict_dataset, score

TARGET = 0.9


@dataclass(frozen=True)
class Trial:
    """What was said of a classifier, and what was true on the other half; None for what was not said."""

    out_of_fold: Score | None
    test: Score
    true: float
    confidence: float
    calibration_error: float
    out_of_distribution: float
    threshold: float | None
    precision: float | None
    answered: float


def halves(dataset: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Return the Dataset with only a random half of its images in use, and with only the others; by class."""
    rng = np.random.default_rng(seed)
    places = dataset.indexes()
    labels = dataset.labels(places)
    chosen: set[int] = set()
    for label in np.unique(labels):
        members = rng.permutation(places[labels == label])
        chosen |= set(members[: len(members) // 2].tolist())
    records = dataset.records
    first = [replace(record, used=record.used and place in chosen) for place, record in enumerate(records)]
    second = [replace(record, used=record.used and place not in chosen) for place, record in enumerate(records)]
    return dataset.with_records(first), dataset.with_records(second)


def trial(dataset: Dataset, method: Method, config: TrainConfig, run_dir: Path) -> Trial:
    """Train and judge on one half, and look at the other."""
    mine, others = halves(dataset, config.split.seed)
    mine = split(mine, config.split)
    given, _ = cross_validate(
        method, list(folds(mine, num_folds(mine, config), config.split)), run_folder=RunFolder(run_dir)
    )
    classifier = method.fit(mine).classifier
    said = score(classifier, given) if given else None
    test = score(classifier, predict_dataset(classifier, mine, split="test"))
    predictions = predict_dataset(classifier, others)
    right = predictions.probs.argmax(axis=1) == predictions.labels
    chosen = choose_threshold(said.coverage, TARGET) if said else None
    sure = predictions.probs.max(axis=1) >= (chosen.threshold if chosen else 2)
    return Trial(
        said.accuracy if said else None,
        test.accuracy,
        float(right.mean()),
        float(predictions.probs.max(axis=1).mean()),
        float(measure_calibration(predictions.probs, predictions.labels).error.value or 0),
        0.0 if predictions.out_of_distribution is None else float(predictions.out_of_distribution.mean()),
        chosen.threshold if chosen else None,
        float(right[sure].mean()) if sure.any() else None,
        float(sure.mean()),
    )


def uncorrected(found: Score) -> Score:
    """Return the same share with the interval that it would have if all answers were one classifier's."""
    return wilson_score(round((found.value or 0) * found.num_images), found.num_images)


def show(trials: list[Trial]) -> None:
    """Print what came of the trials."""
    true = np.array([item.true for item in trials])
    out_of_fold = [item.out_of_fold for item in trials if item.out_of_fold]
    intervals = {
        "out of fold, as mien gives it": out_of_fold,
        "out of fold, Wilson alone": [uncorrected(found) for found in out_of_fold],
        "test split, Wilson": [item.test for item in trials],
    }
    print(f"accuracy: true {true.mean():.1%} on average (standard deviation {true.std():.1%})")
    for name, scores in intervals.items():
        if not scores:
            continue
        said = np.array([found.value or 0.0 for found in scores])
        print(f"accuracy {name}: {said.mean():.1%} on average (standard deviation {said.std():.1%})")
        num_held = sum(found.low <= value <= found.high for found, value in zip(scores, true, strict=True))
        width = np.mean([found.high - found.low for found in scores])
        print(f"95% interval {name}: contains the truth in {wilson_score(num_held, len(trials))}; {width:.0%} wide")
    confidence = np.mean([item.confidence for item in trials])
    error = np.mean([item.calibration_error for item in trials])
    print(f"sure: {confidence:.1%} on average, right for {true.mean():.1%}; calibration error {error:.1%}")
    print(
        f"called unlike the training images: {np.mean([item.out_of_distribution for item in trials]):.1%} of the others"
    )
    reached = [item for item in trials if item.precision is not None]
    if reached:
        precision, answered = (np.mean([getattr(item, name) for item in reached]) for name in ("precision", "answered"))
        print(
            f"for {TARGET:.0%} precision a threshold was found in {len(reached)} of {len(trials)} trials: it answers "
            f"{answered:.0%}, and {precision:.1%} of that is right"
        )


def main() -> None:
    """Read the arguments, run the trials, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a folder of class folders")
    parser.add_argument("--preset", choices=PRESETS, default="fast")
    parser.add_argument("--num-trials", type=int, default=60, help="how many random halves")
    options = parser.parse_args()
    config = PRESETS[options.preset]
    backbone = find_backbone(config)
    dataset = clean(scan(options.photos, scan_config(config, backbone), keep_images=True), config.clean)
    trials = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.num_trials):
            seeded = replace(config, split=replace(config.split, seed=seed))
            method = prepare(dataset, seeded, backbone, cache_dir=Path(folder, "cache"))
            (run_dir := Path(folder, str(seed))).mkdir()
            trials.append(trial(dataset, method, seeded, run_dir))
    print(f"{len(dataset.indexes())} images, {options.num_trials} random halves")
    show(trials)


if __name__ == "__main__":
    main()
