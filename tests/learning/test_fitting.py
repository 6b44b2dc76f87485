"""Fitting by every method: features from the cache, folds that see nothing of what they are asked, one honest file."""

import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mien
from conftest import draw_folder
from mien.config import PRESETS, AugmentConfig, BackboneConfig, FitConfig, ScanConfig, SplitConfig, TrainConfig
from mien.core import inference
from mien.core.inputs import RECIPE, Inputs
from mien.core.progress import Epoch
from mien.data.dataset import Dataset
from mien.data.splitting import folds, split
from mien.errors import BackboneError, SettingsError, TooFewImagesError
from mien.jobs.train import train
from mien.learning.backbone import Backbone, load_backbone
from mien.learning.exporting import save_training
from mien.learning.feature_cache import FeatureCache
from mien.learning.features import extract
from mien.learning.fitting import cross_validate, find_backbone, fit, hold_out, num_folds, prepare
from mien.learning.methods import Fitted
from mien.runs.folder import RunFolder
from mien.runs.training_details import TrainingDetails
from onnx_models import pooling_network
from tiers import Lazy

if TYPE_CHECKING:
    import keras

    from mien.learning import networks
else:
    keras, networks = Lazy("keras"), Lazy("mien.learning.networks")

pytestmark = pytest.mark.medium
LITE0 = load_backbone(BackboneConfig(), (224, 224))


def scanned(folder: Path, size: tuple[int, int] = (224, 224)) -> Dataset:
    return split(mien.clean(mien.scan(folder, ScanConfig(image_size=size), keep_images=True)))


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return scanned(data)


@pytest.fixture(scope="module")
def application_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with random weights for MobileNetV3Small, as --weights takes it."""
    path = tmp_path_factory.mktemp("weights") / "own.weights.h5"
    network = keras.applications.MobileNetV3Small(
        include_top=False, pooling="avg", input_shape=(32, 32, 3), weights=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save_weights(path)
    return str(path)


class Counting:
    """Counts what is made by a backbone."""

    def __init__(self) -> None:
        self.num_made = 0
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        self.num_made += stage == "Features"

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        pass


def test_features_are_made_once_and_found_the_next_time(dataset: Dataset, tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    made = extract(dataset, LITE0, cache=FeatureCache(tmp_path), progress=first)
    found = extract(dataset, LITE0, cache=FeatureCache(tmp_path), progress=second)
    np.testing.assert_array_equal(made, found)
    assert (first.num_made, second.num_made) == (24, 0)
    np.testing.assert_allclose(made[3], LITE0.features(dataset.inputs(np.array([3])))[0], rtol=1e-6)


def test_another_resize_mode_needs_other_features(dataset: Dataset, tmp_path: Path) -> None:
    extract(dataset, LITE0, cache=FeatureCache(tmp_path))
    cropped, counting = replace(dataset, config=replace(dataset.config, resize_mode="crop")), Counting()
    extract(cropped, LITE0, cache=FeatureCache(tmp_path), progress=counting)
    assert counting.num_made == 24


def test_what_the_cache_cannot_mean_is_made_again(dataset: Dataset, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    made = extract(dataset, LITE0, cache=cache)
    maker = (
        f"{LITE0.fingerprint} stretch (224, 224) faces off levels None ground auto recipe {RECIPE} {mien.__version__}"
    )
    first, second = (dataset.records[place].sha256 for place in (0, 1))
    assert len(cache.get(maker, [first, second])) == 2
    cache.put(maker, {first: np.full(1984, np.nan, np.float32), second: np.zeros(3, np.float32)})
    np.testing.assert_array_equal(extract(dataset, LITE0, cache=cache), made)


def test_a_cache_that_cannot_be_used_is_warned_of_once_and_done_without(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "features.sqlite").mkdir()
    counting, cache = Counting(), FeatureCache(tmp_path)
    for _ in range(2):
        assert extract(dataset, LITE0, cache=cache, progress=counting).any(axis=1).all()
    (line,) = counting.lines
    assert line.startswith("WARNING: cannot use the feature cache") and "--cache-dir" in line


def test_a_damaged_cache_is_warned_of_and_filled_again(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "features.sqlite").write_bytes(b"no database")
    counting, cache = Counting(), FeatureCache(tmp_path)
    made = extract(dataset, LITE0, cache=cache, progress=counting)
    (line,) = counting.lines
    assert line.endswith("has been reset")
    np.testing.assert_array_equal(extract(dataset, LITE0, cache=cache, progress=counting), made)
    assert counting.num_made == 24


@pytest.mark.slow
def test_a_linear_classifier_is_one_file_that_answers_as_the_head_does(dataset: Dataset, tmp_path: Path) -> None:
    fitted = fit(dataset)
    assert (fitted.details.onnx_max_difference or 1) < 1e-5
    assert fitted.history == () and fitted.model is None
    fitted.classifier.save(tmp_path / "model.onnx")
    probs = mien.load(tmp_path / "model.onnx").probs(dataset.inputs(dataset.indexes()))
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    seen = np.concatenate([dataset.indexes("train"), dataset.indexes("val")])
    assert (probs[seen].argmax(axis=1) == dataset.labels(seen)).mean() > 0.5


@pytest.mark.slow
def test_training_a_linear_classifier_loads_no_training_framework(data: Path, tmp_path: Path) -> None:
    code = (
        f"import mien, sys; mien.train({str(data)!r}, out={str(tmp_path / 'run')!r})\n"
        "print({name.split('.')[0] for name in sys.modules} & {'keras', 'tensorflow', 'torch', 'jax', 'cv2'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
def test_training_a_linear_classifier_makes_a_network_ready_to_run_twice_at_most(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    session = inference._session

    def counted(content: bytes) -> Any:
        made.append(content)
        return session(content)

    monkeypatch.setattr(inference, "_session", counted)
    mien.train(data, out=tmp_path / "run")
    # The backbone, and the classifier.
    assert len(made) <= 2


def test_images_of_another_size_than_the_backbone_takes_are_refused(data: Path) -> None:
    with pytest.raises(SettingsError, match=r"image_size \(64, 64\), but the backbone lite0 takes \(224, 224\)"):
        fit(scanned(data, (64, 64)))


@pytest.mark.slow
def test_a_file_of_the_users_own_is_the_backbone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(pooling_network(shape=["N", 3, 32, 32]))
    config = TrainConfig(backbone=BackboneConfig(str(tmp_path / "own.onnx")))
    run = train(data, config, out=tmp_path / "run")
    assert run.classifier.facts.image_size == (32, 32)
    (prediction,) = mien.predict(run.classifier, [data / "happy/00.jpg"])
    assert sum(prediction.probs.values()) == pytest.approx(1)


def test_folds_ask_about_each_image_once_and_never_about_the_test(data: Path) -> None:
    dataset = scanned(data, (32, 32))
    asked: list[int] = []
    for fold in folds(dataset, 5):
        parts = {name: set(fold.indexes(name).tolist()) for name in ("train", "val", "test")}
        assert not parts["train"] & parts["val"] | parts["train"] & parts["test"] | parts["val"] & parts["test"]
        assert set().union(*parts.values()) == {*dataset.indexes("train"), *dataset.indexes("val")}
        assert all(set(fold.labels(np.array(sorted(part)))) == {0, 1} for part in parts.values())
        asked += parts["test"]
    assert sorted(asked) == sorted([*dataset.indexes("train"), *dataset.indexes("val")])


def test_folds_keep_near_copies_together(data: Path) -> None:
    dataset = scanned(data, (32, 32))
    places = np.sort(np.concatenate([dataset.indexes("train"), dataset.indexes("val")]))
    happy = [place for place in places if dataset.records[place].label == "happy"]
    pairs = dict(zip(happy[0:6:2], happy[1:6:2], strict=True))
    groups = {place: number for number, pair in enumerate(pairs.items()) for place in pair}
    copies = dataset.with_records([replace(r, group=groups.get(i)) for i, r in enumerate(dataset.records)])
    for fold in folds(copies, 4):
        assert all(fold.records[one].split == fold.records[other].split for one, other in pairs.items())


def test_the_same_seed_gives_the_same_folds_and_another_seed_others(data: Path) -> None:
    dataset = scanned(data, (32, 32))
    first, again, other = (
        [fold.indexes("test").tolist() for fold in folds(dataset, 5, SplitConfig(seed=seed))] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_more_folds_than_images_are_refused(data: Path) -> None:
    with pytest.raises(TooFewImagesError, match=r"12 folds need .* class 'happy' has 11.* use fewer --folds"):
        list(folds(scanned(data, (32, 32)), 12))


def test_few_images_are_cross_validated_by_default_and_many_are_not(dataset: Dataset) -> None:
    assert num_folds(dataset, PRESETS["fast"]) == 5
    assert num_folds(dataset, PRESETS["best"]) == 5
    assert num_folds(dataset, PRESETS["classic"]) == 0
    assert num_folds(dataset, replace(PRESETS["fast"], split=SplitConfig(folds=0))) == 0
    assert num_folds(dataset, replace(PRESETS["best"], split=SplitConfig(folds=3))) == 3
    many = dataset.with_records(dataset.records * 1000)
    assert num_folds(many, PRESETS["fast"]) == 0


def test_a_fold_that_is_done_is_not_done_again(dataset: Dataset, tmp_path: Path) -> None:
    method = prepare(dataset, PRESETS["fast"], LITE0)
    parts = list(folds(dataset, 3))
    run = RunFolder(tmp_path)
    whole, _ = cross_validate(method, parts, run_folder=run)
    assert whole is not None
    run.fold_path(2).write_bytes(b"half")
    with run.fold_path(3).open("wb") as file:
        np.savez(file, names=np.array(["fast"]), probs=np.zeros((1, 1, 9), np.float32))
    again, _ = cross_validate(method, parts, run_folder=run)
    assert again is not None
    np.testing.assert_array_equal(whole.probs, again.probs)

    class Refusing:
        takes_long = False

        def fit_predict(self, dataset: Dataset) -> None:
            raise AssertionError("asked again")

    kept, _ = cross_validate(Refusing(), parts, run_folder=run)  # type: ignore[arg-type]
    assert kept is not None
    np.testing.assert_array_equal(whole.probs, kept.probs)


def test_out_of_fold_answers_are_of_classifiers_that_had_not_seen_the_image(small: TrainConfig, tmp_path: Path) -> None:
    # Labels without meaning: whoever is asked about what it has learnt would be right.
    folder = draw_folder(tmp_path / "data", 40)
    run = train(folder, small, out=tmp_path / "run")
    assert run.scores.out_of_fold is not None
    assert 0.25 < (run.scores.out_of_fold.accuracy.value or 0) < 0.75
    assert run.scores.out_of_fold.accuracy.num_images == 72


@pytest.mark.slow
def test_lite0_in_keras_gives_the_features_of_the_file(dataset: Dataset) -> None:
    images = dataset.pixels(np.arange(2))
    np.testing.assert_allclose(
        networks.build_lite0(LITE0).predict_on_batch(images), LITE0.features(Inputs.of(images)), atol=1e-3
    )


@pytest.mark.slow
def test_a_head_in_keras_gives_the_probabilities_of_the_head(dataset: Dataset) -> None:
    from mien.learning.heads import fit_head

    places = dataset.indexes()
    features, labels = extract(dataset, LITE0)[places], dataset.labels(places)
    for num_classes in (2, 3):
        head = fit_head(features, np.arange(len(labels)) % num_classes, num_classes=num_classes)
        model = networks.with_head(networks.build_lite0(LITE0), num_classes)
        networks.set_head(model, head)
        given = networks.with_all_probs(model).predict_on_batch(dataset.pixels(places[:2]))
        np.testing.assert_allclose(given, head.probs(features[:2]), atol=1e-3)


@pytest.mark.slow
def test_mirrored_images_get_the_same_answer_where_both_ways_are_asked(dataset: Dataset) -> None:
    model = networks.with_all_probs(networks.with_head(networks.build_lite0(LITE0), 2), flip=True)
    images = dataset.pixels(np.arange(2))
    given, mirrored = model.predict_on_batch(images), model.predict_on_batch(images[:, :, ::-1])
    np.testing.assert_allclose(given, mirrored, atol=1e-5)


@pytest.mark.slow
def test_the_precision_changes_what_is_computed_in_and_not_what_the_weights_are() -> None:
    with networks.computing_in("bfloat16"):
        model = networks.with_head(networks.build_lite0(LITE0), 2)
    assert model.get_layer("stem").compute_dtype == "bfloat16"
    assert {weights.dtype for weights in model.get_weights()} == {np.dtype("float32")}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "MobileNetV2", "ResNet50", "DenseNet121"])
def test_pixels_are_scaled_as_the_network_of_keras_wants_them(name: str) -> None:
    module = sys.modules[getattr(keras.applications, name).__module__]
    images = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.float32)
    expected = module.preprocess_input(images.copy())
    np.testing.assert_allclose(networks._scaling(module.preprocess_input)(images / 255), expected, atol=1e-3)


@pytest.mark.slow
def test_weights_that_cannot_be_fetched_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(BackboneError, match=r"cannot load the weights of MobileNetV3Small .*--weights.*lite0"):
        networks.build_application("MobileNetV3Small", (32, 32))


@pytest.mark.slow
def test_a_file_that_holds_no_weights_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "own.weights.h5").write_bytes(b"nothing")
    with pytest.raises(BackboneError, match="Pass another file with --weights"):
        networks.build_application("MobileNetV3Small", (32, 32), str(tmp_path / "own.weights.h5"))


@pytest.mark.slow
def test_normalisations_of_a_network_of_keras_keep_their_statistics(application_weights: str) -> None:
    model = networks.build_application("MobileNetV3Small", (32, 32), application_weights)
    every_layer = [layer for part in model.layers for layer in getattr(part, "layers", [part])]
    kinds = {type(layer).__name__ for layer in every_layer if layer.trainable and layer.weights}
    assert "Conv2D" in kinds
    assert "BatchNormalization" not in kinds


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MobileNetV3Small be one convolution, with which fine-tuning takes a tenth of the time."""

    def build(*, input_shape: tuple[int, int, int], **_: object) -> "keras.Model":
        images = keras.Input(input_shape)
        features = keras.layers.Conv2D(16, 3, strides=2, activation="relu")(images)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(features))

    build.__module__ = keras.applications.MobileNetV3Small.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV3Small", build)


def finetuning(application_weights: str, **fit_settings: object) -> TrainConfig:
    return TrainConfig(
        scan=ScanConfig(image_size=(32, 32)),
        split=SplitConfig(folds=0),
        backbone=BackboneConfig("MobileNetV3Small", application_weights),
        fit=FitConfig(method="finetune", epochs=1, batch_size=8, **fit_settings),  # type: ignore[arg-type]
        augment=AugmentConfig(augment=True),
    )


@pytest.mark.slow
def test_fine_tuning_keeps_what_is_better_on_validation_and_says_by_how_much(
    data: Path, tmp_path: Path, application_weights: str
) -> None:
    heard = Counting()
    config = finetuning(application_weights, learning_rate=1e-9)
    run = train(data, config, out=tmp_path / "run", progress=heard)
    # Steps that small change nothing but rounding: whatever is kept, both have the same loss.
    losses = mien.core.files.read_json(run.path / "metrics.json")["training"]["val_loss"]
    assert losses["frozen"] == pytest.approx(losses["finetuned"], abs=1e-3)
    assert any("for the lowest loss on 4 validation images" in line for line in heard.lines)
    assert (run.path / "model.keras").exists()
    assert run.classifier.facts.provenance is not None and "keras" in run.classifier.facts.provenance.versions


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_a_fine_tuning_that_spoils_the_network_is_thrown_away(data: Path, application_weights: str) -> None:
    fitted = fit(scanned(data, (32, 32)), finetuning(application_weights, learning_rate=0.05))
    losses = fitted.details.val_loss or {}
    assert losses["frozen"] < losses["finetuned"]
    assert fitted.details.kept != "finetuned"


@pytest.mark.slow
def test_the_preset_best_works_with_folds_and_three_classes(data: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(data), str(tmp_path / "data")], check=True)
    (tmp_path / "more").mkdir()
    draw_folder(tmp_path / "more", 12, first_seed=7000)
    (tmp_path / "more" / "happy").rename(tmp_path / "data" / "calm")
    best = PRESETS["best"]
    config = replace(best, split=SplitConfig(folds=2), fit=replace(best.fit, epochs=1))
    run = train(tmp_path / "data", config, out=tmp_path / "run")
    assert run.classifier.class_names == ("calm", "happy", "sad")
    assert run.scores.out_of_fold is not None and run.scores.out_of_fold.accuracy.num_images == 33
    assert not list(run.path.glob("fold*"))


def test_settings_that_contradict_one_another_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"cannot use --backbone ResNet50\. .*or add --preset best"):
        find_backbone(TrainConfig(backbone=BackboneConfig("ResNet50")))
    with pytest.raises(SettingsError, match="cannot be fine-tuned"):
        find_backbone(TrainConfig(backbone=BackboneConfig("own.onnx"), fit=FitConfig(method="finetune")))
    with pytest.raises(SettingsError, match="Omit --image-size"):
        find_backbone(TrainConfig(scan=ScanConfig(image_size=(64, 64))))
    with pytest.raises(SettingsError, match=r"the preset fast cannot use --epochs, --augment\. Add --preset"):
        find_backbone(TrainConfig(fit=FitConfig(epochs=30), augment=AugmentConfig(augment=True)))
    assert find_backbone(PRESETS["classic"]) is None
    assert isinstance(find_backbone(PRESETS["best"]), Backbone)


@pytest.mark.slow
def test_what_chooses_a_threshold_is_said_of_images_that_were_not_learnt_from(tmp_path: Path) -> None:
    # Labels without meaning: whoever is asked about what it has learnt would be right.
    dataset = scanned(draw_folder(tmp_path / "data", 40))
    predictions = hold_out(prepare(dataset, PRESETS["fast"], LITE0), dataset, PRESETS["fast"])
    right = (predictions.probs.argmax(axis=1) == predictions.labels).mean()
    assert predictions.num_folds == 0 and 12 <= len(predictions.labels) <= 16 and right < 0.9
    assert not set(predictions.indexes.tolist()) & set(dataset.indexes("test").tolist())


def test_a_linear_head_has_no_model_h5_and_says_so(tmp_path: Path) -> None:
    heard = Counting()
    fitted = Fitted(classifier=None, details=TrainingDetails())  # type: ignore[arg-type]
    save_training(RunFolder(tmp_path), fitted, save_h5=True, progress=heard)
    save_training(RunFolder(tmp_path), fitted, save_h5=False, progress=heard)
    assert heard.lines == ["model.h5 was not written, because the linear head was kept instead of the Keras network"]
    assert not list(tmp_path.iterdir())
