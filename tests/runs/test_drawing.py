"""Drawings: a notebook shows them by themselves, and nothing speaks up about a letter that cannot be drawn."""

import base64
import io
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

from mien.runs.drawing import Drawing
from mien.runs.figures import save_figure

pytestmark = pytest.mark.medium


def test_what_is_drawn_is_what_is_saved(tmp_path: Path) -> None:
    figure = Drawing(figsize=(2, 1), dpi=50)
    figure.text(0, 0, "\u4f60 \U0001f600")
    save_figure(figure, tmp_path / "figure.png")
    with Image.open(io.BytesIO(figure.png())) as shown, Image.open(tmp_path / "figure.png") as saved:
        assert shown.size == (100, 50)
        assert (np.asarray(shown) == np.asarray(saved)).all()


@pytest.mark.slow
def test_a_notebook_shows_a_drawing_once_whether_pyplot_is_loaded_or_not(data: Path) -> None:
    draw = f"import mien; mien.plot_samples(mien.scan({str(data)!r}))"
    make: Any = nbformat.v4
    notebook = make.new_notebook(
        cells=[make.new_code_cell(source) for source in (draw, "import matplotlib.pyplot", draw)]
    )
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    before, _, after = (cell.outputs for cell in notebook.cells)
    for outputs in (before, after):
        (output,) = outputs
        with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as image:
            assert image.width > 500
