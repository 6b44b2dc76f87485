"""How long the head of a backbone takes to fit, how that grows, and that it is no worse than scikit-learn's.

    python benchmarks/heads.py [--no-large]

Features like those of a backbone are drawn: few directions in which they vary much, many in which they vary little.
Each fit, with the choice of its strength by five folds, runs in a process of its own. Prints a table of images, classes
and features with the seconds and the peak memory; --no-large leaves out 10,000 images of 100 classes. Then fits
scikit-learn's LogisticRegressionCV, on the same features with the same strengths and folds, and prints the seconds and
the loss of both on other images. It fails where the loss is higher by more than a hundredth.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core.probabilities import cross_entropy
from mien.learning.heads import _NUM_FOLDS, _STRENGTHS, fit_head
from timing import MIEN, run_with_usage, seconds_for

SHAPES = [
    *((number, 10, 1280) for number in (300, 1000, 3000)),
    *((1000, number, 1280) for number in (2, 30)),
    *((1000, 10, number) for number in (640, 2560)),
    *((1000, 2, 2048), (1000, 10, 2048), (2000, 20, 2048)),
]
LARGE = (10_000, 100, 2048)
COMPARED = [(300, 2, 1280), (1000, 2, 1280), (1000, 10, 1280)]
NUM_OTHERS = 3000
ALLOWED = 0.01


def draw_features(
    num_images: int, num_classes: int, num_features: int, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features, (N, D), and labels, (N,); another seed gives other images of the same classes."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    mixing = fixed.normal(size=(num_features, num_features)) / np.sqrt(num_features)
    spread = 3 / np.sqrt(np.arange(1, num_features + 1))
    middles = fixed.normal(size=(num_classes, num_features)) * 0.5 / np.sqrt(num_features)
    labels = np.arange(num_images) % num_classes
    rows = (rng.normal(size=(num_images, num_features)) * spread) @ mixing + middles[labels]
    return rows.astype(np.float32), labels


def compare(shape: tuple[int, int, int]) -> bool:
    """Print how long both take and what they lose on other images; return whether mien's is no worse."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.preprocessing import StandardScaler

    (features, labels), (others, truth) = draw_features(*shape), draw_features(NUM_OTHERS, *shape[1:], seed=1)
    losses, seconds = {}, {}

    def fit() -> None:
        losses["mien"] = cross_entropy(fit_head(features, labels, num_classes=shape[1]).probs(others), truth)

    def fit_peer() -> None:
        scaler = StandardScaler().fit(features)
        model = LogisticRegressionCV(
            Cs=list(_STRENGTHS),
            cv=_NUM_FOLDS,
            scoring="neg_log_loss",
            max_iter=1000,
            l1_ratios=(0,),
            use_legacy_attributes=False,
        )
        model.fit(scaler.transform(features), labels)
        losses["scikit-learn"] = cross_entropy(model.predict_proba(scaler.transform(others)), truth)

    seconds = {"mien": seconds_for(fit), "scikit-learn": seconds_for(fit_peer)}
    print(f"{shape[0]:,} images x {shape[1]} classes x {shape[2]:,} features:")
    for name, taken in seconds.items():
        print(f"  {name:12} {taken:7.2f} s, loss on others {losses[name]:.3f}")
    print(f"  scikit-learn / mien: {seconds['scikit-learn'] / seconds['mien']:.1f}")
    return losses["mien"] <= losses["scikit-learn"] + ALLOWED


def main() -> None:
    """Fit, or fit as often as the table has rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-large", dest="large", action="store_false")
    parser.add_argument("--fit", nargs=3, type=int, metavar=("IMAGES", "CLASSES", "FEATURES"), help="one fit alone")
    options = parser.parse_args()
    if options.fit:
        features, labels = draw_features(*options.fit)
        print(seconds_for(lambda: fit_head(features, labels, num_classes=options.fit[1])))
        return
    print("images  classes  features   seconds  peak MiB")
    for shape in [*SHAPES, *([LARGE] if options.large else [])]:
        done = run_with_usage([MIEN[0], Path(__file__), "--fit", *map(str, shape)])
        print(f"{shape[0]:6,} {shape[1]:8} {shape[2]:9,} {float(done.stdout):9.2f} {done.peak_mb:9.0f}", flush=True)
    num_worse = sum(not compare(shape) for shape in COMPARED)
    if num_worse:
        sys.exit("the loss on other images is higher than scikit-learn's")


if __name__ == "__main__":
    main()
