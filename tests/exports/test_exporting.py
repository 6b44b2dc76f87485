"""Files for other runtimes: they answer as the run does on all its images, or are not written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

import mien
from conftest import Mien
from drawn_faces import make_portraits
from killing import wait_for_end_of_group
from mien.errors import MissingExtraError, OutputError, SettingsError, SourceNotFoundError
from mien.exports.formats import FORMATS

if TYPE_CHECKING:
    from mien.config import TrainConfig
    from mien.runs.run import Run

pytestmark = pytest.mark.medium


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX is answered wrong, as by a converter that takes channels for rows."""
    form = FORMATS["onnx"]
    wrong = replace(form, open=lambda path: lambda pixels: form.open(path)(pixels)[:, ::-1])
    monkeypatch.setitem(FORMATS, "onnx", wrong)


def test_a_file_answers_alone_as_the_run_does(small_run: "Run", tmp_path: Path) -> None:
    exported = mien.export(small_run, "onnx", out=tmp_path / "moods.onnx")
    session = onnxruntime.InferenceSession(exported.path)
    dataset = small_run.dataset
    assert [item.name for item in (*session.get_inputs(), *session.get_outputs())] == ["images", "probs"]
    for place in dataset.indexes():
        inputs = dataset.inputs(np.array([place]))
        (probs,) = session.run(["probs"], {"images": dataset.pixels(np.array([place]))})
        assert np.abs(np.asarray(probs) - small_run.classifier.probs(inputs)).max() < 1e-6
    assert exported.agreement.num_images == len(dataset.indexes())
    assert (exported.agreement.num_changed, exported.accuracy) == (0, small_run.scores.judged.accuracy)


def test_beside_it_lies_what_a_program_must_know(small_run: "Run", tmp_path: Path) -> None:
    mien.export(small_run, "onnx", out=tmp_path / "moods.onnx")
    told = json.loads((tmp_path / "moods.onnx.json").read_text("utf-8"))
    facts = small_run.classifier.facts
    assert (told["class_names"], told["threshold"]) == (["happy", "sad"], facts.threshold)
    assert told["image_size"] == list(facts.image_size)
    assert told["input"]["shape"] == [1, *facts.image_size, 3]
    assert told["proof"]["agreement"]["num_images"] == len(small_run.dataset.indexes())
    assert set(contents(tmp_path)) == {"moods.onnx", "moods.onnx.json"}


@pytest.mark.usefixtures("wrong")
def test_what_would_answer_otherwise_is_not_written(small_run: "Run", tmp_path: Path, command: Mien) -> None:
    before = {"moods.onnx": b"the one before", "moods.onnx.json": b"{}"}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    code, out, err = command("export", small_run.path, "--to", "onnx", "--out", tmp_path / "moods.onnx")
    assert (code, out) == (3, "")
    assert "ExportMismatchError: ONNX would give different predictions than model.onnx" in err
    assert contents(tmp_path) == before


def test_the_command_says_how_near_it_is_and_where(small_run: "Run", tmp_path: Path, command: Mien) -> None:
    path = tmp_path / "moods.onnx"
    code, out, _ = command("export", small_run.path, "--to", "onnx", "--out", path)
    num_images = len(small_run.dataset.indexes())
    assert code == 0
    assert "classifier of the run, in mien" in out
    told = f"The file gives the same labels as the classifier of the run on all {num_images} images; probabilities are"
    assert f"{told} identical" in " ".join(out.split())
    assert out.endswith(f"{path}: copy it together with moods.onnx.json; the JSON file says how to call it\n")
    code, out, _ = command("export", small_run.path, "--to", "onnx", "--out", path, "--json")
    assert json.loads(out) == json.loads(path.with_name("moods.onnx.json").read_text("utf-8"))["proof"] | {
        name: json.loads(out)[name] for name in ("milliseconds", "milliseconds_of_onnx")
    }


def test_where_nothing_is_named_it_goes_into_the_run(copied: Path) -> None:
    before = contents(copied)
    exported = mien.export(copied, "onnx")
    assert exported.path == copied / "exported" / "model.onnx"
    assert {name: content for name, content in contents(copied).items() if "exported" not in name} == before
    assert mien.load_run(copied).scores == mien.load_run(copied).scores


def test_an_image_that_has_gone_is_named(small: "TrainConfig", data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    run = mien.train(folder, small, out=tmp_path / "run")
    gone = next(record for record in run.dataset.records if record.used)
    (folder / gone.path).unlink()
    with pytest.raises(SourceNotFoundError, match=rf"{gone.path}.*Put the image back, or train again"):
        mien.export(mien.load_run(run.path), "onnx")
    assert not (run.path / "exported").exists()


def test_a_name_that_is_not_of_the_format_is_refused(small_run: "Run", tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"must end in \.tflite, as it will be LiteRT"):
        mien.export(small_run, "litert", out=tmp_path / "moods.onnx")


def test_a_file_for_programs_without_mien_is_told_from_others(small_run: "Run", tmp_path: Path, command: Mien) -> None:
    mien.export(small_run, "onnx", out=tmp_path / "moods.onnx")
    code, _, err = command("predict", tmp_path / "moods.onnx", "--about")
    assert code == 2 and "it was written by mien export for programs without mien. Name the run" in err


def test_what_is_no_run_is_refused(small_run: "Run", tmp_path: Path, command: Mien) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(small_run.classifier.content)
    code, _, err = command("export", model, "--to", "openvino")
    assert code == 2 and "is not a run folder. --to openvino needs one" in err


def test_where_it_cannot_be_written_nothing_is_left(small_run: "Run", tmp_path: Path) -> None:
    (tmp_path / "moods.onnx").mkdir()
    with pytest.raises(OutputError, match=r"moods\.onnx"):
        mien.export(small_run, "onnx", out=tmp_path / "moods.onnx")
    assert contents(tmp_path) == {}


def test_a_package_that_is_missing_is_named(small_run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "openvino", replace(FORMATS["openvino"], packages=("no_such_package",)))
    with pytest.raises(MissingExtraError, match=r'pip install --editable ".+\[export\]"'):
        mien.export(small_run, "openvino")


def test_what_is_no_export_is_not_written_over(copied: Path) -> None:
    before = contents(copied)
    with pytest.raises(OutputError, match="was not written by mien export"):
        mien.export(mien.load_run(copied), "onnx", out=copied / "model.onnx")
    assert contents(copied) == before


def test_where_not_all_can_be_written_nothing_is(small_run: "Run", tmp_path: Path) -> None:
    # The name of the description is too long.
    with pytest.raises(OutputError, match="name too long"):
        mien.export(small_run, "onnx", out=tmp_path / f"{'y' * 247}.onnx")
    assert contents(tmp_path) == {}


def test_nothing_is_written_among_the_images(small_run: "Run", data: Path) -> None:
    with pytest.raises(OutputError, match="must be outside the folder of images"):
        mien.export(small_run, "onnx", out=data / "happy" / "moods.onnx")


def test_an_image_that_has_changed_is_named(small: "TrainConfig", data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    run = mien.train(folder, small, out=tmp_path / "run")
    used = [folder / record.path for record in run.dataset.records if record.used]
    shutil.copy(used[0], used[1])
    with pytest.raises(SourceNotFoundError, match=r"has changed since the scan.*or train again"):
        mien.export(mien.load_run(run.path), "onnx")


def test_a_format_that_is_none_is_refused_with_those_that_are(small_run: "Run") -> None:
    with pytest.raises(SettingsError, match=r"unknown format 'tflite'\. Use onnx, litert, openvino"):
        mien.export(small_run, "tflite")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(("to", "ending"), [("litert", ".tflite"), ("openvino", ".xml")])
@pytest.mark.parametrize("preset", ["fast", "classic"])
def test_each_format_answers_by_its_own_runtime(
    data: Path, small: "TrainConfig", tmp_path: Path, command: Mien, to: str, ending: str, preset: str
) -> None:
    config = small if preset == "fast" else mien.PRESETS["classic"].changed(epochs=1, image_size=(64, 64), min_bytes=0)
    run = mien.train(data, config, out=tmp_path / "run")
    code, out, _ = command("export", run.path, "--to", to, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["path"] == str(run.path / "exported" / f"model{ending}")
    assert told["agreement"]["num_changed"] == 0 and 0 < told["agreement"]["max_difference"] < 1e-4
    endings = [ending, ".bin"] if to == "openvino" else [ending]
    assert set(contents(run.path / "exported")) == {f"model{ending}.json", *(f"model{each}" for each in endings)}


@pytest.mark.slow
def test_told_to_end_it_leaves_no_file_and_no_process(small_run: "Run", tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("finds processes in /proc")
    out = str(tmp_path / "a.tflite")
    command = [sys.executable, "-m", "mien", "export", str(small_run.path), "--to", "litert", "--out", out]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True) as process:
        # The process that writes the file has been begun.
        while not any(temporary.rglob("*.onnx")):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert list(temporary.iterdir()) == []
    wait_for_end_of_group(process.pid)


@pytest.mark.slow
def test_a_classifier_of_faces_is_exported_as_one_of_whole_images(tmp_path: Path, command: Mien) -> None:
    data = make_portraits(tmp_path / "data", 30)
    run = mien.train(data, may_matter="all", out=tmp_path / "run")
    assert run.classifier.looks_at_faces
    before = contents(run.path)
    code, out, err = command("export", run.path, "--to", "onnx")
    assert code == 0 and "training a classifier on whole images only" in err
    told = json.loads((run.path / "exported" / "model.onnx.json").read_text("utf-8"))
    whole, both = (told["proof"][name]["value"] for name in ("accuracy", "accuracy_with_faces"))
    assert 0.5 < whole <= both == run.scores.judged.accuracy.value
    assert out.startswith(f"It is not the classifier of your run: expect {whole:.0%} (95% interval")
    assert f"not {both:.0%} (95%" in " ".join(out.split()) and "whole-image classifier, in mien" in out
    compared = (
        f"the same labels as that whole-image classifier on all {told['proof']['agreement']['num_images']} images"
    )
    assert compared in " ".join(out.split())
    session = onnxruntime.InferenceSession(run.path / "exported" / "model.onnx")
    assert [item.name for item in session.get_inputs()] == ["images"]
    assert {name: content for name, content in contents(run.path).items() if "exported" not in name} == before
    shutil.copy(data / "happy" / "0.jpg", data / "sad" / "another.jpg")
    code, _, err = command("export", run.path, "--to", "onnx")
    assert code == 2 and "changed since" in err
