"""The command line: what is printed where, exit codes, and that mistakes get one line that says what to do."""

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import Mien, draw_folder, draw_image

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.medium
QUICK = ["--preset", "classic", "--image-size", "32", "--min-bytes", "0", "--epochs", "1"]


@pytest.fixture
def run_dir(small_run: "Run") -> Path:
    return small_run.path


def test_check_prints_one_json_document_and_nothing_else(command: Mien, data: Path) -> None:
    code, out, err = command("check", data, "--json")
    document = json.loads(out)
    assert code == 0
    assert err == ""
    assert document["root"] == str(data)
    assert document["num_files"] == sum(document["classes"].values())
    assert set(document["classes"]) == {"happy", "sad"}
    assert {"problems", "groups"} <= set(document)


def test_check_shows_numbers_names_and_problems(command: Mien, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "happy" / "page.jpg").write_text("<html>gone</html>")
    code, out, _ = command("check", tmp_path / "data")
    assert code == 0
    assert "not_an_image" in out
    assert "happy/page.jpg: a web page, not an image (skipped)" in out


def test_check_ends_with_commands_that_can_be_pasted(
    command: Mien, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(data, tmp_path / "my photos")
    (tmp_path / "my photos" / "happy" / "page.jpg").write_text("<html>gone</html>")
    code, out, _ = command("check", "my photos", "--min-side", "9")
    typed = next(line.partition(": ")[2] for line in out.splitlines() if "mien clean" in line)
    assert (code, typed) == (0, "mien clean 'my photos' --min-side 9 --to 'my photos-put-aside'")
    assert "Next: mien train 'my photos' --min-side 9\n" in out
    code, out, _ = command(*shlex.split(typed)[1:], "--apply")
    assert (code, "Moved 1 file" in out) == (0, True)


def test_check_says_so_where_nothing_is_wrong(command: Mien, tmp_path: Path) -> None:
    for number in range(24):
        path = tmp_path / "data" / ("even", "odd")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(number).save(path)
    code, out, _ = command("check", tmp_path / "data")
    assert (code, "No problems found" in out) == (0, True)


def test_check_names_the_groups_that_it_sees(command: Mien, tmp_path: Path) -> None:
    for number in range(24):
        patient, frame = divmod(number, 2)
        path = tmp_path / "data" / ("ill", "well")[patient % 2] / f"patient{patient:02}_{frame}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(number).save(path)
    code, out, _ = command("check", tmp_path / "data")
    said = " ".join(out.split())
    assert code == 0
    assert "12 groups: patient00 (2 images), patient02 (2 images), patient04 (2 images), ..." in said
    assert rf"mien train {tmp_path / 'data'} --group-by 'name:(patient\d+)'" in said
    assert json.loads(command("check", tmp_path / "data", "--json")[1])["group_by"] == r"name:(patient\d+)"


@pytest.mark.parametrize(("gate", "code"), [("unreadable", 3), ("conflicts", 0), ("conflicts,unreadable", 3)])
def test_a_gate_says_no_with_code_3(command: Mien, data: Path, tmp_path: Path, gate: str, code: int) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "happy" / "empty.jpg").touch()
    found, _, err = command("check", tmp_path / "data", "--fail-on", gate)
    assert found == code
    assert ("GateError" in err) == (code == 3)


def test_a_gate_refuses_shortcuts_and_they_are_said(command: Mien, tmp_path: Path) -> None:
    draw_folder(tmp_path / "data", 12)
    assert command("check", tmp_path / "data", "--fail-on", "shortcuts")[0] == 0
    for number in range(12):
        draw_image(500 + number, width=300).save(tmp_path / "data" / "sad" / f"{number:02}.jpg", quality=95)
    code, out, err = command("check", tmp_path / "data", "--fail-on", "shortcuts")
    assert (code, "GateError" in err) == (3, True)
    assert "shortcut: 'sad' images " in out or "shortcut: 'happy' images " in out
    found = json.loads(command("check", tmp_path / "data", "--json")[1])["shortcuts"]
    assert "width" in {shortcut["fact"] for shortcut in found}
    assert all(shortcut["accuracy"]["low"] > shortcut["baseline"]["value"] for shortcut in found)


def test_check_takes_decisions_on_labels(command: Mien, data: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.csv"
    decisions.write_text("path;decision\nsad/01.jpg;happy\nsad/02.jpg;leave-out\n")
    code, out, _ = command("check", data, "--relabel", decisions, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["used"] == {"happy": 13, "sad": 10}
    assert {p["path"]: p["problem"] for p in document["problems"]} == {
        "sad/01.jpg": "relabelled",
        "sad/02.jpg": "left_out",
    }
    decisions.write_text("path,decision\nsad/99.jpg,happy\n")
    code, _, err = command("check", data, "--relabel", decisions)
    assert (code, "sad/99.jpg" in err) == (2, True)


def test_check_writes_a_sheet(command: Mien, data: Path, tmp_path: Path) -> None:
    code, out, _ = command("check", data, "--sheet", tmp_path / "sheet.png")
    assert (code, f"drawn in {tmp_path / 'sheet.png'}" in " ".join(out.split())) == (0, True)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_clean_says_what_it_would_move_moves_it_and_brings_it_back(command: Mien, data: Path, tmp_path: Path) -> None:
    photos, aside = tmp_path / "photos", tmp_path / "put aside"
    shutil.copytree(data, photos)
    shutil.copy(photos / "sad/00.jpg", photos / "sad/00 again.jpg")
    (photos / "happy/\x1b[31m.jpg").touch()
    code, out, _ = command("clean", str(photos), "--to", str(aside), "--keep", "first")
    assert (code, aside.exists()) == (0, False)
    assert "exact_duplicate: same file as another (1)\n  sad/00.jpg: a copy of sad/00 again.jpg\n" in out
    assert "happy/\\x1b[31m.jpg: 0 bytes" in out
    back = f"mien clean --undo '{aside}'"
    assert out.endswith(f"Add --apply to move 2 files to '{aside}'. To undo it then: {back}\n")
    code, out, _ = command("clean", str(photos), "--to", str(aside), "--apply", "--json")
    document = json.loads(out)
    assert document["moved"] and document["num_files"] == 2 and document["left"] == []
    assert {"path": "sad/00.jpg", "problem": "exact_duplicate", "detail": "a copy of sad/00 again.jpg"} in document[
        "moves"
    ]
    assert "Nothing to move." in command("clean", str(photos), "--to", str(aside), "--apply")[1]
    photos.rename(tmp_path / "moved")
    assert command("clean", "--undo", str(aside))[0] == 2
    code, out, _ = command("clean", str(tmp_path / "moved"), "--undo", str(aside))
    assert (code, out) == (0, f"Moved 2 files back to {tmp_path / 'moved'}.\n")
    assert len(list((tmp_path / "moved").rglob("*.jpg"))) == 26


def test_predict_prints_a_line_per_source_in_order(command: Mien, data: Path, run_dir: Path) -> None:
    first, second = sorted(data.glob("sad/*.jpg"))[:2]
    code, out, _ = command("predict", run_dir, second, first)
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()] == [str(second), str(first)]


def test_predict_names_the_next_classes_where_asked(command: Mien, data: Path, run_dir: Path) -> None:
    image = next(data.glob("sad/*.jpg"))
    code, out, _ = command("predict", run_dir, image, "--top", 2)
    label, _, *rest = out.split()
    other = "happy" if label == "sad" else "sad"
    assert code == 0 and " ".join(rest).startswith(f"{image} (then {other} ")
    assert command("predict", run_dir, image, "--top", 9)[1] == out
    code, _, err = command("predict", run_dir, image, "--top", 0)
    assert code == 2 and "top is 0; expected 1 or more" in err


def test_predict_json_is_one_document_per_source_and_a_failure_does_not_stop_the_rest(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    image = next(data.glob("sad/*.jpg"))
    code, out, err = command("predict", run_dir, tmp_path / "bad.jpg", image, "http://127.0.0.1:1/x.jpg", "--json")
    bad, good, url = map(json.loads, out.splitlines())
    assert code == 1
    assert "2 of 3 images" in err
    assert bad == {
        "source": str(tmp_path / "bad.jpg"),
        "label": None,
        "probs": {},
        "error": "text, not an image",
        "out_of_distribution": False,
        "unlike": "",
    }
    assert good["label"] in good["probs"]
    assert sum(good["probs"].values()) == pytest.approx(1, abs=1e-5)
    assert "not a public address" in url["error"]


def test_predict_takes_folders_standard_input_and_an_onnx_file(
    command: Mien, data: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(data.glob("sad/*.jpg"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(image.read_bytes())))
    code, out, _ = command("predict", run_dir / "model.onnx", data / "happy", "-", "--json")
    sources = [json.loads(line)["source"] for line in out.splitlines()]
    assert code == 0
    assert sources == [*map(str, sorted((data / "happy").iterdir())), "-"]


@pytest.mark.parametrize("order", ["R--jSS", "--jRSS", "RSS--j", "RS--jS"])
def test_predict_takes_its_arguments_in_any_order(command: Mien, data: Path, run_dir: Path, order: str) -> None:
    images = iter(sorted(data.glob("sad/*.jpg")))
    words = [{"R": run_dir, "--j": "--json"}.get(part) or next(images) for part in re.findall("--j|.", order)]
    code, out, err = command("predict", *words)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 2


def test_predict_says_that_there_is_no_image(command: Mien, run_dir: Path, tmp_path: Path) -> None:
    code, out, err = command("predict", run_dir, tmp_path)
    assert (code, out, err) == (1, "", "no images found\n")


def test_predict_writes_csv(command: Mien, data: Path, run_dir: Path, tmp_path: Path) -> None:
    code, out, _ = command("predict", run_dir, data / "happy", "--csv", tmp_path / "answers.csv")
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text("utf-8-sig").splitlines()))
    assert (code, out) == (0, "")
    assert list(rows[0]) == ["source", "label", "prob_happy", "prob_sad", "out_of_distribution", "error"]
    assert len(rows) == len(list((data / "happy").iterdir()))


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """A folder with four images that no run knows, and a file that is none."""
    for number in range(4):
        draw_image(1000 + number).save(tmp_path / f"{number}.jpg")
    (tmp_path / "bad.jpg").write_text("<html>")
    return tmp_path


def test_next_prints_a_line_per_image_and_what_to_do(
    command: Mien, data: Path, run_dir: Path, unlabelled: Path
) -> None:
    code, out, err = command("next", run_dir, unlabelled, "--top", "2")
    first, second, *rest = out.splitlines()
    assert re.fullmatch(r" +1  .+/\d\.jpg  .*\d% (happy|sad).*", first)
    assert second.split()[0] == "2"
    assert "2 of 4 images that the run does not know yet." in rest
    assert f"mien train {shlex.quote(str(data))}" in out
    assert code == 1 and re.search(r"cannot read .*bad\.jpg: a web page", err)


def test_next_json_is_one_document_per_image_and_bad_files_come_last(
    command: Mien, run_dir: Path, unlabelled: Path
) -> None:
    code, out, _ = command("next", run_dir, unlabelled, "--json")
    documents = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [document["rank"] for document in documents] == [1, 2, 3, 4, None]
    assert all(set(document["probs"]) == {"happy", "sad"} for document in documents[:4])
    assert documents[4]["source"].endswith("bad.jpg") and documents[4]["error"]


def test_next_writes_csv(command: Mien, run_dir: Path, unlabelled: Path, tmp_path: Path) -> None:
    (unlabelled / "bad.jpg").unlink()
    code, out, err = command("next", run_dir, unlabelled, "--csv", tmp_path / "next.csv", "--strategy", "random")
    with open(tmp_path / "next.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert (code, out) == (0, "") and "next.csv: 4 images" in err
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {"source", "label", "prob_happy", "prob_sad", "reason"} <= set(rows[0])


def test_next_says_that_nothing_is_left_or_nothing_is_there(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path
) -> None:
    code, out, _ = command("next", run_dir, data)
    assert (code, out) == (0, "Nothing to label: the run already knows all usable images here.\n")
    code, _, err = command("next", run_dir, tmp_path)
    assert code == 1 and "no images found" in err


def test_sort_says_what_it_would_do_does_it_goes_on_and_takes_it_back(
    command: Mien, run_dir: Path, unlabelled: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    to = tmp_path_factory.mktemp("home") / "sorted"
    words = ["sort", run_dir, unlabelled, "--to", to, "--threshold", "1"]
    code, out, err = command(*words, "--dry-run")
    assert code == 1 and not to.exists() and re.search(r"cannot read .*bad\.jpg: a web page", err)
    assert "Dry run: nothing was done. Without --dry-run, 4 images would go to" in out
    code, out, _ = command(*words)
    assert code == 1 and re.search(r"unsure +4\b", out)
    assert re.search(r"^unsure/0\.jpg: (happy|sad) \d+%, below the threshold of 1", out, re.MULTILINE)
    assert f"Copied 4 images to {to}" in out and f"mien sort --undo {to}" in out
    code, out, _ = command(*words)
    assert out == "Nothing new to sort.\nAlready sorted: 4 images.\n"
    (to / "unsure/0.jpg").write_bytes(b"edited")
    code, out, _ = command("sort", "--undo", to)
    assert code == 1 and out.startswith("Removed 3 files") and "kept unsure/0.jpg: it has changed" in out
    assert [path.name for path in to.glob("*/*")] == ["0.jpg"] and len(list(unlabelled.iterdir())) == 5


def test_sort_json_is_one_document(
    command: Mien, run_dir: Path, unlabelled: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    to = tmp_path_factory.mktemp("home") / "sorted"
    code, out, _ = command("sort", run_dir, unlabelled, "--to", to, "--link", "symbolic", "--json")
    told = json.loads(out)
    assert code == 1 and told["put"] and told["class_folders"] == {"happy": "happy", "sad": "sad"}
    assert all((to / file["path"]).readlink() == Path(file["source"]) for file in told["files"])
    assert [file["source"] for file in told["unreadable"]] == [str(unlabelled / "bad.jpg")]
    code, out, _ = command("sort", "--undo", to, "--json")
    assert code == 0 and sorted(json.loads(out)["removed"]) == sorted(file["path"] for file in told["files"])
    assert json.loads(out)["left"] == [] and not to.exists()


def test_explain_prints_the_answer_and_where_the_map_is(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    code, out, err = command("explain", tmp_path / "run", data / "happy" / "00.jpg")
    answer, place = out.splitlines()
    assert (code, err) == (0, "")
    assert str(data / "happy" / "00.jpg") in answer
    assert str(tmp_path / "run" / "explained" / "00.png") in place and "occlusion" in place
    assert (tmp_path / "run" / "explained" / "00.png").read_bytes().startswith(b"\x89PNG")


def test_explain_json_is_one_document_per_source_and_a_failure_does_not_stop_the_rest(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("no image")
    sources = [tmp_path / "notes.jpg", data / "sad" / "00.jpg"]
    code, out, _ = command("explain", run_dir, *sources, "--json", "--class", "sad", "--out", tmp_path / "maps")
    bad, good = map(json.loads, out.splitlines())
    assert code == 1
    assert (bad["png"], bad["label"]) == (None, None) and "not an image" in bad["error"]
    assert good["explained"] == "sad" and good["method"] == "occlusion"
    assert Path(good["png"]).parent == tmp_path / "maps" and Path(good["png"]).exists()


def test_explain_refuses_an_empty_out(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = command("explain", run_dir, data / "sad" / "00.jpg", "--out", "")
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert "--out" in err and "expected a file or a folder" in err


def test_explain_names_the_classes_that_there_are(command: Mien, data: Path, run_dir: Path, tmp_path: Path) -> None:
    code, _, err = command("explain", run_dir, data, "--class", "calm", "--out", tmp_path / "maps")
    assert code == 2
    assert "unknown class 'calm'. Use one of 'happy', 'sad'" in err
    assert command("explain", run_dir)[0] == 2


def test_evaluate_prints_the_scores_again(command: Mien, run_dir: Path) -> None:
    code, out, _ = command("evaluate", run_dir)
    assert code == 0
    assert "95% interval" in out
    assert "baseline" in out
    document = json.loads(command("evaluate", run_dir, "--json")[1])
    stored = json.loads((run_dir / "metrics.json").read_text())
    assert document["evaluation"] == stored["test"]
    assert document["verdict"] == stored["verdict"]


@pytest.mark.parametrize(("least", "expected"), [("0.01", 0), ("1.0", 3), ("1.5", 2), ("nan", 2)])
def test_evaluate_is_a_gate_where_it_is_told_what_is_enough(
    command: Mien, run_dir: Path, least: str, expected: int
) -> None:
    code, out, err = command("evaluate", run_dir, "--fail-under", least)
    assert code == expected
    assert ("accuracy" in out) == (expected != 2)
    assert expected != 3 or "less than --fail-under 1" in err


def test_evaluate_refuses_what_was_trained_on_and_scores_the_others(command: Mien, data: Path, run_dir: Path) -> None:
    code, out, err = command("evaluate", run_dir, data)
    assert (code, out) == (3, "")
    assert "LeakError: 22 of 24 images in " in err
    assert "  and 12 more\nTo score only the others, add --leave-out-seen.\n" in err
    code, out, err = command("evaluate", run_dir, data, "--leave-out-seen")
    assert (code, "n = 2)" in out) == (0, True)
    assert err.startswith("skipped: 22 of 24 images")


def test_check_against_a_run_names_what_was_trained_on(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path
) -> None:
    code, out, err = command("check", data, "--against", run_dir)
    assert code == 3
    assert "\nleaks: in the run's training data, or copies of it (22 of 24 files)\n  happy/" in out
    assert "has leak (22 training images of the run, or copies of them)" in err
    assert "No problems found" not in out
    code, out, _ = command("check", data, "--against", run_dir, "--json")
    leaks = json.loads(out)["leaks"]
    assert (code, len(leaks)) == (3, 22)
    assert leaks[0] == {"path": leaks[0]["path"], "trained": leaks[0]["path"], "kind": "same file", "bits": 0}
    fresh = draw_folder(tmp_path, 3, first_seed=5000)
    code, out, err = command("check", fresh, "--against", run_dir, "--json")
    assert (code, json.loads(out)["leaks"], err) == (0, [], "")
    assert "leaks" not in json.loads(command("check", fresh, "--json")[1])


def test_check_takes_a_run_that_is_not_finished(command: Mien, data: Path, run_dir: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(run_dir, begun)
    (begun / "model.onnx").unlink()
    code, _, err = command("check", data, "--against", begun)
    assert code == 3 and "LeakError" in err


def test_the_model_in_a_run_folder_names_the_run_too(command: Mien, data: Path, run_dir: Path, tmp_path: Path) -> None:
    for arguments in (["evaluate", run_dir / "model.onnx", data], ["check", data, "--against", run_dir / "model.onnx"]):
        assert command(*arguments)[0] == 3
    shutil.copy(run_dir / "model.onnx", tmp_path)
    code, _, err = command("evaluate", tmp_path / "model.onnx", data)
    assert (code, "mien cannot tell whether" in err) == (0, True)
    code, _, err = command("evaluate", tmp_path / "model.onnx")
    assert (code, "is only a model" in err) == (2, True)


def test_check_against_what_is_no_run_says_so(command: Mien, data: Path) -> None:
    code, out, err = command("check", data, "--against", data)
    assert (code, out) == (2, "")
    assert "has no manifest.csv" in err


def test_compare_puts_two_runs_side_by_side(command: Mien, run: "Run", run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "fast")
    code, out, err = command("compare", run_dir, tmp_path / "fast")
    assert (code, err) == (0, "")
    assert "McNemar's exact test" in out
    assert "own.onnx / lite0" in out
    code, out, _ = command("compare", run_dir, tmp_path / "fast", "--json")
    document = json.loads(out)
    assert document["names"] == ["run", "fast"]
    assert document["difference"]["num_images"] == document["accuracies"][0]["num_images"] > 0
    code, _, err = command("compare", run_dir, run_dir)
    assert (code, err.startswith("SettingsError")) == (2, True)


def test_predict_tells_what_a_bare_model_says_of_itself(command: Mien, run_dir: Path, tmp_path: Path) -> None:
    model = shutil.copy(run_dir / "model.onnx", tmp_path / "alone.onnx")
    code, out, err = command("predict", model, "--about")
    assert (code, err) == (0, "")
    assert "95% interval" in out
    assert "Not for:" in out
    code, out, _ = command("predict", model, "--about", "--json")
    document = json.loads(out)
    assert document["class_names"] == ["happy", "sad"]
    assert document["provenance"]["method"] == "linear"
    assert "onnxruntime" in document["provenance"]["versions"]


@pytest.mark.slow
def test_train_begins_with_the_preset_then_the_file_then_the_flags(data: Path, run_dir: Path, tmp_path: Path) -> None:
    flags = ["--config", str(run_dir / "config.json"), "--seed", "7"]
    run_mien("train", str(data), "--out", str(tmp_path / "run"), *flags)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    expected = json.loads((run_dir / "config.json").read_text())
    expected["split"]["seed"] = 7
    assert config == expected


@pytest.mark.slow
def test_train_prints_results_on_stdout_and_progress_on_stderr(data: Path, tmp_path: Path) -> None:
    done = run_mien("train", str(data), "--out", str(tmp_path / "run"), *QUICK)
    assert "accuracy" in done.stdout
    assert "baseline" in done.stdout
    assert "epoch  1/1" in done.stderr
    assert "3,696,625" not in done.stderr
    assert "conv1 (Conv2D)" in done.stderr
    assert "oneDNN" not in done.stderr


@pytest.mark.slow
def test_a_run_that_cannot_begin_leaves_no_folder(command: Mien, data: Path, tmp_path: Path) -> None:
    code, _, err = command("train", data, "--preset", "best", "--backbone", "NoNet", "--out", tmp_path / "run")
    assert code == 2
    assert "unknown backbone 'NoNet'. Use lite0" in err
    assert not (tmp_path / "run").exists()


def run_mien(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "mien", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], 'Did you mean "train"'),
        (["check"], "mien check needs the folder of your images, e.g. mien check data --fail-on unreadable,conflicts"),
        (["train"], "mien train needs the folder of your images, e.g. mien train data (see"),
        (["train", "--out"], "mien train needs a value after --out"),
        (["train", "data", "runs/x"], "To name the run folder: --out runs/x"),
        (["compare", "runs/x"], "mien compare needs another run, e.g. mien compare runs/train runs/train2"),
        (["fetch", "x.txt"], "mien fetch needs --to, e.g. mien fetch happy.txt sad.txt --to data"),
        (["export", "{run}"], "mien export needs --to web, onnx, litert or openvino"),
        (["predict", "photo.jpg"], "'photo.jpg' is not a run. Type: mien predict runs/train photo.jpg"),
        (["check", "nowhere"], "'nowhere': No such file or directory"),
        (["check", "{data}/happy"], "no class folders"),
        (["check", "{data}", "--bogus"], "Unknown option: --bogus"),
        (["check", "{data}", "--min-bytes", "many"], 'unable to convert "many" into int'),
        (["check", "{data}", "--min-bytes", "-1"], "min_bytes is -1; expected 0 or more"),
        (["check", "{data}", "--fail-on", "ugly"], "unknown gate 'ugly'. Use some of unreadable"),
        (["next", "{run}"], "expected at least one SOURCE"),
        (["next", "{run}", "http://127.0.0.1/x.jpg"], "Save it first, e.g. with mien fetch"),
        (["next", "{run}", "-"], "Save it first, e.g. with mien fetch"),
        (["next", "{run}", "nowhere"], "'nowhere': No such file or directory"),
        (["next", "{run}", "{data}", "--strategy", "best"], "Invalid value"),
        (["sort"], "expected RUN, SOURCE and --to FOLDER, or --undo FOLDER"),
        (["sort", "{run}", "{data}"], "expected RUN, SOURCE and --to FOLDER, or --undo FOLDER"),
        (["sort", "{run}", "--to", "x"], "expected at least one SOURCE"),
        (["sort", "--undo", "x", "--dry-run"], "expected RUN, SOURCE and --to FOLDER, or --undo FOLDER"),
        (["sort", "--undo", "{data}"], "was not filled by mien sort"),
        (["sort", "{run}", "{data}", "--to", "{data}/sorted"], "must be outside the folder of images"),
        (["sort", "{run}", "-", "--to", "x"], "Save it first, e.g. with mien fetch"),
        (["sort", "{run}", "{data}", "--to", "x", "--link", "soft"], "Invalid value"),
        (["sort", "{run}", "{data}", "--to", "/proc/x"], "cannot write '/proc/x'"),
        (["train", "{data}", "--preset", "huge"], "unknown preset 'huge'. Choose from fast, best, classic"),
        (["train", "{data}", "--config", "nowhere.json"], "cannot read 'nowhere.json'"),
        (["train", "{data}", "--epochs", "0"], "epochs is 0; expected 1 or more"),
        (["train", "{data}", "--image-size", "9000"], "image_size is (9000, 9000); expected 22 to 2048"),
        (["train", "{data}", "--out", "/dev/null/run"], "cannot write '/dev/null/run': Not a directory"),
        (["train", "{data}", "--out", "/proc/run"], "cannot write '/proc/run'"),
        (["train", "{data}", "--min-bytes", "1000000"], "To use small files, add --min-bytes 0."),
        (["train", "{data}", "--save-h5"], "Add --preset classic or best"),
        (
            ["train", "{data}", "--image-size", "100"],
            "the backbone lite0 takes image_size (224, 224), not (100, 100). Omit --image-size",
        ),
        (["train", "{data}", "--backbone", "nowhere.onnx"], "cannot use 'nowhere.onnx' as a backbone"),
        (["train", "{data}", "--backbone", "ResNet50"], "or add --preset best"),
        (["train", "{data}", "--preset", "best", "--backbone", "own.onnx"], "cannot be fine-tuned"),
        (["train", "{data}", "--folds", "1"], "folds is 1; expected auto, 0, or 2 to 100"),
        (["train", "{data}", "--folds", "50"], "50 folds need at least 50 distinct images"),
        (["train", "{data}", "--out", "{data}/run"], "must be outside the folder of images"),
        (
            ["train", "."],
            "the output 'runs/train' must be outside the folder of images '.', e.g. --out ../runs/train",
        ),
        (["train", "{data}", "--cache-dir", "{data}/happy"], "must be outside the folder of images"),
        (["train", "{data}", "--threshold", "1.5"], "threshold is 1.5; expected 0 to 1"),
        (["check", "{data}", "--sheet", "{data}/happy/00.jpg"], "the file name must end in .png"),
        (["check", "{data}", "--sheet", "{data}/happy/00.png"], "must be outside the folder of images"),
        (["check", "{data}", "--fail-on", "leak"], "Add --against RUN"),
        (["predict", "{run}", "{data}", "--csv", "{run}/model.onnx"], "the file name must end in .csv"),
        (["predict", "{run}", "{data}", "--threshold", "90"], "threshold is 90"),
        (["predict", "nowhere", "x.jpg"], "there is no classifier at 'nowhere'"),
        (["predict", "{data}", "x.jpg"], "has no model.onnx"),
        (["predict", "{run}", "x.jpg", "y.jpg"], "2 of 2 sources cannot be read"),
        (["predict", "{run}"], "expected at least one SOURCE"),
        (["explain", "{run}"], "expected at least one SOURCE"),
        (["predict", "{run}", "{data}", "--timeout-s", "0"], "timeout_s is 0"),
        (["evaluate", "{run}", "nowhere"], "'nowhere': No such file or directory"),
        *(
            (arguments, "is a run, not a folder of images. To use it: mien predict {run} photo.jpg")
            for arguments in (
                *(["train", "{run}"], ["train", "{run}", "--out", "{run}/x"], ["check", "{run}"]),
                *(["evaluate", "{run}", "{run}"], ["predict", "{run}", "{run}"], ["explain", "{run}", "{run}"]),
                *(["sort", "{run}", "{run}", "--to", "x"], ["next", "{run}", "{run}"]),
            )
        ),
    ],
)
def test_a_mistake_gets_one_line_and_code_2(
    command: Mien,
    data: Path,
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*(argument.format(data=data, run=run_dir) for argument in arguments))
    assert code == 2
    assert out == ""
    assert message.format(run=run_dir) in err
    assert "Traceback" not in err
    # What to do may be a list.
    assert len(err.partition("What to do:")[0].splitlines()) <= 2


def test_odd_class_and_file_names_stay_intact(command: Mien, data: Path, run_dir: Path, tmp_path: Path) -> None:
    names = [
        "a b.jpg",
        "😀.jpg",
        "'\".jpg",
        "line\nbreak.jpg",
        "\x1b[31mred.jpg",
        "[bold]x[].jpg",
        "-dash.jpg",
        "é" * 100 + ".jpg",
    ]
    images = sorted(data.glob("happy/*.jpg"))
    for name, image in zip(names, images, strict=False):
        shutil.copy(image, tmp_path / name)
    code, out, _ = command("predict", run_dir, tmp_path, "--json")
    assert code == 0
    assert {Path(json.loads(line)["source"]).name for line in out.splitlines()} == set(names)
    code, out, _ = command("predict", run_dir, tmp_path)
    assert code == 0
    assert len(out.splitlines()) == len(names)
    assert "\x1b" not in out
    assert "[bold]x[].jpg" in out


def test_a_name_that_is_not_utf8_is_printed_with_escapes(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path
) -> None:
    shutil.copy(next(data.glob("happy/*.jpg")), os.fsdecode(bytes(tmp_path) + b"/\xff\xfe.jpg"))
    assert command("predict", run_dir, tmp_path)[0] == 0
    assert command("predict", run_dir, tmp_path, "--json")[0] == 0
    assert command("predict", run_dir, tmp_path, "--csv", tmp_path / "answers.csv")[0] == 0


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"], ["train", "--help"]])
def test_help_and_version_work(command: Mien, arguments: list[str]) -> None:
    code, out, _ = command(*arguments)
    assert code == 0
    assert out.strip()


@pytest.mark.parametrize(
    "name", ["check", "clean", "fetch", "train", "evaluate", "compare", "predict", "explain", "next", "sort", "demo"]
)
def test_the_help_of_every_command_has_an_example(command: Mien, name: str) -> None:
    assert f"Example: mien {name}" in command(name, "--help")[1]


def test_a_reader_that_has_had_enough_is_no_error(data: Path, run_dir: Path) -> None:
    done = subprocess.run(
        f"'{sys.executable}' -m mien predict '{run_dir}' '{data}' --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_results_that_cannot_be_printed_are_one_line(data: Path) -> None:
    command = [sys.executable, "-m", "mien", "check", str(data)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "OutputError: cannot print the results: No space left on device\n")


def test_what_an_encoding_lacks_is_printed_as_an_escape(data: Path, run_dir: Path, tmp_path: Path) -> None:
    shutil.copy(next(data.glob("happy/*.jpg")), tmp_path / "\N{GRINNING FACE}.jpg")
    command = [sys.executable, "-m", "mien", "predict", str(run_dir), str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "\\U0001f600.jpg" in done.stdout


@pytest.mark.slow
def test_closed_outputs_change_no_exit_code(data: Path) -> None:
    for arguments, code in (([str(data)], 0), (["nowhere"], 2)):
        line = f"exec {sys.executable} -m mien check {' '.join(arguments)} >&- 2>&-"
        assert subprocess.run(["sh", "-c", line], check=False).returncode == code


def test_a_narrow_terminal_keeps_the_numbers(data: Path) -> None:
    command = [sys.executable, "-m", "mien", "check", str(data)]
    done = subprocess.run(command, env={**os.environ, "COLUMNS": "20"}, capture_output=True, text=True, check=True)
    assert "0   happy      12     12" in done.stdout


def press_ctrl_c_after(line_start: str, command: list[str]) -> tuple[int, str]:
    """Run a command, interrupt it at the first line on stderr that starts so, and return its exit code and stderr."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith(line_start):
                process.send_signal(signal.SIGINT)
        return process.wait(), "".join(lines)


@pytest.mark.slow
def test_ctrl_c_ends_the_training_and_keeps_the_best_weights_so_far(data: Path, tmp_path: Path) -> None:
    flags = ["--preset", "classic", "--image-size", "32", "--min-bytes", "0", "--epochs", "5000"]
    command = [sys.executable, "-m", "mien", "train", str(data), *flags, "--out", str(tmp_path / "run")]
    code, err = press_ctrl_c_after("epoch  3", command)
    assert code == 0
    assert "stopped after epoch" in err
    assert json.loads((tmp_path / "run/metrics.json").read_text())["training"]["interrupted"] is True
    assert run_mien("predict", str(tmp_path / "run"), str(data / "happy")).stdout


@pytest.mark.slow
def test_ctrl_c_before_the_first_epoch_leaves_with_one_line(data: Path, tmp_path: Path) -> None:
    flags = ["--preset", "classic", "--min-bytes", "0", "--out", str(tmp_path / "run")]
    code, err = press_ctrl_c_after("split:", [sys.executable, "-m", "mien", "train", str(data), *flags])
    assert code == 130
    # The run may or may not have begun to be written.
    assert err.splitlines()[-1] == ("stopped" if "progress is saved" in err else "stopped; nothing was saved")
    assert "Traceback" not in err


def test_ctrl_c_in_the_first_seconds_says_that_nothing_was_saved(
    command: Mien, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **_how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.jobs.train.scan", interrupt)
    code, _, err = command("train", data, "--out", tmp_path / "run")
    assert (code, err) == (130, "stopped; nothing was saved\n") and not (tmp_path / "run").exists()


def test_a_bomb_and_damaged_exif_print_no_warnings(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 9460, 9460, 8, 2, 0, 0, 0)
    (tmp_path / "data/happy/bomb.png").write_bytes(png + struct.pack(">I", zlib.crc32(png[12:])))
    jpeg = (data / "happy/00.jpg").read_bytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x09\0"
    damaged = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    (tmp_path / "data/happy/exif.jpg").write_bytes(damaged)
    done = run_mien("check", str(tmp_path / "data"))
    assert "happy/bomb.png" in done.stdout
    assert done.stderr == ""


def test_fetch_takes_an_archive_in_and_forgets_it_again(command: Mien, data: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", data)
    code, out, _ = command("fetch", archive, "--to", tmp_path / "data")
    assert code == 0 and re.search(r"happy +12 +0 +0", out) and "sources.csv" in out
    assert command("check", tmp_path / "data")[0] == 0
    code, out, _ = command("fetch", archive, "--to", tmp_path / "data", "--json")
    document = json.loads(out)
    assert code == 0 and document["classes"]["sad"] == {"new": 0, "there": 12, "failed": 0}
    code, out, _ = command("fetch", "--forget", archive, "--to", tmp_path / "data")
    assert code == 0 and "24 images" in out
    assert command("fetch", "--forget", archive, "--to", tmp_path / "data")[0] == 2


def test_fetch_ends_with_code_1_and_says_why_where_images_are_missing(command: Mien, tmp_path: Path) -> None:
    (tmp_path / "happy.txt").write_text("http://127.0.0.1:9/\x41.jpg\nhttp://127.0.0.1/[red]x\n")
    code, out, _ = command("fetch", tmp_path / "happy.txt", "--to", tmp_path / "data")
    assert code == 1
    assert "2 failed: 127.0.0.1 is not a public address. Add --allow-private to allow it (e.g. http://127" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected at least one SOURCE"),
        (["a.txt", "--forget", "http://h/"], "or --forget URL without one"),
        (["none.txt"], "'none.txt': No such file"),
        (["ssh://h/x.git"], "only http:// and https:// URLs"),
        (["none.txt", "--retries", "99"], "retries is 99; expected 0 to 10"),
    ],
)
def test_fetch_refuses_what_has_no_meaning(command: Mien, tmp_path: Path, arguments: list[str], words: str) -> None:
    code, _, err = command("fetch", *arguments, "--to", tmp_path / "data")
    assert code == 2 and words in err and not (tmp_path / "data").exists()


def test_check_ends_with_what_to_type_next(command: Mien, data: Path, tmp_path: Path) -> None:
    for part in ("2023", "2024"):
        shutil.copytree(data, tmp_path / "my data" / part)
    _, out, _ = command("check", data)
    assert out.startswith("24 of 24 files are usable.") and "\nNext: mien train" in out
    _, out, _ = command("check", tmp_path / "my data", "--class-level", "2")
    assert shlex.split(out.split("Next: ")[1]) == ["mien", "train", str(tmp_path / "my data"), "--class-level", "2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "{run}", "x.jpg", "--treshold", "0.9"], "Unknown option: --treshold. Did you mean --threshold?"),
        (["explain", "{run}", "x.jpg", "--clas", "sad"], "Did you mean --class?"),
        (["predict", "{image}"], "is an image, not a run. Type: mien predict runs/train {image}"),
        (["predict", "{image}", "{run}"], "Did you mean: mien predict {run} {image}"),
        (["explain", "{image}", "{run}"], "Did you mean: mien explain {run} {image}"),
        (
            ["train", "my", "photos"],
            "unexpected argument 'photos'. If it is part of a name with spaces, put the name in quotes",
        ),
        (["train", "{data}", "--out", "/proc/x"], "Choose another place."),
        (["predict", "{run}", "no*.jpg"], "'no*.jpg': No such file"),
        (["predict", "{run}", "-x.jpg"], "To use the file of that name, write ./-x.jpg"),
        (["evaluate", "{run}", "--report", "page.html"], "--report is for other images"),
    ],
)
def test_a_slip_gets_advice_that_fits(
    command: Mien,
    data: Path,
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(data / "sad" / "00.jpg", tmp_path / "-x.jpg")
    names = {"data": data, "run": run_dir, "image": data / "sad" / "00.jpg"}
    code, _, err = command(*(argument.format(**names) for argument in arguments))
    assert code == 2 and message.format(**names) in err


def test_sources_may_be_patterns_and_begin_with_hyphens(
    command: Mien, data: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(data / "sad" / "00.jpg", tmp_path / "-x.jpg")
    _, out, _ = command("predict", run_dir, data / "sad" / "0[0-4].jpg")
    assert out.count("\n") == 5
    for source in (["--", "-x.jpg"], ["./-x.jpg"]):
        assert command("predict", run_dir, *source)[0] == 0


def test_evaluate_shows_mistakes_and_writes_a_table_and_a_page(command: Mien, run_dir: Path, tmp_path: Path) -> None:
    others = draw_folder(tmp_path / "others", 4, first_seed=7000)
    for name, new in (("sad", "was sad"), ("happy", "sad"), ("was sad", "happy")):
        (others / name).rename(others / new)
    page, table = tmp_path / "page.html", tmp_path / "answers.csv"
    code, out, _ = command("evaluate", run_dir, others, "--csv", table, "--report", page)
    assert code == 0 and "true class" in out and "most confident first:" in out
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and set(rows[0]) == {"path", "label", "predicted", "prob_happy", "prob_sad"}
    text = page.read_text("utf-8")
    assert "evaluated on" in text and "How it was trained" not in text
    shutil.rmtree(others / "sad")
    assert "of the 'happy' images" in " ".join(command("evaluate", run_dir, others)[1].split())
