"""Prediction: in order, one bad image stops nothing, and memory does not grow with the number of images."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from mien.core import parallel
from mien.core.inputs import Inputs
from mien.errors import SettingsError, SourceNotFoundError
from mien.model.classifier import Classifier, with_facts
from mien.model.prediction import Source, predict, prediction_rows
from onnx_models import FACTS, make_graph

if TYPE_CHECKING:
    from mien.runs.run import Run


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(with_facts(make_graph(), FACTS))


def test_answers_come_in_the_order_of_the_sources(classifier: Classifier, data: Path) -> None:
    sources = sorted(data.rglob("*.jpg"), reverse=True)
    predictions = list(predict(classifier, sources))
    assert [prediction.source for prediction in predictions] == [str(source) for source in sources]
    assert {prediction.label for prediction in predictions} == {"happy"}
    assert predictions[0].probs == {"happy": 0.75, "sad": 0.25}


def test_an_image_that_cannot_be_read_gets_an_error_and_the_others_go_on(
    classifier: Classifier, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_text("<html>")
    good = next(data.rglob("*.jpg"))
    sources: list[str | Path] = [tmp_path / "bad.jpg", good, "http://127.0.0.1:9/", "ftp://example.org/x.jpg", good]
    predictions = list(predict(classifier, sources))
    assert [prediction.label for prediction in predictions] == [None, "happy", None, None, "happy"]
    assert [prediction.error is None for prediction in predictions] == [False, True, False, False, True]


def test_a_missing_path_is_reported_before_any_image_is_read(classifier: Classifier, data: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        predict(classifier, [next(data.rglob("*.jpg")), "nowhere.jpg"])


def test_a_folder_stands_for_the_images_below_it(classifier: Classifier, data: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("no image")
    shutil.copy(next(data.rglob("*.jpg")), tmp_path / "deep" / "deeper" / "a.jpg")
    assert [Path(p.source).name for p in predict(classifier, [tmp_path])] == ["a.jpg"]


@pytest.mark.medium
def test_at_most_a_few_images_are_held_at_a_time(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "count_cores", lambda: 2)
    image = next(data.rglob("*.jpg"))
    alive, most = 0, 0

    class Counting(Classifier):
        def prepare(self, content: bytes, **limits: Any) -> Inputs:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return super().prepare(content, **limits)

    answers: Iterator[object] = predict(Counting(with_facts(make_graph(), FACTS)), [image] * 400)
    for _ in answers:
        alive -= 1
    assert most <= 32 + 4 * 2 + 2


def test_below_the_threshold_the_answer_is_unsure(classifier: Classifier, data: Path) -> None:
    image = next(data.rglob("*.jpg"))
    labels = {threshold: next(predict(classifier, [image], threshold=threshold)).label for threshold in (0, 0.75, 0.76)}
    assert labels == {0: "happy", 0.75: "happy", 0.76: "unsure"}
    careful = classifier.telling(threshold=0.9)
    assert next(predict(careful, [image])).label == "unsure"
    assert next(predict(careful, [image], threshold=0)).label == "happy"
    assert next(predict(careful, [image])).probs == {"happy": 0.75, "sad": 0.25}


def test_a_threshold_and_a_class_called_unsure_exclude_one_another(classifier: Classifier, data: Path) -> None:
    odd = classifier.telling(class_names=("sad", "unsure"))
    assert next(predict(odd, [next(data.rglob("*.jpg"))])).label == "sad"
    with pytest.raises(SettingsError, match="a class is named 'unsure'"):
        predict(odd, [], threshold=0.5)


def test_a_threshold_is_a_probability(classifier: Classifier) -> None:
    with pytest.raises(SettingsError, match="threshold is 90"):
        predict(classifier, [], threshold=90)


def test_a_table_of_predictions_says_true_or_false_in_every_row(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("<html>")
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 60))
    sources: list[Source] = [Image.new("RGB", (32, 32)), clear, tmp_path / "bad.jpg"]
    found = predict(classifier.telling(ground="black"), sources)
    head, *rows = prediction_rows(found, classifier.class_names)
    assert [row[head.index("out_of_distribution")] for row in rows] == ["false", "true", "false"]


def test_open_images_and_arrays_are_answered_as_their_files_are(run: "Run", data: Path, tmp_path: Path) -> None:
    path = data / "happy" / "00.jpg"
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(turned, exif=exif, quality=95)
    sources: list[Source] = [path, Image.open(path), np.asarray(Image.open(path)), turned, Image.open(turned)]
    first, second, third, fourth, fifth = predict(run.path, sources)
    assert [p.source for p in (first, second, third)] == [str(path), "image 1", "image 2"]
    assert first.probs == pytest.approx(second.probs, abs=0.02) == third.probs
    assert fourth.probs == pytest.approx(fifth.probs, abs=0.02)
    (alone,) = predict(run.path, path)
    (grey,) = predict(str(run.path), np.zeros((50, 60), np.uint8))
    assert alone == first and grey.label in ("happy", "sad")


@pytest.mark.parametrize("image", [np.zeros((3, 4)), np.zeros((5, 6, 7), np.uint8), 3, None])
def test_what_is_no_image_is_refused_before_any_is_asked_about(classifier: Classifier, image: object) -> None:
    with pytest.raises(SettingsError):
        predict(classifier, [image])  # type: ignore[list-item]
    with pytest.raises(SettingsError):
        predict(classifier, image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "image", "reason"),
    [
        (
            {"ground": "black"},
            Image.new("RGBA", (32, 32), (0, 0, 0, 60)),
            "nearly invisible on black, the background for transparent images",
        ),
        (
            {"levels": (0, 4095)},
            Image.fromarray(np.full((32, 32), 200, np.uint16)),
            "its values range from 200 to 200, but white is 4095, so it is nearly black",
        ),
        (
            {"levels": (0, 255)},
            Image.fromarray(np.full((32, 32), 5000, np.uint16)),
            "its values range from 5000 to 5000, but everything from 255 up is white",
        ),
        ({"levels": (0, 4095)}, Image.fromarray(np.full((32, 32), 2000, np.uint16)), ""),
        ({"ground": "white"}, Image.new("RGBA", (32, 32), (0, 0, 0, 60)), ""),
    ],
)
def test_what_the_rules_of_the_training_hide_is_told(
    tmp_path: Path, rules: dict[str, object], image: Image.Image, reason: str
) -> None:
    classifier = Classifier(with_facts(make_graph(), FACTS)).telling(**rules)
    image.save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", image):
        (prediction,) = predict(classifier, source)
        assert (prediction.unlike, prediction.out_of_distribution) == (reason, reason != "")
