"""Fitting: a split Dataset -> a trained Classifier; and cross-validation."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mien.config import BUILT_IN_BACKBONE, PRESETS, BackboneConfig, FitConfig, ScanConfig, TrainConfig, starting_from
from mien.core import files
from mien.core.extras import require
from mien.core.progress import SILENCE, Progress
from mien.data.dataset import Dataset
from mien.data.shortcuts import find_shortcuts
from mien.data.splitting import first_fold, folds, usual_folds
from mien.errors import SettingsError
from mien.learning.backbone import Backbone, is_file_name, load_backbone
from mien.learning.feature_cache import FeatureCache
from mien.learning.methods import Fitted, Method, places_seen
from mien.runs.folder import RunFolder
from mien.scoring.candidates import Selection, select_candidate
from mien.scoring.results import Predictions

# What training a network imports at some time.
_KERAS_MODULES = ("keras", "tf2onnx", "cv2", "tensorboard")
# Fit settings that also apply to heads.
_FOR_HEADS = ("method", "class_weights", "may_matter")
# The time for fitting a head grows with images times classes. Above this product, there is no cross-validation by
# default; ten classes or fewer count as ten.
_MAX_CROSS_VALIDATED, _FEW_CLASSES = 20_000 * 10, 10


def fit(
    dataset: Dataset,
    config: TrainConfig = PRESETS["fast"],
    *,
    cache_dir: Path | None = None,
    run_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Fitted:
    """Train a classifier. The same images, settings and seed give the same classifier.

    Ctrl-C after the first epoch of a network stops its training and keeps the best weights so far.

    Args:
        dataset: What `split` returned, with images of the size that the backbone takes.
        config: The method and its settings.
        cache_dir: The folder of the feature cache.
        run_dir: A folder for history.csv, TensorBoard logs and a checkpoint of a network. If it contains a checkpoint,
            training resumes from there.
        progress: Receives progress updates.

    Raises:
        MissingExtraError: A package that the method needs is not installed.
        BackboneError: The backbone cannot be used.
        SettingsError: The images do not have the size that the backbone takes, or the settings contradict each other.
        OutputError: The disk is full.
        SourceNotFoundError: The checkpoint is damaged, or of another network.
        ExportMismatchError: The saved classifier does not match the trained one.

    Example:
        >>> import mien
        >>> fitted = mien.fit(mien.split(mien.clean(mien.scan("data"))))
        >>> fitted.classifier.class_names
        ('happy', 'sad')
    """
    require_packages(starting_from(config))
    backbone = find_backbone(config)
    if backbone is not None and dataset.config.image_size != backbone.image_size:
        raise SettingsError(
            f"the images were scanned with image_size {dataset.config.image_size}, but the backbone {backbone.name} "
            f"takes {backbone.image_size}"
        )
    method = prepare(dataset, config, backbone, cache_dir=cache_dir, progress=progress)
    parts = list(folds(dataset, num_folds(dataset, config), config.split))
    method.withstand(parts or some_fold(dataset, config), find_shortcuts(dataset))
    return method.fit(dataset, run_dir)


def require_packages(config: TrainConfig) -> None:
    """Make sure that the packages for a training are installed, without importing them.

    Args:
        config: The settings. The method linear does not need Keras; networks do.

    Raises:
        MissingExtraError: A package is not installed; the message says what to type.
    """
    if config.fit.method != "linear":
        require("keras", *_KERAS_MODULES)


def find_backbone(config: TrainConfig) -> Backbone | None:
    """Return the backbone of the settings; None if the method has none, or Keras builds it.

    Raises:
        BackboneError: The backbone cannot be used.
        SettingsError: The backbone does not fit the method, or the settings contradict each other.
    """
    name, method = config.backbone.backbone, config.fit.method
    in_onnx = name == BUILT_IN_BACKBONE or is_file_name(name)
    if method == "linear" and not in_onnx:
        raise SettingsError(
            f"the method linear cannot use --backbone {name}. Use lite0 or a FILE.onnx, or add --preset best"
        )
    if method == "linear" and (useless := _settings_of_networks(config)):
        raise SettingsError(f"the preset fast cannot use {', '.join(useless)}. Add --preset classic or best")
    if method == "finetune" and is_file_name(name):
        raise SettingsError(f"the ONNX file {name!r} cannot be fine-tuned. Use it with --preset fast")
    if method == "cnn" or not in_onnx:
        return None
    asked = config.scan.image_size
    backbone = load_backbone(config.backbone, asked)
    if asked not in (ScanConfig.image_size, backbone.image_size):
        raise SettingsError(
            f"the backbone {name} takes image_size {backbone.image_size}, not {asked}. Omit --image-size"
        )
    return backbone


def _settings_of_networks(config: TrainConfig) -> list[str]:
    """Return the changed flags that only apply to networks trained with Keras."""
    for_networks = [field.name for field in fields(FitConfig) if field.name not in _FOR_HEADS]
    changed = [name for name in for_networks if getattr(config.fit, name) != getattr(FitConfig, name)]
    return [f"--{name.replace('_', '-')}" for name in (*changed, *(["augment"] if config.augment.augment else []))]


def scan_config(config: TrainConfig, backbone: Backbone | None) -> ScanConfig:
    """Return how to read the images. A backbone with a fixed size sets the image size.

    Raises:
        SettingsError: Faces are on, but the method or the backbone cannot use them.
    """
    size = config.scan.image_size if backbone is None else backbone.image_size
    why = _why_no_faces(config, backbone) if config.scan.faces != "off" else ""
    if why and config.scan.faces == "on":
        raise SettingsError(f"--faces on cannot be used: {why}. Omit it, or use --faces off")
    return replace(config.scan, image_size=size, faces="off" if why else config.scan.faces)


def _why_no_faces(config: TrainConfig, backbone: Backbone | None) -> str:
    """Return why faces cannot be used; "" if they can."""
    if config.fit.method == "cnn":
        return "the method cnn uses only whole images"
    if backbone is None:
        return f"the network {config.backbone.backbone} uses only whole images"
    if not backbone.takes_faces:
        return f"{backbone.name} uses an old ONNX opset (export it with opset 13 or later)"
    return ""


def prepare(
    dataset: Dataset,
    config: TrainConfig,
    backbone: Backbone | None,
    *,
    cache_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Method:
    """Prepare the method of the settings for the images of a Dataset.

    Raises:
        BackboneError: Keras does not know the backbone, or cannot load its weights.
    """
    cache = FeatureCache(cache_dir) if cache_dir else None
    if config.fit.method == "linear" and backbone is not None:
        from mien.learning.linear import Linear

        return Linear(dataset, config, backbone, cache, progress)
    progress.say("loading Keras")
    # Loading takes seconds, so the images are checked first.
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        raise SettingsError(f"cannot load Keras: {error}. Is the backend in KERAS_BACKEND installed?") from error
    from mien.learning.best import Best
    from mien.learning.deep import Cnn, Finetuned
    from mien.learning.linear import Linear

    if config.fit.method == "cnn":
        return Cnn(config, progress)
    built_in = backbone or load_backbone(BackboneConfig(), dataset.config.image_size)
    fast = None
    if built_in.image_size == dataset.config.image_size:
        fast = Linear(dataset, config, built_in, cache, progress)
    # The features of the unchanged backbone are computed once.
    features = fast.image_features if fast and backbone else None
    return Best(fast, Finetuned(dataset, config, backbone, features, progress), config, progress)


def num_folds(dataset: Dataset, config: TrainConfig) -> int:
    """Return the number of cross-validation folds; 0 for none."""
    if config.split.folds != "auto":
        return config.split.folds
    cells = len(dataset.indexes()) * max(len(dataset.class_names), _FEW_CLASSES)
    if config.fit.method == "cnn" or cells > _MAX_CROSS_VALIDATED:
        return 0
    most = usual_folds(dataset)
    return most if most >= 2 else 0


def some_fold(dataset: Dataset, config: TrainConfig) -> list[Dataset]:
    """Return one fold, for tests without cross-validation; none if a class has only one image."""
    return [first_fold(dataset, config.split)] if usual_folds(dataset) >= 2 else []


def cross_validate(
    method: Method, parts: Sequence[Dataset], *, run_folder: RunFolder, progress: Progress = SILENCE
) -> tuple[Predictions | None, Selection | None]:
    """Predict every image outside the test split with a classifier that was not trained on it.

    Finished folds are saved in the run folder and reused after a kill. With several candidates, all folds together
    choose the one to keep. The predictions for each fold are those of the candidate that the other folds choose.

    Args:
        method: What `prepare` returned.
        parts: What `folds` yielded.
        run_folder: The run folder, for finished folds.
        progress: Receives progress updates.

    Returns:
        The out-of-fold predictions in the order of the images; None if there are no folds, or no time for the chosen
        candidate. And the selection; None if there are no folds.
    """
    if not parts:
        return None, None
    answers: list[dict[str, NDArray[np.float32]]] = []
    for number, fold in enumerate(parts, start=1):
        progress.step("Cross-validation", number - 1, len(parts), f"fold {number} of {len(parts)}")
        given = _kept_fold(run_folder, number, fold)
        if given is None:
            if method.takes_long:
                progress.say(f"fold {number} of {len(parts)}")
            given = method.fit_predict(fold)
            if given:
                with files.replacing(run_folder.fold_path(number)) as temporary, temporary.open("wb") as file:
                    np.savez(file, names=np.array(list(given)), probs=np.stack(list(given.values())))
        answers.append(given)
    if method.takes_long:
        progress.say("cross-validation done; training the classifier itself")
    progress.step("Cross-validation", len(parts), len(parts))
    selection = _compared(answers, parts)
    chosen = [_chosen(answers, parts, selection, place) for place in range(len(parts))]
    if any(probs is None for probs in chosen):
        return None, selection
    indexes = np.concatenate([fold.indexes("test") for fold in parts])
    order = np.argsort(indexes)
    predictions = Predictions(
        indexes[order],
        parts[0].labels(indexes[order]),
        np.concatenate([probs for probs in chosen if probs is not None])[order],
        num_folds=len(parts),
        groups=parts[0].subject_numbers(indexes[order]),
        class_names=parts[0].class_names,
    )
    return predictions, selection


def hold_out(method: Method, dataset: Dataset, config: TrainConfig) -> Predictions:
    """Predict a fifth of the images outside the test split with the simplest candidate, trained on the rest.

    Args:
        method: What `prepare` returned.
        dataset: What `split` returned.
        config: The settings, for the split.
    """
    fold = first_fold(dataset, config.split)
    places = fold.indexes("test")
    probs = next(iter(method.fit_predict(fold).values()))
    groups = fold.subject_numbers(places)
    return Predictions(places, fold.labels(places), probs, groups=groups, class_names=fold.class_names)


def _compared(answers: Sequence[dict[str, NDArray[np.float32]]], parts: Sequence[Dataset]) -> Selection:
    """Compare the candidates on the folds for which all were trained."""
    names = list({name: None for given in answers for name in given})
    places = [place for place, given in enumerate(answers) if len(given) == len(names)]
    probs = {name: np.concatenate([answers[place][name] for place in places]) for name in names}
    indexes = np.concatenate([parts[place].indexes("test") for place in places])
    return select_candidate(probs, parts[0].labels(indexes), parts[0].group_numbers(indexes))


def _chosen(
    answers: Sequence[dict[str, NDArray[np.float32]]], parts: Sequence[Dataset], selection: Selection, place: int
) -> NDArray[np.float32] | None:
    """Return the predictions for a fold by the candidate that the other folds choose; None if it had no time."""
    if all(len(given) == len(selection.losses) for given in answers) and len(answers) > 1:
        others = [number for number in range(len(answers)) if number != place]
        selection = _compared([answers[number] for number in others], [parts[number] for number in others])
    return answers[place].get(selection.kept)


def predict_labels(method: Method, dataset: Dataset, out_of_fold: Predictions | None) -> Predictions | None:
    """Return predictions for checking the labels outside the test split; None if there are none.

    For networks, they come from cross-validation if there was one. Otherwise, each image is predicted from the features
    of all others. The linear head always does that, because it finds wrong labels better and costs little.

    Args:
        method: What `prepare` returned.
        dataset: What `split` returned.
        out_of_fold: What `cross_validate` returned.
    """
    probs = None if method.takes_long and out_of_fold else method.predict_from_others(dataset)
    if probs is None:
        return out_of_fold
    places = places_seen(dataset)
    return Predictions(places, dataset.labels(places), probs, class_names=dataset.class_names)


def _kept_fold(run_folder: RunFolder, number: int, fold: Dataset) -> dict[str, NDArray[np.float32]] | None:
    try:
        with np.load(run_folder.fold_path(number), allow_pickle=False) as file:
            given = dict(zip(file["names"].tolist(), file["probs"], strict=True))
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None
    expected = (len(fold.indexes("test")), len(fold.class_names))
    fits = all(probs.shape == expected and probs.dtype == np.float32 for probs in given.values())
    return given if given and fits else None
