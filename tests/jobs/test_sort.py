"""Sorting: each image goes where the answer says, what is doubtful to unsure; the originals stay as they are."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from hostile_names import NAMES
from mien.config import SortConfig
from mien.core.text import class_name_problem
from mien.data.sorted_folder import JOURNAL_NAME, SortedFolder, undo_sort
from mien.errors import OutputError, SettingsError, SourceNotFoundError
from mien.jobs.sort import Sorted, folders_of, sort_images
from mien.model.prediction import predict
from onnx_models import colour_classifier

COLOURS = {"dark": (0, 0, 0), "red": (250, 0, 0), "green": (0, 250, 0)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier that tells colours apart."""
    colour_classifier().save(tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of each colour, one in which it is between two, one of which nothing is seen, and two bad files."""
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name[:1]).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (48, 32), colour).save(tmp_path / "photos" / name[:1] / f"{number}.png")
    Image.new("RGB", (48, 32), (120, 110, 0)).save(tmp_path / "photos/between.png")
    (tmp_path / "photos/bad.jpg").write_text("<html>")
    (tmp_path / "photos/notes.txt").write_text("no image")
    return tmp_path / "photos"


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def where_to(found: Sorted) -> dict[str, str]:
    """Return the folder that each image went to, by its path below the photos."""
    return {file.source.split("/photos/")[1]: file.path.split("/")[0] for file in found.files}


def test_each_image_goes_into_the_folder_of_its_answer(model: Path, photos: Path, tmp_path: Path) -> None:
    before = state_of(photos)
    found = sort_images(model, [photos], to=tmp_path / "sorted")
    answers = {prediction.source: prediction for prediction in predict(model, photos)}
    assert len(found.files) == 10
    for file in found.files:
        assert file.label == answers[file.source].label == file.path.split("/")[0]
        assert file.probability == answers[file.source].probs[file.label] and not file.reason
        assert (tmp_path / "sorted" / file.path).read_bytes() == Path(file.source).read_bytes()
    assert list(found.unreadable) == [str(photos / "bad.jpg")]
    assert SortedFolder(tmp_path / "sorted").files == list(found.files)
    undo_sort(tmp_path / "sorted")
    assert state_of(photos) == before and not (tmp_path / "sorted").exists()


def test_what_is_doubtful_goes_to_unsure_with_the_reason(model: Path, photos: Path, tmp_path: Path) -> None:
    found = sort_images(model, [photos], to=tmp_path / "sorted", config=SortConfig(threshold=0.8))
    doubtful = {file.path: file for file in found.files if file.reason}
    # Of a dark image, this classifier says 33% of each class.
    assert set(doubtful) == {"unsure/between.png", "unsure/0.png", "unsure/1.png", "unsure/2.png"}
    assert doubtful["unsure/between.png"].label == "red" and doubtful["unsure/between.png"].probability < 0.8
    assert {file.reason for file in doubtful.values()} == {"below the threshold of 0.8"}
    colour_classifier().telling(threshold=0.8).save(model)
    assert where_to(sort_images(model, [photos], to=tmp_path / "again")) == where_to(found)


def test_what_is_unlike_the_training_goes_to_unsure_however_sure_the_answer(model: Path, tmp_path: Path) -> None:
    colour_classifier().telling(ground="black").save(model)
    (tmp_path / "photos").mkdir()
    Image.new("RGBA", (48, 32), (0, 0, 0, 60)).save(tmp_path / "photos/faint.png")
    (file,) = sort_images(model, [tmp_path / "photos"], to=tmp_path / "sorted").files
    assert file.path == "unsure/faint.png"
    assert file.reason.startswith("unlike the training images: nearly invisible on black")


def test_a_second_call_goes_on(model: Path, photos: Path, tmp_path: Path) -> None:
    sort_images(model, [photos / "r"], to=tmp_path / "sorted")
    found = sort_images(model, [photos, photos / "g/1.png"], to=tmp_path / "sorted")
    assert (len(found.files), found.num_there) == (7, 3)
    assert not sort_images(model, [photos], to=tmp_path / "sorted").files
    assert len(undo_sort(tmp_path / "sorted").removed) == 10


def test_a_dry_run_says_what_a_real_one_does_and_does_nothing(model: Path, photos: Path, tmp_path: Path) -> None:
    before = state_of(tmp_path)
    config = SortConfig(threshold=0.8, link="hard")
    planned = sort_images(model, [photos], to=tmp_path / "sorted", config=config, dry_run=True)
    assert state_of(tmp_path) == before and not (tmp_path / "sorted").exists()
    assert sort_images(model, [photos], to=tmp_path / "sorted", config=config) == planned


def test_images_and_class_folders_are_kept_apart(model: Path, photos: Path, tmp_path: Path) -> None:
    before = state_of(tmp_path)
    for to in (photos, photos / "sorted", photos / "r"):
        with pytest.raises(OutputError, match="must be outside the folder of images"):
            sort_images(model, [photos], to=to)
    (tmp_path / "alias").symlink_to(photos)
    with pytest.raises(OutputError, match="must be outside the folder of images"):
        sort_images(model, [photos], to=tmp_path / "alias/sorted")
    assert state_of(tmp_path / "photos") == {place: state for place, state in before.items() if "/photos/" in place}
    sort_images(model, [photos / "r"], to=tmp_path / "sorted")
    for source in (tmp_path / "sorted", tmp_path / "sorted/red/1.png"):
        with pytest.raises(OutputError, match=r"must be outside|sorted' contains the image"):
            sort_images(model, [source], to=tmp_path / "sorted")


def test_what_is_no_file_or_has_no_meaning_is_refused(model: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Save it first, e\.g\. with mien fetch"):
        sort_images(model, ["http://127.0.0.1/x.jpg"], to=tmp_path / "sorted")
    with pytest.raises(SettingsError, match=r"threshold is 1\.5"):
        sort_images(model, [photos], to=tmp_path / "sorted", config=SortConfig(threshold=1.5))
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        sort_images(model, ["nowhere"], to=tmp_path / "sorted")
    assert not (tmp_path / "sorted").exists()


@pytest.mark.parametrize(
    "class_names",
    [NAMES, ["../../etc", "/etc", "", ".", "..", "a/b", "b", "c/b"], ["unsure", "Unsure", JOURNAL_NAME, "Red", "red"]],
    ids=["hostile", "leading out", "taken"],
)
def test_each_class_has_a_folder_of_its_own_on_every_system(class_names: Sequence[str]) -> None:
    folders = folders_of(class_names)
    assert list(folders) == list(class_names)
    assert not any(map(class_name_problem, folders.values()))
    assert len({name.lower() for name in (*folders.values(), "unsure", JOURNAL_NAME)}) == len(class_names) + 2


def test_a_class_that_can_be_a_folder_keeps_its_name() -> None:
    names = ["happy", "very happy", "fâché", "嬉しい", "1"]
    assert folders_of(names) == {name: name for name in names}


def test_a_class_called_unsure_is_not_what_is_doubtful(model: Path, photos: Path, tmp_path: Path) -> None:
    colour_classifier().telling(class_names=("dark", "unsure", "green")).save(model)
    folders = set(where_to(sort_images(model, [photos], to=tmp_path / "sorted")).values())
    assert len(folders) == 3 and "unsure" not in folders
    with pytest.raises(SettingsError, match="a class is named 'unsure'"):
        sort_images(model, [photos], to=tmp_path / "again", config=SortConfig(threshold=0.8))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_at_any_moment_leaves_nothing_half_and_the_next_call_goes_on(model: Path, tmp_path: Path) -> None:
    photos, to = tmp_path / "photos", tmp_path / "sorted"
    photos.mkdir()
    for number in range(60):
        Image.effect_noise((700, 700), 90 + number).convert("RGB").save(photos / f"{number}.bmp")
    words = [sys.executable, "-m", "mien", "sort", str(model), str(photos), "--to", str(to)]
    num_put = [0]
    for _ in range(8):
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and len(list(to.glob("*/*.bmp"))) <= num_put[-1]:
                assert time.monotonic() < deadline
            time.sleep(0.005)
            process.kill()
        known = {file.path: file for file in SortedFolder(to).files}
        put = [str(path.relative_to(to)) for path in to.glob("*/*.bmp")]
        assert all((to / path).read_bytes() == Path(known[path].source).read_bytes() for path in put)
        num_put.append(len(put))
    done = subprocess.run([*words, "--json"], capture_output=True, check=True)
    # The first kill came in the middle.
    assert json.loads(done.stdout)["num_there"] >= num_put[-1] and 0 < num_put[1] < 60
    assert len(list(to.glob("*/*.bmp"))) == 60
    assert len(undo_sort(to).removed) == 60 and len(list(photos.iterdir())) == 60 and not to.exists()
