"""Training, recording and exporting: the network, what a training leaves behind, and the file that comes out."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from mien.config import PRESETS, AugmentConfig, FitConfig, ScanConfig
from mien.core.inputs import Inputs
from mien.core.progress import SILENCE, Epoch, Progress, Silence, best_epoch
from mien.data.dataset import Dataset, ImageRecord
from mien.errors import ExportMismatchError, OutputError, SettingsError, SourceNotFoundError
from mien.learning.exporting import export, prove_equal, save_keras
from mien.model.classifier import Classifier
from mien.runs.folder import RunFolder
from mien.runs.history import Recorder, load_history
from tiers import Lazy

if TYPE_CHECKING:
    import keras

    from mien.learning import deep, networks, training
else:
    keras, deep = Lazy("keras"), Lazy("mien.learning.deep")
    networks, training = Lazy("mien.learning.networks"), Lazy("mien.learning.training")

pytestmark = pytest.mark.slow

SIZE = (32, 32)
SPLITS = ["train"] * 7 + ["val"] * 2 + ["test"]


def make_dataset(class_names: tuple[str, ...] = ("happy", "sad"), per_class: int = 10) -> Dataset:
    """Return images that a network can tell apart by their brightness."""
    rng = np.random.default_rng(0)
    records, images = [], []
    for number, name in enumerate(class_names):
        for place in range(per_class):
            level = 255 * (number + 0.5) / len(class_names)
            images.append(np.clip(rng.normal(level, 30, (*SIZE, 3)), 0, 255).astype(np.uint8))
            split = SPLITS[place % 10]
            records.append(ImageRecord(f"{name}/{place}.jpg", name, sha256=f"{name}{place}", split=split))
    return Dataset(Path("data"), class_names, tuple(records), ScanConfig(image_size=SIZE), Inputs.of(np.stack(images)))


@dataclass(frozen=True)
class Fitted:
    """A network that was trained, and how that went."""

    model: "keras.Model"
    history: tuple[Epoch, ...]
    interrupted: bool


def fit(
    dataset: Dataset,
    config: FitConfig,
    *,
    augment: AugmentConfig = AugmentConfig(),
    seed: int = 42,
    run_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Fitted:
    """Train the classic network on small images."""
    keras.utils.set_random_seed(seed)
    model = networks.build_cnn(SIZE, len(dataset.class_names), dropout=config.dropout)
    config = replace(config, method="cnn")
    trained = training.train_network(
        model, dataset, config, augment=augment, seed=seed, run_dir=run_dir, progress=progress
    )
    return Fitted(model, trained.history, trained.interrupted)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(make_dataset(), FitConfig(epochs=2, batch_size=4))


def same_weights(first: "keras.Model", second: "keras.Model") -> bool:
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


class StopAfter:
    """Presses Ctrl-C once, in the first step after some epochs."""

    def __init__(self, num_epochs: int) -> None:
        self.epochs_left = num_epochs

    def say(self, text: str) -> None:
        pass

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        if self.epochs_left == 0:
            self.epochs_left = -1
            raise KeyboardInterrupt

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        self.epochs_left -= 1


def test_the_classic_network_is_the_tutorials() -> None:
    model = networks.build_cnn((256, 256), 2)
    assert model.count_params() == 3_696_625
    assert (model.input_shape, model.output_shape) == ((None, 256, 256, 3), (None, 1))
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Rescaling", *["Conv2D", "MaxPooling2D"] * 3, "Flatten", "Dense", "Dense"]
    assert [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)] == [16, 32, 16]


def test_more_classes_get_a_softmax_and_dropout_is_a_layer() -> None:
    model = networks.build_cnn(SIZE, 5, dropout=0.5)
    assert model.output_shape == (None, 5)
    assert model.layers[-1].activation is keras.activations.softmax
    assert any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)


def test_the_network_scales_images_by_itself() -> None:
    model = networks.build_cnn(SIZE, 2)
    rescaled = keras.Model(model.input, model.get_layer("rescale").output)(np.full((1, *SIZE, 3), 255, np.uint8))
    assert float(keras.ops.max(rescaled)) == pytest.approx(1.0)


def test_fit_learns_what_can_be_learnt() -> None:
    fitted = fit(make_dataset(per_class=20), FitConfig(epochs=12, batch_size=8))
    assert fitted.history[-1].accuracy > 0.9
    assert fitted.history[-1].loss < fitted.history[0].loss


def test_fit_with_three_classes_and_augmentation_runs() -> None:
    dataset = make_dataset(("a", "b", "c"))
    fitted = fit(dataset, FitConfig(epochs=1, batch_size=4), augment=AugmentConfig(augment=True))
    assert fitted.model.predict_on_batch(dataset.pixels(np.arange(2))).shape == (2, 3)


def test_a_training_is_told_of_before_its_network_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Silence):
        steps: ClassVar[list[tuple[int, int | None]]] = []

        def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
            self.steps.append((done, total))

    build_cnn = networks.build_cnn

    def build(*_: object, **__: object) -> "keras.Model":
        assert Told.steps[:1] == [(0, 8)]
        return build_cnn(SIZE, 2)

    monkeypatch.setattr("mien.learning.deep.networks.build_cnn", build)
    config = replace(PRESETS["classic"], fit=FitConfig(method="cnn", epochs=2, batch_size=4))
    deep.Cnn(config, Told()).fit_predict(make_dataset())
    assert Told.steps[1] == (1, 8)


def test_the_same_seed_gives_the_same_network_and_another_seed_another(fitted: Fitted) -> None:
    config = FitConfig(epochs=2, batch_size=4)
    assert same_weights(fit(make_dataset(), config).model, fitted.model)
    assert not same_weights(fit(make_dataset(), config, seed=1).model, fitted.model)


def test_history_is_over_all_images_and_not_over_the_last_batch(fitted: Fitted) -> None:
    # 14 training images: every accuracy is a number of fourteenths; the last batch has 2 of them.
    dataset = make_dataset()
    model = fit(dataset, FitConfig(epochs=1, batch_size=4, learning_rate=1e-12)).model
    seen = dataset.indexes("train")
    right = (model.predict_on_batch(dataset.pixels(seen))[:, 0] > 0.5) == dataset.labels(seen)
    history = fit(dataset, FitConfig(epochs=1, batch_size=4, learning_rate=1e-12)).history
    assert history[0].accuracy == pytest.approx(right.mean())


def test_early_stopping_ends_and_the_best_weights_are_kept() -> None:
    # A step size that large makes the loss worse, so the first epochs are the best.
    dataset = make_dataset()
    fitted = fit(dataset, FitConfig(epochs=30, batch_size=4, patience=2, learning_rate=0.1))
    assert len(fitted.history) == best_epoch(fitted.history).epoch + 2 < 30
    seen = dataset.indexes("val")
    probs = fitted.model.predict_on_batch(dataset.pixels(seen))[:, 0]
    labels = dataset.labels(seen)
    losses = -np.log(np.clip(np.where(labels == 1, probs, 1 - probs), 1e-7, 1))
    assert losses.mean() == pytest.approx(min(epoch.val_loss for epoch in fitted.history), rel=1e-3)


def test_a_training_that_diverges_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.5, float("nan"), float("nan")])
    one_batch = FitConfig(epochs=9, batch_size=100, learning_rate=3.0)
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *_, **__: {"loss": next(losses), "accuracy": 0.5})
    assert len(fit(make_dataset(), one_batch).history) == 1
    with pytest.raises(SettingsError, match=r"diverged in epoch 1: loss nan.*Lower --learning-rate \(now 3"):
        fit(make_dataset(), one_batch)


def test_uneven_classes_are_weighed_so_that_each_counts_the_same() -> None:
    dataset = make_dataset(per_class=40)
    rare = [replace(r, used=not (r.label == "sad" and i % 40 >= 10)) for i, r in enumerate(dataset.records)]
    dataset = dataset.with_records(rare)
    untrained = {"epochs": 1, "batch_size": 100, "learning_rate": 1e-12}
    weighed = fit(dataset, FitConfig(**untrained, class_weights=True)).history[0]  # type: ignore[arg-type]
    plain = fit(dataset, FitConfig(**untrained)).history[0]  # type: ignore[arg-type]
    model = fit(dataset, FitConfig(**untrained)).model  # type: ignore[arg-type]
    seen = dataset.indexes("train")
    labels, probs = dataset.labels(seen), model.predict_on_batch(dataset.pixels(seen))[:, 0]
    losses = -np.log(np.where(labels == 1, probs, 1 - probs))
    assert plain.loss == pytest.approx(losses.mean(), rel=1e-3)
    assert weighed.loss == pytest.approx((losses[labels == 0].mean() + losses[labels == 1].mean()) / 2, rel=1e-3)


def test_augmentation_touches_the_training_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    varied = []
    monkeypatch.setattr("mien.learning.training.vary", lambda images, *_: (images, varied.append(len(images)))[0])  # type: ignore[func-returns-value]
    fit(make_dataset(), FitConfig(epochs=2, batch_size=100), augment=AugmentConfig(augment=True))
    assert varied == [14, 14]


def test_ctrl_c_keeps_the_best_weights_so_far() -> None:
    fitted = fit(make_dataset(), FitConfig(epochs=9, batch_size=4), progress=StopAfter(2))
    assert fitted.interrupted
    assert len(fitted.history) == 2


def test_ctrl_c_before_the_first_epoch_ends_everything() -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(make_dataset(), FitConfig(epochs=9), progress=StopAfter(0))


def test_a_training_that_was_cut_off_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    config = FitConfig(epochs=4, batch_size=4, dropout=0.3)
    augment = AugmentConfig(augment=True)
    whole = fit(make_dataset(), config, augment=augment)
    fit(make_dataset(), config, augment=augment, run_dir=tmp_path, progress=StopAfter(2))
    resumed = fit(make_dataset(), config, augment=augment, run_dir=tmp_path)
    assert same_weights(whole.model, resumed.model)
    assert [epoch.val_loss for epoch in whole.history] == [epoch.val_loss for epoch in resumed.history]


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    fit(make_dataset(), FitConfig(epochs=1), run_dir=tmp_path)
    with pytest.raises(SourceNotFoundError, match="another network"):
        fit(make_dataset(("a", "b", "c")), FitConfig(epochs=2), run_dir=tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", b"\x80\x04pickle"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.npz").write_bytes(content)
    with pytest.raises(SourceNotFoundError, match="checkpoint"):
        Recorder(RunFolder(tmp_path)).checkpoint()


def test_a_run_folder_gets_history_and_tensorboard_logs(tmp_path: Path) -> None:
    fitted = fit(make_dataset(), FitConfig(epochs=2), run_dir=tmp_path)
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text("utf-8-sig").splitlines()))
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert load_history(tmp_path / "history.csv") == fitted.history
    assert {path.parent.name for path in tmp_path.glob("logs/*/events.out.tfevents.*")} == {"train", "validation"}


def test_tensorboard_reads_the_logs(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fitted = fit(make_dataset(), FitConfig(epochs=2), run_dir=tmp_path)
    events = EventAccumulator(str(tmp_path / "logs" / "validation"))
    events.Reload()
    losses = [event.tensor_proto.float_val[0] for event in events.Tensors("epoch_loss")]
    assert losses == pytest.approx([epoch.val_loss for epoch in fitted.history])


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(OutputError, match=r"checkpoint\.npz.*No space left"):
        fit(make_dataset(), FitConfig(epochs=1), run_dir=tmp_path)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("class_names", [("happy", "sad"), ("a", "b", "c")])
def test_the_onnx_file_answers_as_the_keras_network_does(class_names: tuple[str, ...], tmp_path: Path) -> None:
    dataset = make_dataset(class_names)
    whole = networks.with_all_probs(fit(dataset, FitConfig(epochs=1)).model)
    classifier = export(whole, dataset)
    batches = [images for images, _ in dataset.batches(7)]
    assert prove_equal(map(whole.predict_on_batch, batches), map(classifier.probs, map(Inputs.of, batches))) < 1e-5
    inputs = Inputs.of(batches[0])
    probs = classifier.probs(inputs)
    assert probs.shape == (7, len(class_names))
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    classifier.save(tmp_path / "moved.onnx")
    np.testing.assert_array_equal(Classifier((tmp_path / "moved.onnx").read_bytes()).probs(inputs), probs)


def test_a_file_that_answers_otherwise_is_not_let_through() -> None:
    given = np.array([[0.3, 0.7], [0.6, 0.4]], np.float32)
    with pytest.raises(ExportMismatchError, match=r"model\.onnx does not match.*by up to 2.0e-03"):
        prove_equal([given], [given + np.float32(0.002)])
    with pytest.raises(ExportMismatchError, match="1 label would change"):
        prove_equal([np.array([[0.5002, 0.4998]], np.float32)], [np.array([[0.4998, 0.5002]], np.float32)])


def test_which_of_two_equal_classes_is_named_first_is_no_difference() -> None:
    prove_equal([np.array([[0.500001, 0.499999]], np.float32)], [np.array([[0.499999, 0.500001]], np.float32)])


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_the_keras_files_load_in_plain_keras(fitted: Fitted, tmp_path: Path, name: str) -> None:
    save_keras(fitted.model, tmp_path, save_h5=True)
    loaded = keras.models.load_model(tmp_path / name, compile=False)
    images = make_dataset().pixels(np.arange(3))
    np.testing.assert_array_equal(loaded.predict_on_batch(images), fitted.model.predict_on_batch(images))


def test_a_failed_save_leaves_the_old_file(fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.keras").write_bytes(b"old")

    def full(self: "keras.Model", path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(fitted.model), "save", full)
    with pytest.raises(OutputError, match="No space left"):
        save_keras(fitted.model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert (tmp_path / "model.keras").read_bytes() == b"old"
