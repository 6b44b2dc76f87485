"""The methods cnn and finetune: networks trained with Keras."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mien.config import TrainConfig
from mien.core.inputs import Inputs
from mien.core.probabilities import best_temperature, cross_entropy
from mien.core.progress import Progress, best_epoch
from mien.data.dataset import Dataset
from mien.data.shortcuts import Shortcut
from mien.learning import networks
from mien.learning.backbone import Backbone
from mien.learning.exporting import export, prove_equal
from mien.learning.features import fit_head_on, predict_from_others
from mien.learning.hardware import chosen_precision
from mien.learning.heads import Head
from mien.learning.methods import Fitted, places_seen
from mien.learning.training import Trained, announce, train_network
from mien.runs.training_details import TrainingDetails
from mien.scoring.candidates import Selection

_BATCH_SIZE = 32


@dataclass(frozen=True)
class _Network:
    """A trained network in float32.

    Attributes:
        model: The network, with one sigmoid unit or one softmax unit per class.
        whole: The same network with a probability for each class, which becomes the Classifier.
        trained: The course of the training.
        choices: What was chosen on the validation images.
    """

    model: keras.Model
    whole: keras.Model
    trained: Trained
    choices: TrainingDetails


class Cnn:
    """The tutorial's network, trained from scratch."""

    takes_long = True

    def __init__(self, config: TrainConfig, progress: Progress) -> None:
        self._config, self._progress = config, progress

    def withstand(self, parts: Sequence[Dataset], shortcuts: Sequence[Shortcut] = ()) -> None:
        """Do nothing, because training takes long."""

    def learn_from_fewer(self, parts: Sequence[Dataset]) -> None:
        """Do nothing, because training takes long."""

    def fit(self, dataset: Dataset, run_dir: Path | None = None, selection: Selection | None = None) -> Fitted:
        """Train on the training split; the validation split chooses the epoch."""
        self._progress.say(_summary(self._built(dataset, "float32")))
        return _fitted(self._network(dataset, run_dir), dataset, self._progress)

    def fit_predict(self, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
        """Train in the same way; return the probabilities, (N, C), for the test split."""
        return {"cnn": _predictions(self._network(dataset, None), dataset)}

    def predict_from_others(self, dataset: Dataset) -> None:
        """Return nothing, because it has no features."""

    def features_of(self, places: NDArray[np.int64]) -> None:
        """Return nothing, because it has no features."""

    def _network(self, dataset: Dataset, run_dir: Path | None) -> _Network:
        announce(dataset, self._config.fit, self._progress)
        precision = chosen_precision(self._config.fit)
        model = self._built(dataset, precision)
        trained = _train(model, dataset, self._config, run_dir, self._progress)
        twin = self._built(dataset, "float32")
        twin.set_weights(model.get_weights())
        temperature = _calibrate(twin, dataset)
        choices = TrainingDetails(precision=precision, temperature=temperature)
        return _Network(twin, networks.with_all_probs(twin), trained, choices)

    def _built(self, dataset: Dataset, precision: str) -> keras.Model:
        keras.utils.set_random_seed(self._config.split.seed)
        with networks.computing_in(precision):
            size, num_classes = dataset.config.image_size, len(dataset.class_names)
            return networks.build_cnn(size, num_classes, dropout=self._config.fit.dropout)


class Finetuned:
    """A pretrained backbone: a linear head is fitted on it first, then the whole network is fine-tuned."""

    def __init__(
        self,
        dataset: Dataset,
        config: TrainConfig,
        backbone: Backbone | None,
        features: NDArray[np.float32] | None,
        progress: Progress,
    ) -> None:
        """Take the features of all images by the unchanged backbone, (num_records, D), or make them with Keras."""
        self._config, self._backbone, self._progress = config, backbone, progress
        self._image_size = dataset.config.image_size
        self._features = _extracted(self._body("float32"), dataset, progress) if features is None else features

    def fit(self, dataset: Dataset, run_dir: Path | None, *, time_limit_s: float) -> Fitted:
        """Train on the training split. The validation split chooses the epoch and how much of the tuning to keep.

        Raises:
            OutOfTimeError: Not even the first epoch would finish in time.
        """
        network = self._network(dataset, run_dir, time_limit_s)
        self._progress.say(network.choices.choice)
        return _fitted(network, dataset, self._progress)

    def fit_predict(self, dataset: Dataset, *, time_limit_s: float) -> NDArray[np.float32]:
        """Train in the same way; return the probabilities, (N, C), for the test split.

        Raises:
            OutOfTimeError: Not even the first epoch would finish in time.
        """
        return _predictions(self._network(dataset, None, time_limit_s), dataset)

    def predict_from_others(self, dataset: Dataset) -> NDArray[np.float32]:
        """Return the probabilities, (N, C), for training and validation images, each predicted from the others.

        They use the features of the unchanged backbone.
        """
        return predict_from_others(dataset, self._features, places_seen(dataset), self._config)

    def features_of(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some images by the unchanged backbone, (N, D)."""
        return self._features[places]

    def _network(self, dataset: Dataset, run_dir: Path | None, time_limit_s: float) -> _Network:
        announce(dataset, self._config.fit, self._progress)
        limit = max(time_limit_s / 60, 1e-3) if math.isfinite(time_limit_s) else 0.0
        config = replace(self._config, fit=replace(self._config.fit, time_limit=limit))
        head = fit_head_on(dataset, self._features, dataset.indexes("train"), self._config)
        precision = chosen_precision(self._config.fit)
        model = self._built(dataset, head, precision)
        trained = _train(model, dataset, config, run_dir, self._progress)
        twin = self._built(dataset, head, "float32")
        frozen, tuned = twin.get_weights(), model.get_weights()
        half_way = [(before + after) / 2 for before, after in zip(frozen, tuned, strict=True)]
        candidates = {"frozen": frozen, "half-way": half_way, "finetuned": tuned}
        choices = _choose(twin, candidates, dataset)
        whole = networks.with_all_probs(twin, flip=bool(choices.flip))
        return _Network(twin, whole, trained, replace(choices, precision=precision))

    def _built(self, dataset: Dataset, head: Head, precision: str) -> keras.Model:
        body = self._body(precision)
        with networks.computing_in(precision):
            model = networks.with_head(body, len(dataset.class_names), dropout=self._config.fit.dropout)
        networks.set_head(model, head)
        return model

    def _body(self, precision: str) -> keras.Model:
        keras.utils.set_random_seed(self._config.split.seed)
        settings = self._config.backbone
        with networks.computing_in(precision):
            if self._backbone is not None:
                return networks.build_lite0(self._backbone)
            return networks.build_application(settings.backbone, self._image_size, settings.weights or "imagenet")


def _train(
    model: keras.Model, dataset: Dataset, config: TrainConfig, run_dir: Path | None, progress: Progress
) -> Trained:
    return train_network(
        model,
        dataset,
        config.fit,
        augment=config.augment,
        seed=config.split.seed,
        run_dir=run_dir,
        progress=progress,
    )


def _choose(model: keras.Model, candidates: dict[str, list[Any]], dataset: Dataset) -> TrainingDetails:
    """Give a network the candidate weights that do best on the validation images, and calibrate it on them.

    The average of pretrained and fine-tuned weights often does better than either on images from elsewhere:
    M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.

    Returns:
        What was chosen, and why.
    """
    labels = dataset.labels(dataset.indexes("val"))
    probs = {}
    for name, weights in candidates.items():
        model.set_weights(weights)
        probs[name] = _probs(model, dataset, "val")
    losses = {name: cross_entropy(given, labels) for name, given in probs.items()}
    kept = min(losses, key=losses.__getitem__)
    model.set_weights(candidates[kept])
    temperature = _calibrate(model, dataset)
    one_way, mirrored = _probs(model, dataset, "val"), _probs(model, dataset, "val", flip=True)
    return TrainingDetails(
        kept=kept,
        val_images=len(labels),
        val_loss=losses,
        val_accuracy={name: float((given.argmax(axis=1) == labels).mean()) for name, given in probs.items()},
        temperature=temperature,
        flip=cross_entropy((one_way + mirrored) / 2, labels) < cross_entropy(one_way, labels),
    )


def _calibrate(model: keras.Model, dataset: Dataset) -> float:
    """Calibrate a network on the validation images; return the temperature."""
    labels = dataset.labels(dataset.indexes("val"))
    logits = np.log(np.maximum(_probs(model, dataset, "val"), 1e-7))
    temperature = best_temperature(logits, labels)
    networks.cool(model, temperature)
    return temperature


def _predictions(network: _Network, dataset: Dataset) -> NDArray[np.float32]:
    """Return the probabilities of the network of a fold for its test split, (N, C), and free the network."""
    if network.trained.interrupted:
        # Half a fold is useless.
        raise KeyboardInterrupt
    probs = _probs(network.whole, dataset, "test")
    keras.utils.clear_session()
    return probs


def _fitted(network: _Network, dataset: Dataset, progress: Progress) -> Fitted:
    if network.trained.interrupted:
        num_epochs = len(network.trained.history)
        progress.say(
            f"stopped after epoch {num_epochs}. Continuing with the best weights so far; press Ctrl-C again to quit"
        )
    progress.say("saving the classifier")
    classifier = export(network.whole, dataset)
    difference = prove_equal(
        (np.asarray(network.whole.predict_on_batch(images)) for images, _ in dataset.batches(_BATCH_SIZE, split="val")),
        (classifier.probs(Inputs.of(images)) for images, _ in dataset.batches(_BATCH_SIZE, split="val")),
    )
    progress.say(f"model.onnx matches the Keras network: probabilities differ by at most {difference:.1e}")
    history = network.trained.history
    details = replace(
        network.choices,
        best_epoch=best_epoch(history).epoch,
        epochs=len(history),
        interrupted=network.trained.interrupted,
        onnx_max_difference=difference,
    )
    return Fitted(classifier, details, history, network.model)


def _probs(model: keras.Model, dataset: Dataset, split: str, *, flip: bool = False) -> NDArray[np.float32]:
    """Return the probability of every class, (N, C), for the images of a split, or for their mirror images."""
    batches = (images[:, :, ::-1] if flip else images for images, _ in dataset.batches(_BATCH_SIZE, split=split))
    probs = np.concatenate([np.asarray(model.predict_on_batch(images)) for images in batches])
    return probs if probs.shape[1] > 1 else np.hstack([1 - probs, probs])


def _extracted(body: keras.Model, dataset: Dataset, progress: Progress) -> NDArray[np.float32]:
    """Return the features of the used images by a Keras backbone, float32 (num_records, D)."""
    indexes = dataset.indexes()
    table = np.zeros((len(dataset.records), body.output_shape[-1]), np.float32)
    for start in range(0, len(indexes), _BATCH_SIZE):
        some = indexes[start : start + _BATCH_SIZE]
        table[some] = np.asarray(body.predict_on_batch(dataset.pixels(some)))
        progress.step("Features", start + len(some), len(indexes))
    return table


def _summary(model: keras.Model) -> str:
    lines: list[str] = []
    # A fixed width, even on a narrow terminal.
    model.summary(line_length=80, print_fn=lines.append)
    return "\n".join(lines)
