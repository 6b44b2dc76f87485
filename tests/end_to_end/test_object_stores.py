"""Data in an object store: what is said of it, and learnt from it, is what is said of the same files in a folder."""

import json
import shutil
from pathlib import Path

import pytest

import mien
from conftest import Heard, Mien, draw_folder
from mien.config import TrainConfig
from mien.errors import SourceNotFoundError
from mien.fetching.stored_folders import place_of
from mien.jobs.evaluate import evaluate_run
from mien.labelling.opening import review_of
from mien.runs.run import Run
from store_servers import SECRET, Store, address

pytestmark = pytest.mark.extras


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of two classes, with bad files, a copy, a table and a text among them."""
    folder = draw_folder(tmp_path / "photos", 12)
    (folder / "happy/bad.jpg").write_bytes(b"no image")
    (folder / "sad/empty.png").write_bytes(b"")
    (folder / "sad/cut.jpg").write_bytes((folder / "sad/00.jpg").read_bytes()[:700])
    shutil.copy(folder / "happy/00.jpg", folder / "happy/copy.jpg")
    (folder / "notes.txt").write_text("mine")
    return folder


def without_places(text: str, *places: object) -> str:
    for place in places:
        text = text.replace(str(place), "PLACE")
    return text


def test_check_finds_the_same_in_a_store(store: Store, photos: Path) -> None:
    store.put_folder(photos, "data")
    here, there = mien.check(photos), mien.check(address("data"))
    assert there.dataset.records == here.dataset.records and len(here.dataset.records) == 28
    assert there.to_dict() | {"root": ""} == here.to_dict() | {"root": ""}


def test_the_command_check_names_the_address(command: Mien, store: Store, photos: Path) -> None:
    store.put_folder(photos, "data")
    code, out, err = command("check", address("data"))
    assert code == 0 and f"mien train {address('data')}" in out and f"copied {address('data')} to" in err
    assert SECRET not in out + err


def test_training_on_a_store_makes_the_same_run(store: Store, photos: Path, small: TrainConfig, tmp_path: Path) -> None:
    store.put_folder(photos, "data")
    store.failing = 0.2
    here, there = mien.train(photos, small, out=tmp_path / "a"), mien.train(address("data"), small, out=tmp_path / "b")
    assert (tmp_path / "b/manifest.csv").read_bytes() == (tmp_path / "a/manifest.csv").read_bytes()
    assert there.scores == here.scores
    assert json.loads((tmp_path / "b/config.json").read_text())["data"] == address("data")
    written = b"".join(path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert SECRET.encode() not in written


def test_a_run_on_a_store_finds_its_images_again_and_says_how_where_they_have_gone(
    store: Store, photos: Path, small: TrainConfig, tmp_path: Path
) -> None:
    store.put_folder(photos, "data")
    run = mien.train(address("data"), small, out=tmp_path / "run")
    store.requests.clear()
    assert evaluate_run(run.path).scores.test == run.scores.test and mien.report(run.path).exists()
    assert store.requests == []
    shutil.rmtree(place_of(address("data")))
    for call in (lambda: evaluate_run(run.path), lambda: mien.report(run.path), lambda: review_of(run.path)):
        with pytest.raises(SourceNotFoundError, match=f"run mien check {address('data')}, which copies them again"):
            call()
    mien.check(address("data"))
    assert evaluate_run(run.path).scores.test == run.scores.test


def test_a_table_in_a_store_tells_the_labels_of_the_images_around_it(store: Store, photos: Path) -> None:
    store.put_folder(photos, "data/images")
    rows = [f"images/{path.parent.name}/{path.name},{path.parent.name}ness" for path in sorted(photos.glob("*/0*.jpg"))]
    store.put("data/labels.csv", "\n".join(["path,label", *rows]).encode())
    assert mien.check(address("data/labels.csv")).dataset.counts() == {"happyness": 10, "sadness": 10}


def test_an_archive_in_a_store_is_unpacked(store: Store, photos: Path, tmp_path: Path) -> None:
    store.put("data.zip", Path(shutil.make_archive(str(tmp_path / "packed"), "zip", photos)).read_bytes())
    assert mien.check(address("data.zip")).dataset.counts() == {"happy": 14, "sad": 14}


def test_evaluate_and_explain_take_addresses(command: Mien, store: Store, run: Run, tmp_path: Path) -> None:
    store.put_folder(others := draw_folder(tmp_path / "others", 3, first_seed=900), "others")
    here, there = (command("evaluate", run.path, folder, "--json") for folder in (others, address("others")))
    assert there[:2] == here[:2] and here[0] == 0
    code, out, _ = command("explain", run.path, address("others/happy"), "--out", tmp_path / "maps", "--json")
    assert code == 0 and len(out.splitlines()) == len(list((tmp_path / "maps").glob("*.png"))) == 3


def test_predict_answers_the_same_of_a_store(command: Mien, store: Store, run: Run, photos: Path) -> None:
    store.put_folder(photos, "data")
    here = command("predict", run.path, photos, "--json")
    there = command("predict", run.path, address("data"), "--json")
    assert there[0] == here[0] == 1
    assert without_places(there[1], address("data")) == without_places(here[1], photos)
    assert "skipped 1 file" in there[2]


def test_progress_is_told_while_a_store_is_listed_and_copied(store: Store, photos: Path) -> None:
    class Steps(Heard):
        stages: set[str] = set()  # noqa: RUF012

        def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
            self.stages.add(stage)

    store.put_folder(photos, "data")
    mien.scan(address("data"), progress=Steps())
    assert {"Listing", "Copying", "Reading"} <= Steps.stages


def test_messages_name_the_address_and_not_its_copy(store: Store, photos: Path) -> None:
    store.put_folder(photos, "data")
    dataset = mien.scan(address("data"))
    assert dataset.name == address("data") and dataset.root.is_dir()
    assert dataset.remedies("near_duplicate")[0].startswith(f"mien check {address('data')} --sheet")
    assert mien.scan(photos).name == str(photos)
