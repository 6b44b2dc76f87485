"""Fitting: a split Dataset -> a trained Classifier, by the method of the settings; cross-validation of a method."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mien.config import BUILT_IN_BACKBONE, PRESETS, BackboneConfig, FitConfig, ScanConfig, TrainConfig
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

# What each kind of training imports at some time; jinja2 and resvg_py are for what a run shows.
_KERAS_MODULES = ("keras", "tf2onnx", "cv2", "tensorboard")
# Settings of a fit that heads know too.
_FOR_HEADS = ("method", "class_weights", "may_matter")
# The time that a head takes grows with the images and with the classes: at most so many of the one times the other,
# where ten classes or fewer count as ten.
_MAX_CROSS_VALIDATED, _FEW_CLASSES = 20_000 * 10, 10


def fit(
    dataset: Dataset,
    config: TrainConfig = PRESETS["fast"],
    *,
    cache_dir: Path | None = None,
    run_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Fitted:
    """Train a classifier; the same images, settings and seed give the same one.

    Ctrl-C after the first epoch of a network ends its training and keeps the best weights so far.

    Args:
        dataset: What `split` returned; its images have the size that the backbone takes.
        config: The method and its settings.
        cache_dir: Where features are kept for the next time.
        run_dir: A folder for history.csv, TensorBoard's logs and a checkpoint of a network. Where it holds a
            checkpoint, training goes on from there.
        progress: Told how far it is.

    Raises:
        MissingExtraError: A package that the method needs is not installed.
        BackboneError: The backbone cannot be used.
        SettingsError: The images are of another size than the backbone takes.
        OutputError: There is no room for the checkpoint or the logs.
        SourceNotFoundError: The checkpoint is of another network, or damaged.
        ExportMismatchError: The classifier would not answer as what was trained does.

    Example:
        >>> import mien
        >>> fitted = mien.fit(mien.split(mien.clean(mien.scan("data"))))
        >>> fitted.classifier.class_names
        ('happy', 'sad')
    """
    require_packages(config)
    backbone = find_backbone(config)
    if backbone is not None and dataset.config.image_size != backbone.image_size:
        raise SettingsError(
            f"the images were scanned with image_size {dataset.config.image_size}; "
            f"the backbone {backbone.name} takes {backbone.image_size}"
        )
    method = prepare(dataset, config, backbone, cache_dir=cache_dir, progress=progress)
    parts = list(folds(dataset, num_folds(dataset, config), config.split))
    method.withstand(parts or some_fold(dataset, config), find_shortcuts(dataset))
    return method.fit(dataset, run_dir)


def require_packages(config: TrainConfig) -> None:
    """Make sure that what a training with these settings imports is installed, without importing it.

    Args:
        config: The method decides: linear needs no Keras, networks do.

    Raises:
        MissingExtraError: A package is not installed; the message says what to type.
    """
    if config.fit.method != "linear":
        require("keras", *_KERAS_MODULES)


def find_backbone(config: TrainConfig) -> Backbone | None:
    """Return the backbone that the settings name; None where the method has none, or Keras is to build it.

    Raises:
        BackboneError: It cannot be used.
        SettingsError: It is not one for the method, or the settings contradict one another.
    """
    name, method = config.backbone.backbone, config.fit.method
    in_onnx = name == BUILT_IN_BACKBONE or is_file_name(name)
    if method == "linear" and not in_onnx:
        raise SettingsError(
            f"the method linear takes lite0 or a FILE.onnx as --backbone, not {name!r}; or --preset best"
        )
    if method == "linear" and (useless := _settings_of_networks(config)):
        raise SettingsError(f"{', '.join(useless)}: the preset fast has no use for it; add --preset classic or best")
    if method == "finetune" and is_file_name(name):
        raise SettingsError(f"an ONNX file such as {name!r} cannot be trained on; use it with --preset fast")
    if method == "cnn" or not in_onnx:
        return None
    asked = config.scan.image_size
    backbone = load_backbone(config.backbone, asked)
    if asked not in (ScanConfig.image_size, backbone.image_size):
        raise SettingsError(f"image_size is {asked}; the backbone {name} takes {backbone.image_size}: leave it out")
    return backbone


def _settings_of_networks(config: TrainConfig) -> list[str]:
    """Return the flags of settings that were changed and that only networks trained with Keras know."""
    for_networks = [field.name for field in fields(FitConfig) if field.name not in _FOR_HEADS]
    changed = [name for name in for_networks if getattr(config.fit, name) != getattr(FitConfig, name)]
    return [f"--{name.replace('_', '-')}" for name in (*changed, *(["augment"] if config.augment.augment else []))]


def scan_config(config: TrainConfig, backbone: Backbone | None) -> ScanConfig:
    """Return how images are to be read: the backbone decides their size where it has one of its own.

    Raises:
        SettingsError: Faces are to be looked at, and the method or the backbone cannot.
    """
    size = config.scan.image_size if backbone is None else backbone.image_size
    why = _why_no_faces(config, backbone) if config.scan.faces != "off" else ""
    if why and config.scan.faces == "on":
        raise SettingsError(f"faces is on, but {why}: leave it out, or set it to off")
    return replace(config.scan, image_size=size, faces="off" if why else config.scan.faces)


def _why_no_faces(config: TrainConfig, backbone: Backbone | None) -> str:
    """Return why faces cannot be looked at, or nothing where they can."""
    if config.fit.method == "cnn":
        return "the method cnn looks at whole images alone"
    if backbone is None:
        return f"the network {config.backbone.backbone} looks at whole images alone"
    if not backbone.takes_faces:
        return f"{backbone.name} is written in an old version of ONNX's operators (export it with opset 13 or later)"
    return ""


def prepare(
    dataset: Dataset,
    config: TrainConfig,
    backbone: Backbone | None,
    *,
    cache_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Method:
    """Make the method of the settings ready for the images of a Dataset.

    Raises:
        BackboneError: Keras does not know the backbone, or cannot get its weights.
    """
    cache = FeatureCache(cache_dir) if cache_dir else None
    if config.fit.method == "linear" and backbone is not None:
        from mien.learning.linear import Linear

        return Linear(dataset, config, backbone, cache, progress)
    progress.say("loading Keras")
    # It takes seconds: not before the images are known to be good.
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        raise SettingsError(f"Keras cannot be loaded: {error}; is KERAS_BACKEND set to what is installed?") from error
    from mien.learning.best import Best
    from mien.learning.deep import Cnn, Finetuned
    from mien.learning.linear import Linear

    if config.fit.method == "cnn":
        return Cnn(config, progress)
    built_in = backbone or load_backbone(BackboneConfig(), dataset.config.image_size)
    fast = None
    if built_in.image_size == dataset.config.image_size:
        fast = Linear(dataset, config, built_in, cache, progress)
    # The features of the backbone as it is are made once.
    features = fast.image_features if fast and backbone else None
    return Best(fast, Finetuned(dataset, config, backbone, features, progress), config, progress)


def num_folds(dataset: Dataset, config: TrainConfig) -> int:
    """Return with how many folds to cross-validate; 0 for not at all."""
    if config.split.folds != "auto":
        return config.split.folds
    cells = len(dataset.indexes()) * max(len(dataset.class_names), _FEW_CLASSES)
    if config.fit.method == "cnn" or cells > _MAX_CROSS_VALIDATED:
        return 0
    most = usual_folds(dataset)
    return most if most >= 2 else 0


def some_fold(dataset: Dataset, config: TrainConfig) -> list[Dataset]:
    """Return one fold, to try things by where there is no cross-validation; none where a class has one image."""
    return [first_fold(dataset, config.split)] if usual_folds(dataset) >= 2 else []


def cross_validate(
    method: Method, parts: Sequence[Dataset], *, run_folder: RunFolder, progress: Progress = SILENCE
) -> tuple[Predictions | None, Selection | None]:
    """Ask about every image that is not for the test, each time a classifier that has not seen it.

    A fold that is done is kept in the run folder: after a kill it is not done again. Of several candidates the one that
    is kept is chosen by all folds; the predictions for each fold are those of the candidate that the others choose.

    Args:
        method: What `prepare` returned.
        parts: What `folds` yielded.
        run_folder: Where finished folds are kept.
        progress: Told how far it is.

    Returns:
        The out-of-fold predictions, in the order of the images; None where there are no folds, or there was no time for
        those of what is kept. And which candidate is kept; None where there are no folds.
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
        progress.say("folds done; now the classifier itself")
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
    """Return what the simplest candidate says of a fifth of the images that are not for the test, learnt from the rest.

    Args:
        method: What `prepare` returned.
        dataset: What `split` returned.
        config: How images are shared out.
    """
    fold = first_fold(dataset, config.split)
    places = fold.indexes("test")
    probs = next(iter(method.fit_predict(fold).values()))
    groups = fold.subject_numbers(places)
    return Predictions(places, fold.labels(places), probs, groups=groups, class_names=fold.class_names)


def _compared(answers: Sequence[dict[str, NDArray[np.float32]]], parts: Sequence[Dataset]) -> Selection:
    """Compare the candidates on the folds in which all were trained."""
    names = list({name: None for given in answers for name in given})
    places = [place for place, given in enumerate(answers) if len(given) == len(names)]
    probs = {name: np.concatenate([answers[place][name] for place in places]) for name in names}
    indexes = np.concatenate([parts[place].indexes("test") for place in places])
    return select_candidate(probs, parts[0].labels(indexes), parts[0].group_numbers(indexes))


def _chosen(
    answers: Sequence[dict[str, NDArray[np.float32]]], parts: Sequence[Dataset], selection: Selection, place: int
) -> NDArray[np.float32] | None:
    """Return what is said of the images of a fold by the candidate that the other folds choose; None without time."""
    if all(len(given) == len(selection.losses) for given in answers) and len(answers) > 1:
        others = [number for number in range(len(answers)) if number != place]
        selection = _compared([answers[number] for number in others], [parts[number] for number in others])
    return answers[place].get(selection.kept)


def predict_labels(method: Method, dataset: Dataset, out_of_fold: Predictions | None) -> Predictions | None:
    """Return answers to hold the labels against; None where there are none. The test images are not asked about.

    Those of a cross-validation of networks are used where there are any, otherwise what each image looks like by the
    features of all others. The linear head always takes these: they tell wrong labels better, and cost little.

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
