"""The demo: both presets are asked about the same pictures."""

from pathlib import Path

from mien.cleaning import clean
from mien.demo import _CONFIGS
from mien.scanning import scan
from mien.splitting import split


def test_both_presets_are_tested_on_the_same_pictures(data: Path) -> None:
    splits = []
    for config in _CONFIGS.values():
        dataset = split(clean(scan(data, config.scan), config.clean), config.split)
        splits.append({name: [dataset.records[i].path for i in dataset.indexes(name)] for name in ("val", "test")})
    assert list(_CONFIGS) == ["fast", "classic"]
    assert splits[0] == splits[1]
