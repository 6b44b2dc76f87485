"""A finished run, read back: it is what was written, and what is missing or damaged is named."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from mien.errors import ModelFileError, SettingsError, SourceNotFoundError
from mien.jobs.finish import Run
from mien.runs.run import load_run


def test_what_was_written_comes_back(run: Run) -> None:
    found = load_run(run.path)
    assert found.scores["test"] == run.evaluation
    assert found.judged == found.scores["out_of_fold"] == run.out_of_fold
    assert (found.findings, found.label_issues, found.shortcuts) == (run.findings, run.label_issues, run.shortcuts)
    assert found.fingerprint == run.dataset.fingerprint()
    assert [(r.path, r.split) for r in found.records] == [(r.path, r.split) for r in run.dataset.records]


def test_every_image_that_was_judged_has_its_answer(run: Run) -> None:
    found = load_run(run.path)
    for source, evaluation in found.scores.items():
        predictions = [answer for answer in found.predictions if answer.source == source]
        assert len(predictions) == evaluation.accuracy.num_images
        num_right = sum(answer.predicted == answer.label for answer in predictions)
        assert num_right == sum(row[place] for place, row in enumerate(evaluation.confusion))
    assert all(answer.prob_predicted >= answer.prob_label for answer in found.predictions)


def test_answers_that_are_missing_leave_the_rest(copied: Path) -> None:
    (copied / "predictions.csv").unlink()
    (copied / "out_of_fold.csv").unlink()
    assert load_run(copied).predictions == ()


@pytest.mark.parametrize("name", ["config.json", "manifest.csv", "model.onnx", "metrics.json"])
def test_a_file_that_is_missing_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(SourceNotFoundError, match="finish" if name == "metrics.json" else name):
        load_run(copied)


def test_a_folder_that_is_none_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no run folder"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "[]"),
        ("metrics.json", "{}"),
        ("metrics.json", '{"test": {}, "verdict": []}'),
        ("metrics.json", '{"test": '),
        ("config.json", "[]"),
        ("config.json", '{"data": "x", "versions": []}'),
        ("manifest.csv", "path,label\nx,y\n"),
        ("manifest.csv", ""),
        ("predictions.csv", ""),
        ("predictions.csv", "path,label,answer,prob_happy\na,happy,sad,1\n"),
        ("predictions.csv", "path,label,answer,prob_happy\na,happy,happy,much\n"),
        ("predictions.csv", "path,label,answer,prob_happy\na\n"),
        ("predictions.csv", "path,label,answer,prob_happy\nhappy/nowhere.jpg,happy,happy,1\n"),
        ("out_of_fold.csv", "path\na\n"),
        ("model.onnx", "nonsense"),
    ],
)
def test_a_damaged_file_is_refused_in_words(copied: Path, name: str, content: str) -> None:
    (copied / name).write_text(content)
    with pytest.raises((SourceNotFoundError, ModelFileError, SettingsError)):
        load_run(copied)


@pytest.mark.parametrize("name", ["config.json", "manifest.csv", "predictions.csv", "history.csv", "metrics.json"])
def test_a_pipe_in_the_place_of_a_file_is_never_waited_for(copied: Path, name: str) -> None:
    (copied / name).unlink(missing_ok=True)
    os.mkfifo(copied / name)
    with pytest.raises(SourceNotFoundError, match="finish" if name == "metrics.json" else "not a regular file"):
        load_run(copied)


def test_metrics_with_odd_values_are_refused_in_words(copied: Path) -> None:
    path = copied / "metrics.json"
    whole = json.loads(path.read_text())
    for key in ("test", "out_of_fold", "verdict", "data", "training", "label_issues", "shortcuts"):
        for value in ([1], "x", {"a": 1}, 7):
            path.write_text(json.dumps({**whole, key: value}))
            # What is read in spite of that is no worse for it.
            with suppress(SourceNotFoundError):
                load_run(copied)


def test_a_run_of_an_older_version_is_read(copied: Path) -> None:
    path = copied / "metrics.json"
    older = json.loads(path.read_text())
    del older["label_issues"], older["shortcuts"]
    path.write_text(json.dumps(older))
    assert load_run(copied).label_issues == ()


def changed(path: Path, *keys: str | int, value: object) -> None:
    """Write something else into a JSON file."""
    document = found = json.loads(path.read_text("utf-8"))
    for key in keys[:-1]:
        found = found[key]
    found[keys[-1]] = value
    path.write_text(json.dumps(document), "utf-8")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("test", "class_names"), []),
        (("test", "class_names"), ["happy", "other"]),
        (("out_of_fold", "confusion", 0), []),
        (("out_of_fold", "calibration", "bins"), []),
        (("out_of_fold", "calibration", "bins", 0, "accuracy", "value"), None),
        (("test", "coverage"), []),
        (("training", "strength"), "strong"),
        (("training", "temperature"), 10**400),
    ],
)
def test_metrics_that_contradict_themselves_are_refused(
    copied: Path, keys: tuple[str | int, ...], value: object
) -> None:
    changed(copied / "metrics.json", *keys, value=value)
    with pytest.raises(SourceNotFoundError, match="is damaged"):
        load_run(copied)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("manifest.csv", "happy/00.jpg", "/etc/passwd"),
        ("manifest.csv", "happy/00.jpg", "happy/../../secret.jpg"),
        ("out_of_fold.csv", ",happy,happy,0.", ",happy,happy,nan"),
        ("out_of_fold.csv", ",happy,happy,", ",happy,angry,"),
    ],
)
def test_tables_that_name_what_there_is_not_are_refused(copied: Path, name: str, old: str, new: str) -> None:
    before = (copied / name).read_text("utf-8")
    assert old in before
    (copied / name).write_text(before.replace(old, new, 1), "utf-8")
    with pytest.raises(SourceNotFoundError, match="is damaged"):
        load_run(copied)
