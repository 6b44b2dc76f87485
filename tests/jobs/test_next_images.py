"""What to label next: nothing that is known, nothing twice, and the same each time; bad files are named."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import ImageOps

import mien
from conftest import Heard, draw_folder, draw_image, save_image
from mien.config import NextConfig, Strategy, TrainConfig
from mien.errors import SourceNotFoundError
from mien.jobs.next_images import NextImages, next_images

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.medium
NUM_IMAGES = 12
STRATEGIES: tuple[Strategy, ...] = ("both", "uncertain", "diverse", "random")


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """A folder with images that no run knows, some of them deeper."""
    for number in range(NUM_IMAGES):
        folder = tmp_path / "unlabelled" / ("" if number % 2 else "deep/deeper")
        save_image(folder / f"{number:02}.jpg", draw_image(1000 + number), quality=90)
    return tmp_path / "unlabelled"


def names(found: NextImages) -> list[str]:
    return [Path(image.prediction.source).name for image in found.images]


@pytest.mark.parametrize(
    "strategy", [STRATEGIES[0], *(pytest.param(other, marks=pytest.mark.slow) for other in STRATEGIES[1:])]
)
def test_every_image_is_ranked_once_and_the_same_each_time(
    small_run: "Run", unlabelled: Path, strategy: Strategy
) -> None:
    found = next_images(small_run.path, unlabelled, NextConfig(strategy, top=0))
    assert sorted(names(found)) == [f"{number:02}.jpg" for number in range(NUM_IMAGES)]
    assert [image.rank for image in found.images] == list(range(1, NUM_IMAGES + 1))
    assert names(next_images(small_run.path, unlabelled, NextConfig(strategy, top=0))) == names(found)
    first = next_images(small_run.path, unlabelled, NextConfig(strategy, top=5))
    assert names(first) == names(found)[:5]
    assert (first.num_files, first.num_ranked) == (NUM_IMAGES, NUM_IMAGES)


def test_what_is_said_of_an_image_is_what_predict_says(small_run: "Run", unlabelled: Path) -> None:
    found = next_images(small_run.path, unlabelled, NextConfig("uncertain"))
    predictions = {p.source: p for p in mien.predict(small_run.path, unlabelled)}
    for image in found.images:
        said = predictions[image.prediction.source]
        assert image.prediction.label == said.label and image.prediction.unlike == said.unlike
        assert image.prediction.probs == pytest.approx(said.probs, abs=1e-5)
    assert found.images[0].reason.startswith("unsure: ")
    margins = [abs(image.prediction.probs["happy"] - image.prediction.probs["sad"]) for image in found.images]
    assert margins == sorted(margins)


def test_what_the_run_knows_is_left_out_with_copies_of_it(small_run: "Run", data: Path, unlabelled: Path) -> None:
    shutil.copytree(data, unlabelled / "known")
    save_image(unlabelled / "mirrored.jpg", ImageOps.mirror(draw_image(3)), quality=80)
    heard = Heard()
    found = next_images(small_run.path, unlabelled, progress=heard)
    assert sorted(names(found)) == [f"{number:02}.jpg" for number in range(NUM_IMAGES)]
    assert "skipped 25 images that the run already knows, or copies of them" in heard.lines


def test_of_copies_one_is_ranked(small_run: "Run", unlabelled: Path) -> None:
    for number in range(8):
        image = draw_image(1000 + number, width=192, height=192)
        save_image(unlabelled / "again" / f"larger-{number:02}.jpg", image, quality=95)
    shutil.copy(unlabelled / "again" / "larger-00.jpg", unlabelled / "same.jpg")
    heard = Heard()
    found = next_images(small_run.path, unlabelled, progress=heard)
    assert len(found.images) == NUM_IMAGES
    assert {name.split("-")[-1] for name in names(found)} - {"same.jpg"} <= {f"{n:02}.jpg" for n in range(NUM_IMAGES)}
    assert "skipped 8 images: near-duplicate of another image" in heard.lines


def test_images_of_a_kind_do_not_stand_beside_one_another(small_run: "Run", tmp_path: Path) -> None:
    for number in range(12):
        image = draw_image(2000 if number < 9 else 2000 + number)
        image.paste((200, 40 + 15 * number, 90), (8 * number, 8, 8 * number + 40, 88))
        save_image(tmp_path / "shots" / f"{number:02}.jpg", image, quality=95)
    found = next_images(small_run.path, tmp_path / "shots", NextConfig("diverse"))
    assert {"09.jpg", "10.jpg", "11.jpg"} <= set(names(found)[:5])


@pytest.mark.slow
def test_many_classes_are_ranked_as_two_are(data: Path, small: TrainConfig, unlabelled: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    draw_folder(tmp_path / "more", 12, first_seed=500)
    for old, new in (("happy", "angry"), ("sad", "calm")):
        shutil.move(tmp_path / "more" / old, tmp_path / "data" / new)
    run = mien.train(tmp_path / "data", small, out=tmp_path / "run")
    found = next_images(run.path, unlabelled)
    assert found.class_names == ("angry", "calm", "happy", "sad")
    assert len(found.images) == NUM_IMAGES
    assert len(found.images[0].prediction.probs) == 4


def test_one_image_is_ranked_first(small_run: "Run", unlabelled: Path) -> None:
    found = next_images(small_run.path, unlabelled / "01.jpg")
    assert [(image.rank, Path(image.prediction.source).name) for image in found.images] == [(1, "01.jpg")]


def test_bad_files_are_named_and_the_others_ranked(small_run: "Run", unlabelled: Path) -> None:
    (unlabelled / "bad.jpg").write_text("<html>")
    found = next_images(small_run.path, unlabelled)
    assert len(found.images) == NUM_IMAGES and found.num_files == NUM_IMAGES + 1
    (bad,) = found.unreadable
    assert bad.rank is None and Path(bad.prediction.source).name == "bad.jpg"
    assert bad.prediction.error and bad.prediction.label is None


def test_where_all_files_are_bad_nothing_is_ranked(small_run: "Run", tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    found = next_images(small_run.path, tmp_path)
    assert (len(found.images), len(found.unreadable), found.num_ranked) == (0, 3, 0)


def test_an_empty_folder_has_nothing_to_rank(small_run: "Run", tmp_path: Path) -> None:
    assert next_images(small_run.path, tmp_path).num_files == 0


@pytest.mark.slow
def test_where_what_was_trained_on_has_gone_that_is_said(
    data: Path, small: TrainConfig, unlabelled: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    run = mien.train(tmp_path / "data", small, out=tmp_path / "run")
    shutil.rmtree(tmp_path / "data")
    heard = Heard()
    assert len(next_images(run.path, unlabelled, progress=heard).images) == NUM_IMAGES
    assert any("missing or changed in" in line for line in heard.lines)


def test_to_look_at_few_images_at_a_time_changes_nothing(
    small_run: "Run", unlabelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = next_images(small_run.path, unlabelled)
    monkeypatch.setattr("mien.jobs.next_images._PORTION", 5)
    assert next_images(small_run.path, unlabelled) == found


def test_features_are_kept_for_the_next_time(small_run: "Run", unlabelled: Path, tmp_path: Path) -> None:
    first = next_images(small_run.path, unlabelled, cache_dir=tmp_path / "cache")
    heard = Heard()
    again = next_images(small_run.path, unlabelled, cache_dir=tmp_path / "cache", progress=heard)
    assert names(again) == names(first)
    assert any(line.startswith("found features of ") for line in heard.lines)


def test_a_path_that_does_not_exist_is_said_before_any_work(small_run: "Run") -> None:
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        next_images(small_run.path, "nowhere")


def test_a_model_without_its_run_does_not_know_what_it_was_trained_on(
    small_run: "Run", unlabelled: Path, tmp_path: Path
) -> None:
    shutil.copy(small_run.path / "model.onnx", tmp_path)
    with pytest.raises(SourceNotFoundError, match="Name a run folder"):
        next_images(tmp_path / "model.onnx", unlabelled)


def test_a_run_that_looks_at_whole_images_at_their_size_is_asked_likewise(run: "Run", unlabelled: Path) -> None:
    found = next_images(run.path, unlabelled, NextConfig(top=7))
    assert len(found.images) == 7


@pytest.mark.slow
def test_a_network_of_the_preset_classic_is_asked_likewise(data: Path, unlabelled: Path, tmp_path: Path) -> None:
    run = mien.train(data, preset="classic", epochs=1, image_size=(32, 32), min_bytes=0, out=tmp_path / "run")
    assert len(next_images(run.path, unlabelled).images) == NUM_IMAGES
