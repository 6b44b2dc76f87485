"""Active learning: rank unlabelled images by how much their labels would help the classifier of a run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.config import BackboneConfig, CleanConfig, NextConfig, ScanConfig
from mien.core.files import sha256_of
from mien.core.inputs import Inputs, room_for
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.text import as_percent, counted
from mien.data.cleaning import clean
from mien.data.dataset import PROBLEMS, Dataset, ImageRecord
from mien.data.leaks import find_leaks
from mien.data.scanning import scan_file
from mien.fetching.sources import expand_files
from mien.layouts.layout import Entry
from mien.learning.backbone import Backbone, load_backbone
from mien.learning.face_features import with_faces
from mien.learning.feature_cache import FeatureCache
from mien.learning.features import extract
from mien.learning.ranking import NUM_DIMENSIONS, margins, narrowed, rank
from mien.model.classifier import Classifier, load
from mien.model.prediction import Prediction, prediction_of
from mien.runs.folder import RunFolder, run_of
from mien.runs.run import SEEN, load_split, settings_of

# Number of images whose pixels are held in memory at a time.
_PORTION = 64
# Maximum number of training images to compare with; each is compared with each unlabelled image.
_MAX_KNOWN = 2000
# With a smaller margin than this, the classifier is called unsure.
_UNSURE = 0.5


@dataclass(frozen=True)
class NextImage:
    """An image to label, or a file that cannot be read.

    Attributes:
        rank: 1 for the first image to label; None for a file that cannot be read.
        prediction: The current prediction, or the `error`.
        reason: Why it is worth labelling.
        record: Its scan record, without a label.
    """

    rank: int | None
    prediction: Prediction
    reason: str
    record: ImageRecord = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: the prediction, with `rank` and `reason`."""
        return {"rank": self.rank, **self.prediction.to_dict(), "reason": self.reason}


@dataclass(frozen=True)
class NextImages:
    """Which images to label next.

    Attributes:
        images: The first images to label, in order.
        unreadable: Files that cannot be read.
        num_files: Number of files examined.
        num_ranked: Number of images worth labelling, of which `images` are the first.
        class_names: The classes, in the classifier's order.
        data_dir: The folder of the training images.
        relabelled_by: The file of label decisions that the run was trained with, if any.
    """

    images: tuple[NextImage, ...]
    unreadable: tuple[NextImage, ...]
    num_files: int
    num_ranked: int
    class_names: tuple[str, ...]
    data_dir: Path
    relabelled_by: Path | None


@dataclass(frozen=True)
class _Looked:
    """What is kept of N images, about three kilobytes each.

    Attributes:
        records: Scan records, (N,).
        probs: Predicted probabilities, float32 (N, C); 0 for unreadable files.
        unlike: How each image differs from the training images, in words, (N,).
        features: Features from `narrowed`, float32 (N, R).
    """

    records: list[ImageRecord]
    probs: NDArray[np.float32]
    unlike: list[str]
    features: NDArray[np.float32]


def next_images(
    run_dir: str | Path,
    sources: str | Path | Iterable[str | Path],
    config: NextConfig = NextConfig(),
    *,
    max_pixels: int = ScanConfig.max_pixels,
    cache_dir: str | Path | None = None,
    progress: Progress = SILENCE,
) -> NextImages:
    """Rank unlabelled images by how much their labels would help the classifier of a run.

    Images that the run already knows, copies, and images that a training would skip are omitted. No image is changed.

    Args:
        run_dir: The folder of a finished run, with any preset.
        sources: Image files, folders (searched recursively), and patterns such as `photos/*.jpg`.
        config: How to rank the images, and how many to return.
        max_pixels: Reject larger images, which could fill all memory.
        cache_dir: The folder of the feature cache.
        progress: Receives progress updates, and how many images are skipped and why.

    Raises:
        SourceNotFoundError: A path does not exist, or the run is missing or not finished.
        SettingsError: A source is a URL or standard input.

    Example:
        >>> import mien
        >>> found = mien.next_images("runs/train", "unlabelled", mien.NextConfig(top=3))
        >>> [image.rank for image in found.images]
        [1, 2, 3]
    """
    run_folder, classifier = run_of(Path(run_dir)), load(run_dir)
    labelled = [record for record in load_split(run_folder) if record.phash]
    names = expand_files(sources, progress)
    maker = _feature_maker(classifier)
    cache = FeatureCache(Path(cache_dir)) if cache_dir else None
    known = _known_features(run_folder, labelled, maker, classifier, cache=cache, progress=progress)
    looked = _look(names, maker, classifier, cache=cache, max_pixels=max_pixels, progress=progress)
    places = _worth_labelling(looked.records, labelled, settings_of(run_folder).clean, progress)
    order = places[rank(config.strategy, looked.probs[places], looked.features[places], known, seed=config.seed)]
    first = order[: config.top or None].tolist()
    return NextImages(
        tuple(_next_image(number, classifier, looked, place, config) for number, place in enumerate(first, start=1)),
        tuple(_unreadable(record) for record in looked.records if not record.phash),
        num_files=len(names),
        num_ranked=len(order),
        class_names=classifier.class_names,
        data_dir=run_folder.data_dir(),
        relabelled_by=run_folder.decisions_path if run_folder.decisions_path.is_file() else None,
    )


def _feature_maker(classifier: Classifier) -> Backbone:
    """Return the built-in backbone as a training would use it, so that both share the cache."""
    backbone = load_backbone(BackboneConfig(), classifier.facts.image_size)
    if classifier.facts.scan_config().faces != "on":
        return backbone
    return with_faces(backbone)


def _features(dataset: Dataset, maker: Backbone, cache: FeatureCache | None, progress: Progress) -> NDArray[np.float32]:
    """Return the narrowed features of images, without those of faces."""
    if dataset.config.image_size != maker.image_size:
        # The images in memory have another size, so they are decoded again.
        dataset = replace(dataset, config=replace(dataset.config, image_size=maker.image_size), kept=None)
    return narrowed(extract(dataset, maker, cache=cache, progress=progress)[:, : maker.num_features])


def _known_features(
    run_folder: RunFolder,
    labelled: Sequence[ImageRecord],
    maker: Backbone,
    classifier: Classifier,
    *,
    cache: FeatureCache | None,
    progress: Progress,
) -> NDArray[np.float32]:
    """Return the features of the training images that are still there, (M, R)."""
    root, trained = run_folder.data_dir(), [record for record in labelled if record.used and record.split in SEEN]
    some = np.sort(np.random.default_rng(0).permutation(len(trained))[:_MAX_KNOWN])
    there = [r for r in (trained[place] for place in some) if sha256_of(root / r.path) == r.sha256]
    if len(there) < len(some):
        progress.say(
            f"{len(some) - len(there)} of {counted(len(some), 'training image')} missing or changed in "
            f"{str(root)!r}, so images like those may rank too high"
        )
    return _features(Dataset(root, ("",), tuple(there), classifier.facts.scan_config()), maker, cache, progress)


def _look(
    names: Sequence[str],
    maker: Backbone,
    classifier: Classifier,
    *,
    cache: FeatureCache | None,
    max_pixels: int,
    progress: Progress,
) -> _Looked:
    """Predict images in portions, because all network inputs together could fill the memory."""
    config, num_classes = classifier.facts.scan_config(max_pixels), len(classifier.class_names)
    records: list[ImageRecord] = []
    unlike: list[str] = []
    probs, features = (np.zeros((len(names), num_columns), np.float32) for num_columns in (num_classes, NUM_DIMENSIONS))
    for start in range(0, len(names), _PORTION):
        portion = names[start : start + _PORTION]
        kept = room_for(len(portion), config)
        answers = in_threads(partial(_looked_at, portion, kept, classifier, config), range(len(portion)))
        for record, rows, reason in answers:
            probs[len(records)] = rows
            records.append(record)
            unlike.append(reason)
            progress.step("Looking", len(records), len(names))
        dataset = Dataset(Path(), ("",), tuple(records[start:]), config, kept)
        features[start : len(records)] = _features(dataset, maker, cache, SILENCE)
    return _Looked(records, probs, unlike, features)


def _looked_at(
    names: Sequence[str], kept: Inputs, classifier: Classifier, config: ScanConfig, place: int
) -> tuple[ImageRecord, NDArray[np.float32] | float, str]:
    """Return the scan record and prediction of one image, and how it differs from the training images."""
    inputs = kept[place : place + 1]
    record = scan_file(Path(), Entry(names[place], ""), config, inputs)
    if not record.phash:
        return record, 0.0, ""
    rows, reasons = classifier.predict(inputs)
    return record, rows[0], reasons[0]


def _worth_labelling(
    records: Sequence[ImageRecord], labelled: Sequence[ImageRecord], config: CleanConfig, progress: Progress
) -> NDArray[np.int64]:
    """Return the indexes of images that a training would use and the run does not know, one per set of copies."""
    dataset = clean(Dataset(Path(), ("",), tuple(records)), replace(config, keep="largest"))
    # Copies count whatever their class, because the labels here are unknown.
    others = [replace(record, label="") for record in labelled]
    known = {leak.path for leak in find_leaks(dataset.records, others, config.near_bits, groups=False)}
    if known:
        progress.say(f"skipped {counted(len(known), 'image')} that the run already knows, or copies of them")
    rest = [place for place, record in enumerate(dataset.records) if record.phash and record.path not in known]
    reasons = Counter(dataset.records[place].problems[-1].code for place in rest if not dataset.records[place].used)
    for code, count in reasons.items():
        progress.say(f"skipped {counted(count, 'image')}: {PROBLEMS[code]}")
    return np.array([place for place in rest if dataset.records[place].used], np.int64)


def _next_image(number: int, classifier: Classifier, looked: _Looked, place: int, config: NextConfig) -> NextImage:
    probs, unlike = looked.probs[place], looked.unlike[place]
    prediction = prediction_of(classifier, probs, source=looked.records[place].path, unlike=unlike)
    first_two = np.argsort(-probs)[:2].tolist()
    likeliest = [f"{as_percent(float(probs[column]))} {classifier.class_names[column]}" for column in first_two]
    reason = f"unsure: {', '.join(likeliest)}" if margins(probs[None])[0] < _UNSURE else likeliest[0]
    if config.strategy == "diverse":
        reason = f"unlike the images before it; {reason}"
    told = f"{reason}; unlike the training images: {unlike}" if unlike else reason
    return NextImage(number, prediction, told, looked.records[place])


def _unreadable(record: ImageRecord) -> NextImage:
    return NextImage(None, Prediction(record.path, None, {}, record.problems[-1].detail), "", record)
