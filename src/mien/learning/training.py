"""Training: train a Keras network epoch by epoch, with a validation split."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mien.config import AugmentConfig, FitConfig, SplitConfig
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Epoch, Progress, best_epoch
from mien.core.text import counted
from mien.data.dataset import Dataset
from mien.errors import OutOfTimeError, SettingsError, SourceNotFoundError
from mien.learning.augmentation import augment as vary
from mien.learning.hardware import has_gpu
from mien.runs.folder import RunFolder
from mien.runs.history import Checkpoint, Recorder

# One batch: images (an array, or a tensor on the GPU), class numbers, and weights.
_Batch = tuple[Any, NDArray[np.float32], NDArray[np.float32]]
_WEIGHT_DECAY = 0.01
_WARM_UP_EPOCHS = 1
_MAX_GPU_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class Trained:
    """The course of a training.

    Attributes:
        history: The epochs.
        interrupted: Whether the user stopped it.
    """

    history: tuple[Epoch, ...]
    interrupted: bool


def train_network(
    model: keras.Model,
    dataset: Dataset,
    config: FitConfig = FitConfig(),
    *,
    augment: AugmentConfig = AugmentConfig(),
    seed: int = SplitConfig.seed,
    run_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Trained:
    """Train a network, and give it the weights of its best epoch: the one with the lowest validation loss.

    The same network, images, settings and seed give the same weights. Ctrl-C after the first epoch stops the training
    and keeps the best weights so far.

    Args:
        model: The network, from uint8 (N, H, W, 3) to one sigmoid unit, or one softmax unit per class. It is changed.
        dataset: What `split` returned.
        config: The training settings.
        augment: The augmentation settings.
        seed: Random seed for the order of images and for augmentation.
        run_dir: A folder for history.csv, TensorBoard logs and a checkpoint. If it contains a checkpoint, training
            resumes from there.
        progress: Receives progress updates.

    Raises:
        OutOfTimeError: Not even the first epoch would finish in time.
        OutputError: The disk is full.
        SettingsError: The training diverged in the first epoch.
        SourceNotFoundError: The checkpoint is damaged, or of another network.
    """
    training = _Training(model, dataset.keeping_images(), config, augment, seed)
    recorder = Recorder(RunFolder(run_dir)) if run_dir else None
    interrupted = False
    try:
        if recorder and (earlier := recorder.checkpoint()):
            training.resume(earlier, progress)
        for checkpoint in training.epochs(progress):
            if recorder:
                recorder.record(checkpoint)
    except KeyboardInterrupt:
        if not training.history:
            raise
        interrupted = True
    training.restore_best()
    progress.step("Training", config.epochs, config.epochs)
    return Trained(tuple(training.history), interrupted)


def announce(dataset: Dataset, config: FitConfig, progress: Progress) -> None:
    """Show that a training is starting, because building and compiling a network takes a while.

    Args:
        dataset: The Dataset to train on.
        config: The training settings.
        progress: Receives the first update.
    """
    progress.step("Training", 0, config.epochs * _num_batches(dataset, config, "train"), "preparing")


def _num_batches(dataset: Dataset, config: FitConfig, split: str) -> int:
    return -(-len(dataset.indexes(split)) // config.batch_size)


class _Training:
    """A training in progress: the network, its epochs, and the best weights so far.

    Keras' own `fit` reads batches through tf.data, which copies images from GPU memory back to the host. On two cores,
    an epoch took at least 13% longer with it in the preset classic (25% with a PyDataset), and 21% longer in best.
    """

    def __init__(
        self, model: keras.Model, dataset: Dataset, config: FitConfig, augment: AugmentConfig, seed: int
    ) -> None:
        self._model, self._dataset, self._config, self._augment, self._seed = model, dataset, config, augment, seed
        self._class_weights = _class_weights(dataset, config)
        self._pixels = _pixels(dataset, augment)
        self._ends = time.monotonic() + 60 * config.time_limit if config.time_limit else math.inf
        _compile(model, config, self._num_steps("train"))
        self.history: list[Epoch] = []
        self._best_weights: list[NDArray[np.float32]] = []

    def resume(self, checkpoint: Checkpoint, progress: Progress) -> None:
        """Resume from a checkpoint."""
        variables = self._variables()
        if [v.shape for v in variables] != [state.shape for state in checkpoint.state]:
            raise SourceNotFoundError("the checkpoint is of another network. Delete it to restart the training")
        for variable, value in zip(variables, checkpoint.state, strict=True):
            variable.assign(value)
        self.history = list(checkpoint.history)
        self._best_weights = list(checkpoint.best_weights)
        progress.say(f"resuming after epoch {len(self.history)}")
        progress.epoch(checkpoint.history, self._config.epochs)

    def epochs(self, progress: Progress) -> Iterator[Checkpoint]:
        """Train to the end, yielding a checkpoint after every epoch."""
        while not self._done():
            epoch = self._run_epoch(progress)
            if not math.isfinite(epoch.loss + epoch.val_loss):
                self._refuse_to_diverge(epoch, progress)
                return
            self.history.append(epoch)
            if best_epoch(self.history) is epoch:
                self._best_weights = self._model.get_weights()
            progress.epoch(tuple(self.history), self._config.epochs)
            state = [variable.numpy() for variable in self._variables()]
            yield Checkpoint(tuple(self.history), state, self._best_weights)
        if self._waited():
            waited = counted(self._config.patience, "epoch")
            progress.say(f"stopped: no improvement on the validation images for {waited} (--patience)")
        elif len(self.history) < self._config.epochs:
            progress.say("stopped: no time for another epoch (--time-limit)")

    def _refuse_to_diverge(self, epoch: Epoch, progress: Progress) -> None:
        text = f"the training diverged in epoch {epoch.epoch}: loss {epoch.loss}, validation loss {epoch.val_loss}"
        advice = f"Lower --learning-rate (now {self._config.learning_rate:g})"
        if not self.history:
            raise SettingsError(f"{text}. {advice}")
        progress.say(f"{text}. Continuing with the best weights before that. {advice}")

    def restore_best(self) -> None:
        """Give the network the weights of its best epoch."""
        self._model.set_weights(self._best_weights)

    def _done(self) -> bool:
        if not self.history:
            return False
        is_late = time.monotonic() + min(epoch.seconds for epoch in self.history) > self._ends
        return len(self.history) >= self._config.epochs or self._waited() or is_late

    def _waited(self) -> bool:
        """Return whether there was no improvement for `patience` epochs."""
        return 0 < self._config.patience <= len(self.history) - best_epoch(self.history).epoch

    def _refuse_to_begin(self, step: int, started: float) -> None:
        """Give up during the first epoch if it would not finish in time."""
        if self.history or not 2 <= step < self._num_steps("train"):
            return
        # The first step includes compilation, so it is not counted.
        left = (self._num_steps("train") - step) * (time.monotonic() - started) / (step - 1)
        if time.monotonic() + left > self._ends:
            raise OutOfTimeError(
                f"the first epoch over {counted(len(self._dataset.indexes('train')), 'image')} would take another "
                f"{left:.0f} s, which exceeds --time-limit"
            )

    def _run_epoch(self, progress: Progress) -> Epoch:
        started = compiled = time.monotonic()
        number, num_steps, num_epochs = len(self.history), self._num_steps("train"), self._config.epochs
        for step, (loss, accuracy) in enumerate(self._means("train"), start=1):
            compiled = time.monotonic() if step == 1 else compiled
            self._refuse_to_begin(step, compiled)
            note = f"epoch {number + 1}/{num_epochs}  loss {loss:.3f}  accuracy {accuracy:>4.0%}"
            progress.step("Training", number * num_steps + step, num_epochs * num_steps, note)
        *_, (val_loss, val_accuracy) = self._means("val")
        return Epoch(number + 1, loss, accuracy, val_loss, val_accuracy, time.monotonic() - started)

    def _means(self, split: str) -> Iterator[tuple[float, float]]:
        """Run through a split once, yielding the mean loss and accuracy so far after every step."""
        run = self._model.train_on_batch if split == "train" else self._model.test_on_batch
        totals = np.zeros(3)
        for images, labels, weights in self._batches(split):
            # Keras returns the means of one batch, and the last batch may be smaller.
            found = run(images, labels, weights, return_dict=True)
            totals += len(images) * np.array([found["loss"], found["accuracy"], 1])
            loss, accuracy, _ = (totals / totals[2]).tolist()
            yield loss, accuracy

    def _variables(self) -> list[keras.Variable]:
        return [
            *self._model.trainable_variables,
            *self._model.non_trainable_variables,
            *self._model.optimizer.variables,
        ]

    def _num_steps(self, split: str) -> int:
        return _num_batches(self._dataset, self._config, split)

    def _batches(self, split: str) -> Iterator[_Batch]:
        """Yield the batches of one epoch, prepared in threads while the network processes earlier ones."""
        indexes = self._dataset.indexes(split)
        epoch = len(self.history)
        if split == "train":
            indexes = np.random.default_rng([self._seed, epoch]).permutation(indexes)

        def ready(step: int) -> _Batch:
            chosen = indexes[step * self._config.batch_size :][: self._config.batch_size]
            images, labels = self._pixels(chosen), self._dataset.labels(chosen)
            if split == "train" and self._augment.augment:
                # One generator per batch, so that the result does not depend on thread timing.
                images = vary(images, self._augment, np.random.default_rng([self._seed, epoch, step]))
            return images, labels.astype(np.float32), self._class_weights[labels]

        return in_threads(ready, range(self._num_steps(split)))


def _pixels(dataset: Dataset, augment: AugmentConfig) -> Callable[[NDArray[np.int64]], Any]:
    """Return a function that returns images by index, from GPU memory if there is a GPU and they fit."""
    kept = dataset.kept
    if kept is None or kept.images.nbytes > _MAX_GPU_BYTES or not has_gpu() or augment.augment:
        return dataset.pixels
    images = keras.ops.convert_to_tensor(kept.images)
    return lambda places: keras.ops.take(images, places, axis=0)


def _class_weights(dataset: Dataset, config: FitConfig) -> NDArray[np.float32]:
    """Return the weight of an image of each class, (C,), with a mean of 1 over the training images."""
    num_classes = len(dataset.class_names)
    counts = np.bincount(dataset.labels(dataset.indexes("train")), minlength=num_classes)
    weights = counts.sum() / (num_classes * counts) if config.class_weights else np.ones(num_classes)
    return np.asarray(weights, np.float32)


def _compile(model: keras.Model, config: FitConfig, num_steps: int) -> None:
    model.compile(
        optimizer=_optimizer(config, num_steps),
        loss="binary_crossentropy" if model.output_shape[-1] == 1 else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=_prepare_backend(),
    )
    # Optimizer variables are part of a checkpoint, so they must exist before the first step.
    model.optimizer.build(model.trainable_variables)


def _optimizer(config: FitConfig, num_steps: int) -> keras.Optimizer:
    """Return Adam for a network trained from scratch; for a pretrained one, AdamW with a decaying learning rate."""
    if config.method == "cnn":
        return keras.optimizers.Adam(config.learning_rate)
    warm_up = min(_WARM_UP_EPOCHS, config.epochs - 1) * num_steps
    curve = keras.optimizers.schedules.CosineDecay(
        0.0 if warm_up else config.learning_rate,
        config.epochs * num_steps - warm_up,
        warmup_target=config.learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
    return keras.optimizers.AdamW(curve, weight_decay=_WEIGHT_DECAY)


def _prepare_backend() -> bool | str:
    """Let GPU memory grow as needed; return whether to compile the graph with XLA."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        tensorflow.config.experimental.set_memory_growth(gpu, True)
    # On CPUs, XLA is several times slower than oneDNN for this network.
    return "auto" if gpus else False
