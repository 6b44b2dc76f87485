"""Features: images of a Dataset -> one row of numbers each, from a backbone or the cache; and fitting a head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mien.config import TrainConfig
from mien.core.changes import Change, changes_by_place
from mien.core.engines import spread
from mien.core.inputs import RECIPE
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted
from mien.data.dataset import Dataset
from mien.errors import ImageError, OutputError, SourceNotFoundError
from mien.learning.backbone import Backbone
from mien.learning.feature_cache import FeatureCache
from mien.learning.heads import Head, fit_head
from mien.scoring.leave_one_out import leave_one_out
from mien.version import __version__

# Number of images between two writes to the cache, and so the most that a kill can lose.
_PORTION = 1024


def extract(
    dataset: Dataset,
    backbone: Backbone,
    *,
    cache: FeatureCache | None = None,
    progress: Progress = SILENCE,
) -> NDArray[np.float32]:
    """Return the features of the used images: float32 (num_records, D + F), rows of other files all zero.

    Args:
        dataset: The Dataset, with images of the size that the backbone takes.
        backbone: The backbone.
        cache: The feature cache. If it cannot be used, there is one warning.
        progress: Receives progress updates.
    """
    maker = _maker(dataset, backbone)
    places = dataset.indexes().tolist()
    table, missing = np.zeros((len(dataset.records), _num_columns(backbone)), np.float32), list[int]()
    # In portions: for 100,000 images, all rows take most of a GB in addition to the table.
    for start in range(0, len(places), _PORTION):
        some = places[start : start + _PORTION]
        found = _found(dataset, some, backbone, maker, cache, progress)
        for place in some:
            row = found.get(dataset.records[place].sha256)
            if row is None:
                missing.append(place)
            else:
                table[place] = row
    if len(missing) < len(places):
        progress.say(f"found features of {counted(len(places) - len(missing), 'image')} in the cache")
    rows = spread(partial(_features, backbone), map(partial(_alone, dataset), missing), folder=dataset.root)
    made = {}
    for done, (place, row) in enumerate(zip(missing, rows, strict=True), start=1):
        table[place] = made[dataset.records[place].sha256] = row
        progress.step("Features", done, len(missing))
        if done % _PORTION == 0 or done == len(missing):
            _keep(made, maker, cache, progress)
            made = {}
    return table


@dataclass(frozen=True, eq=False)
class ChangedImages:
    """Features of images that were changed in one way.

    Attributes:
        change: The change.
        places: Indexes of the images, (M,).
        features: float32 (M, D + F).
    """

    change: Change
    places: NDArray[np.int64]
    features: NDArray[np.float32]

    def made_from(self, places: NDArray[np.int64]) -> "ChangedImages":
        """Return those of the images at these indexes."""
        is_among = np.isin(self.places, places)
        return ChangedImages(self.change, self.places[is_among], self.features[is_among])


def extract_changed(
    dataset: Dataset,
    backbone: Backbone,
    places: Mapping[Change, NDArray[np.int64]],
    *,
    cache: FeatureCache | None = None,
    progress: Progress = SILENCE,
) -> tuple[ChangedImages, ...]:
    """Return the features of changed images. Each image is decoded once for all its changes.

    Args:
        dataset: The Dataset, with images of the size that the backbone takes.
        backbone: The backbone.
        places: Indexes of the images to change, by change.
        cache: The feature cache. If it cannot be used, there is one warning.
        progress: Receives progress updates, and which images are skipped because they are missing or have changed.
    """
    makers = {change: f"{_maker(dataset, backbone)} {change.name}" for change in places}
    found = {
        change: _found(dataset, places[change].tolist(), backbone, maker, cache, SILENCE)
        for change, maker in makers.items()
    }
    names = {place: dataset.records[place].sha256 for some in places.values() for place in some.tolist()}
    missing = changes_by_place(
        {
            change: [place for place in some.tolist() if names[place] not in found[change]]
            for change, some in places.items()
        }
    )

    asked = ((_alone(dataset, place), changes) for place, changes in missing.items())
    made: dict[Change, dict[str, NDArray[np.float32]]] = {change: {} for change in places}
    for done, (place, rows) in enumerate(
        zip(missing, spread(partial(_changed_features, backbone), asked, folder=dataset.root), strict=True), start=1
    ):
        if isinstance(rows, ImageError):
            progress.say(f"cannot change {dataset.records[place].path}: {rows}")
        else:
            for change, row in zip(missing[place], rows, strict=True):
                made[change][names[place]] = row
            progress.step("Changed images", done, len(missing))
        if done % _PORTION == 0 or done == len(missing):
            for change, maker in makers.items():
                _keep(made[change], maker, cache, progress)
                found[change] |= made[change]
                made[change] = {}
    copies = []
    for change, some in places.items():
        there = [place for place in some.tolist() if names[place] in found[change]]
        if there:
            rows_of = np.array([found[change][names[place]] for place in there], np.float32)
            copies.append(ChangedImages(change, np.array(there, np.int64), rows_of))
    return tuple(copies)


def _alone(dataset: Dataset, place: int) -> Dataset:
    """Return a Dataset of one image, small enough to send to another process."""
    kept = None if dataset.kept is None else dataset.kept[place : place + 1]
    return Dataset(dataset.root, dataset.class_names, (dataset.records[place],), dataset.config, kept)


def _features(backbone: Backbone, image: Dataset) -> NDArray[np.float32]:
    """Return the features of the only image of a Dataset."""
    try:
        row: NDArray[np.float32] = backbone.features(image.inputs(np.array([0])))[0]
    except ImageError as error:
        raise SourceNotFoundError(f"{error}. Leave the images as they are, and run this again") from error
    return row


def _changed_features(
    backbone: Backbone, asked: tuple[Dataset, Sequence[Change]]
) -> list[NDArray[np.float32]] | ImageError:
    """Return the features of the only image of a Dataset after some changes, or an error."""
    image, changes = asked
    try:
        return [backbone.features(inputs)[0] for inputs in image.changed_inputs(0, changes)]
    except ImageError as error:
        return error


def fit_head_on(
    dataset: Dataset,
    features: NDArray[np.float32],
    places: NDArray[np.int64],
    config: TrainConfig,
    *,
    changed: Sequence[ChangedImages] = (),
    num_face_features: int = 0,
    progress: Progress = SILENCE,
) -> Head:
    """Fit a linear head on the features of some images. Near-duplicates always stay in the same fold.

    Args:
        dataset: The Dataset, for labels and groups of copies.
        features: A row for each record, (num_records, D + F).
        places: Indexes of the images to fit on.
        changed: Changed images. Those made from the images at `places` are also used.
        config: The settings, for class weights and the seed.
        num_face_features: Number of face features, F.
        progress: Receives progress updates.
    """
    copies = [some.made_from(places) for some in changed]
    numbers = np.concatenate([places, *(some.places for some in copies)])
    return fit_head(
        # Not by a name: for 100,000 images, every copy takes most of a GB.
        np.concatenate([features[places], *(some.features for some in copies)]),
        dataset.labels(numbers),
        groups=dataset.group_numbers(numbers),
        num_classes=len(dataset.class_names),
        num_face_features=num_face_features,
        num_copies=len(numbers) - len(places),
        balanced=config.fit.class_weights,
        seed=config.split.seed,
        progress=progress,
    )


def predict_from_others(
    dataset: Dataset,
    features: NDArray[np.float32],
    places: NDArray[np.int64],
    config: TrainConfig,
    *,
    num_face_features: int = 0,
) -> NDArray[np.float32]:
    """Return the probabilities, (N, C), of each image, predicted from the features and labels of the others.

    Args:
        dataset: The Dataset, for labels and groups of copies, which are left out together.
        features: A row for each record, (num_records, D + F).
        places: Indexes of the images.
        config: The settings, for the seed.
        num_face_features: Number of face features, F.
    """
    return leave_one_out(
        features[places],
        dataset.labels(places),
        groups=dataset.group_numbers(places),
        num_classes=len(dataset.class_names),
        num_face_features=num_face_features,
        seed=config.split.seed,
    )


def _found(
    dataset: Dataset,
    places: Sequence[int],
    backbone: Backbone,
    maker: str,
    cache: FeatureCache | None,
    progress: Progress,
) -> dict[str, NDArray[np.float32]]:
    """Return the valid rows in the cache for the images at some places, keyed by the hash of the image."""
    if cache is None:
        return {}
    try:
        found = cache.get(maker, (dataset.records[place].sha256 for place in places))
    except OutputError as error:
        _warn(error, cache, progress)
        return {}
    shape = (_num_columns(backbone),)
    return {sha256: row for sha256, row in found.items() if row.shape == shape and np.isfinite(row).all()}


def _maker(dataset: Dataset, backbone: Backbone) -> str:
    """Return everything that the features depend on besides the image, as one line."""
    config = dataset.config
    rules = f"levels {config.levels} ground {config.ground}"
    shown = f"{config.resize_mode} {config.image_size} faces {config.faces} {rules} recipe {RECIPE}"
    return f"{backbone.fingerprint} {shown} {__version__}"


def _num_columns(backbone: Backbone) -> int:
    return backbone.num_features + backbone.num_face_features


def _keep(made: dict[str, NDArray[np.float32]], maker: str, cache: FeatureCache | None, progress: Progress) -> None:
    if cache is not None:
        try:
            cache.put(maker, made)
        except OutputError as error:
            _warn(error, cache, progress)


def _warn(error: OutputError, cache: FeatureCache, progress: Progress) -> None:
    advice = "" if cache.is_usable else ". Features will not be cached. To use another folder, add --cache-dir FOLDER"
    progress.say(f"WARNING: {error}{advice}")
