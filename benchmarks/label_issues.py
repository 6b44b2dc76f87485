"""How well wrong labels are found: mien's label_issues beside cleanlab on the same features.

    python benchmarks/label_issues.py PHOTOS [--cleanlab-python PATH] [--share 0.05] [--rounds 20]

In each round other images, chosen by chance, get another label; near copies are one image. Both sides then rank
all labels from the same features: mien by its leave-one-out answers, cleanlab by its default score, from out-of-fold
probabilities of scikit-learn's LogisticRegression in 5 folds (cross_val_predict).

Printed are, over all rounds, with 95% intervals: the share of planted ones among as many as were planted, which is
precision and recall at once; and precision and recall of the lists that either makes by itself (label_issues.csv of
mien, find_label_issues of cleanlab). Labels that were wrong before count as false. For a Python that has cleanlab, see
requirements.txt.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timing import arguments, run

CLEANLAB = """
import sys
import time
import warnings

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

warnings.filterwarnings("ignore")
given = np.load(sys.argv[1])
ranks, chosen, seconds = [], [], []
for number, labels in enumerate(given["labels"]):
    started = time.perf_counter()
    folds = StratifiedKFold(5, shuffle=True, random_state=number)
    model = LogisticRegression(max_iter=1000)
    probs = cross_val_predict(model, given["features"], labels, cv=folds, method="predict_proba")
    quality = get_label_quality_scores(labels, probs)
    ranks.append(np.argsort(quality, kind="stable"))
    chosen.append(find_label_issues(labels, probs, n_jobs=1))
    seconds.append(time.perf_counter() - started)
np.savez(sys.argv[2], ranks=ranks, chosen=chosen, seconds=seconds)
"""


def load_features(photos: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Return features and class numbers of the images that a training would use, and how many are of faces."""
    from mien.config import PRESETS
    from mien.data.cleaning import clean
    from mien.data.scanning import scan
    from mien.learning.backbone import load_backbone
    from mien.learning.face_features import with_faces
    from mien.learning.features import extract

    config = PRESETS["fast"]
    backbone = load_backbone(config.backbone, config.scan.image_size)
    dataset = clean(scan(photos, replace(config.scan, image_size=backbone.image_size), keep_images=True))
    maker = with_faces(backbone) if dataset.config.faces == "on" else backbone
    places = dataset.indexes()
    return extract(dataset, maker)[places], dataset.labels(places), maker.num_face_features


def plant(labels: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give a share of the images another label; return the labels, and which were changed."""
    rng = np.random.default_rng(seed)
    planted = np.zeros(len(labels), bool)
    planted[rng.permutation(len(labels))[: round(share * len(labels))]] = True
    num_classes = int(labels.max()) + 1
    others = (labels + rng.integers(1, num_classes, len(labels))) % num_classes
    return np.where(planted, others, labels), planted


def mien_ranks(
    features: NDArray[np.float32], rounds: NDArray[np.int64], num_face_features: int
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.bool_]], list[float]]:
    """Return, for each round, all rows with the worst first, which of them are listed, and the seconds."""
    from mien.scoring.label_issues import label_issue_rows, label_margins
    from mien.scoring.leave_one_out import leave_one_out

    ranks, chosen, seconds = [], [], []
    for labels in rounds:
        started = time.perf_counter()
        probs = leave_one_out(
            features,
            labels,
            groups=range(len(labels)),
            num_classes=int(rounds.max()) + 1,
            num_face_features=num_face_features,
        )
        ranks.append(np.argsort(label_margins(labels, probs), kind="stable"))
        chosen.append(np.isin(np.arange(len(labels)), label_issue_rows(labels, probs)))
        seconds.append(time.perf_counter() - started)
    return ranks, chosen, seconds


def show(
    name: str,
    planted: NDArray[np.bool_],
    ranks: list[NDArray[np.int64]],
    chosen: list[NDArray[np.bool_]],
    seconds: list[float],
) -> None:
    """Print the shares over all rounds."""
    from mien.core.scores import wilson_score

    num_planted = int(planted.sum())
    first = sum(int(flips[order[: flips.sum()]].sum()) for flips, order in zip(planted, ranks, strict=True))
    found, listed = int((planted & np.array(chosen)).sum()), int(np.sum(chosen))
    print(f"{name}: {np.median(seconds):.2f} s")
    print(f"  at the number planted, precision and recall: {wilson_score(first, num_planted)}")
    print(f"  its own list, precision: {wilson_score(found, listed)}")
    print(f"  its own list, recall: {wilson_score(found, num_planted)}")


def main() -> None:
    """Plant wrong labels, let both look for them, and print what each found."""
    parser = arguments(__doc__, rounds=20)
    parser.add_argument("--share", type=float, default=0.05, help="share of wrong labels (default: %(default)s)")
    parser.add_argument("--cleanlab-python", default=sys.executable, help="a Python that has cleanlab")
    given = parser.parse_args()
    features, truth, num_face_features = load_features(given.photos)
    made = [plant(truth, given.share, seed) for seed in range(given.rounds)]
    rounds, planted = np.array([labels for labels, _ in made]), np.array([flips for _, flips in made])
    print(f"{len(truth)} distinct images, {planted[0].sum()} wrong labels planted in each of {given.rounds} rounds")
    show("mien", planted, *mien_ranks(features, rounds, num_face_features))
    with tempfile.TemporaryDirectory() as folder:
        task, answer = Path(folder, "task.npz"), Path(folder, "answer.npz")
        np.savez(task, features=features, labels=rounds)
        run([given.cleanlab_python, "-c", CLEANLAB, task, answer])
        with np.load(answer) as found:
            show("cleanlab", planted, list(found["ranks"]), list(found["chosen"]), list(found["seconds"]))


if __name__ == "__main__":
    main()
