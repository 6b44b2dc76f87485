"""Shards: predictions that are written in parts, none of them twice, wherever the command is cut off."""

import csv
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mien
from conftest import Mien, draw_folder, draw_image, save_image
from killing import Kills, is_killed
from mien.config import ShardConfig
from mien.core.csv_tables import prob_cells
from mien.core.progress import Silence
from mien.core.text import visible
from mien.errors import OutputError, SettingsError, SourceNotFoundError
from mien.jobs.shards import ABOUT_NAME, _content, predict_shards
from mien.model.prediction import Prediction
from mien.runs.run import Run
from store_servers import BUCKET, Store, address

SMALL = ShardConfig(images_per_shard=5, shard_format="csv")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images of two kinds, and two files that cannot be read, one of them among the first five."""
    folder = draw_folder(tmp_path / "photos", 6, first_seed=500)
    (folder / "happy/03.jpg").write_bytes(b"no image")
    (folder / "sad/zz.jpg").write_bytes((folder / "sad/00.jpg").read_bytes()[:500])
    return folder


def rows_of(*contents: bytes) -> list[dict[str, str]]:
    return [row for content in contents for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")))]


def shards_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def test_shards_hold_what_predict_says(small_run: Run, photos: Path, tmp_path: Path) -> None:
    made = predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    expected = list(mien.predict(small_run.path, photos))
    rows = rows_of(*shards_in(tmp_path / "out").values())
    assert [(row["source"], row["label"], row["error"]) for row in rows] == [
        (each.source, each.label or "", each.error or "") for each in expected
    ]
    assert (made.num_written, made.num_images, made.num_errors) == (3, 13, 2)
    assert [len(rows_of(content)) for content in shards_in(tmp_path / "out").values()] == [5, 5, 3]
    assert json.loads((tmp_path / "out" / ABOUT_NAME).read_text())["whole"] is True


def test_parquet_has_a_number_where_there_is_an_answer_and_nothing_where_there_is_none(
    small_run: Run, photos: Path, tmp_path: Path
) -> None:
    from pyarrow import parquet

    predict_shards(small_run.path, [photos], to=tmp_path / "out")
    (path,) = (tmp_path / "out").glob("part-*.parquet")
    table = parquet.read_table(path)
    assert {field.name: str(field.type) for field in table.schema} == {
        "source": "string",
        "label": "string",
        "prob_happy": "float",
        "prob_sad": "float",
        "out_of_distribution": "bool",
        "error": "string",
    }
    first, bad = (table.to_pylist()[place] for place in (0, 3))
    assert first["prob_happy"] + first["prob_sad"] == pytest.approx(1) and first["error"] is None
    assert bad["label"] is bad["prob_happy"] is None and "not an image" in bad["error"]


def test_parquet_takes_a_class_whose_name_is_not_utf_8() -> None:
    from pyarrow import BufferReader, parquet

    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    content = _content([Prediction("a.jpg", name, {name: 0.75, "sad": 0.25})], (name, "sad"), ShardConfig())
    (row,) = parquet.read_table(BufferReader(content)).to_pylist()
    assert row["label"] == visible(name) and row[f"prob_{visible(name)}"] == 0.75


def test_a_second_call_writes_nothing_again(small_run: Run, photos: Path, tmp_path: Path) -> None:
    predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    before = shards_in(tmp_path / "out")
    lost = list(before)[1]
    (tmp_path / "out" / lost).unlink()
    made = predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    assert (made.num_written, made.num_there, made.num_images, made.num_errors) == (1, 2, 13, 2)
    assert shards_in(tmp_path / "out") == before


def test_a_kill_at_any_moment_costs_one_shard_at_most(
    small_run: Run, photos: Path, tmp_path: Path, kills: Kills
) -> None:
    predict_shards(small_run.path, [photos], to=tmp_path / "whole", config=SMALL)
    expected = shards_in(tmp_path / "whole")
    for allowed in range(1000):
        out = tmp_path / f"out{allowed}"

        def call(out: Path = out) -> object:
            return predict_shards(small_run.path, [photos], to=out, config=SMALL)

        was_killed = is_killed(kills, allowed, call)
        there = shards_in(out)
        assert there.items() <= expected.items()
        made = predict_shards(small_run.path, [photos], to=out, config=SMALL)
        assert shards_in(out) == expected and made.num_there == len(there)
        assert (made.num_images, made.num_errors) == (13, 2)
        if not was_killed:
            break
    assert allowed > 5


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(small_run: Run, photos: Path, tmp_path: Path) -> None:
    class Impatient(Silence):
        def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
            if done == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"1 shard in .*out\. To resume, run the same command again"):
        predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL, progress=Impatient())
    assert len(shards_in(tmp_path / "out")) == 1


def test_another_classifier_and_other_settings_are_refused(
    small_run: Run, run: Run, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict_shards(small_run.path, [photos], to=out, config=SMALL)
    before = shards_in(out)
    changes: list[tuple[Path, ShardConfig, dict[str, Any], str]] = [
        (run.path, SMALL, {}, "classifier"),
        (small_run.path, SMALL, {"threshold": 0.9}, "--threshold"),
        (small_run.path, ShardConfig(images_per_shard=4, shard_format="csv"), {}, "--images-per-shard"),
        (small_run.path, ShardConfig(images_per_shard=5), {}, "--shard-format"),
    ]
    for other, config, settings, told in changes:
        with pytest.raises(
            SettingsError, match=f"with other settings: {told}. Use the same to resume, or choose a new --to"
        ):
            predict_shards(other, [photos], to=out, config=config, **settings)
    with pytest.raises(SettingsError, match="other settings: sources"):
        predict_shards(small_run.path, [photos / "sad"], to=out, config=SMALL)
    assert shards_in(out) == before


def test_images_that_were_added_or_removed_since_are_noticed(small_run: Run, photos: Path, tmp_path: Path) -> None:
    predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    save_image(photos / "happy/025.jpg", draw_image(3))
    with pytest.raises(SettingsError, match=r"the images have changed since '?part-000000-\w+.csv"):
        predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    (photos / "happy/025.jpg").unlink()
    for name in ("04.jpg", "05.jpg", "zz.jpg"):
        (photos / "sad" / name).unlink()
    with pytest.raises(SettingsError, match=r"the images have changed since '?part-000002-\w+.csv"):
        predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)


def test_images_added_after_the_last_full_shard_are_noticed(small_run: Run, photos: Path, tmp_path: Path) -> None:
    config = ShardConfig(images_per_shard=13, shard_format="csv")
    predict_shards(small_run.path, [photos], to=tmp_path / "out", config=config)
    save_image(photos / "sad/zzz.jpg", draw_image(3))
    with pytest.raises(SettingsError, match="images were added since"):
        predict_shards(small_run.path, [photos], to=tmp_path / "out", config=config)
    assert len(shards_in(tmp_path / "out")) == 1


def test_what_lacks_a_shard_does_not_say_that_it_is_whole(
    small_run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    about = tmp_path / "out" / ABOUT_NAME
    written = json.loads(about.read_text())
    assert (written["num_images"], list(written["errors"].values())) == (13, [1, 1])
    next((tmp_path / "out").glob("part-*")).unlink()
    with monkeypatch.context() as patched:
        patched.setattr("mien.jobs.shards.predict_each", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    assert "whole" not in json.loads(about.read_text())
    predict_shards(small_run.path, [photos], to=tmp_path / "out", config=SMALL)
    assert json.loads(about.read_text()) == written


def test_a_folder_with_something_else_in_it_is_left_alone(small_run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="is not empty and contains no predictions"):
        predict_shards(small_run.path, [photos], to=tmp_path / "mine")
    with pytest.raises(OutputError, match="must be outside the folder of images"):
        predict_shards(small_run.path, [photos], to=photos / "out")
    (tmp_path / "mine/letter.txt").rename(tmp_path / "mine" / ABOUT_NAME)
    for damaged in ("dear", "[" * 100_000, "[]"):
        (tmp_path / "mine" / ABOUT_NAME).write_text(damaged)
        with pytest.raises(OutputError, match="damaged"):
            predict_shards(small_run.path, [photos], to=tmp_path / "mine")
    assert not (photos / "out").exists()


def test_the_command_says_what_was_written(command: Mien, small_run: Run, photos: Path, tmp_path: Path) -> None:
    typed = ("predict", small_run.path, photos, "--to", tmp_path / "out", "--images-per-shard", 5)
    code, out, err = command(*typed)
    assert (code, out) == (1, f"wrote 3 shards with 13 images to {tmp_path / 'out'}\n")
    assert err == "2 of 13 images could not be read\n"
    code, out, err = command(*typed, "--json")
    # What could not be read stays unread, whichever call wrote its shard.
    assert (code, json.loads(out)["num_there"], err) == (1, 3, "2 of 13 images could not be read\n")
    assert command("predict", small_run.path, photos, "--to", "")[0] == 2
    assert command("predict", small_run.path, photos, "--to", tmp_path / "b", "--csv", tmp_path / "b.csv")[0] == 2


@pytest.mark.slow
def test_predictions_go_from_a_store_to_a_store(small_run: Run, photos: Path, store: Store) -> None:
    store.put_folder(photos, "photos")
    predict_shards(small_run.path, [address("photos")], to=address("answers/"), config=SMALL)
    contents = [store.content(key) for key in store.keys("answers/part-")]
    expected = list(mien.predict(small_run.path, photos))
    assert [(row["source"], row["label"], row["prob_sad"], row["error"]) for row in rows_of(*contents)] == [
        (
            address(f"photos/{Path(each.source).relative_to(photos).as_posix()}"),
            each.label or "",
            prob_cells(list(each.probs.values()))[1] if each.probs else "",
            each.error or "",
        )
        for each in expected
    ]


@pytest.mark.extras
def test_predictions_of_a_store_that_fails_at_random_are_those_of_one_that_does_not(
    small_run: Run, photos: Path, store: Store
) -> None:
    store.put_folder(photos, "photos")
    predict_shards(small_run.path, [address("photos")], to=address("calm"), config=SMALL)
    store.failing = 0.3
    predict_shards(small_run.path, [address("photos")], to=address("rough"), config=SMALL)
    calm, rough = ({key.partition("/")[2]: store.content(key) for key in store.keys(p)} for p in ("calm", "rough"))
    assert len(calm) == 4 and calm == rough


@pytest.mark.extras
def test_what_is_refused_on_the_way_is_never_written_down_as_an_answer(
    small_run: Run, photos: Path, store: Store
) -> None:
    store.put_folder(photos, "photos")
    # As where credentials run out in the middle.
    store.refused = lambda method, path: "/photos/sad/" in path and method == "GET"
    with pytest.raises(SourceNotFoundError, match="access denied"):
        predict_shards(small_run.path, [address("photos")], to=address("answers"), config=SMALL)
    assert len(store.keys("answers/part-")) == 1
    store.refused = lambda _method, _path: False
    store.requests.clear()
    made = predict_shards(small_run.path, [address("photos")], to=address("answers"), config=SMALL)
    assert (made.num_there, made.num_written) == (1, 2) and store.num_read("photos/happy/00") == 0


@pytest.mark.extras
def test_after_a_kill_the_same_command_asks_for_no_image_whose_answer_is_written(
    small_run: Run, photos: Path, store: Store
) -> None:
    store.put_folder(photos, "photos")
    typed = [
        sys.executable,
        "-m",
        "mien",
        "predict",
        str(small_run.path),
        address("photos"),
        "--to",
        address("answers"),
    ]
    typed += ["--images-per-shard", "5", "--shard-format", "csv"]
    # What comes last is never answered: the command waits for it, and is killed there.
    waiting = store.hold("sad/0")
    with subprocess.Popen(typed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not store.keys("answers/part-000000") and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    waiting.set()
    there = store.keys("answers/part-")
    assert len(there) == 1
    first = {row["source"] for row in rows_of(store.content(there[0]))}
    store.requests.clear()
    done = subprocess.run(typed, capture_output=True, text=True)
    assert done.returncode == 1 and "1 shard already there" in done.stdout
    read = {
        f"s3:/{path}" for method, path in store.requests if method == "GET" and path.startswith(f"/{BUCKET}/photos/")
    }
    assert len(first) == 5 and len(read) == 8 and not first & read
    rows = rows_of(*(store.content(key) for key in store.keys("answers/part-")))
    assert len({row["source"] for row in rows}) == len(rows) == 13
