"""What labels are worth that `mien next` asks for: active learning, played through on images whose labels are known.

    python benchmarks/active.py [FOLDER ...] [--only KIND ...] [--start 10] [--skactiveml-python PATH]

Cleans each folder, and one of each kind that domains.py draws but for frames, whose labels are tossed. In each
repetition a quarter of the groups is put aside to judge by, and of the rest some images of each class get their labels,
at least two and at most a third. Then each strategy asks for labels, a batch at a time, until it has six tenths of
all; after each batch the head of the preset fast is fitted anew, on features that are made once. The strategies of
scikit-activeml ask by their own scikit-learn classifier, a logistic regression on the same features, scaled; what they
ask for is judged by the same head. For a Python that has it, see requirements.txt.

Printed are, by number of labels, the accuracy on what was put aside; how many labels it takes for 95% of the accuracy
with all of them (all, where it is not reached); by how many points a strategy is better than chance, over all batches;
and, for all labels and about a third of them, the accuracy on the labelled images themselves, the training accuracy.
Each is the mean over the repetitions, with its 95% interval. It fails where the default strategy is worse than chance
by more than that.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from domains import BACKBONE, KINDS, looked_at, save
from mien.config import NextConfig, Strategy
from mien.learning.face_features import with_faces
from mien.learning.features import extract
from mien.learning.heads import Head, fit_head
from mien.learning.ranking import narrowed, rank

DRAWN = [kind for kind in KINDS if kind != "frames"]
TEST_SHARE, ASKED_SHARE, LEAST_SHARE, NUM_BATCHES, ENOUGH = 0.25, 0.6, 1 / 3, 6, 0.95
# Of a repetition, the head so far, the labelled images and the others -> those of the others to label next, by place.
Ask = Callable[["Game", Head, NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]
PEERS = ("margin", "BADGE", "core-set", "FALCUN")
PEER = """
import json
import sys
import warnings

import numpy as np
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import Badge, CoreSet, Falcun, UncertaintySampling
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
MADE = {
    "margin": lambda seed: UncertaintySampling(method="margin_sampling", random_state=seed),
    "BADGE": lambda seed: Badge(random_state=seed),
    "core-set": lambda seed: CoreSet(random_state=seed),
    "FALCUN": lambda seed: Falcun(random_state=seed),
}
for line in sys.stdin:
    name, path, batch_size, seed = json.loads(line)
    with np.load(path) as given:
        features, labels = given["features"], given["labels"]
    known = {}
    if name != "core-set":
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        known["clf"] = SklearnClassifier(model, classes=np.unique(labels[~np.isnan(labels)]), random_state=seed)
    chosen = MADE[name](seed).query(features, labels, batch_size=batch_size, **known)
    print(json.dumps([int(place) for place in chosen]), flush=True)
"""


@dataclass(frozen=True)
class Images:
    """Images with their labels.

    Attributes:
        features: float32 (N, D + F), the last of which are of faces.
        num_face_features: F.
        narrow: What `narrowed` returned of them, without those of faces.
        labels: Class numbers, (N,).
        groups: A number for each that those share that must not be divided, (N,).
    """

    features: NDArray[np.float32]
    num_face_features: int
    narrow: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return int(self.labels.max()) + 1

    def fit(self, places: NDArray[np.int64]) -> Head:
        """Fit the head of the preset fast on some of them."""
        return fit_head(
            self.features[places],
            self.labels[places],
            groups=self.groups[places].tolist(),
            num_classes=self.num_classes,
            num_face_features=self.num_face_features,
        )

    def accuracy(self, head: Head, places: NDArray[np.int64]) -> float:
        """Return the share of some of them that a head gets right."""
        return float((head.probs(self.features[places]).argmax(axis=1) == self.labels[places]).mean())


@dataclass(frozen=True)
class Game:
    """One repetition.

    Attributes:
        images: All of them.
        seed: Its number.
        test: The places to judge by.
        pool: The places of all others.
        start: Those of them that have a label from the start.
        batch_size: How many labels are asked for at a time.
    """

    images: Images
    seed: int
    test: NDArray[np.int64]
    pool: NDArray[np.int64]
    start: NDArray[np.int64]
    batch_size: int

    @property
    def counts(self) -> list[int]:
        """How many labels there are at the start, and after each batch."""
        return [len(self.start) + number * self.batch_size for number in range(NUM_BATCHES + 1)]


def read(folder: Path) -> Images:
    """Return the images of a folder that a training would use."""
    dataset = looked_at(folder)
    maker = with_faces(BACKBONE) if dataset.config.faces == "on" else BACKBONE
    places = dataset.indexes()
    features = extract(dataset, maker)[places]
    narrow, groups = narrowed(features[:, : maker.num_features]), np.array(dataset.group_numbers(places))
    return Images(features, maker.num_face_features, narrow, dataset.labels(places), groups)


def deal(images: Images, seed: int, start: int) -> Game:
    """Put images aside to judge by, and give some of the others their labels."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.unique(images.groups))
    is_test = np.isin(images.groups, groups[: round(TEST_SHARE * len(groups))])
    test, pool = np.flatnonzero(is_test), rng.permutation(np.flatnonzero(~is_test))
    by_class = [pool[images.labels[pool] == label] for label in range(images.num_classes)]
    first = np.concatenate([some[: max(2, min(start, int(LEAST_SHARE * len(some))))] for some in by_class])
    batch_size = max(1, (round(ASKED_SHARE * len(pool)) - len(first)) // NUM_BATCHES)
    return Game(images, seed, test, pool, first, batch_size)


def asking(strategy: Strategy) -> Ask:
    """Return what asks by a strategy of mien."""

    def ask(game: Game, head: Head, labelled: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        images, seed = game.images, 1000 * game.seed + len(labelled)
        probs = head.probs(images.features[others])
        return rank(strategy, probs, images.narrow[others], images.narrow[labelled], seed=seed)[: game.batch_size]

    return ask


@contextmanager
def peers(python: str | None) -> Iterator[dict[str, Ask]]:
    """Make what asks by the strategies of scikit-activeml, in a process that ends with the block."""
    if python is None:
        yield {}
        return
    words = [python, "-c", PEER]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        path = Path(folder, "task.npz")
        yield {f"scikit-activeml {name}": asking_peer(name, process, path) for name in PEERS}
        # At the end of its input it ends by itself.
        process.communicate()


def asking_peer(name: str, process: "subprocess.Popen[str]", path: Path) -> Ask:
    """Return what asks by a strategy of scikit-activeml."""
    send, receive = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

    def ask(game: Game, _: Head, labelled: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        labels = np.concatenate([np.full(len(others), np.nan), game.images.labels[labelled]])
        np.savez(path, features=game.images.features[np.concatenate([others, labelled])], labels=labels)
        send.write(json.dumps([name, str(path), game.batch_size, game.seed]) + "\n")
        send.flush()
        return np.array(json.loads(receive.readline()))

    return ask


def learn(game: Game, labelled: NDArray[np.int64]) -> tuple[Head, list[float]]:
    """Fit a head on some images; return it, and its accuracy on what was put aside and on the images themselves."""
    head = game.images.fit(labelled)
    return head, [game.images.accuracy(head, places) for places in (game.test, labelled)]


def play(game: Game, ask: Ask) -> list[list[float]]:
    """Return both accuracies at the start, and after each batch."""
    labelled = game.start
    head, first = learn(game, labelled)
    accuracies = [first]
    for _ in range(NUM_BATCHES):
        others = np.setdiff1d(game.pool, labelled)
        labelled = np.concatenate([labelled, others[ask(game, head, labelled, others)]])
        head, both = learn(game, labelled)
        accuracies.append(both)
    return accuracies


def half_width(values: NDArray[np.float64]) -> float:
    """Return by how much the mean of some values may be off, with 95% confidence."""
    return float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def percent(shares: NDArray[np.float64]) -> str:
    """Word the mean of some shares, and its interval."""
    return f"{shares.mean():.1%} ± {100 * half_width(shares):.1f}"


def show(name: str, images: Images, strategies: Mapping[str, Ask], start: int, repetitions: int) -> bool:
    """Print a table; return whether the default strategy is worse than chance."""
    games = [deal(images, seed, start) for seed in range(repetitions)]
    whole, of_themselves = np.array([learn(game, game.pool)[1] for game in games]).T
    counts, num_all = games[0].counts, len(games[0].pool)
    third = min(range(len(counts)), key=lambda place: abs(counts[place] - num_all / 3))
    print(f"\n{name}: {len(images.labels)} images of {images.num_classes} classes, {len(games[0].test)} to judge by")
    print(f"all {num_all} labels: {percent(whole)}; of the labelled images themselves {percent(of_themselves)}\n")
    heads = [*(f"{count} labels" for count in counts), "labels for 95% of all", "beside random"]
    print(f"| strategy | {' | '.join(heads)} | of {counts[third]} labelled themselves |")
    print(f"|---|{'---|' * (len(heads) + 1)}")
    played = {strategy: np.array([play(game, ask) for game in games]) for strategy, ask in strategies.items()}
    is_worse = False
    for strategy, both in played.items():
        found = both[..., 0]
        enough = np.array([num_enough(row, game, all_) for row, game, all_ in zip(found, games, whole, strict=True)])
        gains = 100 * (found - played["random"][..., 0])[:, 1:].mean(axis=1)
        cells = [percent(column) for column in found.T]
        cells += [f"{enough.mean():.0f} ± {half_width(enough):.0f}", f"{gains.mean():+.1f} ± {half_width(gains):.1f}"]
        print(f"| {strategy} | {' | '.join(cells)} | {percent(both[:, third, 1])} |", flush=True)
        is_worse |= strategy == NextConfig().strategy and gains.mean() < -half_width(gains)
    return is_worse


def num_enough(accuracies: NDArray[np.float64], game: Game, whole: float) -> int:
    """Return how many labels it takes for 95% of the accuracy with all of them."""
    reached = np.flatnonzero(accuracies >= ENOUGH * whole)
    return game.counts[reached[0]] if len(reached) else len(game.pool)


def sets(folders: Sequence[Path], kinds: Sequence[str], num_images: int) -> Iterator[tuple[str, Images]]:
    """Yield folders, and drawn ones, by name."""
    for folder in folders:
        yield folder.name, read(folder)
    for kind in kinds:
        with tempfile.TemporaryDirectory() as drawn:
            save(KINDS[kind](num_images, 0), Path(drawn))
            yield kind, read(Path(drawn))


def main() -> None:
    """Play with each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--only", nargs="*", choices=DRAWN, default=DRAWN, metavar="KIND", help=", ".join(DRAWN))
    parser.add_argument("--num-images", type=int, default=300, help="of each kind (default: %(default)s)")
    parser.add_argument("--start", type=int, default=10, help="labels of each class (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--skactiveml-python", help="a Python that has scikit-activeml; without, it is left out")
    given = parser.parse_args()
    own = {strategy: asking(strategy) for strategy in get_args(Strategy)}
    with peers(given.skactiveml_python) as others:
        worse = [
            name
            for name, images in sets(given.folders, given.only, given.num_images)
            if show(name, images, {**own, **others}, given.start, given.repetitions)
        ]
    if worse:
        sys.exit(f"the default strategy is worse than chance on: {', '.join(worse)}")


if __name__ == "__main__":
    main()
