"""How long the report of a run takes, and how large it is, for very many images and classes.

    python benchmarks/report.py [--num-images 100000] [--num-classes 100] [--rounds 3]

Makes the folder of a run without training it: a pretrained network with a random head, a manifest with copies and files
that were left out, and random answers of the test and of a cross-validation. The images are some hundred drawn files
of 1200 by 800 pixels under many names. Writes its report by turns with reading the two largest files that it is made
from; prints the seconds, the size, and the ratios to the limits. It fails where one is above its limit.
"""

import csv
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from timing import arguments, by_turns, seconds_for, show_ratio, show_seconds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset, ImageRecord
    from mien.model.classifier import Classifier

LIMIT_S, LIMIT_MB = 10.0, 5.0
NUM_DRAWN = 200
NUM_FOLDS = 5
SPLITS = ("train",) * 7 + ("val",) * 2 + ("test",)


def draw(folder: Path, number: int) -> Path:
    """Draw one image."""
    import numpy as np
    from PIL import Image

    levels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
    path = folder / f"{number:03}.jpg"
    Image.fromarray(levels).resize((1200, 800), Image.Resampling.BICUBIC).save(path, quality=85)
    return path


def make_images(folder: Path, num_images: int, class_names: list[str]) -> "list[ImageRecord]":
    """Give some drawn images many names in class folders; return what a scan and a split would say of them."""
    from mien.core.files import sha256_of
    from mien.data.dataset import ImageRecord, Problem

    folder.mkdir()
    drawn = [draw(folder, number) for number in range(min(NUM_DRAWN, num_images))]
    hashes = [sha256_of(path) for path in drawn]
    records = []
    for number in range(num_images):
        label = class_names[number % len(class_names)]
        path = folder / label / f"{number:07}.jpg"
        path.parent.mkdir(exist_ok=True)
        os.link(drawn[number % len(drawn)], path)
        # Of the images of a class, every twentieth is a copy of the one before it.
        serial = number // len(class_names)
        left_out = serial % 20 == 1
        records.append(
            ImageRecord(
                f"{label}/{path.name}",
                label,
                sha256=hashes[number % len(drawn)],
                phash=f"{number:032x}",
                num_bytes=100_000,
                format="JPEG",
                width=1200,
                height=800,
                brightness=0.5,
                colour=0.5,
                problems=(Problem("near_duplicate", "of the one before"),) if left_out else (),
                used=not left_out,
                group=number - left_out * len(class_names) if serial % 20 < 2 else None,
                split="" if left_out else SPLITS[serial // 2 % len(SPLITS)],
            )
        )
    return records


def make_classifier(dataset: "Dataset") -> "Classifier":
    """Put a random head on the built-in network."""
    import numpy as np

    from mien.config import BackboneConfig
    from mien.learning.backbone import load_backbone
    from mien.learning.exporting import facts_of, join
    from mien.learning.heads import Head
    from mien.learning.out_of_distribution import fit_distribution

    backbone, rng = load_backbone(BackboneConfig(), (224, 224)), np.random.default_rng(0)
    weights = rng.normal(0, 0.1, (backbone.num_features, len(dataset.class_names))).astype(np.float32)
    features = rng.random((200, backbone.num_features), np.float32)
    head = Head(weights, np.zeros(weights.shape[1], np.float32), 1.0, 1.0)
    return join(backbone, head, fit_distribution(features, groups=range(200)), facts_of(dataset))


def random_probs(labels: "NDArray[np.int64]", num_classes: int) -> "NDArray[np.float32]":
    """Return answers that are mostly right."""
    import numpy as np

    rng = np.random.default_rng(1)
    levels = rng.random((len(labels), num_classes), np.float32) ** 60
    levels[np.arange(len(labels)), labels] += rng.random(len(labels), np.float32) * 4
    probs: NDArray[np.float32] = levels / levels.sum(axis=1, keepdims=True)
    return probs


def make_run(folder: Path, num_images: int, num_classes: int) -> Path:
    """Write the folder of a run, as `mien train` does; return where."""
    import numpy as np

    from mien.config import PRESETS
    from mien.data.dataset import Dataset
    from mien.runs.folder import RunFolder
    from mien.runs.predictions import write_predictions
    from mien.runs.run import Run
    from mien.runs.saving import provenance
    from mien.runs.training_details import TrainingDetails
    from mien.scoring.evaluation import score
    from mien.scoring.label_issues import LabelIssue
    from mien.scoring.results import Predictions, Scores
    from mien.scoring.verdict import verdict

    class_names = tuple(f"class {number:03}" for number in range(num_classes))
    records = make_images(folder / "data", num_images, list(class_names))
    dataset = Dataset(folder / "data", class_names, tuple(records))
    place = RunFolder(folder / "run")
    place.path.mkdir()
    config, classifier = PRESETS["fast"], make_classifier(dataset)

    def predictions_for(splits: tuple[str, ...], num_folds: int) -> Predictions:
        indexes = np.array([i for i, r in enumerate(records) if r.used and r.split in splits], np.int64)
        labels = dataset.labels(indexes)
        probs = random_probs(labels, num_classes)
        return Predictions(indexes, labels, probs, num_folds=num_folds, class_names=class_names)

    test, out_of_fold = predictions_for(("test",), 0), predictions_for(("train", "val"), NUM_FOLDS)
    scores = Scores(score(classifier, test), score(classifier, out_of_fold))
    run = Run(
        path=place.path,
        config=config,
        versions={},
        dataset=dataset,
        classifier=classifier.telling(
            scores=scores.to_dict(), provenance=provenance(dataset, config, method="linear", limits=())
        ),
        scores=scores,
        findings=verdict(scores.test),
        training=TrainingDetails(),
        history=(),
        label_issues=tuple(
            LabelIssue(place, r.label, class_names[0], 0.1, 0.8)
            for place, r in enumerate(records)
            if r.used and place % 50 == 3
        ),
        shortcuts=(),
        test_predictions=test,
        out_of_fold_predictions=out_of_fold,
    )
    for source, predictions in run.predictions_by_source.items():
        write_predictions(place.path, dataset, predictions, source)
    place.save_config(config, dataset.root, {})
    dataset.save(place.manifest_path)
    run.classifier.save(place.model_path)
    place.save_json(place.metrics_path, run.metrics())
    return place.path


def read(run: Path) -> None:
    """Read the rows of the two largest files."""
    for name in ("manifest.csv", "out_of_fold.csv"):
        with open(run / name, encoding="utf-8", newline="") as file:
            for _ in csv.reader(file):
                pass


def main() -> None:
    """Make a run, write its report, and print what it took."""
    parser = arguments(__doc__, rounds=3, photos=False)
    parser.add_argument("--num-images", type=int, default=100_000, help="how many images (default: %(default)s)")
    parser.add_argument("--num-classes", type=int, default=100, help="how many classes (default: %(default)s)")
    given = parser.parse_args()

    from mien.runs.report import report

    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder), given.num_images, given.num_classes)
        tasks = {
            "report": lambda: seconds_for(lambda: report(run)),
            "reading alone": lambda: seconds_for(lambda: read(run)),
        }
        medians = show_seconds(by_turns(tasks, given.rounds))
        megabytes = (run / "report.html").stat().st_size / 1e6
    print(f"{given.num_images} images in {given.num_classes} classes: {megabytes:.2f} MB")
    show_ratio("report / reading alone", medians["report"] / medians["reading alone"])
    show_ratio(f"limit of {LIMIT_S:.0f} s / report", LIMIT_S / medians["report"])
    show_ratio(f"limit of {LIMIT_MB:.0f} MB / report", LIMIT_MB / megabytes)
    if medians["report"] > LIMIT_S or megabytes > LIMIT_MB:
        sys.exit("above a limit")


if __name__ == "__main__":
    main()
