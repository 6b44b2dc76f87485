import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from mien.config import (
    PRESETS,
    AugmentConfig,
    BackboneConfig,
    CleanConfig,
    FitConfig,
    LabelConfig,
    PredictConfig,
    ScanConfig,
    ServeConfig,
    SplitConfig,
    TrainConfig,
    expect,
    from_json,
    starting_from,
    to_json,
)
from mien.errors import SettingsError

CHANGED = TrainConfig(
    preset="mine",
    scan=ScanConfig(
        image_size=(64, 96),
        resize_mode="pad",
        faces="off",
        levels=(0, 4095),
        ground="black",
        max_pixels=10**6,
        max_memory_mb=0,
    ),
    clean=CleanConfig(min_bytes=5, min_side=8, near_bits=3, keep="all"),
    split=SplitConfig(val_fraction=0.25, test_fraction=0.125, seed=7, folds=3, split="runs/train", group_by="folder"),
    backbone=BackboneConfig("own.onnx", "own.h5", pixel_mean=(0.5, 0, 1), pixel_std=(1, 2.5, 0.5)),
    fit=FitConfig(
        method="cnn",
        epochs=3,
        batch_size=4,
        learning_rate=0.5,
        dropout=0.25,
        patience=2,
        class_weights=True,
        time_limit=5.0,
        may_matter="colour,mirror",
        precision="float32",
    ),
    augment=AugmentConfig(True, rotation=1, shift=0, zoom=0.5, flip=False, brightness=0.125, contrast=0.0),
    predict=PredictConfig(threshold=0.75, target_precision=0.5),
    labels=LabelConfig("own.csv", "file", "kind", r"^(\w+)_", 2, "a,b", "*.gif", "a=c", relabel="mine.csv"),
)


@pytest.mark.parametrize("config", [TrainConfig(), CHANGED, *PRESETS.values()], ids=["default", "changed", *PRESETS])
def test_settings_come_back_from_json_as_they_were(config: TrainConfig) -> None:
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_every_setting_was_changed_for_the_round_trip() -> None:
    for section in fields(TrainConfig):
        mine, default = getattr(CHANGED, section.name), getattr(TrainConfig(), section.name)
        for setting in fields(mine) if is_dataclass(mine) else ():
            assert getattr(mine, setting.name) != getattr(default, setting.name), setting.name


def test_a_setting_that_is_left_out_keeps_its_default() -> None:
    assert from_json({}) == TrainConfig()
    assert from_json({"fit": {"epochs": 3}}) == TrainConfig(fit=FitConfig(epochs=3))


def test_what_a_run_says_beside_its_settings_is_passed_over() -> None:
    assert from_json({"data": "/photos", "versions": {"mien": "9"}}) == TrainConfig()


def test_a_whole_number_is_a_good_share() -> None:
    rotation = from_json({"augment": {"rotation": 10}}).augment.rotation
    assert rotation == 10 and type(rotation) is float


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"fitt": {}}, "fitt"),
        ({"fit": {"epoch": 3}}, "epoch"),
        ({"fit": {"__class__": 3}}, "__class__"),
        ({"fit": [3]}, "fit"),
        ({"fit": None}, "fit"),
        ([], "list"),
        (None, "NoneType"),
        ({"preset": 3}, "preset"),
        ({"fit": {"epochs": "3"}}, "epochs"),
        ({"fit": {"method": "magic"}}, "method"),
        ({"fit": {"method": ["cnn"]}}, "method"),
        ({"split": {"folds": "five"}}, "folds"),
        ({"split": {"folds": True}}, "folds"),
        ({"backbone": {"pixel_mean": [0.5, 0.5]}}, "pixel_mean"),
        ({"backbone": {"pixel_mean": [0.5, 0.5, "x"]}}, "pixel_mean"),
        ({"fit": {"epochs": 3.0}}, "epochs"),
        ({"fit": {"epochs": True}}, "epochs"),
        ({"fit": {"class_weights": 1}}, "class_weights"),
        ({"fit": {"learning_rate": "0.1"}}, "learning_rate"),
        ({"fit": {"learning_rate": True}}, "learning_rate"),
        ({"fit": {"learning_rate": None}}, "learning_rate"),
        ({"scan": {"image_size": 256}}, "image_size"),
        ({"scan": {"image_size": [256]}}, "image_size"),
        ({"scan": {"image_size": [256, 256.0]}}, "image_size"),
        ({"scan": {"image_size": [256, 256, 3]}}, "image_size"),
        ({"scan": {"resize_mode": "squeeze"}}, "resize_mode"),
        ({"scan": {"resize_mode": ["pad"]}}, "resize_mode"),
    ],
)
def test_an_unknown_name_or_a_wrong_type_is_refused_by_name(document: Any, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        from_json(document)


def test_the_message_on_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'epoch'.*Known: batch_size, .*epochs"):
        from_json({"fit": {"epoch": 3}})
    with pytest.raises(SettingsError, match=r"^unknown field in the settings: 'fitt'\. Known: augment, .*fit,"):
        from_json({"fitt": {}})


def test_a_message_on_a_wrong_type_says_what_was_expected() -> None:
    with pytest.raises(SettingsError, match=r"^method is 'magic'; expected 'linear' or 'cnn' or 'finetune'$"):
        from_json({"fit": {"method": "magic"}})
    with pytest.raises(SettingsError, match=r"^folds is 'five'; expected int or 'auto'$"):
        from_json({"split": {"folds": "five"}})


def test_a_value_out_of_range_is_refused_with_what_was_expected() -> None:
    expect(True, "epochs", 3, "1 or more")
    with pytest.raises(SettingsError, match=r"^epochs is 0; expected 1 or more$"):
        expect(False, "epochs", 0, "1 or more")


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("scan", "image_size", (21, 256)),
        ("scan", "image_size", (256, 2049)),
        ("scan", "max_pixels", 0),
        ("scan", "max_memory_mb", -1),
        ("clean", "min_bytes", -1),
        ("clean", "min_side", 0),
        ("clean", "near_bits", -1),
        ("clean", "near_bits", 65),
        ("split", "val_fraction", 0.0),
        ("split", "val_fraction", 1.0),
        ("split", "test_fraction", -0.1),
        ("split", "test_fraction", 0.8),
        ("split", "seed", -1),
        ("split", "seed", 2**32),
        ("fit", "epochs", 0),
        ("fit", "batch_size", 0),
        ("fit", "learning_rate", 0.0),
        ("fit", "learning_rate", 10.0),
        ("fit", "learning_rate", float("nan")),
        ("fit", "dropout", 1.0),
        ("fit", "dropout", -0.1),
        ("fit", "patience", -1),
        ("split", "folds", 1),
        ("split", "folds", 101),
        ("backbone", "backbone", ""),
        ("backbone", "pixel_mean", (0.5, 0.5, 1001.0)),
        ("backbone", "pixel_std", (0.5, 0.5, 0.0)),
        ("augment", "rotation", 180.5),
        ("augment", "rotation", float("nan")),
        ("augment", "shift", 1.0),
        ("augment", "zoom", 1.0),
        ("augment", "brightness", -0.1),
        ("augment", "contrast", 1.0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name_in_python_and_in_json(section: str, name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"{name}.* is .*expected "):
        replace(getattr(TrainConfig(), section), **{name: value})
    with pytest.raises(SettingsError, match=name):
        from_json({section: {name: list(value) if isinstance(value, tuple) else value}})


def test_the_ends_of_the_ranges_are_in_range() -> None:
    ScanConfig(image_size=(22, 2048), max_pixels=1, max_memory_mb=0)
    CleanConfig(min_bytes=0, min_side=1, near_bits=64)
    SplitConfig(val_fraction=0.5, test_fraction=0.4, seed=2**32 - 1)
    AugmentConfig(rotation=180, shift=0, zoom=0.99)


def test_the_preset_classic_is_the_tutorials() -> None:
    config = PRESETS["classic"]
    assert config.fit.method == "cnn"
    assert config.preset == "classic"
    assert (config.scan.image_size, config.scan.resize_mode) == ((256, 256), "stretch")
    assert config.clean.min_bytes == 10 * 1024
    assert (config.split.val_fraction, config.split.test_fraction) == (0.2, 0.1)
    assert (config.fit.epochs, config.fit.batch_size, config.fit.learning_rate) == (20, 32, 1e-3)
    assert (config.fit.dropout, config.fit.patience, config.augment.augment) == (0.0, 0, False)


def test_every_preset_is_known_by_its_own_name() -> None:
    assert {name: preset.preset for name, preset in PRESETS.items()} == {name: name for name in PRESETS}
    assert PRESETS["fast"] == TrainConfig()


@pytest.mark.parametrize(
    ("config", "preset", "expected"),
    [
        (None, None, PRESETS["fast"]),
        (None, "best", PRESETS["best"]),
        (PRESETS["best"], None, PRESETS["best"]),
        (PRESETS["best"], "best", PRESETS["best"]),
        (CHANGED, None, CHANGED),
        (PRESETS["best"].changed(method="linear"), None, PRESETS["best"].changed(method="linear")),
    ],
)
def test_a_training_starts_from_a_config_or_from_a_preset(
    config: TrainConfig | None, preset: str | None, expected: TrainConfig
) -> None:
    assert starting_from(config, preset) == expected


@pytest.mark.parametrize(
    ("config", "preset", "told"),
    [
        (TrainConfig(), "best", "the config has the settings of 'fast', but preset is 'best'"),
        (PRESETS["best"], "classic", "'best', but preset is 'classic'"),
        (TrainConfig(preset="best"), None, r"none of the settings of that preset. Start from mien.PRESETS\['best'\]"),
        (TrainConfig(preset="classic", fit=FitConfig(epochs=3)), "classic", "named 'classic', but has none"),
        (None, "huge", "unknown preset 'huge'"),
    ],
)
def test_a_config_that_contradicts_a_preset_is_refused(
    config: TrainConfig | None, preset: str | None, told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        starting_from(config, preset)


def test_settings_are_changed_by_their_own_names() -> None:
    config = PRESETS["classic"].changed(epochs=3, image_size=(64, 96), backbone="own.onnx")
    assert (config.fit.epochs, config.scan.image_size, config.backbone.backbone) == (3, (64, 96), "own.onnx")
    assert config.changed(epochs=20, image_size=(256, 256), backbone="lite0") == PRESETS["classic"]
    assert TrainConfig().changed(
        **{name: value for name, value in CHANGED.flat().items() if name != "preset"}
    ) == replace(CHANGED, preset="fast")


@pytest.mark.parametrize("settings", [{"epoch": 3}, {"fit": {}}, {"preset": "best"}, {"epochs": "3"}, {"epochs": 0}])
def test_a_change_that_is_none_of_the_settings_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings))):
        TrainConfig().changed(**settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"port": 65536}, "port is 65536; expected 0 to 65535"),
        ({"max_waiting": 0}, "max_waiting is 0; expected 1 or more"),
        ({"max_file_mb": 1e-9}, "max_file_mb is 1e-09; expected 0.001 to a million"),
        ({"max_file_mb": float("nan")}, "max_file_mb is nan"),
        ({"max_memory_mb": 1e7}, "max_memory_mb is 10000000.0; expected 0.001 to a million"),
        ({"answer_timeout_s": 0}, "answer_timeout_s is 0; expected above 0"),
        ({"max_memory_mb": 31}, "max_file_mb is 32, more than the max_memory_mb of 31"),
        ({"max_files": 300}, "max_files is 300, more than the max_waiting of 256"),
        ({"threshold": 90}, "threshold is 90; expected 0 to 1"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ServeConfig(**settings)
    assert told in str(caught.value)


def test_the_least_values_are_taken() -> None:
    config = ServeConfig(max_file_mb=0.001, max_memory_mb=0.001, threshold=0, answer_timeout_s=1e-6)
    assert config.max_file_bytes == config.max_memory_bytes == 1048
