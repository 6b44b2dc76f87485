"""The demo: both presets are asked about the same images."""

from pathlib import Path

from mien.data.cleaning import clean
from mien.data.scanning import scan
from mien.data.splitting import split
from mien.jobs.demo import _CONFIGS


def test_both_presets_are_tested_on_the_same_images(data: Path) -> None:
    splits = []
    for config in _CONFIGS.values():
        dataset = split(clean(scan(data, config.scan), config.clean), config.split)
        splits.append({name: [dataset.records[i].path for i in dataset.indexes(name)] for name in ("val", "test")})
    assert list(_CONFIGS) == ["fast", "classic"]
    assert splits[0] == splits[1]
