"""The page that needs no server, opened from a file in a browser: what it answers, beside what `mien predict` does."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import mien
from browsing import complaints_of, violations
from conftest import Mien, draw_image
from drawn_faces import portrait
from mien.config import BackboneConfig, ScanConfig, TrainConfig
from mien.core.formats import describe_other
from mien.errors import MissingExtraError, OutputError
from mien.exports import web_page
from mien.learning.backbone import load_backbone
from mien.learning.exporting import facts_of, join
from mien.learning.face_features import NUM_FACE_FEATURES
from mien.learning.heads import Head
from mien.learning.out_of_distribution import fit_distribution
from mien.model.classifier import Classifier

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from mien.runs.run import Run

DONE = ".card:not([data-state=waiting]):not([data-state=asking])"
# Where the two likeliest classes lie further apart, the label is that of Python.
CLOSE = 0.02
_ORIENTATION_TAG = 0x0112


@pytest.fixture(scope="session")
def plain_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A run that looks at no faces."""
    config = mien.PRESETS["fast"].changed(faces="off")
    return mien.train(data, config, out=tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="session")
def file(plain_run: "Run", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of its classifier."""
    path = tmp_path_factory.mktemp("pages") / "moods.html"
    web_page.write_web_page(mien.load(plain_run.path), path)
    return path


@pytest.fixture
def wide(browser: "Browser") -> Iterator["Page"]:
    """A page without a network; it may complain of nothing, and ask for nothing that is not in it."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, offline=True) as context:
        page = context.new_page()
        complaints = complaints_of(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        yield page
        assert complaints == []
        assert [url[:80] for url in asked if not url.startswith(("data:", "blob:"))][1:] == []


def opened(page: "Page", path: Path) -> "Page":
    page.goto(path.as_uri())
    page.wait_for_selector("#model:not([hidden])")
    return page


def answers(page: "Page", *paths: Path) -> dict[str, dict[str, str]]:
    """Choose files; return the rows of the table of answers by their sources."""
    page.set_input_files("#files", list(paths))
    waited = "([cards, count]) => document.querySelectorAll(cards).length === count"
    page.wait_for_function(waited, arg=[DONE, len(paths)])
    with page.expect_download() as download:
        page.click("#save")
    text = download.value.path().read_text("utf-8-sig")
    return {row["source"]: row for row in csv.DictReader(io.StringIO(text))}


def differences(
    rows: dict[str, dict[str, str]], classifier: Classifier, paths: list[Path]
) -> Iterator[tuple[str, float]]:
    """Yield how far the probabilities are from those of Python; the labels are the same where it is not close."""
    for prediction in mien.predict(classifier, paths):
        name = Path(prediction.source).name
        row = rows[name]
        assert (row["error"], prediction.error) == ("", None), name
        assert row["out_of_distribution"] == str(prediction.out_of_distribution).lower(), name
        ranked = sorted(prediction.probs.values())
        assert row["label"] == prediction.label or ranked[-1] - ranked[-2] < CLOSE, name
        yield name, max(abs(float(row[f"prob_{label}"]) - prob) for label, prob in prediction.probs.items())


def looking_at_faces() -> Classifier:
    """Return a classifier that looks at faces; what it says of them means nothing."""
    random = np.random.default_rng(3)
    backbone = load_backbone(BackboneConfig(), (224, 224))
    of_images, of_faces = random.normal(0, 0.01, (1984, 3)), random.normal(0, 0.5, (NUM_FACE_FEATURES, 3))
    head = Head(np.vstack([of_images, of_faces]).astype(np.float32), np.zeros(3, np.float32), 1.0, 1.0)
    dataset = mien.Dataset(Path("data"), ("calm", "glad", "sad"), (), ScanConfig(faces="on"))
    features = random.normal(1, 1, (20, 1984)).astype(np.float32)
    return join(backbone, head, fit_distribution(features, groups=range(20)), facts_of(dataset))


def saved(folder: Path, name: str, image: Image.Image, **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return exif


def with_alpha(image: Image.Image) -> Image.Image:
    """Let an image fade out to the left."""
    alpha = np.linspace(0, 255, image.width).astype(np.uint8)
    image.putalpha(Image.fromarray(np.broadcast_to(alpha, (image.height, image.width)).copy()))
    return image


@pytest.mark.browser
def test_what_is_decoded_whole_is_answered_as_by_python(
    wide: "Page", file: Path, plain_run: "Run", tmp_path: Path
) -> None:
    image = draw_image(77).resize((601, 443))
    paths = [
        *(saved(tmp_path, f"plain.{ending}", image) for ending in ("png", "bmp", "gif", "webp", "avif")),
        saved(tmp_path, "small.png", image.resize((61, 40))),
        saved(tmp_path, "flat.png", image.resize((1800, 31))),
        saved(tmp_path, "large.png", image.resize((1700, 1203))),
        saved(tmp_path, "grey.png", image.convert("L")),
        saved(tmp_path, "palette.png", image.convert("P")),
        saved(tmp_path, "turned.png", image, exif=turned(6)),
        saved(tmp_path, "faded.png", with_alpha(image.copy())),
        saved(tmp_path, "white.png", Image.new("RGBA", (90, 90), (255, 255, 255, 40))),
    ]
    rows = answers(opened(wide, file), *paths)
    assert {name: far for name, far in differences(rows, mien.load(plain_run.path), paths) if far > 1e-3} == {}


@pytest.mark.browser
def test_a_jpeg_of_any_size_and_turn_is_answered_nearly_as_by_python(
    wide: "Page", file: Path, plain_run: "Run", tmp_path: Path
) -> None:
    image = draw_image(78)
    paths = [
        *(saved(tmp_path, f"{width}.jpg", image.resize((width, 2 * width // 3))) for width in (90, 603, 1201, 2400)),
        *(saved(tmp_path, f"turn{n}.jpg", image.resize((901, 700)), exif=turned(n)) for n in range(1, 9)),
        saved(tmp_path, "passes.jpg", image.resize((1024, 768)), progressive=True),
        saved(tmp_path, "grey.jpg", image.convert("L")),
        saved(tmp_path, "motion.jpg", image),
    ]
    with paths[-1].open("ab") as file_of_phone:
        file_of_phone.write(b"\0\0\0\x18ftypmp42" + 50 * b"\xff\xda")
    rows = answers(opened(wide, file), *paths)
    assert {name: far for name, far in differences(rows, mien.load(plain_run.path), paths) if far > CLOSE} == {}


@pytest.mark.browser
@pytest.mark.parametrize("mode", ["crop", "pad"])
def test_images_are_brought_to_size_in_the_way_of_the_training(
    wide: "Page", small: TrainConfig, data: Path, tmp_path: Path, mode: str
) -> None:
    run = mien.train(data, small.changed(resize_mode=mode, faces="off"), out=tmp_path / "run")
    web_page.write_web_page(mien.load(run.path), tmp_path / "page.html")
    image = draw_image(80)
    sizes = [(401, 250), (250, 401), (300, 300), (31, 20), (999, 40)]
    paths = [saved(tmp_path, f"{width}.png", image.resize((width, height))) for width, height in sizes]
    rows = answers(opened(wide, tmp_path / "page.html"), *paths)
    assert {name: far for name, far in differences(rows, mien.load(run.path), paths) if far > 1e-4} == {}


@pytest.mark.browser
def test_the_faces_in_an_image_count_as_in_python(wide: "Page", tmp_path: Path) -> None:
    classifier = looking_at_faces()
    web_page.write_web_page(classifier, tmp_path / "page.html")
    scene = Image.new("RGB", (1501, 1100), (70, 110, 150))
    saved(tmp_path, "none.png", scene)
    for number, (side, turn) in enumerate([(420, 0), (300, 20), (180, -15)]):
        scene.paste(portrait().resize((side, side)).rotate(turn), (40 + 470 * number, 90 + 210 * number))
    paths = [
        tmp_path / "none.png",
        saved(tmp_path, "three.png", scene),
        saved(tmp_path, "one.png", portrait()),
        saved(tmp_path, "close.png", portrait().crop((50, 50, 206, 206))),
        saved(tmp_path, "turned.png", portrait(600).rotate(30)),
    ]
    # Of another image, the answer would be another.
    assert len({str(found.probs) for found in mien.predict(classifier, paths)}) == len(paths)
    rows = answers(opened(wide, tmp_path / "page.html"), *paths)
    assert {name: far for name, far in differences(rows, classifier, paths) if far > 1e-3} == {}


@pytest.mark.browser
def test_what_a_browser_cannot_decode_is_named(wide: "Page", file: Path, tmp_path: Path) -> None:
    image = draw_image(79).resize((400, 300))
    whole = saved(tmp_path, "whole.jpg", image).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    texts = {
        "notes.txt": "no imäge",
        "page.jpg": "\n<!DOCTYPE html><p>Gone",
        "drawing.svg": "<?xml version='1.0'?><svg/>",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "unknown.bin").write_bytes(bytes(range(255, -1, -1)))
    paths = [
        *(tmp_path / name for name in ("cut.jpg", "empty.jpg", "unknown.bin", *texts)),
        saved(tmp_path, "scan.tif", image),
        saved(tmp_path, "map.ppm", image),
        saved(tmp_path, "turned.webp", image, exif=turned(6)),
        saved(tmp_path, "deep.png", Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)),
    ]
    told = {name: row["error"] for name, row in answers(opened(wide, file), *paths).items()}
    otherwise = "Save it as JPEG or PNG, or use mien predict"
    assert told == {
        "cut.jpg": "damaged: the file is truncated",
        "empty.jpg": "0 bytes",
        "unknown.bin": "not a supported image (JPEG, PNG, GIF, WEBP, BMP, AVIF, HEIC)",
        **{name: describe_other((tmp_path / name).read_bytes()) for name in texts},
        "scan.tif": f"browsers cannot read TIFF. {otherwise}",
        "map.ppm": f"browsers cannot read PPM. {otherwise}",
        "turned.webp": f"not all browsers rotate WebP images like this one. {otherwise}",
        "deep.png": "browsers read only 8 of the 16 bits per channel of this PNG. Use mien predict",
    }


@pytest.mark.browser
def test_the_page_is_quiet_and_everybody_can_use_it(page: "Page", file: Path, data: Path) -> None:
    opened(page, file)
    assert violations(page) == []
    page.set_input_files("#files", [data / "happy" / "00.jpg", data / "sad" / "01.jpg"])
    page.wait_for_function("cards => document.querySelectorAll(cards).length === 2", arg=DONE)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert violations(page) == []
    assert "server" not in page.inner_text("body")


@pytest.mark.browser
def test_a_browser_that_cannot_run_the_classifier_is_told_before_it_is_given_images(page: "Page", file: Path) -> None:
    page.add_init_script("delete globalThis.WebAssembly")
    page.goto(file.as_uri())
    page.wait_for_selector("#notice:not([hidden])")
    assert "cannot run the classifier" in page.inner_text("#notice-text")


@pytest.mark.browser
def test_the_page_may_connect_to_nobody(wide: "Page", file: Path) -> None:
    opened(wide, file)
    policy = wide.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"connect-src|https?:|'unsafe-inline'|'unsafe-eval'", policy)


@pytest.mark.browser
def test_the_command_says_what_it_has_written(plain_run: "Run", tmp_path: Path, command: Mien) -> None:
    path = tmp_path / "moods.html"
    code, out, _ = command("export", plain_run.path, "--to", "web", "--out", path)
    assert (code, out) == (0, f"{path}: {path.stat().st_size / 1e6:.0f} MB; open it in a browser\n")
    assert json.dumps(mien.load(plain_run.path).sha256) in path.read_text("utf-8")


# Those of the browser have the runtime.
@pytest.mark.browser
def test_a_page_takes_the_place_of_nothing_but_an_earlier_one(small_run: "Run", tmp_path: Path) -> None:
    page, report = tmp_path / "page.html", tmp_path / "report.html"
    report.write_text("<!doctype html><title>A report</title>")
    web_page.write_web_page(mien.load(small_run.path), page)
    web_page.write_web_page(mien.load(small_run.path), page)
    with pytest.raises(OutputError, match="was not written by mien export"):
        web_page.write_web_page(mien.load(small_run.path), report)
    assert "A report" in report.read_text()


def test_without_the_runtime_it_says_what_to_type(
    small_run: "Run", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_page, "_RUNTIME", tmp_path)
    with pytest.raises(MissingExtraError, match="Run in the mien folder: make web"):
        web_page.web_page(mien.load(small_run.path))
