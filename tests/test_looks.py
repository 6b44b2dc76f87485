"""Where it looked: pictures of the test alone, wrong ones first, few of them, and none that has gone or changed."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import draw_folder
from mien.model.explanation import HeatMap
from mien.runs.highlights import find_looks
from mien.runs.run import FinishedRun, load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("looks")
    return load_run(mien.train(draw_folder(folder / "data", 30), out=folder / "run").path)


def looks_of(run: FinishedRun) -> list[tuple[str, bool]]:
    looks = find_looks(run, {record.path: record for record in run.records})
    assert all(look.picture.uri and look.overlaid.uri != look.picture.uri for look in looks)
    return [(look.answered.path, look.answered.answer == look.answered.label) for look in looks]


def test_only_the_test_is_looked_into_and_mistakes_come_first(run: FinishedRun) -> None:
    tested = {record.path for record in run.records if record.split == "test"}
    found = looks_of(run)
    assert 3 <= len(found) <= 6
    assert {path for path, _ in found} <= tested
    assert [right for _, right in found] == sorted(right for _, right in found)


def test_a_picture_that_has_gone_is_passed_over(run: FinishedRun, tmp_path: Path) -> None:
    before = looks_of(run)
    shutil.copytree(run.data_dir, tmp_path / "data")
    (tmp_path / "data" / before[0][0]).unlink()
    Image.new("RGB", (90, 90)).save(tmp_path / "data" / before[-1][0])
    found = looks_of(replace(run, data_dir=tmp_path / "data"))
    assert found == before[1:-1]


def test_maps_that_take_long_are_few(run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mien.looks.explain", lambda *_, label: HeatMap(label, "occlusion", np.eye(14, dtype=np.float32))
    )
    assert len(looks_of(run)) <= 2
