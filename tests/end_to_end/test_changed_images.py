"""Changed images, from end to end: what a classifier goes by is told wherever its user looks."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import Mien, draw_image, save_image
from mien.config import TrainConfig
from mien.data.scanning import scan
from mien.runs.run import load_run

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.medium


def draw_colours(folder: Path, num_images: int, first: int = 0) -> Path:
    """Draw blobs that are redder in one class and greener in the other, and alike but for that."""
    for label, weights in {"ripe": (1.3, 0.7, 1), "green": (0.7, 1.3, 1)}.items():
        for number in range(first, first + num_images):
            pixels = np.asarray(draw_image(1000 * len(label) + number).convert("L"), np.float32)[..., None] * 0.7
            image = Image.fromarray((pixels * np.array(weights, np.float32)).clip(0, 255).astype(np.uint8))
            save_image(folder / label / f"{number:02}.jpg", image, quality=90)
    return folder


@pytest.fixture(scope="module")
def coloured(small: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    folder = tmp_path_factory.mktemp("colours")
    return mien.train(draw_colours(folder / "data", 40), small, out=folder / "run")


def test_a_classifier_that_goes_by_colour_is_found_out(coloured: "Run", command: Mien) -> None:
    grey = next(each for each in coloured.scores.stressed if each.change == "grey")
    assert (grey.unchanged.value or 0) > 0.9 and (grey.changed.value or 1) < 0.8 and grey.is_lower
    (finding,) = (finding for finding in coloured.findings if finding.kind == "changed")
    assert "Accuracy drops on images that are in grey" in finding.text and "colour" in finding.advice
    assert "Accuracy drops on images that are in grey" in command("predict", coloured.path, "--about")[1].replace(
        "\n", " "
    )
    assert "| in grey | " in (coloured.path / "MODEL_CARD.md").read_text("utf-8")
    assert "Changed images" in (coloured.path / "report.html").read_text("utf-8")
    assert load_run(coloured.path).scores.stressed == coloured.scores.stressed


@pytest.mark.slow
def test_what_may_matter_is_left_alone(small: TrainConfig, coloured: "Run", tmp_path: Path, command: Mien) -> None:
    run = mien.train(coloured.dataset.root, small.changed(may_matter="colour, Mirror"), out=tmp_path / "run")
    changes = {each.change for each in run.scores.stressed}
    assert "darker" in changes and not changes & {"grey", "mirrored"}
    told = json.loads(command("evaluate", run.path, "--stress", "--json")[1])
    assert {each["change"] for each in told["stressed"]} == changes
    untold = mien.train(coloured.dataset.root, small.changed(may_matter="all"), out=tmp_path / "other")
    assert untold.scores.stressed == ()
    code, _, err = command("train", coloured.dataset.root, "--may-matter", "color")
    assert code == 2 and "colour, brightness" in err


def test_other_images_are_changed_on_demand(coloured: "Run", tmp_path: Path, command: Mien) -> None:
    others = draw_colours(tmp_path / "others", 20, first=500)
    code, out, _ = command("evaluate", coloured.path, others, "--stress")
    assert code == 0 and re.search(r"in grey +\d+% \(\d+% to \d+%\) +\d+%", out)
    assert "right on images that are" not in command("evaluate", coloured.path, others)[1]
    dataset = mien.clean(scan(others, coloured.classifier.facts.scan_config()))
    in_python = mien.stress(coloured.classifier, dataset)
    told = json.loads(command("evaluate", coloured.path, others, "--stress", "--json")[1])
    assert [each["changed"]["value"] for each in told["stressed"]] == [each.changed.value for each in in_python]


def test_an_image_of_a_kind_that_was_not_trained_on_is_told_with_the_reason(
    coloured: "Run", tmp_path: Path, command: Mien
) -> None:
    path = save_image(tmp_path / "grey.jpg", draw_image(1).convert("L"))
    assert (
        "unlike the training images: none of the training images is in grey"
        in command("predict", coloured.path, path)[1]
    )
    told = json.loads(command("predict", coloured.path, path, "--json")[1])
    assert told["out_of_distribution"] and told["unlike"] == "none of the training images is in grey"


@pytest.mark.slow
def test_without_folds_the_first_of_five_tells(small: TrainConfig, coloured: "Run", tmp_path: Path) -> None:
    run = mien.train(coloured.dataset.root, small.changed(folds=0), out=tmp_path / "run")
    assert run.scores.out_of_fold is None and run.scores.stressed[0].changed.num_images > 3
