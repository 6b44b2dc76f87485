"""Programs without mien: those of the documentation, read from its page and run, answer as `mien predict` does."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import mien
from conftest import draw_image, save_image
from mien.exports import web_page
from mien.exports.formats import FORMATS, FormatName

if TYPE_CHECKING:
    from mien.runs.run import Run

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "how-to" / "clients.md").read_text("utf-8")
PACKAGES = REPOSITORY / "tests" / "browser" / "node_modules"
# Where the two likeliest classes lie further apart, the label is that of mien.
CLOSE = 0.02
# Of some of the photos, no class is as probable as this.
THRESHOLD = 0.8
_ORIENTATION_TAG = 0x0112


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def program(word: str) -> str:
    """Return the one program in Python on the page that has some word in it."""
    (found,) = (block for block in blocks("python") if word in block)
    return found


def tinted(seed: int, colour: str, share: float) -> Image.Image:
    """Return a drawn image with some of a colour over it."""
    return Image.blend(draw_image(seed), Image.new("RGB", (96, 96), colour), share)


@pytest.fixture(scope="module")
def run_of_tints(tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A run that tells images with some red over them from such with some blue: the answers to others vary much."""
    folder = tmp_path_factory.mktemp("tints")
    for first_seed, colour in ((0, "red"), (100, "blue")):
        for number in range(20):
            image = tinted(first_seed + number, colour, 0.3)
            save_image(folder / "data" / colour / f"{number:02}.jpg", image)
    return mien.train(folder / "data", mien.PRESETS["fast"].changed(faces="off"), out=folder / "run")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images in many sizes, turned and not."""
    folder, image = tmp_path_factory.mktemp("photos"), tinted(277, "blue", 0.2)
    turned = Image.Exif()
    turned[_ORIENTATION_TAG] = 6
    for width, height in [(61, 40), (262, 314), (601, 443), (1700, 1203), (300, 1900)]:
        for ending in ("png", "jpg"):
            image.resize((width, height)).save(folder / f"{width}.{ending}")
            image.resize((width, height)).save(folder / f"{width}-turned.{ending}", exif=turned)
    for number in range(6):
        tinted(300 + number, "red", 0.1 * number).resize((640, 480)).save(folder / f"red{number}.png")
    image.convert("L").save(folder / "grey.jpg")
    image.convert("P").save(folder / "palette.png")
    with Image.open(REPOSITORY / "tests" / "kinds" / "jpeg-adobe-rgb.jpg") as wide:
        profile = wide.info["icc_profile"]
    tinted(277, "red", 0.5).save(folder / "adobe.png", icc_profile=profile)
    faded = image.copy()
    faded.putalpha(Image.linear_gradient("L").resize(image.size))
    faded.save(folder / "faded.png")
    return sorted(folder.iterdir())


def exported(run: "Run", to: "FormatName", folder: Path) -> Path:
    """Write a run for another runtime; its classifier is unsure of some of the photos."""
    path = mien.export(run, to, out=folder / f"model{FORMATS[to].endings[0]}").path
    description = path.with_name(f"{path.name}.json")
    facts = json.loads(description.read_text("utf-8"))
    description.write_text(json.dumps({**facts, "threshold": THRESHOLD}))
    return path


def answers(command: list[Any], photos: list[Path], folder: Path) -> dict[Path, tuple[str, float]]:
    """Return the label and the probability that a program prints of each photo."""
    done = subprocess.run([*command, *photos], cwd=folder, capture_output=True, text=True, check=True)
    lines = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
    return {Path(photo): (label, float(probability)) for photo, label, probability in lines}


def differences(run: "Run", found: dict[Path, tuple[str, float]], photos: list[Path]) -> Iterator[tuple[str, float]]:
    """Yield how far each probability is from that of mien; the labels are the same where it is not close."""
    for photo, prediction in zip(photos, mien.predict(run.path, photos, threshold=THRESHOLD), strict=True):
        label, probability = found[photo]
        ranked = sorted([*prediction.probs.values(), THRESHOLD])
        assert label == prediction.label or ranked[-1] - ranked[-2] < CLOSE, photo.name
        yield photo.name, abs(probability - max(prediction.probs.values()))


def python_program(word: str, folder: Path) -> list[Any]:
    """Save the programs in Python as the page says; return how that with some word in it is called."""
    (folder / "photos.py").write_text(program("def pixels_of"))
    (folder / "ask.py").write_text(program(word))
    return [sys.executable, "ask.py"]


@pytest.mark.medium
@pytest.mark.parametrize(("to", "word"), [("onnx", "import onnxruntime"), ("openvino", "import openvino")])
def test_a_program_in_python_answers_as_mien_does(
    run_of_tints: "Run", photos: list[Path], tmp_path: Path, to: FormatName, word: str
) -> None:
    found = answers([*python_program(word, tmp_path), exported(run_of_tints, to, tmp_path)], photos, tmp_path)
    assert {name: far for name, far in differences(run_of_tints, found, photos) if far > 1e-4} == {}
    labels = {label for label, _ in found.values()}
    assert "unsure" in labels and len(labels) > 1


@pytest.mark.slow
def test_a_program_that_asks_litert_answers_as_mien_does(
    run_of_tints: "Run", photos: list[Path], tmp_path: Path
) -> None:
    command = [*python_program("import Interpreter", tmp_path), exported(run_of_tints, "litert", tmp_path)]
    found = answers(command, photos, tmp_path)
    assert {name: far for name, far in differences(run_of_tints, found, photos) if far > 1e-4} == {}


@pytest.mark.browser
def test_a_program_in_javascript_answers_nearly_as_mien_does(
    run_of_tints: "Run", photos: list[Path], tmp_path: Path
) -> None:
    (code,) = blocks("javascript")
    (tmp_path / "ask.mjs").write_text(code)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    shutil.copy(Path(web_page.__file__).parent / "page" / "resizing.js", tmp_path / "resizing.mjs")
    (tmp_path / "notes.jpg").write_text("no image")
    command = ["node", "ask.mjs", exported(run_of_tints, "onnx", tmp_path), tmp_path / "notes.jpg"]
    found = answers(command, photos, tmp_path)
    assert {name: far for name, far in differences(run_of_tints, found, photos) if far > CLOSE} == {}
