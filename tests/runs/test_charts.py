"""The charts: they are well-formed, say in words what they show, keep to their frame, and bear numbers that fit."""

import math
import re
from dataclasses import replace
from importlib.resources import files as package_files
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from conftest import evaluation_of
from mien.core.progress import Epoch
from mien.core.scores import Score, wilson_score
from mien.runs.charts import (
    interval_bar,
    plot_accuracy,
    plot_coverage,
    plot_epochs,
    plot_learning_curve,
    plot_matrix,
    plot_sureness,
    shade,
    ticks,
)
from mien.scoring.calibration import Coverage
from mien.scoring.learning_curve import CurvePoint, LearningCurve

EVALUATION = evaluation_of([[20, 5], [3, 22]])
HISTORY = tuple(
    Epoch(number, 1 / number, 0.5 + 0.04 * number, abs(number - 4) / 10 + 0.5, 0.6, 1.0) for number in range(1, 11)
)
CURVE = LearningCurve(
    tuple(
        CurvePoint(share, round(80 * share), wilson_score(round(50 + 40 * share), 100)) for share in (0.2, 0.4, 0.6, 1)
    ),
    Score(0.06, -0.01, 0.13, 100),
    is_rising=True,
    is_long_enough=True,
)
CHARTS = {
    "learning curve": plot_learning_curve(CURVE).__html__(),
    "accuracy": plot_accuracy(EVALUATION).__html__(),
    "loss by epoch": plot_epochs(HISTORY, "loss").__html__(),
    "accuracy by epoch": plot_epochs(HISTORY, "accuracy").__html__(),
    "sureness": plot_sureness(EVALUATION).__html__(),
    "coverage": plot_coverage(EVALUATION).__html__(),
}


def parts(chart: str, name: str) -> list[ElementTree.Element]:
    return [part for part in ElementTree.fromstring(chart).iter() if part.tag == name]


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_a_chart_is_an_image_with_a_title_and_a_description(chart: str) -> None:
    root = ElementTree.fromstring(chart)
    named = {part.get("id"): part.text for part in root if part.tag in ("title", "desc")}
    assert root.get("role") == "img"
    assert [len(named[name] or "") > 5 for name in str(root.get("aria-labelledby")).split()] == [True, True]


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_nothing_is_drawn_outside_of_the_frame(chart: str) -> None:
    root = ElementTree.fromstring(chart)
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for part in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(part.get(name, 0)) <= width
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(part.get(name, 0)) <= height
        for x, y in re.findall(r"([-\d.]+),([-\d.]+)", part.get("points", "")):
            assert 0 <= float(x) <= width and 0 <= float(y) <= height


def test_no_two_charts_share_an_id() -> None:
    ids = re.findall(r' id="([^"]+)"', "".join(CHARTS.values()))
    assert len(ids) == len(set(ids)) == 2 * len(CHARTS)


def test_a_chart_takes_its_colours_from_the_page() -> None:
    for chart in CHARTS.values():
        assert "fill=" not in chart and "stroke=" not in chart and "style=" not in chart


def test_the_curves_mark_the_epoch_of_the_lowest_validation_loss_and_tell_it() -> None:
    (mark,) = [line for line in parts(CHARTS["loss by epoch"], "line") if line.get("class") == "mark"]
    kept = parts(CHARTS["loss by epoch"], "circle")[3]
    assert mark.get("x1") == mark.get("x2") == kept.get("cx")
    assert "Best, with the lowest validation loss: epoch 4, 0.25 and 0.5" in CHARTS["loss by epoch"]


def test_one_epoch_or_a_loss_that_is_no_number_is_drawn_too() -> None:
    one = Epoch(1, math.nan, 0.5, math.inf, 0.5, 1.0)
    for history in ((one,), (HISTORY[0],), (*HISTORY, one)):
        for measure in ("loss", "accuracy"):
            chart = plot_epochs(history, measure).__html__()
            ElementTree.fromstring(chart)
            assert "nan," not in chart and ",nan" not in chart


def test_ten_thousand_epochs_make_no_large_chart() -> None:
    many = tuple(Epoch(number, 1.0, 0.5, 1.0, 0.5, 0.1) for number in range(1, 10_001))
    assert len(plot_epochs(many, "loss").__html__()) < 20_000


def test_a_classifier_that_is_always_right_or_always_wrong_is_drawn() -> None:
    for confusion in ([[9, 0], [0, 9]], [[0, 9], [9, 0]], [[1, 0], [0, 0]]):
        evaluation = evaluation_of(confusion)
        for chart in (plot_accuracy(evaluation), plot_sureness(evaluation), plot_coverage(evaluation)):
            ElementTree.fromstring(chart.__html__())


@pytest.mark.parametrize("right", [True, False])
def test_a_cell_of_the_matrix_is_empty_or_clearly_tinted(right: bool) -> None:
    shades = [shade(count, 1000, right=right) for count in (0, 1, 100, 500, 1000)]
    assert shades == sorted(shades) and (shades[:2], shades[-1]) == ([0, 18], 48)
    assert shade(2, 23, right=False) > shade(2, 23, right=True)
    assert shade(0, 0, right=right) == 0


def test_the_page_and_the_figure_of_a_matrix_have_the_same_shades() -> None:
    css = (package_files("mien.runs") / "page" / "report.css").read_text("utf-8")
    shades = {shade(count, 100, right=right) for count in range(1, 101) for right in (True, False)}
    assert {(int(name), int(part)) for name, part in re.findall(r"\.s(\d+) { --part: (\d+)%; }", css)} == {
        (percent, percent) for percent in shades
    }
    drawn = parts(plot_matrix(evaluation_of([[20, 5], [0, 25]])).__html__(), "rect")
    assert [part.get("class") for part in drawn] == ["cell a", "cell b", "cell b", "cell a"]
    assert [part.get("fill-opacity") for part in drawn] == ["0.43", "0.33", "0.0", "0.48"]


def test_thresholds_stand_apart_and_above_all_that_is_drawn() -> None:
    rows = tuple(
        Coverage(step / 40, wilson_score(200 - step, 200), wilson_score(step * 3, 120)) for step in range(1, 40)
    )
    chart = plot_coverage(replace(EVALUATION, coverage=rows)).__html__()
    (heading,) = [part for part in parts(chart, "text") if part.text == "threshold"]
    words = [part for part in parts(chart, "text") if part.get("y") == heading.get("y")]
    places = [float(str(part.get("x"))) for part in (heading, *reversed(words[1:]))]
    assert len(words) > 2 and min(after - before for before, after in pairwise(places)) > 44
    highest = min(float(y) for y in re.findall(r",([-\d.]+)", str(parts(chart, "polygon")[0].get("points"))))
    assert float(str(heading.get("y"))) < highest


def test_the_bar_of_a_score_spans_its_interval() -> None:
    score = wilson_score(27, 30)
    bar = interval_bar(score, mark=0.5)
    (band,) = [line for line in parts(bar, "line") if line.get("class") == "band"]
    assert (band.get("x1"), band.get("x2")) == (str(round(4 + 92 * score.low, 1)), str(round(4 + 92 * score.high, 1)))
    assert interval_bar(wilson_score(0, 0)) == ""


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.4, 1), (0, 0.0003), (1, 20), (0, 12_345.6), (3, 3)])
def test_ticks_are_few_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 7 and all(low <= value <= high for value in found)


def test_ticks_of_epochs_are_whole() -> None:
    assert ticks(1, 3, whole=True) == [1, 2, 3]


def test_a_learning_curve_says_what_twice_as_many_images_may_bring() -> None:
    chart = plot_learning_curve(CURVE).__html__()
    assert "90% with 80 images. With 160, expect 89% to 100%." in chart
    assert len(parts(chart, "circle")) == 5
