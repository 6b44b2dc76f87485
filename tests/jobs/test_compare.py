"""The comparison of two runs: only images that both held out, an exact test, and words that claim no more than it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import evaluation_of, record
from mien.cli.show_run import show_comparison
from mien.config import PRESETS, TrainConfig
from mien.core.scores import Score
from mien.data.dataset import Dataset, ImageRecord
from mien.errors import SettingsError, SourceNotFoundError, TooFewImagesError, UserError
from mien.jobs.compare import compare
from mien.model.classifier import Classifier, with_facts
from mien.runs.folder import RunFolder
from mien.runs.predictions import write_predictions
from mien.runs.run import Run
from mien.runs.training_details import TrainingDetails
from mien.scoring.results import Predictions, Scores
from onnx_models import FACTS, make_graph

pytestmark = pytest.mark.medium

IMAGES = [f"{label}/{number:02}.jpg" for label in ("happy", "sad") for number in range(10)]


def images(split: str, paths: Sequence[str] = IMAGES, **values: Any) -> list[ImageRecord]:
    return [record(path, split=split, **values) for path in paths]


def save_run(
    path: Path,
    records: Sequence[ImageRecord],
    wrong: Sequence[str] = (),
    *,
    by_folds: bool = False,
    config: TrainConfig = PRESETS["fast"],
    class_names: tuple[str, str] = ("happy", "sad"),
) -> Path:
    """Write what a finished run leaves: predictions for its test split, or for all images, wrong for some of them."""
    dataset = Dataset(Path("moods"), class_names, tuple(records))
    folder = RunFolder(path)
    path.mkdir()
    run = Run(
        path=path,
        config=config,
        versions={"mien": "0.1.0"},
        dataset=dataset,
        classifier=Classifier(
            with_facts(make_graph(), replace(FACTS, class_names=class_names, largest_class=class_names[1]))
        ),
        scores=Scores(
            evaluation_of([[5, 1], [1, 5]], class_names),
            evaluation_of([[5, 1], [1, 5]], class_names, num_folds=5) if by_folds else None,
        ),
        findings=(),
        training=TrainingDetails(),
        history=(),
        label_issues=(),
        shortcuts=(),
        test_predictions=predictions(dataset, ("test",), wrong),
        out_of_fold_predictions=predictions(dataset, ("train", "val"), wrong, num_folds=5) if by_folds else None,
    )
    folder.save_config(config, dataset.root, run.versions)
    dataset.save(folder.manifest_path)
    run.classifier.save(folder.model_path)
    for source, given in run.predictions_by_source.items():
        write_predictions(path, dataset, given, source)
    folder.save_json(folder.metrics_path, run.metrics())
    return path


def predictions(dataset: Dataset, splits: Sequence[str], wrong: Sequence[str], *, num_folds: int = 0) -> Predictions:
    chosen = [place for place, r in enumerate(dataset.records) if r.split in splits]
    labels = dataset.labels(np.array(chosen, np.int64))
    missed = np.array([dataset.records[place].path in wrong for place in chosen], bool)
    probs = np.eye(2, dtype=np.float32)[np.where(missed, 1 - labels, labels)]
    return Predictions(np.array(chosen, np.int64), labels, probs, num_folds=num_folds, class_names=dataset.class_names)


def test_a_better_run_is_called_better_and_chance_is_called_chance(tmp_path: Path) -> None:
    best = save_run(tmp_path / "best", images("test"), IMAGES[:1])
    poor = save_run(tmp_path / "poor", images("test"), IMAGES[1:10])
    same = save_run(tmp_path / "same", images("test"), IMAGES[1:4])
    found = compare(poor, best)
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (10, 1, 9, 0)
    assert found.sentence == (
        "best is better: it is right on 9 images that poor gets wrong, against 1 the other way (p = 0.021, McNemar's "
        "exact test)."
    )
    assert found.num_needed is None
    assert [accuracy.num_images for accuracy in found.accuracies] == [20, 20]
    unclear = compare(best, same)
    assert "No clear difference between best and same on 20 images" in unclear.sentence
    assert unclear.num_needed is not None and unclear.num_needed > 20
    assert json.loads(json.dumps(unclear.to_dict()))["sentence"] == unclear.sentence


def test_runs_that_are_right_equally_often_differ_by_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = save_run(tmp_path / "a", images("test"), IMAGES[:1])
    second = save_run(tmp_path / "b", images("test"), IMAGES[1:2])
    found = compare(first, second)
    assert found.sentence == (
        "a and b are equally accurate on 20 images: only a is right on 1, only b on 1 (p = 1.00, McNemar's exact test)."
    )
    show_comparison(replace(found, settings={"relabel": ("", "labels.csv")}))
    out = capfd.readouterr().out
    assert out.lstrip().startswith(found.sentence)
    assert "difference  no difference (95% interval -" in out and "-0 " not in out
    assert "relabel: none / labels.csv" in out


@pytest.mark.parametrize(
    ("difference", "told"),
    [
        (Score(0.05, -0.001, 0.102, 20), "+5 points (95% interval 0 to +10 points, n = 20)"),
        (Score(-0.01, -0.12, -0.001, 100), "-1 point (95% interval -12 to 0 points, n = 100)"),
        (Score(-0.001, -0.004, 0.002, 1000), "-0.1 points (95% interval 0 to 0 points, n = 1000)"),
        (Score(0.0, -0.5, 0.5, 2, num_groups=1), "no difference (95% interval -50 to +50 points, 2 images of 1 group)"),
    ],
)
def test_no_difference_is_printed_as_minus_zero(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], difference: Score, told: str
) -> None:
    first, second = (save_run(tmp_path / name, images("test")) for name in "ab")
    show_comparison(replace(compare(first, second), difference=difference))
    assert f"difference  {told}\n" in capfd.readouterr().out


def test_one_image_is_no_images(tmp_path: Path) -> None:
    first = save_run(tmp_path / "a", [*images("test", IMAGES[:1]), *images("test", IMAGES[10:11])])
    second = save_run(tmp_path / "b", [*images("train", IMAGES[:1]), *images("test", IMAGES[10:12])])
    found = compare(first, second)
    assert " on 1 image: " in found.sentence
    assert found.notes == (
        "1 image skipped because only a held them out",
        "1 image skipped because only b held them out",
    )


def test_only_images_that_both_held_out_count(tmp_path: Path) -> None:
    first = save_run(tmp_path / "a", [*images("test", IMAGES[:8]), *images("train", IMAGES[8:])])
    second = save_run(tmp_path / "b", [*images("train", IMAGES[:5]), *images("test", IMAGES[5:])])
    found = compare(first, second)
    assert found.sources == {"test of both": 3}
    assert found.notes == (
        "5 images skipped because only a held them out",
        "12 images skipped because only b held them out",
    )
    folded = [*images("train", IMAGES[:5]), *images("test", IMAGES[5:])]
    found = compare(first, save_run(tmp_path / "c", folded, by_folds=True))
    assert found.sources == {"test of a, cross-validation of c": 5, "test of both": 3}
    assert "compare training settings, not the saved files" in found.notes[-1]


def test_runs_that_held_out_other_images_are_refused(tmp_path: Path) -> None:
    first = save_run(tmp_path / "a", [*images("test", IMAGES[:8]), *images("train", IMAGES[8:])])
    second = save_run(tmp_path / "b", [*images("train", IMAGES[:8]), *images("val", IMAGES[8:])])
    with pytest.raises(TooFewImagesError, match="Train both on the same images with the same --seed"):
        compare(first, second)


def test_images_are_the_same_by_content_and_not_by_name(tmp_path: Path) -> None:
    renamed = [replace(r, path=r.path.replace(".jpg", "-copy.jpg")) for r in images("test")]
    first, second = save_run(tmp_path / "a", images("test")), save_run(tmp_path / "b", renamed)
    assert compare(first, second).both_right == 20
    changed = [replace(r, sha256=r.sha256[::-1]) for r in images("test")]
    with pytest.raises(TooFewImagesError):
        compare(first, save_run(tmp_path / "c", changed))


def test_an_image_with_another_label_is_left_out_and_named(tmp_path: Path) -> None:
    moved = [replace(r, label="sad") if r.path == IMAGES[0] else r for r in images("test")]
    found = compare(save_run(tmp_path / "a", images("test")), save_run(tmp_path / "b", moved))
    assert found.difference.num_images == 19
    assert found.notes == (f"1 image skipped because the two runs have different labels: {IMAGES[0]}",)


def test_of_grouped_images_the_groups_are_compared(tmp_path: Path) -> None:
    alone = images("test")
    grouped = [replace(image, subject=f"person {place // 5}") for place, image in enumerate(alone)]
    by_images = compare(save_run(tmp_path / "a", alone), save_run(tmp_path / "b", alone, IMAGES[:5]))
    by_groups = compare(save_run(tmp_path / "c", grouped), save_run(tmp_path / "d", grouped, IMAGES[:5]))
    assert by_images.p_value == pytest.approx(2 / 2**5)
    assert by_groups.p_value == 1 and by_groups.only_first == 5
    assert by_groups.difference.num_groups == 4
    assert by_groups.difference.low < by_images.difference.low
    assert str(by_groups.accuracies[0]).endswith("20 images of 4 groups)")


def test_other_settings_are_listed(tmp_path: Path) -> None:
    first = save_run(tmp_path / "a", images("test"))
    second = save_run(tmp_path / "b", images("test"), config=PRESETS["classic"])
    settings = compare(first, second).settings
    assert settings["preset"] == ("fast", "classic")
    assert settings["method"] == ("linear", "cnn")
    assert "seed" not in settings


def test_runs_of_one_name_are_told_apart_by_their_place(tmp_path: Path) -> None:
    for parent in ("one", "two"):
        (tmp_path / parent).mkdir()
        save_run(tmp_path / parent / "train", images("test"))
    found = compare(tmp_path / "one/train", tmp_path / "two/train")
    assert found.names == (str(tmp_path / "one/train"), str(tmp_path / "two/train"))
    with pytest.raises(SettingsError, match="Name two different runs"):
        compare(tmp_path / "one/train", tmp_path / "two/../one/train")


def test_runs_with_other_classes_are_refused(tmp_path: Path) -> None:
    first = save_run(tmp_path / "a", images("test"))
    calm = [replace(r, label="sadder") if r.label == "sad" else r for r in images("test")]
    second = save_run(tmp_path / "b", calm, class_names=("happy", "sadder"))
    with pytest.raises(SettingsError, match="the runs must have the same classes"):
        compare(first, second)


HEADER = "path,label,predicted,prob_happy,prob_sad\n"
GOOD = "happy/00.jpg,happy,happy,0.5,0.5\n"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0\0\0",
        "path,label\nx,y\n",
        HEADER + "happy/00.jpg\n",
        HEADER + "nowhere.jpg,happy,happy,0.5,0.5\n",
        HEADER + GOOD.replace(",happy,happy", ",sad,happy"),
        HEADER + GOOD.replace("happy,0.5", "angry,0.5"),
        HEADER + GOOD.replace("0.5", "nan"),
        HEADER + GOOD.replace("0.5", "much"),
        HEADER + "x" * 200_000 + "," + GOOD,
    ],
)
def test_damaged_predictions_are_refused_with_the_name_of_the_file(tmp_path: Path, content: str) -> None:
    first, second = save_run(tmp_path / "a", images("test")), save_run(tmp_path / "b", images("test"))
    (second / "predictions.csv").write_text(content)
    with pytest.raises(SourceNotFoundError, match=r"is damaged.*predictions\.csv"):
        compare(first, second)


@pytest.mark.parametrize("name", ["manifest.csv", "predictions.csv", "config.json", "metrics.json"])
def test_missing_and_senseless_files_are_refused(tmp_path: Path, name: str) -> None:
    first, second = save_run(tmp_path / "a", images("test")), save_run(tmp_path / "b", images("test"))
    (second / name).unlink()
    with pytest.raises(UserError, match="b"):
        compare(first, second)
    (second / name).mkdir()
    with pytest.raises(UserError, match="b"):
        compare(first, second)


def test_a_manifest_without_hashes_is_refused(tmp_path: Path) -> None:
    first = save_run(tmp_path / "a", images("test"))
    with pytest.raises(SourceNotFoundError, match="has no hash"):
        compare(first, save_run(tmp_path / "b", images("test", sha256="")))
    with pytest.raises(SourceNotFoundError, match="has the invalid phash 'zz'"):
        compare(first, save_run(tmp_path / "c", images("test", phash="zz")))
    with pytest.raises(SourceNotFoundError, match=r"is not a run folder\. Name one, e\.g\. runs/train"):
        compare(first, tmp_path / "nowhere")


def test_many_copies_of_one_image_take_no_time(tmp_path: Path) -> None:
    copies = images("train", [f"happy/c{number}.jpg" for number in range(20_000)], phash="0" * 32, group=0)
    first = save_run(tmp_path / "a", [*images("test"), *copies])
    assert compare(first, save_run(tmp_path / "b", images("test"))).difference.num_images == 20
