"""How long an epoch takes: mien's own loop beside Keras' `fit`, on the same network, images and batches.

    python benchmarks/epochs.py PHOTOS [--presets classic best] [--augment] [--epochs 4] [--rounds 5]

By turns, each time in a process of its own; PHOTOS must hold two classes. `fit` takes its batches from a PyDataset with
two threads, or from a generator that makes them ready in mien's threads. The first epoch of a process, which compiles,
does not count. Prints the median seconds of the others, and `fit` / loop.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from timing import arguments, by_turns, run, show_ratio, show_seconds

if TYPE_CHECKING:
    import keras

    from mien.data.dataset import Dataset

SEED = 42
WAYS = ("loop", "fit, PyDataset", "fit, generator")


def network_of(preset: str, dataset: "Dataset") -> "keras.Model":
    """Return the network that a preset trains, ready to be trained."""
    import keras

    from mien.config import PRESETS
    from mien.learning import networks
    from mien.learning.backbone import load_backbone
    from mien.learning.hardware import chosen_precision

    config = PRESETS[preset]
    keras.utils.set_random_seed(SEED)
    with networks.computing_in(chosen_precision(config.fit)):
        if preset == "classic":
            return networks.build_cnn(dataset.config.image_size, 2)
        backbone = load_backbone(config.backbone, dataset.config.image_size)
        return networks.with_head(networks.build_lite0(backbone), 2, dropout=config.fit.dropout)


def train(way: str, preset: str, photos: Path, *, epochs: int, augment: bool) -> list[float]:
    """Return the seconds of each epoch."""
    from mien.config import PRESETS, AugmentConfig, BackboneConfig
    from mien.core.progress import Silence
    from mien.data.cleaning import clean
    from mien.data.scanning import scan
    from mien.data.splitting import split
    from mien.learning.backbone import load_backbone
    from mien.learning.training import train_network

    config = PRESETS[preset]
    size = config.scan.image_size
    if preset == "best":
        size = load_backbone(BackboneConfig(), size).image_size
    dataset = split(clean(scan(photos, replace(config.scan, image_size=size, faces="off")))).keeping_images()
    model, settings = network_of(preset, dataset), replace(config.fit, epochs=epochs, patience=0, time_limit=0.0)
    if way == "loop":
        # As on the screen: whoever shows nothing need not be told.
        trained = train_network(
            model, dataset, settings, augment=AugmentConfig(augment=augment), seed=SEED, progress=Silence()
        )
        return [epoch.seconds for epoch in trained.history]
    return fit(model, dataset, batch_size=settings.batch_size, epochs=epochs, augment=augment, way=way)


def fit(
    model: "keras.Model", dataset: "Dataset", *, batch_size: int, epochs: int, augment: bool, way: str
) -> list[float]:
    """Train by Keras' `fit`, and return the seconds of each epoch."""
    import time

    import keras

    from mien.config import AugmentConfig
    from mien.core.parallel import in_threads
    from mien.learning.augmentation import augment as vary

    def batch(order: Any, split: str, epoch: int, step: int) -> tuple[Any, ...]:
        chosen = order[step * batch_size :][:batch_size]
        images = dataset.pixels(chosen)
        if split == "train" and augment:
            images = vary(images, AugmentConfig(augment=True), np.random.default_rng([SEED, epoch, step]))
        return images, dataset.labels(chosen).astype(np.float32)[:, None], np.ones(len(chosen), np.float32)

    def order_of(split: str, epoch: int) -> Any:
        indexes = dataset.indexes(split)
        return np.random.default_rng([SEED, epoch]).permutation(indexes) if split == "train" else indexes

    def num_steps(split: str) -> int:
        return -(-len(dataset.indexes(split)) // batch_size)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc, unused-ignore]
        def __init__(self, split: str) -> None:
            super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)  # type: ignore[no-untyped-call]
            self.split, self.epoch = split, 0

        def __len__(self) -> int:
            return num_steps(self.split)

        def __getitem__(self, step: int) -> tuple[Any, ...]:
            return batch(order_of(self.split, self.epoch), self.split, self.epoch, step)

        def on_epoch_end(self) -> None:
            self.epoch += 1

    def generated(split: str) -> Iterator[tuple[Any, ...]]:
        for epoch in range(epochs):
            order = order_of(split, epoch)
            yield from in_threads(partial(batch, order, split, epoch), range(num_steps(split)))

    class Progress(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began_s = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            _ = f"loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.0%}"

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.monotonic() - self.began_s)

    seconds: list[float] = []
    model.compile(keras.optimizers.Adam(), "binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    if way.endswith("PyDataset"):
        batches: dict[str, Any] = {"x": Batches("train"), "validation_data": Batches("val")}
    else:
        steps = {"steps_per_epoch": num_steps("train"), "validation_steps": num_steps("val")}
        batches = {"x": generated("train"), "validation_data": generated("val"), **steps}
    model.fit(**batches, epochs=epochs, verbose=0, shuffle=False, callbacks=[Progress()])  # type: ignore[no-untyped-call]
    return seconds


def main() -> None:
    """Time them by turns; with --way, be one of those that are timed."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--presets", nargs="+", default=["classic", "best"], choices=["classic", "best"])
    parser.add_argument("--augment", action="store_true", help="vary the training images")
    parser.add_argument("--epochs", type=int, default=4, help="in each process (default: %(default)s)")
    parser.add_argument("--way", choices=WAYS, help="train in this way, and print the seconds of each epoch")
    given = parser.parse_args()
    if given.way:
        (preset,) = given.presets
        print(json.dumps(train(given.way, preset, given.photos, epochs=given.epochs, augment=given.augment)))
        return

    def time_one(preset: str, way: str) -> float:
        words = [sys.executable, __file__, given.photos, "--presets", preset, "--way", way]
        words += ["--epochs", str(given.epochs), *(["--augment"] if given.augment else [])]
        return float(median(json.loads(run(words).stdout.splitlines()[-1])[1:]))

    for preset in given.presets:
        medians = show_seconds(
            by_turns({f"{preset}, {way}": partial(time_one, preset, way) for way in WAYS}, given.rounds)
        )
        loop_s = medians[f"{preset}, loop"]
        for way in WAYS[1:]:
            show_ratio(f"{preset}, {way} / loop", medians[f"{preset}, {way}"] / loop_s)


if __name__ == "__main__":
    main()
