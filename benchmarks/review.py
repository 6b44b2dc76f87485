"""What reviewing is worth, and how long its button takes.

    python benchmarks/review.py FOLDER ... [--share 0.05 0.3] [--rounds 20]
    python benchmarks/review.py --run RUN ...

For each FOLDER and each share of wrong labels: in each round a third of the images, groups whole, are put aside to
judge by, and some of the others get another label. A reviewer is then shown 30 images in the order of the page,
"Labels to check" and then "Wrong or unsure", and puts right those that were planted. Printed are how many of the 30
those are, beside as many of all by chance; and the accuracy on the images put aside, which keep their labels: without
review, after 30 images, after 30 more that a new training proposes, after 60 by chance, and with all planted labels put
right; with the 95% interval of the mean over the rounds. Labels that were wrong before stay so.

For each RUN: seconds from the click on "Train again" to the new score, and to the new queues, for 20 decisions.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from active import Images, read
from label_issues import plant
from mien.core.scores import Z_95
from mien.core.user_cache import user_cache_dir
from mien.labelling.opening import review_of
from mien.labelling.review import Review
from mien.scoring.label_issues import label_issue_rows, label_margins
from mien.scoring.leave_one_out import leave_one_out

NUM_SHOWN, TEST_SHARE, NUM_DECIDED = 30, 1 / 3, 20
COLUMNS = (
    "images | planted wrong | wrong ones among the first 30 | by chance | accuracy without review | after 30 | "
    "after 30 and 30 | after 60 by chance | all put right"
)


def proposed(images: Images, places: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places in the order in which a page shows them: probable label issues, then by the margin."""
    probs = leave_one_out(
        images.features[places],
        labels,
        groups=images.groups[places].tolist(),
        num_classes=images.num_classes,
        num_face_features=images.num_face_features,
    )
    issues = label_issue_rows(labels, probs)
    rest = np.argsort(label_margins(labels, probs), kind="stable")
    return np.concatenate([issues, rest[~np.isin(rest, issues)]])


def accuracy(images: Images, places: NDArray[np.int64], labels: NDArray[np.int64], test: NDArray[np.int64]) -> float:
    """Return the accuracy on the images put aside of a head that learnt from these labels."""
    every = images.labels.copy()
    every[places] = labels
    return images.accuracy(replace(images, labels=every).fit(places), test)


def play(images: Images, share: float, seed: int) -> list[float]:
    """Play one round; return the columns but for the first two."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.unique(images.groups))
    is_test = np.isin(images.groups, groups[: round(TEST_SHARE * len(groups))])
    test, places = np.flatnonzero(is_test), np.flatnonzero(~is_test)
    truth = images.labels[places]
    labels, planted = plant(truth, share, seed)

    def reviewed(labels: NDArray[np.int64], shown: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(np.isin(np.arange(len(labels)), shown), truth, labels)

    first = proposed(images, places, labels)[:NUM_SHOWN]
    after = reviewed(labels, first)
    again = proposed(images, places, after)
    second = reviewed(after, again[~np.isin(again, first)][:NUM_SHOWN])
    by_chance = reviewed(labels, rng.permutation(len(labels))[: 2 * NUM_SHOWN])
    return [
        float(planted[first].sum()),
        NUM_SHOWN * float(planted.mean()),
        *(accuracy(images, places, some, test) for some in (labels, after, second, by_chance, truth)),
    ]


def show(name: str, share: float, rounds: Sequence[Sequence[float]]) -> None:
    """Print a row of the table."""
    means = np.mean(rounds, axis=0)
    halves = Z_95 * np.std(rounds, axis=0, ddof=1) / math.sqrt(len(rounds))
    counts = [f"{mean:.1f}" for mean in means[:2]]
    scores = [f"{mean:.1%} ± {100 * half:.1f}" for mean, half in zip(means[2:], halves[2:], strict=True)]
    print(f"| {name} | {share:.0%} | {' | '.join([*counts, *scores])} |", flush=True)


def press(path: Path) -> None:
    """Open the review of a run, decide on some images, and tell how long the button takes, twice."""
    review = review_of(path, cache_dir=user_cache_dir())
    try:
        review.prepare()
        queue = "issues" if len(review.queues["issues"].places) >= NUM_DECIDED else "class-0"
        for _ in range(2):
            decide(review, queue)
            started = time.perf_counter()
            review.train()
            seconds, result = time.perf_counter() - started, review.result()
            score = result["seconds"] if result else math.nan
            print(f"{path}: {len(review.dataset.records)} files; new score {score:.1f} s, new queues {seconds:.1f} s")
            review.undo()
    finally:
        review.close()


def decide(review: Review, queue: str) -> None:
    """Say of some images that they are of the first class."""
    shown = review.images(queue, 0, NUM_DECIDED)["images"]
    review.decide([image["id"] for image in shown], review.dataset.class_names[-1])


def main() -> None:
    """Read the arguments, play the rounds, press the button."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a folder of class folders")
    parser.add_argument("--run", nargs="*", type=Path, default=[], help="runs of the preset fast")
    parser.add_argument("--share", nargs="*", type=float, default=[0.05, 0.3], help="of wrong labels")
    parser.add_argument("--rounds", type=int, default=20, help="how many (default: %(default)s)")
    given = parser.parse_args()
    if given.folders:
        print(f"| {COLUMNS} |\n|{'---|' * len(COLUMNS.split('|'))}", flush=True)
    for folder in given.folders:
        images = read(folder)
        for share in given.share:
            show(folder.name, share, [play(images, share, seed) for seed in range(given.rounds)])
    for path in given.run:
        press(path)


if __name__ == "__main__":
    main()
