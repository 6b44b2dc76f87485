"""The whole job: what a run leaves, that it is honest, and that it can be gone on with."""

import csv
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import draw_folder, draw_image, save_image
from mien.config import (
    PRESETS,
    CleanConfig,
    FitConfig,
    LabelConfig,
    PredictConfig,
    ScanConfig,
    SplitConfig,
    TrainConfig,
)
from mien.core.files import claimed
from mien.core.progress import Epoch
from mien.data.dataset import Dataset
from mien.data.splitting import split
from mien.errors import LeakError, NotADatasetError, OutputError, SettingsError, SourceNotFoundError, TooFewImagesError
from mien.jobs.evaluate import evaluate_run
from mien.jobs.train import train
from mien.runs.folder import load_config
from mien.runs.run import Run

pytestmark = pytest.mark.medium
QUICK = TrainConfig(scan=ScanConfig(image_size=(32, 32)), fit=FitConfig(method="cnn", epochs=2, batch_size=8))
FAST_FILES = {
    "MODEL_CARD.md",
    "config.json",
    "manifest.csv",
    "model.onnx",
    "report.html",
    "metrics.json",
    "predictions.csv",
    "out_of_fold.csv",
    "samples.png",
    "confusion.svg",
    "looks.npy",
    "reliability.svg",
}
NETWORK_FILES = {
    "MODEL_CARD.md",
    "config.json",
    "manifest.csv",
    "model.onnx",
    "report.html",
    "model.keras",
    "metrics.json",
    "predictions.csv",
    "history.csv",
    "samples.png",
    "curves.svg",
    "confusion.svg",
    "looks.npy",
    "reliability.svg",
    "logs",
}


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))


class Heard:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        pass

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        pass


@pytest.fixture(scope="module")
def network(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the tutorial's network."""
    return train(data, QUICK, out=tmp_path_factory.mktemp("runs") / "a")


@pytest.fixture(params=["small_run", pytest.param("network", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest) -> Run:
    """Finished runs of both kinds: a linear head, and a network."""
    found: Run = request.getfixturevalue(request.param)
    return found


def test_a_run_folder_holds_everything_and_nothing_else(run: Run) -> None:
    assert {path.name for path in run.path.iterdir()} == (NETWORK_FILES if run.history else FAST_FILES)


def test_nothing_in_the_data_changes(data: Path, tmp_path: Path, small: TrainConfig) -> None:
    before = contents(data)
    train(data, small, out=tmp_path / "run")
    assert contents(data) == before


def test_the_images_of_a_run_are_images(run: Run) -> None:
    for path in run.path.glob("*.png"):
        with Image.open(path) as image:
            image.load()
            assert min(image.size) > 200


def test_every_score_has_its_interval_and_the_baseline_beside_it(run: Run) -> None:
    test = json.loads((run.path / "metrics.json").read_text())["test"]
    scores = [test["accuracy"], test["baseline"]]
    scores += [scores_of[name] for scores_of in test["classes"] for name in ("precision", "recall", "f1")]
    for score in scores:
        assert (
            0 <= score["low"] <= (score["value"] if score["value"] is not None else score["low"]) <= score["high"] <= 1
        )
    assert test["accuracy"]["num_images"] == len(rows(run.path / "predictions.csv"))


def test_the_predictions_are_of_the_test_split_and_agree_with_the_scores(run: Run) -> None:
    predictions = rows(run.path / "predictions.csv")
    manifest = {row["path"]: row for row in rows(run.path / "manifest.csv")}
    assert {manifest[row["path"]]["split"] for row in predictions} == {"test"}
    accuracy = sum(row["label"] == row["predicted"] for row in predictions) / len(predictions)
    assert accuracy == pytest.approx(run.scores.test.accuracy.value)


def test_the_same_data_and_seed_give_the_same_split_and_the_same_metrics(data: Path, run: Run, tmp_path: Path) -> None:
    again = train(data, run.config, out=tmp_path / "again")
    for name in ("manifest.csv", "metrics.json", "predictions.csv"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes()


def test_the_settings_of_a_run_can_be_read_back(run: Run) -> None:
    document = json.loads((run.path / "config.json").read_text())
    assert mien.config.from_json(document) == run.config
    assert {"mien", "onnxruntime"} <= set(document["versions"])


def test_the_saved_classifier_answers_as_the_evaluation_said(data: Path, run: Run) -> None:
    classifier = mien.load(run.path)
    predictions = {row["path"]: row for row in rows(run.path / "predictions.csv")}
    for prediction in mien.predict(classifier, [data / path for path in predictions]):
        row = predictions[str(Path(prediction.source).relative_to(data))]
        assert prediction.label == row["predicted"]
        assert prediction.probs["happy"] == pytest.approx(float(row["prob_happy"]), abs=1e-5)
    assert classifier.facts.scores["test"]["accuracy"]["value"] == run.scores.test.accuracy.value


def test_a_review_of_the_test_split_gives_the_same_scores(run: Run) -> None:
    assert evaluate_run(run.path).scores.test == run.scores.test


@pytest.mark.slow
def test_a_review_refuses_a_test_image_that_changed(data: Path, tmp_path: Path, small: TrainConfig) -> None:
    copy = tmp_path / "data"
    subprocess.run(["cp", "-r", str(data), str(copy)], check=True)
    changed = train(copy, small, out=tmp_path / "run")
    path = copy / rows(changed.path / "predictions.csv")[0]["path"]
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SourceNotFoundError, match=r"1 test image of .* missing or changed in"):
        evaluate_run(changed.path)


def test_a_review_takes_another_labelled_folder(data: Path, run: Run, tmp_path: Path) -> None:
    fresh = draw_folder(tmp_path / "fresh", 12, first_seed=5000)
    assert evaluate_run(run.path, fresh).scores.test.accuracy.num_images == 24
    shutil.copytree(data, tmp_path / "mixed")
    draw_folder(tmp_path / "mixed", 14, first_seed=5000, first_number=12)
    heard = Heard()
    mixed = evaluate_run(run.path, tmp_path / "mixed", leave_out_seen=True, progress=heard)
    assert mixed.scores.test.accuracy.num_images == 4 + run.scores.test.accuracy.num_images
    told = f"22 of 28 images in {str(tmp_path / 'mixed')!r}, or copies of them,"
    assert heard.lines == [f"skipped: {told} which were used in training"]
    with pytest.raises(
        LeakError, match=rf"{told} were used to train .*:\n  happy.*the same file as happy(.*\n)*.*leave-out"
    ):
        evaluate_run(run.path, tmp_path / "mixed")
    save_image(fresh / "angry" / "1.jpg", draw_image(5))
    with pytest.raises(NotADatasetError, match=r"'angry' \(1\).*--only-known"):
        evaluate_run(run.path, fresh)
    assert evaluate_run(run.path, fresh, only_known=True).scores.test.accuracy.num_images == 24
    shutil.rmtree(fresh / "angry")
    shutil.rmtree(fresh / "sad")
    assert evaluate_run(run.path, fresh).scores.test.accuracy.num_images == 12
    assert evaluate_run(run.path, fresh / "happy").scores.test.accuracy.num_images == 12
    unsorted = (fresh / "happy").rename(tmp_path / "unsorted")
    with pytest.raises(NotADatasetError, match=f"without labels: mien predict {run.path} {unsorted}$"):
        evaluate_run(run.path, unsorted)


def test_a_review_refuses_a_folder_that_was_all_trained_on(run: Run, data: Path, tmp_path: Path) -> None:
    for row in rows(run.path / "manifest.csv"):
        if row["split"] == "train":
            (tmp_path / row["label"]).mkdir(exist_ok=True)
            shutil.copy(data / row["path"], tmp_path / row["path"])
    with pytest.raises(TooFewImagesError, match="trained on every image"):
        evaluate_run(run.path, tmp_path, leave_out_seen=True)


@pytest.mark.parametrize("edit", ["smaller", "mirrored", "grey"])
def test_a_review_refuses_an_image_that_was_trained_on_and_edited(
    run: Run, data: Path, tmp_path: Path, edit: str
) -> None:
    fresh = draw_folder(tmp_path, 2, first_seed=5000)
    (trained, *_) = (row["path"] for row in rows(run.path / "manifest.csv") if row["split"] == "val")
    image = Image.open(data / trained)
    edits = {
        "smaller": image.resize((64, 64)),
        "mirrored": image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "grey": image.convert("L"),
    }
    edits[edit].save(fresh / Path(trained).parent / "edited.png")
    with pytest.raises(LeakError, match=rf"1 of 5 images.*\n  happy/edited.png: a copy.* of {trained}"):
        evaluate_run(run.path, fresh)


@pytest.mark.parametrize(
    "change", [lambda text: "", lambda text: text.replace(",train,", ",test,"), lambda text: text[:-9]]
)
def test_a_manifest_that_was_changed_hides_no_leak(
    run: Run, data: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    copy = shutil.copytree(run.path, tmp_path / "run")
    manifest = copy / "manifest.csv"
    manifest.write_text(change(manifest.read_text("utf-8")), "utf-8")
    with pytest.raises(SourceNotFoundError, match=r"manifest\.csv"):
        evaluate_run(copy, data)


def test_a_split_with_a_copy_on_two_sides_is_not_trained_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: TrainConfig
) -> None:
    def broken(dataset: Dataset, config: SplitConfig, _sides: object) -> Dataset:
        records = split(dataset, config).records
        (first, *_) = (record for record in records if record.split == "test")
        (other, *_) = (record for record in records if record.split == "train" and record.label == first.label)
        copy = replace(other, phash=first.phash, look=first.look)
        return dataset.with_records([copy if record is other else record for record in records])

    monkeypatch.setattr("mien.jobs.prepare.split", broken)
    with pytest.raises(LeakError, match=r"\(t(est|rain)\) and happy/.* \(t"):
        train(data, small, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_target_for_the_precision_ends_in_the_file(data: Path, tmp_path: Path) -> None:
    run = train(data, replace(PRESETS["fast"], predict=PredictConfig(target_precision=0.6)), out=tmp_path / "fast")
    assert [finding.kind for finding in run.findings if finding.kind in ("threshold", "out_of_reach")]
    assert mien.load(run.path).facts.threshold == run.classifier.facts.threshold
    assert set(evaluate_run(run.path).findings) <= set(run.findings)


@pytest.mark.slow
def test_a_network_without_folds_chooses_its_threshold_on_the_validation_images(data: Path, tmp_path: Path) -> None:
    run = train(data, replace(QUICK, predict=PredictConfig(threshold=0.999)), out=tmp_path / "run")
    assert run.findings[-1].kind == "threshold"
    assert "n = 4) of the images" in run.findings[-1].text
    assert {prediction.label for prediction in mien.predict(mien.load(run.path), [data])} == {"unsure"}


def test_a_class_called_unsure_and_a_threshold_exclude_one_another(
    data: Path, tmp_path: Path, small: TrainConfig
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    (folder / "sad").rename(folder / "unsure")
    with pytest.raises(SettingsError, match="'unsure'"):
        train(folder, replace(small, predict=PredictConfig(threshold=0.9)), out=tmp_path / "run")


@pytest.mark.slow
def test_images_unlike_those_of_the_training_are_flagged(data: Path, network: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    fast = train(data, PRESETS["fast"], out=tmp_path / "fast").classifier
    strange, *usual = mien.predict(fast, [tmp_path / "noise.png", data])
    assert strange.out_of_distribution
    assert sum(prediction.out_of_distribution for prediction in usual) <= 2
    # A network finds its features in its own graph.
    assert network.classifier.facts.max_distance is not None


@pytest.mark.slow
def test_three_classes_work_from_end_to_end(data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    folder = tmp_path / "three"
    subprocess.run(["cp", "-r", str(data), str(folder)], check=True)
    (folder / "calm").mkdir()
    for number in range(12):
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"calm/{number}.jpg")
    run = train(folder, QUICK, out=tmp_path / "run")
    assert run.classifier.class_names == ("calm", "happy", "sad")
    (prediction,) = mien.predict(run.classifier, [folder / "calm/0.jpg"])
    assert sum(prediction.probs.values()) == pytest.approx(1, abs=1e-5)


def test_too_few_images_end_it_before_anything_is_written(data: Path, tmp_path: Path, small: TrainConfig) -> None:
    config = replace(small, clean=CleanConfig(min_bytes=10**9))
    with pytest.raises(TooFewImagesError, match=r"class 'happy'.*\n.*class 'sad'"):
        train(data, config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_empty_is_never_written_to(data: Path, tmp_path: Path, small: TrainConfig) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not empty"):
        train(data, small, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_runs_are_numbered(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: TrainConfig) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "train").mkdir(parents=True)
    assert train(data, small).path == Path("runs/train2")


def test_a_finished_run_cannot_be_gone_on_with(data: Path, run: Run) -> None:
    with pytest.raises(OutputError, match="finished"):
        train(data, run.config, out=run.path, resume=True)


def test_a_run_in_the_way_is_called_one_with_what_to_do(data: Path, run: Run, tmp_path: Path) -> None:
    before = sorted(run.path.rglob("*"))
    with pytest.raises(OutputError, match=r"holds a finished run\. Leave --out away") as caught:
        train(data, run.config, out=run.path)
    assert "--resume" not in str(caught.value) and sorted(run.path.rglob("*")) == before
    shutil.copy(run.path / "config.json", tmp_path)
    with pytest.raises(OutputError, match=r"holds an unfinished run\. To finish it, add --resume"):
        train(data, run.config, out=tmp_path)


@pytest.mark.slow
def test_a_run_that_is_being_trained_is_left_to_its_training(data: Path, tmp_path: Path, small: TrainConfig) -> None:
    with claimed(tmp_path), pytest.raises(OutputError, match="another mien command is using"):
        train(data, small, out=tmp_path)
    train(data, small, out=tmp_path)
    (tmp_path / "metrics.json").unlink()
    with claimed(tmp_path), pytest.raises(OutputError, match="another mien command is using"):
        train(data, small, out=tmp_path, resume=True)


def test_there_must_be_something_to_go_on_with(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: TrainConfig
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFoundError, match="no unfinished run"):
        train(data, small, resume=True)


@pytest.mark.slow
def test_a_run_is_gone_on_with_only_as_it_was_begun(data: Path, tmp_path: Path, small: TrainConfig) -> None:
    run = train(data, small, out=tmp_path / "run")
    (run.path / "metrics.json").unlink()
    with pytest.raises(SettingsError, match="other settings"):
        train(data, PRESETS["classic"], out=run.path, resume=True)
    copy = tmp_path / "data"
    subprocess.run(["cp", "-r", str(data), str(copy)], check=True)
    next(copy.glob("happy/*.jpg")).unlink()
    with pytest.raises(SettingsError, match="changed since"):
        train(copy, small, out=run.path, resume=True)


@pytest.fixture
def moods(tmp_path: Path) -> Path:
    """Images of two classes that a glance tells apart, but for two that lie in the wrong folder."""
    for number in range(50):
        image = draw_image(number)
        image = image.convert("L").convert("RGB").point(lambda level: level // 4) if number % 2 else image
        wrong = number in (20, 31)
        save_image(tmp_path / "moods" / ("happy", "sad")[(number + wrong) % 2] / f"{number:02}.jpg", image)
    return tmp_path / "moods"


@pytest.mark.slow
def test_wrong_labels_are_listed_and_put_right_by_decision(moods: Path, tmp_path: Path) -> None:
    before = contents(moods)
    run = train(moods, out=tmp_path / "run")
    found = {row["path"]: row for row in rows(run.path / "label_issues.csv")}
    manifest = {row["path"]: row for row in rows(run.path / "manifest.csv")}
    wrong = {path for path in ("sad/20.jpg", "happy/31.jpg") if manifest[path]["split"] != "test"}
    assert wrong
    assert wrong <= set(found)
    assert {manifest[path]["split"] for path in found} <= {"train", "val"}
    assert all("label_issue" in manifest[path]["problem"] for path in found)
    assert [issue["path"] for issue in json.loads((run.path / "metrics.json").read_text())["label_issues"]] == [*found]

    table = (run.path / "label_issues.csv").read_text("utf-8")
    for path in wrong:
        line = next(line for line in table.splitlines() if line.startswith(path))
        table = table.replace(line, line + found[path]["suggested"])
    (tmp_path / "decided.csv").write_text(table, "utf-8")
    config = replace(PRESETS["fast"], labels=LabelConfig(relabel=str(tmp_path / "decided.csv")))
    again = train(moods, config, out=tmp_path / "again")
    relabelled = {row["path"]: row for row in rows(again.path / "manifest.csv")}
    assert {path for path in manifest if relabelled[path]["label"] != manifest[path]["label"]} == wrong
    assert all(relabelled[path]["split"] == manifest[path]["split"] for path in manifest)
    assert contents(moods) == before


@pytest.mark.slow
@pytest.mark.parametrize(("decision", "counts"), [("happy", (1, 0)), ("leave-out", (0, 1)), ("keep", (0, 0))])
def test_how_many_decisions_took_effect_is_said_be_it_none(
    moods: Path, tmp_path: Path, decision: str, counts: tuple[int, int], small: TrainConfig
) -> None:
    (tmp_path / "mine.csv").write_text(f"path,decision\nsad/20.jpg,{decision}\n")
    heard = Heard()
    train(
        moods,
        replace(small, labels=LabelConfig(relabel=str(tmp_path / "mine.csv"))),
        out=tmp_path / "run",
        progress=heard,
    )
    said = [line for line in heard.lines if line.startswith("label decisions")]
    assert said == [f"label decisions: {counts[0]} relabelled, {counts[1]} excluded"]


@pytest.mark.slow
def test_the_decisions_of_a_run_stay_with_it(moods: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,decision\nsad/20.jpg,happy\n")
    config = replace(PRESETS["fast"], labels=LabelConfig(relabel=str(tmp_path / "mine.csv")))
    run = train(moods, config, out=tmp_path / "run")
    (run.path / "metrics.json").rename(tmp_path / "metrics.json")
    resumed = train(moods, config, out=run.path, resume=True)
    assert (resumed.path / "metrics.json").read_bytes() == (tmp_path / "metrics.json").read_bytes()
    (run.path / "metrics.json").unlink()
    (tmp_path / "mine.csv").write_text("path,decision\nsad/21.jpg,happy\n")
    with pytest.raises(SettingsError, match="other settings"):
        train(moods, config, out=run.path, resume=True)
    (tmp_path / "mine.csv").unlink()
    train(moods, load_config(run.path / "config.json"), out=tmp_path / "same")
    assert (tmp_path / "same" / "manifest.csv").read_bytes() == (run.path / "manifest.csv").read_bytes()
    (run.path / "relabel.csv").write_text("path,decision\n")
    with pytest.raises(SettingsError, match=r"relabel\.csv.* is missing or has changed since"):
        load_config(run.path / "config.json")


def test_decisions_are_checked_before_anything_is_written(moods: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,decision\nsad/gone.jpg,happy\nsad/20.jpg,angry\n")
    config = replace(PRESETS["fast"], labels=LabelConfig(relabel=str(tmp_path / "mine.csv")))
    with pytest.raises(SettingsError, match=r"(?s)gone.*angry"):
        train(moods, config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"fit": 1}', '{"fit": {"epochs": "x"}}', '{"huge": 1}', "[" * 100_000]
)
def test_settings_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises((SettingsError, SourceNotFoundError), match=r"config\.json"):
        load_config(tmp_path / "config.json")


@pytest.mark.slow
def test_settings_may_be_given_by_their_names(data: Path, tmp_path: Path) -> None:
    run = train(data, out=tmp_path / "run", faces="off", folds=0, seed=7)
    assert (run.config.scan.faces, run.config.split.folds, run.config.split.seed) == ("off", 0, 7)
    assert repr(run).startswith(f"Run({str(run.path)!r}, happy and sad: ") and len(repr(run.dataset)) < 200
    with pytest.raises(SettingsError, match="unknown setting: 'epocs'"):
        train(data, epocs=5)
    with pytest.raises(SettingsError, match="unknown preset 'huge'"):
        train(data, preset="huge")


@pytest.mark.slow
def test_given_splits_are_trained_on_and_judged_by(tmp_path: Path) -> None:
    draw_folder(tmp_path / "data" / "train", 12)
    draw_folder(tmp_path / "data" / "test", 5, first_seed=9000)
    shutil.copy(tmp_path / "data/test/sad/00.jpg", tmp_path / "data/train/sad/copy.jpg")
    run = train(tmp_path / "data", out=tmp_path / "run", faces="off")
    tested = {row["path"] for row in rows(run.path / "manifest.csv") if row["split"] == "test"}
    assert tested == {f"test/{name}/{n:02}.jpg" for name in ("happy", "sad") for n in range(5)}
    assert run.scores.test.accuracy.num_images == 10
    assert not any(row["split"] for row in rows(run.path / "manifest.csv") if row["path"] == "train/sad/copy.jpg")
    assert evaluate_run(run.path).scores.test.accuracy == run.scores.test.accuracy
