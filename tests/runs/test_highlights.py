"""The highlights: samples from all over a class, copies under two classes first, the surest answers, never too many."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import draw_folder, record
from mien.model.explanation import HeatMap
from mien.runs.highlights import LabelledPrediction, _groups, _hits, _samples, find_looks, surest
from mien.runs.run import Run, load_run


def answered(path: str, answer: str, prob: float) -> LabelledPrediction:
    return LabelledPrediction(path, path.split("/")[0], answer, prob, 1 - prob, "test")


def test_samples_come_from_all_over_a_class() -> None:
    samples = _samples([record(f"happy/{number:02}.jpg") for number in range(24)])
    assert [r.path for r in samples["happy"]] == [f"happy/{number:02}.jpg" for number in range(0, 24, 2)]


def test_files_that_are_left_out_are_no_samples() -> None:
    samples = _samples([record("happy/a.jpg", used=False), record("sad/a.jpg")])
    assert list(samples) == ["sad"]


def test_however_many_classes_there_are_few_samples() -> None:
    for num_classes in (2, 5, 30, 48, 200):
        records = [record(f"{label:03}/{number}.jpg") for label in range(num_classes) for number in range(20)]
        samples = _samples(records)
        assert 24 <= sum(map(len, samples.values())) <= 48
        assert len({len(some) for some in samples.values()}) == 1


def test_where_not_all_classes_fit_the_largest_are_shown() -> None:
    records = [record(f"{label:03}/{number}.jpg") for label in range(60) for number in range(1 + label % 2)]
    assert set(_samples(records)) >= {f"{label:03}" for label in range(1, 60, 2)}


def test_copies_under_two_classes_come_first_then_the_largest_groups() -> None:
    groups = _groups(
        [
            record("happy/a.jpg", group=1),
            record("happy/b.jpg", group=1, used=False),
            *(record(f"sad/{number}.jpg", group=2, used=number == 3) for number in range(6)),
            record("happy/c.jpg", group=3, used=False),
            record("sad/c.jpg", group=3, used=False),
            record("sad/alone.jpg", group=4),
            record("sad/none.jpg"),
        ]
    )
    assert [(group.size, group.num_used, group.conflicting) for group in groups] == [
        (2, 0, True),
        (6, 1, False),
        (2, 1, False),
    ]
    assert [r.path for r in groups[1].records] == ["sad/3.jpg", "sad/0.jpg", "sad/1.jpg", "sad/2.jpg"]


def test_thesurest_answers_come_first() -> None:
    found = [answered(f"happy/{number}", "sad", number / 10) for number in range(10)]
    assert [answer.prob_predicted for answer in surest(found, 3)] == [0.9, 0.8, 0.7]


def test_hits_are_of_each_class_in_turn() -> None:
    found = [answered(f"happy/{number}", "happy", 0.9 + number / 100) for number in range(8)]
    found += [answered("sad/1", "sad", 0.6), answered("sad/2", "happy", 0.99)]
    assert [hit.path for hit in _hits(found)] == ["happy/7", "sad/1", "happy/6", "happy/5", "happy/4", "happy/3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("looks")
    # What should not matter is not tried: it takes longest, and nothing of it is looked at here.
    config = mien.PRESETS["fast"].changed(may_matter="all")
    return load_run(mien.train(draw_folder(folder / "data", 30), config, out=folder / "run").path)


def looks_of(run: Run) -> list[tuple[str, bool]]:
    looks = find_looks(run)
    assert all(look.image.uri and look.overlaid.uri != look.image.uri for look in looks)
    return [(look.prediction.path, look.prediction.predicted == look.prediction.label) for look in looks]


def test_only_the_test_is_looked_into_and_mistakes_come_first(run: Run) -> None:
    tested = {record.path for record in run.dataset.records if record.split == "test"}
    found = looks_of(run)
    assert 3 <= len(found) <= 6
    assert {path for path, _ in found} <= tested
    assert [right for _, right in found] == sorted(right for _, right in found)


def test_an_image_that_has_gone_is_passed_over(run: Run, tmp_path: Path) -> None:
    before = looks_of(run)
    shutil.copytree(run.dataset.root, tmp_path / "data")
    (tmp_path / "data" / before[0][0]).unlink()
    Image.new("RGB", (90, 90)).save(tmp_path / "data" / before[-1][0])
    found = looks_of(replace(run, dataset=replace(run.dataset, root=tmp_path / "data")))
    assert found == before[1:-1]


def test_maps_that_take_long_are_few(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mien.runs.highlights.explain", lambda *_, label: HeatMap(label, "occlusion", np.eye(14, dtype=np.float32))
    )
    assert len(looks_of(run)) <= 2
