"""Printing a run: the verdict first, and no more classes than a person reads."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import evaluation_of
from mien.cli.show_run import show_predictions, show_scores
from mien.model.prediction import Prediction
from mien.scoring.results import Finding, Scores
from mien.scoring.verdict import headline, verdict

WARNING = Finding("changed", "Accuracy drops on images that are blurred.", "Add such images.")
OTHER = Finding("more_images", "Twice as many images would help.", "Add images.")


def test_the_verdict_comes_first_then_the_warning_then_the_details(capfd: pytest.CaptureFixture[str]) -> None:
    evaluation = evaluation_of([[90, 10], [8, 92]])
    (fine,) = verdict(evaluation)
    show_scores(Scores(evaluation), [fine, OTHER, WARNING])
    lines = [line for line in capfd.readouterr().out.splitlines() if line.strip()]
    assert lines[:4] == [headline(evaluation), f"  {fine.advice}", WARNING.text, f"  {WARNING.advice}"]
    assert lines[4].startswith("accuracy ") and lines[-2:] == [OTHER.text, f"  {OTHER.advice}"]


@pytest.mark.parametrize(("num_classes", "num_listed"), [(12, 12), (100, 10)])
def test_many_classes_name_the_most_confused_pairs(
    capfd: pytest.CaptureFixture[str], num_classes: int, num_listed: int
) -> None:
    counts = np.eye(num_classes, dtype=int) * 9
    for place in range(6):
        counts[place, place + 1] = 8 - place
    evaluation = evaluation_of(counts.tolist(), tuple(f"kind {number:03}" for number in range(num_classes)))
    show_scores(Scores(evaluation), verdict(evaluation))
    out = capfd.readouterr().out
    assert out.count("  kind ") == num_listed
    assert "Most confused: 'kind 000' mistaken for 'kind 001' (8), " in out and out.count("mistaken for") == 5


def test_predictions_go_into_their_table_as_they_come(tmp_path: Path) -> None:
    sizes: list[int] = []

    def predictions() -> Iterator[Prediction]:
        for number in range(2000):
            yield Prediction(f"{number}.jpg", "happy", {"happy": 0.75, "sad": 0.25})
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show_predictions(predictions(), ("happy", "sad"), json=False, csv_path=tmp_path / "predictions.csv")
    assert sizes[-1] > 10_000 and not any(tmp_path.iterdir())
