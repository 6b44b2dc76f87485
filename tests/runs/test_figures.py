"""Figures: they are returned and not shown, need nothing but themselves, and odd names break nothing."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

import mien
from conftest import evaluation_of
from mien.core.progress import Epoch
from mien.errors import OutputError, SettingsError
from mien.runs.figures import Figure
from mien.scoring.results import Evaluation

pytestmark = pytest.mark.medium

SVG = "{http://www.w3.org/2000/svg}"
ODD_NAMES = ("$\\frac{1}", "😀 \u202e right to left", "a\nb\x00", "x" * 255, "<b>&\udcff")
HISTORY = tuple(Epoch(number, 1 / number, 0.5, abs(number - 2) + 0.1, 0.5, 1.0) for number in (1, 2, 3))


def evaluation_with(class_names: tuple[str, ...]) -> Evaluation:
    return evaluation_of((np.eye(len(class_names), dtype=np.int64) * 3 + 1).tolist(), class_names)


def texts(figure: Figure) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")]


FIGURES = {
    "history": mien.plot_history(HISTORY),
    "reliability": mien.plot_reliability(evaluation_of([[40, 10], [10, 40]], sure=0.8)),
    "confusion": mien.plot_confusion(evaluation_of([[20, 5], [3, 22]])),
    "odd names": mien.plot_confusion(evaluation_with(ODD_NAMES)),
    "many classes": mien.plot_confusion(evaluation_with(tuple(f"{ODD_NAMES[n % 5]}{n}" for n in range(60)))),
    "no mistake": mien.plot_confusion(evaluation_of(np.eye(30, dtype=int).tolist(), tuple(map(str, range(30))))),
}


def test_curves_stand_beside_one_another_above_a_legend() -> None:
    found = texts(FIGURES["history"])
    assert found[0] == "Loss by epoch" and "Accuracy by epoch" in found
    assert found[-3:] == ["training", "validation", "lowest validation loss"]


def test_without_epochs_there_are_no_curves() -> None:
    with pytest.raises(SettingsError, match="The preset fast has none"):
        mien.plot_history([])


def test_the_confusion_matrix_has_the_truth_down_and_the_prediction_across() -> None:
    evaluation = replace(evaluation_with(("happy", "sad")), confusion=((5, 2), (0, 7)))
    root = ElementTree.fromstring(mien.plot_confusion(evaluation).svg)
    places = {e.text: (float(e.get("x", 0)), float(e.get("y", 0))) for e in root.iter(f"{SVG}text")}
    assert places["5"][1] == places["2"][1] < places["·"][1] == places["7"][1]
    assert places["5"][0] == places["·"][0] < places["2"][0] == places["7"][0]
    assert "rows: true class; columns: predicted" in places


def test_of_many_classes_those_confused_most_often_are_listed() -> None:
    counts = np.eye(30, dtype=int) * 9
    counts[3, 4], counts[4, 3], counts[7, 1] = 5, 2, 1
    found = texts(mien.plot_confusion(evaluation_of(counts.tolist(), tuple(f"class {n}" for n in range(30)))))
    listed = [text for text in found if text.startswith("class ")]
    assert listed == ["class 3 mistaken for class 4", "class 4 mistaken for class 3", "class 7 mistaken for class 1"]
    assert {"5", "2", "1"} <= {*found}
    assert found[0] == "8 mistakes in 278 images"
    assert any("None of the 30 classes" in text for text in texts(FIGURES["no mistake"]))


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_a_figure_needs_nothing_else_and_says_what_it_shows(figure: Figure) -> None:
    root = ElementTree.fromstring(figure.svg)
    assert len(root.findtext(f"{SVG}desc") or "") > 20
    assert "var(" not in figure.svg and "url(" not in figure.svg and "http" not in figure.svg.replace(SVG[1:-1], "")
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "desc", "style", "rect", "text", "line", "polyline", "polygon", "circle")
    }
    assert not re.search("[\x00-\x08\u202e\udc80-\udcff]", figure.svg)


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_saved_as_svg_or_png(figure: Figure, tmp_path: Path) -> None:
    figure.savefig(tmp_path / "figure.svg")
    figure.savefig(tmp_path / "figure.PNG")
    assert (tmp_path / "figure.svg").read_text("utf-8") == figure.svg
    with Image.open(tmp_path / "figure.PNG") as image:
        image.load()
        assert 300 < image.width < 3000 and 100 < image.height < 3000
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 2


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.svg or \.png"):
        FIGURES["history"].savefig(tmp_path / "figure.pdf")
    with pytest.raises(OutputError, match="gone"):
        FIGURES["history"].savefig(tmp_path / "gone" / "figure.svg")


@pytest.mark.slow
def test_a_notebook_shows_figures_and_sheets(data: Path) -> None:
    make: Any = nbformat.v4
    sheet = f"import mien; mien.plot_samples(mien.scan({str(data)!r}))"
    figure = "mien.plot_history([mien.core.progress.Epoch(1, 1, 1, 1, 1, 1)])"
    notebook = make.new_notebook(cells=[make.new_code_cell(source) for source in (sheet, figure)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    ((drawn,), (charts,)) = (cell.outputs for cell in notebook.cells)
    with Image.open(io.BytesIO(base64.b64decode(drawn.data["image/png"]))) as image:
        assert image.width > 500
    assert ElementTree.fromstring(charts.data["image/svg+xml"]).tag == f"{SVG}svg"
