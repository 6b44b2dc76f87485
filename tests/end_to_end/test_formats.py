"""Every row of the table of kinds in the documentation, tried on files that other programs wrote."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.config import ScanConfig, ServeConfig
from mien.core.images import decode, decoding_bytes
from mien.errors import ImageError
from mien.scoring.evaluation import predict_dataset
from mien.serving.answers import answer
from mien.serving.limits import DecodingRoom
from mien.serving.metrics import ServiceMetrics
from mien.serving.uploads import Upload
from onnx_models import colour_classifier

# HEIC is decoded in a process of its own.
pytestmark = pytest.mark.medium
FILES = Path(__file__).parent.parent / "kinds"
PAGE = (Path(__file__).parents[2] / "docs/reference/formats.md").read_text()
READ, OTHERS = PAGE.split("## Recognised, but not read")
# All files show one drawing; some of it in grey, some transparent from left to right.
DRAWING: NDArray[np.float32] = np.asarray(Image.open(FILES / "reference.png").convert("RGB"), np.float32)
GREY = re.compile("grey|1-bit|pgm|pbm|float|five|white-is-zero")
CLEAR = re.compile("alpha|rgba|tga-32|^bmp-32-bits.bmp")
# By how many levels the cells of an image may differ, on average, where the program gave up colours.
LOSSES = {
    **{"jpeg-ultra-hdr.jpg": 16, "tiff-lab.tif": 8, "tga-32-bits-footer.tga": 3},
    **dict.fromkeys(("png-1-bit.png", "bmp-1-bit.bmp", "pbm-p4.pbm", "pbm-p1.pbm", "tiff-1-bit-fax.tif"), 12),
    **{"png-palette-alpha.png": 12},
}
NARROW = ScanConfig(image_size=(32, 48), faces="off")


def tried(part: str) -> list[str]:
    return [name for row in part.splitlines() if row.startswith("|") for name in re.findall("`([^`]+)`", row)]


def cells(image: Image.Image | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of 12 by 9 cells of an image of any size."""
    shown = image if isinstance(image, Image.Image) else Image.fromarray(image.round().astype(np.uint8))
    return np.asarray(shown.resize((12, 9), Image.Resampling.BOX), np.float32)


def expected(name: str) -> NDArray[np.float32]:
    shown = DRAWING
    if GREY.search(name):
        shown = np.repeat(shown @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2).astype(np.float32)
    if "1-bit" in name or "pbm" in name:
        # These were made by light, not by how bright it seems.
        shown = np.float32(255) * (shown / np.float32(255)) ** np.float32(2.2)
    if name == "tiff-grey-signed-16-bits.tif":
        shown = ((shown - shown.min()) / np.ptp(shown) * 255).astype(np.float32)
    if CLEAR.search(name):
        alpha = (1 - 0.75 * (np.arange(96, dtype=np.float32)[None, :, None] + 0.5) / 96).astype(np.float32)
        shown = shown * alpha + 255 * (1 - alpha)
    return cells(shown.astype(np.float32))


@pytest.mark.parametrize("name", tried(READ))
def test_what_the_page_says_is_read_shows_what_the_other_program_wrote(name: str) -> None:
    content = (FILES / name).read_bytes()
    image = decode(content, ScanConfig())
    assert image.rgb.mode == "RGB" and image.width * 3 == image.height * 4
    difference = float(np.abs(cells(image.rgb) - expected(name)).mean())
    assert difference <= LOSSES.get(name, 2)
    assert decoding_bytes(content, ScanConfig()) >= 3 * image.rgb.width * image.rgb.height


@pytest.mark.parametrize("row", [row for row in OTHERS.splitlines() if row.startswith("|") and "`" in row])
def test_what_the_page_says_is_not_read_is_called_so(row: str) -> None:
    _, _, called, _, _ = row.split("|")
    names = [name.strip() for name in called.split(", ")]
    reasons = []
    for name in tried(row):
        with pytest.raises(ImageError) as caught:
            decode((FILES / name).read_bytes(), ScanConfig())
        assert caught.value.problem == "not_an_image"
        reasons.append(str(caught.value))
        assert any(reason in reasons[-1] for reason in names), name
    assert all(any(name in reason for reason in reasons) for name in names)


def test_every_file_of_another_program_stands_in_the_table() -> None:
    others = {"README.md", "make.sh", "drawing.svg", "xbm.xbm", "reference-48x36.png", "jpeg-cut-in-half.jpg"}
    # Turned by EXIF alone, which the standard says is not to be followed; and one channel of five.
    others |= {"heic-exif-orientation-6.heic", "tiff-five-channels.tif"}
    assert {path.name for path in FILES.iterdir()} - others <= set(tried(PAGE))


def test_what_turns_a_heic_is_its_own_box_and_not_its_exif() -> None:
    image = decode((FILES / "heic-exif-orientation-6.heic").read_bytes(), ScanConfig())
    assert (image.width, image.height) == (72, 96)


# Of one range of values each: in one folder with the others, these would be black.
RANGES = {
    "tiff-grey-32-bits.tif": (0, 2**32 - 1),
    "tiff-float.tif": (0, 1),
    "tiff-float-big-endian.tif": (0, 1),
    "tiff-grey-signed-16-bits.tif": (-858, 476),
}
USUAL = [name for name in tried(READ) if name not in RANGES]
FOLDERS = [(USUAL, (0, 65535)), *(([name, "png-grey.png"], levels) for name, levels in RANGES.items())]


@pytest.mark.parametrize(("names", "levels"), FOLDERS, ids=["usual", *RANGES])
def test_check_train_predict_and_serve_see_the_same_to_the_last_digit(
    tmp_path: Path, names: list[str], levels: tuple[float, float]
) -> None:
    labelled = tmp_path / "labelled"
    for place, name in enumerate(names):
        path = labelled / ("dark", "red")[place % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FILES / name, path)
    checked = mien.check(labelled).dataset
    scanned = mien.scan(labelled, NARROW, keep_images=True)
    assert [record.phash for record in checked.records] == [record.phash for record in scanned.records]
    assert all(record.phash for record in scanned.records)
    rules = {"levels": scanned.config.levels, "ground": scanned.config.ground, "faces": "off"}
    assert scanned.config.levels == levels
    classifier = colour_classifier().telling(**rules)
    assert classifier.facts.scan_config() == scanned.config
    again = mien.scan(labelled, classifier.facts.scan_config())
    paths = [str(labelled / record.path) for record in scanned.records]
    predicted = [list(found.probs.values()) for found in mien.predict(classifier, paths)]
    places = np.arange(len(paths))
    assert np.array_equal(classifier.probs(scanned.kept[places] if scanned.kept else scanned.inputs(places)), predicted)
    assert np.array_equal(classifier.probs(again.inputs(places)), predicted)
    assert np.array_equal(predict_dataset(classifier, again).probs, predicted)
    config, metrics = classifier.facts.scan_config(ServeConfig.max_pixels), ServiceMetrics(classifier.class_names)
    for source, probs in zip(paths, predicted, strict=True):
        upload = Upload("-", Path(source).read_bytes())
        served = answer(classifier, upload, config, room=DecodingRoom(), metrics=metrics)
        assert list(served.prediction.probs.values()) == probs, source


# What follows the first image in a file is not needed.
LONGER = re.compile("motion|hdr|animated|apng|two-p|footer")


def test_what_is_cut_off_is_not_half_used() -> None:
    decoded: list[object] = []
    for name in filter(lambda name: not LONGER.search(name), tried(READ)):
        content = (FILES / name).read_bytes()
        for share in (0.3, 0.6, 0.9):
            cut = content[: int(len(content) * share)]
            with pytest.raises(ImageError):
                decoded.append((name, share, decode(cut, ScanConfig()).format))
    assert decoded == []
