"""Features of changed images: those of the file that was scanned, made once, and none where it has gone."""

from pathlib import Path

import numpy as np
import pytest

from conftest import Heard, draw_folder, draw_image, save_image
from mien.config import BackboneConfig, ScanConfig
from mien.core.changes import CHANGES
from mien.data.dataset import Dataset
from mien.data.scanning import scan
from mien.errors import ImageError
from mien.learning.backbone import load_backbone
from mien.learning.feature_cache import FeatureCache
from mien.learning.features import extract_changed

GREY, LITE0 = CHANGES[0], load_backbone(BackboneConfig(), (224, 224))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return scan(draw_folder(tmp_path / "data", 3), ScanConfig(faces="off"), keep_images=True)


def test_they_are_made_once(dataset: Dataset, tmp_path: Path) -> None:
    cache, backbone = FeatureCache(tmp_path / "cache"), LITE0
    places = {GREY: np.array([0, 2]), CHANGES[1]: np.array([2])}
    first = extract_changed(dataset, backbone, places, cache=cache)
    assert [(each.change, each.places.tolist()) for each in first] == [(GREY, [0, 2]), (CHANGES[1], [2])]
    for record in dataset.records:
        (dataset.root / record.path).unlink()
    again = extract_changed(dataset, backbone, places, cache=FeatureCache(tmp_path / "cache"))
    assert all(np.array_equal(one.features, other.features) for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("gone", [True, False])
def test_an_image_that_has_gone_or_changed_is_left_out_and_said(dataset: Dataset, tmp_path: Path, gone: bool) -> None:
    path = dataset.root / dataset.records[1].path
    path.unlink() if gone else save_image(path, draw_image(999))
    heard, cache = Heard(), FeatureCache(tmp_path / "cache")
    (copies,) = extract_changed(dataset, LITE0, {GREY: np.array([0, 1])}, cache=cache, progress=heard)
    assert copies.places.tolist() == [0]
    assert len(heard.lines) == 1 and heard.lines[0].startswith("cannot change happy/01.jpg: ")
    with pytest.raises(ImageError):
        dataset.changed_inputs(1, [GREY])


def test_where_all_have_gone_there_is_nothing(dataset: Dataset) -> None:
    for record in dataset.records:
        (dataset.root / record.path).unlink()
    assert extract_changed(dataset, LITE0, {GREY: np.array([0, 1])}) == ()
