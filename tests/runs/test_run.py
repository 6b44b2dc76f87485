"""A finished run, read back: it is what was written, and what is missing or damaged is named."""

import codecs
import json
from pathlib import Path

import numpy as np
import pytest

from conftest import make_pipe
from mien.errors import ModelFileError, SettingsError, SourceNotFoundError
from mien.runs.run import Run, load_run


def test_what_was_written_comes_back(run: Run) -> None:
    found = load_run(run.path)
    same = ("path", "config", "versions", "scores", "findings", "training", "history", "label_issues", "shortcuts")
    assert {name: getattr(found, name) for name in same} == {name: getattr(run, name) for name in same}
    assert found.dataset.records == run.dataset.records
    assert found.dataset.class_names == run.dataset.class_names
    assert found.classifier.facts == run.classifier.facts
    assert found.metrics() == run.metrics()


def test_a_run_of_before_learning_curves_is_read_too(run: Run, copied: Path) -> None:
    document = json.loads((copied / "metrics.json").read_text("utf-8"))
    assert document["learning_curve"]["points"][-1]["share"] == 1
    del document["learning_curve"]
    (copied / "metrics.json").write_text(json.dumps(document), "utf-8")
    found = load_run(copied)
    assert found.scores.learning_curve is None
    assert found.scores.judged == run.scores.judged


def test_predictions_come_back_with_six_decimals_and_the_same_winners(run: Run) -> None:
    found = load_run(run.path)
    assert list(found.predictions_by_source) == ["test", "out_of_fold"]
    for source, given in found.predictions_by_source.items():
        expected = run.predictions_by_source[source]
        np.testing.assert_array_equal(given.indexes, expected.indexes)
        np.testing.assert_array_equal(given.labels, expected.labels)
        np.testing.assert_array_equal(given.probs.argmax(axis=1), expected.probs.argmax(axis=1))
        np.testing.assert_allclose(given.probs, expected.probs, atol=6e-7)
        assert given.num_folds == expected.num_folds


def test_predictions_are_those_that_the_scores_are_of(run: Run) -> None:
    for source, evaluation in run.scores.by_source.items():
        given = run.predictions_by_source[source]
        assert len(given.labels) == evaluation.accuracy.num_images
        num_right = int((given.probs.argmax(axis=1) == given.labels).sum())
        assert num_right == sum(row[place] for place, row in enumerate(evaluation.confusion))
    assert run.predictions is run.out_of_fold_predictions


def test_tables_without_the_mark_of_utf_8_are_read_too(run: Run, copied: Path) -> None:
    tables = sorted(copied.glob("*.csv"))
    for path in tables:
        content = path.read_bytes()
        assert content.startswith(codecs.BOM_UTF8), path.name
        path.write_bytes(content.removeprefix(codecs.BOM_UTF8))
    found = load_run(copied)
    assert {path.name for path in tables} >= {"manifest.csv", "predictions.csv", "out_of_fold.csv"}
    assert found.dataset.records == load_run(run.path).dataset.records
    assert list(found.predictions_by_source) == list(run.predictions_by_source)


def test_predictions_that_are_missing_leave_the_rest(copied: Path) -> None:
    (copied / "predictions.csv").unlink()
    (copied / "out_of_fold.csv").unlink()
    found = load_run(copied)
    assert (found.predictions_by_source, found.predictions) == ({}, None)


@pytest.mark.parametrize("name", ["config.json", "manifest.csv", "model.onnx", "metrics.json"])
def test_a_file_that_is_missing_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(SourceNotFoundError, match="finish" if name == "metrics.json" else name):
        load_run(copied)


def test_a_folder_that_is_none_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="is not a run folder"):
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
        ("predictions.csv", "path,label,predicted,prob_happy,prob_sad\na,happy,sad,1,0\n"),
        ("predictions.csv", "path,label,predicted,prob_happy,prob_sad\nhappy/00.jpg,happy,happy,much,0\n"),
        ("predictions.csv", "path,label,predicted,prob_happy,prob_sad\na\n"),
        ("predictions.csv", "path,label,predicted,prob_happy,prob_sad\nhappy/nowhere.jpg,happy,happy,1,0\n"),
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
    make_pipe(copied / name)
    with pytest.raises(SourceNotFoundError, match="finish" if name == "metrics.json" else "not a regular file"):
        load_run(copied)


def test_metrics_with_odd_values_are_refused_in_words(copied: Path) -> None:
    path = copied / "metrics.json"
    whole = json.loads(path.read_text())
    for key in ("test", "out_of_fold", "verdict", "data", "training", "label_issues", "shortcuts"):
        for value in ([1], "x", {"a": 1}, 7):
            path.write_text(json.dumps({**whole, key: value}))
            with pytest.raises(SourceNotFoundError, match="is damaged, or was made by another version"):
                load_run(copied)


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
