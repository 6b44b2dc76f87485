"""The model card: it says what the file says, its code works as it stands, and no name becomes markup."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import mien
from conftest import draw_image, evaluation_of
from mien.config import TrainConfig
from mien.errors import ModelFileError
from mien.model.classifier import ModelFacts, load
from mien.runs.run import Run
from mien.scoring.model_card import escaped, limits, model_card, scores_of
from onnx_models import FACTS, PROVENANCE


def test_the_card_of_a_run_is_made_of_what_its_file_says(run: Run) -> None:
    card = (run.path / "MODEL_CARD.md").read_text("utf-8")
    facts = load(run.path / "model.onnx").facts
    assert card == model_card(facts)
    assert run.scores.out_of_fold is not None
    for score in (run.scores.out_of_fold.accuracy, run.scores.out_of_fold.baseline, run.scores.test.accuracy):
        assert str(score) in card
    assert facts.data_fingerprint in card
    assert facts.provenance is not None
    assert facts.provenance.split_fingerprint in card
    assert "keras" not in facts.provenance.versions
    for limit in facts.provenance.limits:
        assert limit in card


def test_the_split_in_the_file_is_that_of_the_manifest(run: Run) -> None:
    provenance = load(run.path).facts.provenance
    assert provenance is not None
    for label, counts in provenance.split.items():
        for split, count in counts.items():
            assert count == sum(r.split == split and r.label == label for r in run.dataset.records)


@pytest.mark.slow
def test_the_same_training_gives_the_same_card(small_run: Run, small: TrainConfig, data: Path, tmp_path: Path) -> None:
    again = mien.train(data, small, out=tmp_path / "again")
    assert _undated(again) == _undated(small_run)


def _undated(run: Run) -> str:
    return re.sub(r"Trained on [\d-]+", "Trained on", (run.path / "MODEL_CARD.md").read_text("utf-8"))


def test_the_python_of_the_card_works_as_it_stands(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    draw_image(7).save(tmp_path / "photo.jpg")
    (tmp_path / "model.onnx").write_bytes((run.path / "model.onnx").read_bytes())
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"^```python\n(.*?)^```", model_card(load("model.onnx").facts), re.MULTILINE | re.DOTALL)
    assert len(code) == 2
    outputs = [
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True) for text in code
    ]
    with_mien, without = (eval(done.stdout[done.stdout.index("{") :]) for done in outputs)
    assert with_mien == pytest.approx(without, abs=0.02)


@pytest.mark.slow
def test_the_commands_of_the_card_work_as_they_stand(run: Run, data: Path, tmp_path: Path) -> None:
    draw_image(7).save(tmp_path / "photo.jpg")
    (tmp_path / "model.onnx").write_bytes((run.path / "model.onnx").read_bytes())
    (tmp_path / "other-photos").symlink_to(data)
    lines = re.findall(r"^\$ (mien .*)$", model_card(run.classifier.facts), re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        command = [sys.executable, "-m", *line.split()]
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout


def test_to_tell_what_a_file_says_loads_onnx_runtime_alone(run: Run) -> None:
    code = (
        "import sys; from mien.cli.use_commands import predict; from pathlib import Path\n"
        f"predict(Path({str(run.path)!r}), about=True)\n"
        "print(sorted({'onnx', 'keras', 'tensorflow', 'matplotlib', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "name",
    [
        "a|b",
        "`x`",
        "<script>alert(1)</script>",
        "[x](http://evil)",
        "line\nline",
        "**b**",
        "_u_",
        "www.evil.example",
        "a\x1b[2J",
        "\udcff",
    ],
)
def test_a_hostile_name_is_text_in_the_card(name: str) -> None:
    facts = replace(FACTS, class_names=(name, "sad"), provenance=replace(PROVENANCE, split={name: {"train": 1}}))
    card = model_card(facts)
    assert name not in card
    assert re.fullmatch(r"([\w\s,()-]|&#\d+;)*", escaped(name))
    card.encode("utf-8")


def test_ordinary_names_and_versions_stay_as_they_are() -> None:
    for text in (
        "happy",
        "very sad",
        "Größe",
        "3.11.7",
        "tensorflow-cpu",
        "min_bytes = 10",
        "it's (very) good",
        "smile 😀",
    ):
        assert escaped(text) == text


def test_classes_that_are_moods_are_told_that_a_smile_is_no_emotion() -> None:
    moods = replace(FACTS, class_names=("happy people", "other"))
    assert "A smile is not an emotion" in limits(moods)[0] and "AI Act, Article 5(1)(f)" in limits(moods)[1]
    animals = replace(FACTS, class_names=("cats", "crusaders"))
    assert not any("smile" in text or "AI Act" in text for text in limits(animals))


def test_people_come_first_only_where_faces_were_found() -> None:
    fruit = replace(FACTS, class_names=("apples", "pears"))
    assert limits(fruit)[-1].startswith("People, if the images show any.")
    assert not any(text.startswith("Judging people") for text in limits(fruit))
    assert limits(replace(fruit, faces="unused"))[0].startswith("Judging people.")
    assert all("credit" in " ".join(limits(replace(fruit, faces=faces))) for faces in ("on", "off", "unused"))


@pytest.mark.parametrize("faces", ["on", "off", "unused"])
def test_a_classifier_that_looks_at_faces_says_so_and_what_it_reads_off_them(
    faces: Literal["on", "off", "unused"],
) -> None:
    facts = replace(FACTS, class_names=("cats", "crusaders"), faces=faces)
    card = model_card(facts)
    assert ("## It uses faces" in card) == ("AI Act" in card) == ('"face_weights"' in card) == (faces == "on")
    assert "FACES" not in card
    if faces == "on":
        assert "not what anyone feels" in card and "drawings" in card


def test_a_file_without_scores_and_provenance_has_a_card_too() -> None:
    card = model_card(FACTS)
    assert "The file contains no scores" in card
    assert "## What it is not for" in card


def test_damaged_scores_are_refused() -> None:
    damaged: list[dict[str, Any]] = [{"test": {}}, {"test": 3}, {"out_of_fold": {"classes": 1}}]
    for scores in damaged:
        facts: ModelFacts = replace(FACTS, scores=scores)
        with pytest.raises(ModelFileError, match="scores"):
            scores_of(facts)


def test_a_card_claims_no_more_than_the_scores_show() -> None:
    for num_right, claim in ((19, False), (11, True)):
        evaluation = evaluation_of([[10, 0], [20 - num_right, num_right - 10]], FACTS.class_names)
        card = model_card(replace(FACTS, scores={"test": json.loads(json.dumps(evaluation.to_dict()))}))
        assert ("too few to tell whether that is better than" in card) == claim


@pytest.mark.medium
def test_of_many_classes_a_card_names_the_weakest() -> None:
    names = tuple(f"kind {number:03}" for number in range(100))
    counts = np.eye(100, dtype=int) * 3
    counts[42, 43] = 9
    split = {name: {"train": 3} for name in names}
    facts = replace(FACTS, class_names=names, provenance=replace(PROVENANCE, split=split))
    card = model_card(
        replace(facts, scores={"test": json.loads(json.dumps(evaluation_of(counts.tolist(), names).to_dict()))})
    )
    assert "The 20 of 100 classes with the lowest F1, on the test split:" in card
    assert card.index("| kind 042 |") < card.index("| kind 043 |")
    assert "kind 019, and 80 more" in card and "And 80 more classes." in card
    assert len(card) < 10_000
