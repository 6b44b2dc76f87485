"""Whether what mien says of twice as many images comes true.

    python benchmarks/enough.py [FOLDER ...] [--only KIND ...] [--num-images 300] [--num-trials 20]

Many times, mien gets a random half of the images that are not for the test, groups whole; draws the learning curve of
its cross-validation, and says what twice as many would bring. All images then tell what is true, by cross-validation
in three seeds: on the very images of the half, which is what one half gained; and in the mean of all halves. Printed is
a row of a table for each FOLDER, and for each KIND of drawn images that is asked for: how often the 95% interval
contains either gain, how wide it is, and how often each sentence is said. "More images would help" is right where they
bring half a point or more in the mean; "will hardly help" where they bring less than two.

The features of all images are made once; heads learn from images as they are, not from changed copies.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domains import BACKBONE, CONFIG, KINDS, looked_at, save
from mien.core.scores import Score, wilson_score
from mien.data.dataset import Dataset
from mien.data.splitting import folds, split
from mien.learning.face_features import with_faces
from mien.learning.features import extract, fit_head_on
from mien.learning.fewer import learn_from_fewer, thinned
from mien.learning.heads import Head
from mien.learning.methods import places_seen
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.verdict import judge_learning_curve

NUM_FOLDS, NUM_SEEDS = 5, 3
LEAST_HELP, MOST_HARDLY = 0.005, 0.02
COLUMNS = (
    "images | of a half | accuracy of halves, of all | gain: true, said | interval holds on its images | "
    "in the mean | width | more would help: said, right | will hardly help: said, right | too few to tell"
)


@dataclass(frozen=True)
class Trial:
    """What was said of a half, and what all images brought on the images of that half."""

    curve: LearningCurve
    kind: str
    gain: float


class Images:
    """A folder with its features, which are made once."""

    def __init__(self, folder: Path) -> None:
        self.dataset = looked_at(folder)
        maker = with_faces(BACKBONE) if self.dataset.config.faces == "on" else BACKBONE
        self.features, self._num_face_features = extract(self.dataset, maker), maker.num_face_features

    def fit(self, fold: Dataset) -> Head:
        """Fit a head on a fold."""
        return fit_head_on(fold, self.features, places_seen(fold), CONFIG, num_face_features=self._num_face_features)

    def right(self, dataset: Dataset, seed: int) -> NDArray[np.float64]:
        """Return which images are answered right by cross-validation, (num_records,)."""
        right = np.full(len(dataset.records), np.nan)
        for fold in folds(dataset, NUM_FOLDS, replace(CONFIG.split, seed=seed)):
            places = fold.indexes("test")
            answers = self.fit(fold).probs(self.features[places]).argmax(axis=1)
            right[places] = answers == fold.labels(places)
        return right


def trials(images: Images, num_trials: int) -> tuple[list[Trial], float]:
    """Return what was said of the halves and came of them, and the accuracy of all images."""
    whole = split(images.dataset, CONFIG.split)
    right = np.mean([images.right(whole, seed) for seed in range(NUM_SEEDS)], axis=0)
    found = []
    for seed in range(num_trials):
        half = thinned(whole, 0.5, seed=seed)
        parts = list(folds(half, NUM_FOLDS, replace(CONFIG.split, seed=seed)))
        curve = learn_from_fewer(parts, images.features, images.fit, seed=seed)
        (finding,) = judge_learning_curve(curve)
        gain = float(right[places_seen(half)].mean()) - (curve.points[-1].accuracy.value or 0.0)
        found.append(Trial(curve, finding.kind, gain))
    return found, float(right[places_seen(whole)].mean())


def contains(interval: Score, gain: float) -> bool:
    """Say whether a gain lies in the interval, but for errors of rounding."""
    return interval.low - 1e-9 <= gain <= interval.high + 1e-9


def show(name: str, found: Sequence[Trial], accuracy: float) -> None:
    """Print a row of the table."""
    before = float(np.mean([trial.curve.points[-1].accuracy.value for trial in found]))
    gains, mean = [trial.curve.gain for trial in found], accuracy - before
    own = wilson_score(sum(contains(trial.curve.gain, trial.gain) for trial in found), len(found))
    kinds = Counter(trial.kind for trial in found)
    cells = (
        name,
        str(gains[0].num_images),
        f"{before:.1%}, {accuracy:.1%}",
        f"{100 * mean:+.1f}, {100 * float(np.mean([gain.value for gain in gains])):+.1f}",
        f"{own.value:.0%} ({own.low:.0%} to {own.high:.0%}, n = {own.num_images})",
        f"{np.mean([contains(gain, mean) for gain in gains]):.0%}",
        f"{100 * np.mean([gain.high - gain.low for gain in gains]):.1f}",
        f"{kinds['more_images']}, {kinds['more_images'] * (mean >= LEAST_HELP)}",
        f"{kinds['enough_images']}, {kinds['enough_images'] * (mean < MOST_HARDLY)}",
        str(kinds["short_curve"]),
    )
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Read the arguments, run the trials, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a folder of class folders")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=[], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--num-images", type=int, default=300, help="how many to draw (default: %(default)s)")
    parser.add_argument("--num-trials", type=int, default=20, help="how many random halves (default: %(default)s)")
    options = parser.parse_args()
    print(f"| {COLUMNS} |\n|{'---|' * len(COLUMNS.split('|'))}", flush=True)
    for folder in options.folders:
        show(folder.name, *trials(Images(folder), options.num_trials))
    for kind in options.only:
        with tempfile.TemporaryDirectory() as folder:
            save(KINDS[kind](options.num_images, 0), Path(folder, "data"))
            show(kind, *trials(Images(Path(folder, "data")), options.num_trials))


if __name__ == "__main__":
    main()
