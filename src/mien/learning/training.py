"""Training: a Keras network, trained on the training split and watched on the validation split, epoch by epoch."""

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
from mien.data.dataset import Dataset
from mien.errors import OutOfTimeError, SettingsError, SourceNotFoundError
from mien.learning.augmentation import augment as vary
from mien.learning.hardware import has_gpu
from mien.runs.folder import RunFolder
from mien.runs.history import Checkpoint, Recorder

# One batch of training: images (an array, or a tensor on the GPU), class numbers, and how much each counts.
_Batch = tuple[Any, NDArray[np.float32], NDArray[np.float32]]
_WEIGHT_DECAY = 0.01
_WARM_UP_EPOCHS = 1
_MAX_GPU_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        history: What each epoch came to.
        interrupted: The user stopped it before its last epoch.
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
    """Train a network; it ends with the weights of its best epoch: the one with the lowest validation loss.

    The same network, images, settings and seed give the same weights. Ctrl-C after the first epoch ends the
    training and keeps the best weights so far.

    Args:
        model: Takes uint8 (N, H, W, 3); gives one sigmoid unit, or one softmax unit per class. It is changed.
        dataset: What `split` returned.
        config: How to train.
        augment: How the training images are varied.
        seed: Decides the order, and what chance does to the images.
        run_dir: A folder for history.csv, TensorBoard's logs and a checkpoint. Where it holds a checkpoint,
            training goes on from there.
        progress: Told how far it is.

    Raises:
        OutOfTimeError: Not even the first epoch would end in time.
        OutputError: There is no room for the checkpoint or the logs.
        SettingsError: The loss of the first epoch is no longer a number.
        SourceNotFoundError: The checkpoint is of another network, or damaged.
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
    """Show that a training begins: building and compiling a network, before the first step, take a while.

    Args:
        dataset: What will be trained on.
        config: How.
        progress: Told that nothing of it is done yet.
    """
    progress.step("Training", 0, config.epochs * _num_batches(dataset, config, "train"), "preparing")


def _num_batches(dataset: Dataset, config: FitConfig, split: str) -> int:
    return -(-len(dataset.indexes(split)) // config.batch_size)


class _Training:
    """A training under way: the network, what its epochs came to, and the best weights so far.

    Keras' own `fit` takes its batches from tf.data, which brings images from the memory of a GPU back to the host. On
    two cores an epoch took at least 13% longer with it in the preset classic, from a PyDataset 25%, and in best 21%.
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
        """Go on from where a training stood."""
        variables = self._variables()
        if [v.shape for v in variables] != [state.shape for state in checkpoint.state]:
            raise SourceNotFoundError("the checkpoint is of another network; delete it to train from the start")
        for variable, value in zip(variables, checkpoint.state, strict=True):
            variable.assign(value)
        self.history = list(checkpoint.history)
        self._best_weights = list(checkpoint.best_weights)
        progress.say(f"going on after epoch {len(self.history)}")
        progress.epoch(checkpoint.history, self._config.epochs)

    def epochs(self, progress: Progress) -> Iterator[Checkpoint]:
        """Train until it is done, and stop after every epoch to say where it stands."""
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
            progress.say(f"stopped: no better on validation for {self._config.patience} epochs (--patience)")
        elif len(self.history) < self._config.epochs:
            progress.say("stopped: there is no time for another epoch (--time-limit)")

    def _refuse_to_diverge(self, epoch: Epoch, progress: Progress) -> None:
        text = f"the training diverged: in epoch {epoch.epoch} its loss is {epoch.loss}, on validation {epoch.val_loss}"
        advice = f"lower --learning-rate, which is {self._config.learning_rate:g}"
        if not self.history:
            raise SettingsError(f"{text}; {advice}")
        progress.say(f"{text}. Going on with the best weights before that; {advice}")

    def restore_best(self) -> None:
        """Give the network the weights of its best epoch."""
        self._model.set_weights(self._best_weights)

    def _done(self) -> bool:
        if not self.history:
            return False
        is_late = time.monotonic() + min(epoch.seconds for epoch in self.history) > self._ends
        return len(self.history) >= self._config.epochs or self._waited() or is_late

    def _waited(self) -> bool:
        """Say whether nothing has got better for as many epochs as one is to wait."""
        return 0 < self._config.patience <= len(self.history) - best_epoch(self.history).epoch

    def _refuse_to_begin(self, step: int, started: float) -> None:
        """Give up in the first epoch where it would not end in time."""
        if self.history or not 2 <= step < self._num_steps("train"):
            return
        # The first step is compiled.
        left = (self._num_steps("train") - step) * (time.monotonic() - started) / (step - 1)
        if time.monotonic() + left > self._ends:
            raise OutOfTimeError(
                f"to go over {len(self._dataset.indexes('train'))} images once takes {left:.0f} s more: longer than "
                "--time-limit allows"
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
        """Go over a split once; yield after every step the mean loss and accuracy over the images so far."""
        run = self._model.train_on_batch if split == "train" else self._model.test_on_batch
        totals = np.zeros(3)
        for images, labels, weights in self._batches(split):
            # Keras gives the means of one batch, and the last batch is a small one.
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
        """Yield the batches of one epoch, made ready in threads while the network works on those before."""
        indexes = self._dataset.indexes(split)
        epoch = len(self.history)
        if split == "train":
            indexes = np.random.default_rng([self._seed, epoch]).permutation(indexes)

        def ready(step: int) -> _Batch:
            chosen = indexes[step * self._config.batch_size :][: self._config.batch_size]
            images, labels = self._pixels(chosen), self._dataset.labels(chosen)
            if split == "train" and self._augment.augment:
                # A generator for each batch: the images do not depend on which thread is first.
                images = vary(images, self._augment, np.random.default_rng([self._seed, epoch, step]))
            return images, labels.astype(np.float32), self._class_weights[labels]

        return in_threads(ready, range(self._num_steps(split)))


def _pixels(dataset: Dataset, augment: AugmentConfig) -> Callable[[NDArray[np.int64]], Any]:
    """Return what gives the images at some places: from the memory of the GPU, where there is one and they fit."""
    kept = dataset.kept
    if kept is None or kept.images.nbytes > _MAX_GPU_BYTES or not has_gpu() or augment.augment:
        return dataset.pixels
    images = keras.ops.convert_to_tensor(kept.images)
    return lambda places: keras.ops.take(images, places, axis=0)


def _class_weights(dataset: Dataset, config: FitConfig) -> NDArray[np.float32]:
    """Return how much an image of each class counts, (C,): the mean over the training images is 1."""
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
    # Its variables are part of a checkpoint: they must be there before the first step.
    model.optimizer.build(model.trainable_variables)


def _optimizer(config: FitConfig, num_steps: int) -> keras.Optimizer:
    """Return Adam for a network from random weights; for a pretrained one AdamW, gentler from step to step."""
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
    """Let a GPU's memory grow with need; return whether the graph is to be compiled by XLA."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        tensorflow.config.experimental.set_memory_growth(gpu, True)
    # XLA compiles this network to code that is several times slower than oneDNN's on CPUs.
    return "auto" if gpus else False
