"""The page of a server in a browser, asking a real server: what people do with it, and what goes wrong meanwhile."""

import base64
import csv
import math
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import mien
from browsing import complaints_of, num_pages, violations
from conftest import draw_folder, draw_image, encoded, save_image
from hostile_names import NAMES, draw_hostile_folder
from mien.core.csv_tables import read_records, table_text
from serve_process import Service, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

    from mien.runs.run import Run

pytestmark = pytest.mark.browser

DONE = ".card:not([data-state=waiting]):not([data-state=asking])"
# A browser writes a line for every status above 399, and where it has no network, whatever a page makes of it.
REFUSED = "Failed to load resource"
SMALL_TARGETS = """() => [...document.querySelectorAll("header a, footer a, button, input, summary")]
    .filter(element => element.checkVisibility({visibilityProperty: true}))
    .map(element => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
    .filter(([, {width, height}]) => Math.min(width, height) < 44).map(([text]) => text)"""
PASTE = """async ([content, name]) => {
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, {type: "image/png"}));
    dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer}));
}"""


@pytest.fixture(scope="session")
def url(run: "Run") -> Iterator[str]:
    """A server of happy and sad images."""
    with served(run.path, "--allow-urls") as service:
        yield address(service)


@pytest.fixture(scope="session")
def hostile_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of twelve classes with hostile names, which is unsure of everything."""
    folder = tmp_path_factory.mktemp("hostile")
    data = draw_hostile_folder(folder / "data", NAMES[:12])
    run = mien.train(data, config=mien.PRESETS["fast"].changed(threshold=0.9), out=folder / "run")
    with served(run.path) as service:
        yield address(service)


@pytest.fixture
def wide(browser: "Browser") -> Iterator["Page"]:
    """An empty page of a usual size; it may complain of nothing but what the server refuses."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        complaints = complaints_of(page)
        yield page
        assert [complaint for complaint in complaints if not complaint.startswith(REFUSED)] == []


def address(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


def opened(page: "Page", url: str) -> "Page":
    page.goto(url)
    page.wait_for_selector("#model:not([hidden])")
    return page


def chosen(page: "Page", *paths: Path, wait: bool = True) -> None:
    """Choose files, and wait for the answers to all images of the page."""
    num_cards = page.locator(".card").count() + len(paths)
    page.set_input_files("#files", list(paths))
    if wait:
        wait_for(page, num_cards)


def wait_for(page: "Page", num_answers: int) -> None:
    page.wait_for_function(
        "([cards, count]) => document.querySelectorAll(cards).length === count", arg=[DONE, num_answers]
    )


def dropped(page: "Page", *paths: Path) -> None:
    """Drop files and folders on the page, as a person does."""
    for kind in ("dragEnter", "dragOver", "drop"):
        dragged(page, kind, *paths)


def dragged(page: "Page", kind: str, *paths: Path) -> None:
    """Let one thing happen of what happens when a person drags files."""
    session = page.context.new_cdp_session(page)
    transfer = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": transfer})


def telling(page: "Page", **changes: Any) -> None:
    """Let the server tell something else of its classifier from now on."""

    def tell(route: "Route") -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | changes)

    page.route("**/model", tell)


def texts(page: "Page", selector: str) -> list[str]:
    """Return the texts of elements, those below the window too, which are not laid out."""
    return page.locator(selector).all_text_contents()


def told(page: "Page") -> str:
    return page.locator("#live").inner_text()


def test_the_page_is_quiet_and_everybody_can_use_it(page: "Page", url: str, data: Path) -> None:
    opened(page, url)
    assert violations(page) == []
    chosen(page, data / "happy" / "00.jpg")
    page.click(".look button")
    page.wait_for_selector(".map:not([hidden])")
    chosen(page, data / "sad" / "01.jpg", data / "sad" / "02.jpg")
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert violations(page) == []
    page.locator(".enlarge").nth(1).click()
    assert violations(page) == []


@pytest.mark.parametrize(("width", "height"), [(390, 800), (1280, 800)])
def test_many_images_come_in_a_list_with_at_least_six_rows_on_a_screen(
    wide: "Page", url: str, data: Path, width: int, height: int
) -> None:
    wide.set_viewport_size({"width": width, "height": height})
    telling(wide, allows_urls=False)
    chosen(opened(wide, url), *sorted(data.rglob("*.jpg"))[:12])
    rows = wide.locator(".card")
    boxes = [box for row in rows.all() if (box := row.bounding_box())]
    assert sum(box["y"] >= 0 and box["y"] + box["height"] <= height for box in boxes) >= 6
    for part in (".image", ".name", ".answer", ".sureness", ".rail"):
        assert rows.nth(2).locator(part).first.is_visible(), part


def test_the_slider_makes_results_unsure_and_says_how_many(wide: "Page", url: str, run: "Run", data: Path) -> None:
    paths = sorted(data.rglob("*.jpg"))[:12]
    predictions = list(mien.predict(mien.load(run.path), paths))
    chosen(opened(wide, url), *paths)
    assert wide.locator("#threshold-says").inner_text() == "Always names a class. Move right to allow “unsure”."
    threshold = math.ceil(100 * sorted(max(prediction.probs.values()) for prediction in predictions)[6]) / 100
    wide.locator("#threshold").fill(str(threshold))
    expected = [each.label for each in mien.predict(mien.load(run.path), paths, threshold=threshold)]
    assert texts(wide, ".answer") == expected
    assert wide.locator(".card[data-state=unsure]").count() == expected.count("unsure") > 0
    told = f"Say “unsure” below {threshold:.0%} ({expected.count('unsure')} of 12 images)"
    assert wide.locator("#threshold-says").inner_text() == told
    assert wide.locator("#threshold").get_attribute("aria-valuetext") == told
    assert all(
        re.fullmatch(r"perhaps (happy|sad), \d+%", said) for said in texts(wide, "[data-state=unsure] .sureness")
    )
    assert f"{expected.count('unsure')} unsure" in wide.locator("#counts").inner_text()
    with wide.expect_download() as download:
        wide.click("#save")
    text = download.value.path().read_text("utf-8-sig")
    assert [row["label"] for row in csv.DictReader(text.splitlines())] == expected
    chosen(wide, data / "happy" / "00.jpg")
    assert texts(wide, ".answer")[1:] == expected


def test_the_slider_starts_at_the_classifier_s_threshold_and_finds_back_to_it(
    wide: "Page", url: str, data: Path
) -> None:
    telling(wide, threshold=0.985)
    chosen(opened(wide, url), data / "happy" / "00.jpg", data / "happy" / "01.jpg")
    slider, told = wide.locator("#threshold"), wide.locator("#threshold-says")
    assert told.inner_text().startswith("Say “unsure” below 98.5% (")
    slider.press("ArrowLeft")
    assert "98.5%" not in told.inner_text()
    slider.press("ArrowRight")
    assert told.inner_text().startswith("Say “unsure” below 98.5% (")
    slider.press("Home")
    assert told.inner_text().startswith("Always names a class.")
    wide.click("#clear")
    chosen(wide, data / "happy" / "00.jpg", data / "happy" / "01.jpg")
    assert told.inner_text().startswith("Say “unsure” below 98.5% (")


def test_without_several_images_or_with_a_class_named_unsure_there_is_no_slider(
    wide: "Page", url: str, data: Path
) -> None:
    chosen(opened(wide, url), data / "happy" / "00.jpg")
    assert wide.locator("#threshold").is_hidden()
    chosen(wide, data / "happy" / "01.jpg")
    assert wide.locator("#threshold").is_visible()
    telling(wide, class_names=["happy", "unsure"])
    opened(wide, url)
    answer = nearly_sure(0.4) | {"probs": {"happy": 0.4, "unsure": 0.6}}
    wide.route("**/predict", lambda route: route.fulfill(json={"predictions": [answer]}))
    chosen(wide, data / "happy" / "00.jpg", data / "happy" / "01.jpg")
    assert wide.locator("#threshold").is_hidden()
    assert wide.locator(".card[data-state=answered]").count() == 2


def test_a_row_is_enlarged_by_a_click_and_closed_again(wide: "Page", url: str, data: Path) -> None:
    chosen(opened(wide, url), *sorted((data / "happy").iterdir())[:4])
    names = texts(wide, ".card .name")
    before = wide.locator(".card .image").nth(1).bounding_box()
    wide.locator(".card").nth(1).click()
    enlarged = wide.locator("#enlarged")
    assert texts(wide, "#enlarged .name") == [names[1]] and enlarged.locator(".look button").is_visible()
    after = enlarged.locator(".image").bounding_box()
    assert before and after and after["width"] > 5 * before["width"]
    wide.click("#enlarged-close")
    wide.locator("#cards .card").nth(3).wait_for()
    assert enlarged.is_hidden() and texts(wide, "#cards .card .name") == names


def test_the_keyboard_enlarges_a_row_goes_to_its_neighbours_and_comes_back(wide: "Page", url: str, data: Path) -> None:
    chosen(opened(wide, url), *sorted((data / "happy").iterdir())[:3])
    names = texts(wide, ".card .name")
    wide.locator("#clear").press("Tab")
    wide.keyboard.press("Tab")
    assert focused(wide) == f"Enlarge {names[0]}"
    wide.keyboard.press("Enter")
    seen = texts(wide, "#enlarged .name")
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "ArrowRight"):
        wide.keyboard.press(key)
        seen += texts(wide, "#enlarged .name")
    assert seen == [names[0], names[0], names[1], names[2], names[2]]
    assert wide.locator("#next").is_disabled() and wide.locator("#previous").is_enabled()
    wide.keyboard.press("Escape")
    wide.locator("#cards .card").nth(2).wait_for()
    assert texts(wide, "#cards .card .name") == names
    assert focused(wide) == f"Enlarge {names[2]}"


def focused(page: "Page") -> str | None:
    label: str | None = page.evaluate("document.activeElement.getAttribute('aria-label')")
    return label


def test_of_very_many_classes_some_are_named(wide: "Page", url: str) -> None:
    telling(wide, class_names=[f"class {number}" for number in range(1000)])
    opened(wide, url)
    assert wide.locator("#title").inner_text() == wide.title().removesuffix(" · mien") == "Which of 1000 classes?"
    assert "class 18, class 19 and 980 more." in wide.locator("#lead").inner_text()


def test_hostile_names_of_twelve_classes_stay_text(page: "Page", hostile_url: str, tmp_path: Path) -> None:
    opened(page, hostile_url)
    folder = draw_hostile_folder(tmp_path / "new", ["<b>bold<"], num_images=12)
    chosen(page, *folder.rglob("*.jpg"))
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert violations(page) == []
    assert page.locator("main script, .card b, .card img[onerror]").count() == 0
    assert "<script>alert(1)<" in (page.locator("#lead").text_content() or "")
    assert texts(page, ".answer") == ["unsure"] * 12
    assert texts(page, ".sureness")[0].startswith("perhaps ")
    assert page.locator(".card").first.locator(".probs li").count() == 12
    assert "\u202e" not in page.locator("body").inner_text()


def test_an_image_gets_the_answer_that_the_command_line_gives(wide: "Page", url: str, run: "Run", data: Path) -> None:
    path = data / "happy" / "03.jpg"
    (prediction,) = mien.predict(mien.load(run.path), [path])
    chosen(opened(wide, url), path)
    assert texts(wide, ".answer") == [prediction.label]
    percent = f"{int(100 * max(prediction.probs.values()) + 1e-9)}% sure"
    assert texts(wide, ".sureness") == [percent]
    assert told(wide) == f"03.jpg: {prediction.label}, {percent}"
    size = wide.locator(".answer").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    assert size > 90


def test_an_image_unlike_those_of_the_training_is_marked(wide: "Page", url: str, run: "Run", tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    path = save_image(tmp_path / "noise.jpg", Image.fromarray(noise))
    assert next(iter(mien.predict(mien.load(run.path), [path]))).out_of_distribution
    chosen(opened(wide, url), path)
    assert texts(wide, ".warning:visible") == [
        "Unlike the training images: it looks unlike all of them. The result may be unreliable."
    ]
    assert told(wide).endswith("; unlike the training images: it looks unlike all of them")


def test_images_and_folders_can_be_dropped_anywhere(wide: "Page", url: str, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "people", 2)
    (folder / "happy" / "notes.txt").write_text("no image")
    single = save_image(tmp_path / "single.jpg", draw_image(5))
    dropped(opened(wide, url), folder, single)
    wait_for(wide, 5)
    names = ["people/happy/00.jpg", "people/happy/01.jpg", "people/sad/00.jpg", "people/sad/01.jpg", "single.jpg"]
    assert texts(wide, ".card .name") == names
    assert told(wide).startswith("5 of 5 images: ")
    assert wide.url.rstrip("/") == url


def test_an_image_can_be_pasted(wide: "Page", url: str) -> None:
    content = base64.b64encode(encoded(draw_image(8), "PNG")).decode()
    opened(wide, url).evaluate(PASTE, [content, "image.png"])
    wait_for(wide, 1)
    assert texts(wide, ".card .name") == ["image.png"] and texts(wide, ".answer")[0] in ("happy", "sad")


def test_the_newest_images_are_seen_first_in_the_order_in_which_they_came(wide: "Page", url: str, data: Path) -> None:
    opened(wide, url)
    chosen(wide, data / "happy" / "00.jpg", data / "happy" / "01.jpg")
    chosen(wide, data / "sad" / "02.jpg", data / "sad" / "03.jpg")
    assert texts(wide, ".card .name") == ["02.jpg", "03.jpg", "00.jpg", "01.jpg"]


def test_a_file_that_is_no_image_is_told_in_words_and_the_others_are_answered(
    wide: "Page", url: str, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    chosen(opened(wide, url), tmp_path / "notes.jpg", tmp_path / "empty.jpg", data / "happy" / "00.jpg")
    assert texts(wide, ".answer")[:2] == ["no result", "no result"]
    assert texts(wide, ".card .warning:visible")[0] == "Text, not an image."
    assert texts(wide, ".card .warning:visible")[1] == "The file is empty."
    wide.locator(".gone", has_text="No preview.").nth(1).wait_for()
    assert wide.locator("#counts").inner_text().endswith(" · 2 without a result")
    assert wide.locator(".card[data-state=answered]").count() == 1


def test_a_file_that_is_too_large_is_told_before_it_is_sent(wide: "Page", url: str, tmp_path: Path) -> None:
    asked: list[str] = []
    wide.on("request", lambda request: asked.append(request.url))
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(50 * 1024**2)
    chosen(opened(wide, url), tmp_path / "large.jpg")
    assert texts(wide, ".warning:visible") == ["It is 50 MB, and the limit is 32 MB, so it was not sent."]
    assert [address for address in asked if "predict" in address] == []


def test_a_map_is_made_when_it_is_asked_for_and_the_image_comes_back(wide: "Page", url: str, data: Path) -> None:
    chosen(opened(wide, url), data / "happy" / "00.jpg")
    button, image = wide.locator(".look button"), wide.locator(".map")
    assert image.is_hidden()
    button.click()
    image.wait_for()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth / image.naturalHeight)") == 1
    assert (
        button.get_attribute("aria-pressed") == "true"
        and "Orange is evidence for" in wide.locator(".legend").inner_text()
    )
    button.click()
    assert image.is_hidden() and button.get_attribute("aria-pressed") == "false"


def test_a_map_covers_what_is_said_of_an_image_that_the_browser_cannot_show(
    wide: "Page", url: str, tmp_path: Path
) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(encoded(draw_image(4), "TIFF"))
    chosen(opened(wide, url), path)
    gone = wide.locator(".gone")
    gone.get_by_text("This browser cannot show this image.").wait_for()
    wide.click(".look button")
    wide.wait_for_selector(".map:not([hidden])")
    assert gone.is_hidden()
    wide.click(".look button")
    assert gone.is_visible()


def test_too_many_pixels_are_told_in_megapixels(wide: "Page", run: "Run", tmp_path: Path) -> None:
    # Of a JPEG, those pixels count that are decoded.
    path = tmp_path / "large.png"
    path.write_bytes(encoded(Image.new("RGB", (4000, 3000)), "PNG"))
    with served(run.path, "--max-pixels", 2_500_000) as service:
        chosen(opened(wide, address(service)), path)
    assert texts(wide, ".warning:visible") == ["It has 12 megapixels. The limit is 2.5."]


def test_the_answers_are_saved_in_the_order_in_which_they_are_seen(wide: "Page", url: str, data: Path) -> None:
    opened(wide, url)
    chosen(wide, data / "happy" / "00.jpg", data / "happy" / "01.jpg")
    chosen(wide, data / "sad" / "02.jpg")
    with wide.expect_download() as download:
        wide.click("#save")
    rows = read_records(download.value.path().read_text("utf-8").splitlines(keepends=True))
    assert [row["source"] for row in rows] == texts(wide, ".card .name") == ["02.jpg", "00.jpg", "01.jpg"]


def test_the_answers_can_be_saved_as_the_table_that_the_command_line_writes(
    wide: "Page", url: str, run: "Run", tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    paths = [save_image(folder / name, draw_image(number)) for number, name in enumerate(("=1+1.jpg", 'a"b,c.jpg'))]
    (folder / "notes.jpg").write_text("no image")
    chosen(opened(wide, url), *paths, folder / "notes.jpg")
    with wide.expect_download() as download:
        wide.click("#save")
    text = download.value.path().read_text("utf-8")
    assert list(csv.reader(text.splitlines()))[1][0] == "'=1+1.jpg"
    rows = list(read_records(text.splitlines(keepends=True)))
    expected = mien.predict(mien.load(run.path), [*paths, folder / "notes.jpg"])
    for row, prediction in zip(rows, expected, strict=True):
        assert row["source"] == Path(prediction.source).name
        assert row["label"] == (prediction.label or "") and row["error"] == (prediction.error or "")
        assert row["out_of_distribution"] == str(prediction.out_of_distribution).lower()
        assert row["prob_happy"] == (f"{prediction.probs['happy']:.6f}" if prediction.probs else "")


def test_tables_are_written_as_python_writes_them(wide: "Page", url: str) -> None:
    rng = random.Random(3)
    letters = [*"=+-@＝＋－＠\t\r\n'\"`,; a1é😀", "\r\n"]
    rows = [["".join(rng.choices(letters, k=rng.randrange(7))) for _ in range(4)] for _ in range(3000)]
    made = opened(wide, url).evaluate("async rows => (await import('/page/csv_table.js')).tableText(rows)", rows)
    assert made == table_text(rows)


def test_a_photo_can_be_taken_and_the_camera_is_off_afterwards(chromium: Callable[..., "Browser"], url: str) -> None:
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as own:
        page = opened(own.new_page(), url)
        complaints = complaints_of(page)
        page.click("#camera")
        page.wait_for_selector("#shoot:not([disabled])")
        assert violations(page) == []
        stream = page.evaluate_handle("document.getElementById('video').srcObject")
        page.click("#shoot")
        wait_for(page, 1)
        assert re.fullmatch(r"photo [\d-]+\.jpg", texts(page, ".card .name")[0])
        assert stream.evaluate("stream => stream.getTracks().map(track => track.readyState)") == ["ended"]
        assert page.locator("#camera-dialog").is_hidden() and complaints == []


def test_a_camera_that_is_missing_or_refused_is_told_in_words(wide: "Page", url: str) -> None:
    opened(wide, url).click("#camera")
    said = wide.locator("#camera-said")
    said.get_by_text(re.compile("camera")).wait_for()
    assert wide.locator("#video").is_hidden()
    wide.keyboard.press("Escape")
    assert said.is_hidden()


@pytest.mark.parametrize("has_touch", [True, False])
def test_where_the_browser_gives_no_camera_a_phone_uses_its_own_and_others_have_no_button(
    browser: "Browser", url: str, data: Path, has_touch: bool
) -> None:
    with browser.new_context(has_touch=has_touch, is_mobile=has_touch) as context:
        page = context.new_page()
        page.add_init_script("Object.defineProperty(Navigator.prototype, 'mediaDevices', {value: undefined})")
        opened(page, url)
        assert page.locator("#camera").is_visible() == has_touch
        if not has_touch:
            return
        with page.expect_file_chooser() as chooser:
            page.tap("#camera")
        assert chooser.value.element.get_attribute("capture") == "environment"
        chooser.value.set_files([data / "happy" / "00.jpg"])
        wait_for(page, 1)


def test_all_can_be_done_by_the_keyboard(wide: "Page", url: str, data: Path) -> None:
    opened(wide, url)
    with wide.expect_file_chooser() as chooser:
        pressed_on(wide, "Choose images")
    chooser.value.set_files([data / "happy" / "00.jpg"])
    wait_for(wide, 1)
    pressed_on(wide, "Where it looked")
    wide.locator(".map").wait_for()
    with wide.expect_download():
        pressed_on(wide, "Save as CSV")
    pressed_on(wide, "Clear all")
    assert wide.locator(".card").count() == 0
    assert wide.evaluate("document.activeElement.id") == "choose"


def test_clearing_takes_the_address_too_and_leads_back_to_the_top(wide: "Page", url: str, data: Path) -> None:
    wide.emulate_media(reduced_motion="reduce")
    chosen(opened(wide, url), *sorted((data / "happy").iterdir()))
    wide.fill("#url", "https://example.org/a.jpg")
    wide.evaluate("scrollTo(0, 900)")
    wide.click("#clear")
    assert wide.input_value("#url") == "" and wide.evaluate("scrollY") == 0


def test_what_is_cleared_is_gone_and_other_images_can_follow(wide: "Page", url: str, data: Path) -> None:
    chosen(opened(wide, url), *sorted((data / "happy").iterdir()), wait=False)
    wide.click("#clear")
    assert wide.locator("#answers").is_hidden()
    chosen(wide, data / "sad" / "00.jpg")
    assert wide.locator(".card").count() == 1 and told(wide).startswith("00.jpg: ")


def test_a_server_that_is_busy_is_asked_again_when_it_says(wide: "Page", url: str, data: Path) -> None:
    refused: list[float] = []

    def refuse_twice(route: "Route") -> None:
        if len(refused) == 2:
            route.continue_()
            return
        refused.append(time.monotonic())
        route.fulfill(status=429, headers={"Retry-After": "1"}, json={"error": "the server is busy"})

    opened(wide, url).route("**/predict", refuse_twice)
    chosen(wide, data / "happy" / "00.jpg")
    assert len(refused) == 2 and 0.9 < refused[1] - refused[0] < 5


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda route: route.abort(), "The connection was lost."),
        (lambda route: route.fulfill(status=408, json={"error": "too slow"}), "Too slow."),
    ],
    ids=["broken", "slow"],
)
def test_an_image_that_did_not_get_there_can_be_asked_about_again(
    wide: "Page", url: str, data: Path, act: "Callable[[Route], None]", reason: str
) -> None:
    opened(wide, url).route("**/predict", act)
    chosen(wide, data / "happy" / "00.jpg", data / "happy" / "01.jpg")
    assert texts(wide, ".warning:visible") == [reason] * 2
    wide.unroute("**/predict")
    wide.locator(".retry").last.click()
    wide.wait_for_selector(".card[data-state=answered]")
    assert wide.locator(".retry:visible, .warning:visible").count() == 2
    assert told(wide).startswith("01.jpg: ")


def test_a_file_that_changed_since_it_was_chosen_is_told(wide: "Page", url: str, tmp_path: Path) -> None:
    path = save_image(tmp_path / "moved.jpg", draw_image(2))
    opened(wide, url).context.set_offline(True)
    chosen(wide, path, wait=False)
    wide.locator("#notice").wait_for()
    path.unlink()
    wide.context.set_offline(False)
    wide.click("#again")
    wait_for(wide, 1)
    assert texts(wide, ".warning")[0] == "Cannot read the file: it was moved or changed."
    assert wide.locator(".retry:visible").count() == 0


def test_a_server_that_is_gone_is_told_and_nothing_is_lost(wide: "Page", url: str, data: Path) -> None:
    opened(wide, url)
    wide.context.set_offline(True)
    chosen(wide, data / "happy" / "00.jpg", data / "happy" / "01.jpg", wait=False)
    notice = wide.locator("#notice")
    notice.wait_for()
    assert "is not responding" in notice.inner_text() and texts(wide, ".answer") == ["waiting", "waiting"]
    wide.context.set_offline(False)
    wide.click("#again")
    wait_for(wide, 2)
    assert notice.is_hidden()


def test_the_end_of_the_server_is_told(wide: "Page", run: "Run", data: Path) -> None:
    with served(run.path) as service:
        chosen(opened(wide, address(service)), data / "happy" / "00.jpg")
        service.stop()
        chosen(wide, data / "happy" / "01.jpg", wait=False)
        wide.get_by_text("The server is not responding. Is it still running?").wait_for()
        assert texts(wide, ".card .answer")[0] == "waiting"


def test_a_key_is_asked_for_and_used(wide: "Page", run: "Run", data: Path, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("a-key-of-enough-letters")
    with served(run.path, "--api-key-file", tmp_path / "key.txt") as service:
        field = opened(wide, address(service)).get_by_label("API key")
        assert field.is_visible() and wide.locator("#drop").is_hidden()
        chosen(wide, data / "happy" / "00.jpg", wait=False)
        wide.get_by_text("Enter the API key first.").wait_for()
        assert wide.locator("#key-help").is_visible()
        field.fill("another key")
        wide.keyboard.press("Enter")
        wide.get_by_text("Wrong API key.").wait_for()
        assert wide.locator("#drop").is_hidden()
        field.fill("a-key-of-enough-letters")
        wide.keyboard.press("Enter")
        wait_for(wide, 1)
        assert field.is_hidden() and wide.locator("#notice").is_hidden() and wide.locator("#drop").is_visible()
        wide.click(".look button")
        wide.locator(".map").wait_for()


def test_asking_can_be_stopped_and_goes_on(wide: "Page", url: str, data: Path) -> None:
    opened(wide, url)
    held: list[Route] = []
    wide.route("**/predict", lambda route: held.append(route))
    chosen(wide, *sorted((data / "happy").iterdir()), wait=False)
    wide.wait_for_function("() => document.querySelectorAll('.card[data-state=asking]').length === 4")
    assert wide.locator("#progress").is_visible() and len(held) == 4
    stop = wide.locator("#stop")
    stop.click()
    wide.wait_for_function("() => document.querySelectorAll('.card[data-state=waiting]').length === 12")
    assert stop.inner_text() == "Resume" and wide.locator("#counts").inner_text() == "0 of 12, stopped"
    wide.unroute("**/predict")
    stop.click()
    wait_for(wide, 12)
    assert wide.locator("#progress").is_hidden() and wide.locator("#notice").is_hidden()


def test_an_address_is_fetched_by_the_server_and_what_it_refuses_is_told(wide: "Page", url: str) -> None:
    opened(wide, url).fill("#url", "http://127.0.0.1:9/private.jpg")
    wide.keyboard.press("Enter")
    wait_for(wide, 1)
    assert texts(wide, ".answer") == ["no result"] and texts(wide, ".warning:visible") != [""]
    assert texts(wide, ".gone") == ["No preview: fetched by the server."]


def test_what_is_known_of_the_classifier_is_told_in_words(wide: "Page", url: str, run: "Run") -> None:
    opened(wide, url)
    assert wide.locator("h1").inner_text() == "happy or sad?" and wide.title() == "happy or sad? · mien"
    accuracy = run.scores.judged.accuracy
    right = round((accuracy.value or 0) * accuracy.num_images)
    assert wide.locator("#accuracy").inner_text() == (
        f"It classified {right} of {accuracy.num_images} unseen images correctly. "
        f"Its true accuracy on images like these is probably between {accuracy.low:.0%} and {accuracy.high:.0%}."
    )
    assert "the dashed line is always guessing" in wide.locator("#scale-says").inner_text()
    assert "Judging people." in wide.locator("#not-for").inner_text()
    wide.click("#model summary")
    assert "How it was evaluated" in texts(wide, "#model-card h4") and wide.locator("#model-card table").count() == 3


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.84, "Right about eight times in ten."),
        (0.98, "Right about 98 times in 100."),
        (0.999, "Right about 99 times in 100."),
        (1.0, "Right for all 57 images it was tested on."),
        (0.02, "Right about 2 times in 100, which may be no better than guessing."),
    ],
)
def test_that_it_is_always_right_is_said_of_the_images_alone(wide: "Page", url: str, share: float, words: str) -> None:
    accuracy = {"value": share, "low": 0.9 * share, "high": share, "num_images": 57, "judged_by": "cross-validation"}
    telling(wide, accuracy=accuracy)
    assert opened(wide, url).locator("#lead").inner_text() == words


def test_with_a_threshold_it_is_told_how_many_it_answers_and_how_many_of_these_are_right(
    wide: "Page", url: str, run: "Run", data: Path
) -> None:
    judged = run.scores.judged
    total = judged.accuracy.num_images
    row = next(row for row in judged.coverage if 0 < row.accuracy.num_images < total and 1000 * row.threshold % 10 == 5)
    telling(wide, threshold=row.threshold)
    opened(wide, url)
    assert f"It is sure about {row.answered.value:.0%} of images" in wide.locator("#lead").inner_text()
    assert (
        wide.locator("#lead")
        .inner_text()
        .endswith(f"If it is less than {100 * row.threshold:.1f}% sure, it says “unsure”.")
    )
    right = round((row.accuracy.value or 0) * row.accuracy.num_images)
    assert (
        wide.locator("#accuracy")
        .inner_text()
        .startswith(
            f"It was sure about {row.accuracy.num_images} of {total} unseen images, "
            f"and got {right} of {row.accuracy.num_images} right."
        )
    )
    wide.route("**/predict", lambda route: route.fulfill(json={"predictions": [nearly_sure(row.threshold - 0.0024)]}))
    chosen(wide, data / "happy" / "00.jpg")
    assert texts(wide, ".sureness") == [f"perhaps happy, {100 * row.threshold - 0.3:.1f}%"]


def test_a_threshold_below_which_nothing_was_leaves_the_words_as_they_are(wide: "Page", url: str, run: "Run") -> None:
    assert run.scores.out_of_fold is not None
    judged = run.scores.out_of_fold.to_dict()
    every = judged["coverage"][0] | {"threshold": 0.5}
    telling(wide, threshold=0.5, evaluations={"out_of_fold": judged | {"coverage": [every]}})
    opened(wide, url)
    assert re.fullmatch(r"Right .*\. If it is less than 50% sure, .*", wide.locator("#lead").inner_text())
    assert wide.locator("#accuracy").inner_text().startswith("It classified ")


def nearly_sure(prob: float) -> dict[str, Any]:
    probs = {"happy": prob, "sad": 1 - prob}
    return {"source": "a.jpg", "label": "unsure", "probs": probs, "error": None, "out_of_distribution": False}


@pytest.mark.parametrize("width", [390, 1280])
def test_how_far_to_trust_it_stays_when_there_are_answers(wide: "Page", url: str, data: Path, width: int) -> None:
    wide.set_viewport_size({"width": width, "height": 800})
    accuracy = opened(wide, url).locator("#accuracy")
    size = "element => getComputedStyle(element).fontSize"
    before = accuracy.evaluate(size)
    chosen(wide, data / "happy" / "00.jpg")
    assert accuracy.is_visible() and accuracy.evaluate(size) == before
    assert wide.locator("#trust").is_visible()
    assert wide.locator("#lead").inner_text().startswith("Right ")


def test_on_a_phone_only_the_list_of_classes_makes_room_and_a_finger_hits_every_target(
    browser: "Browser", url: str, data: Path
) -> None:
    size: Any = {"width": 390, "height": 800}
    with browser.new_context(viewport=size, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        names = [f"Three fingers held up, palm facing out, {number}" for number in ("one", "two")]
        telling(page, class_names=names)
        page.route("**/predict", lambda route: route.fulfill(json={"predictions": [long_answer(names)]}))
        opened(page, url)
        assert names[0] in page.locator("#lead").inner_text()
        assert page.evaluate(SMALL_TARGETS) == []
        chosen(page, data / "happy" / "00.jpg")
        assert page.locator("#lead").inner_text().startswith("Right ")
        assert page.locator("h3.answer").inner_text() == names[0]
        assert page.evaluate(SMALL_TARGETS) == []
        chosen(page, data / "happy" / "01.jpg")
        page.locator("#threshold").fill("0.9")
        assert texts(page, ".sureness") == [f"perhaps {names[0]}, 70%"] * 2
        assert page.evaluate(SMALL_TARGETS) == [] and page.evaluate("document.scrollingElement.scrollWidth") == 390


def long_answer(names: list[str]) -> dict[str, Any]:
    return nearly_sure(0.7) | {"label": names[0], "probs": dict(zip(names, (0.7, 0.3), strict=True))}


def test_a_file_without_a_preview_takes_half_the_room(wide: "Page", url: str, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no image")
    chosen(opened(wide, url), tmp_path / "notes.jpg")
    box = wide.locator(".gone").bounding_box()
    assert box and round(box["width"] / box["height"], 1) == 2.7


def test_on_paper_there_are_the_results_alone_and_as_many_as_fit(wide: "Page", url: str, data: Path) -> None:
    chosen(opened(wide, url), *sorted(data.rglob("*.jpg"))[:8])
    wide.emulate_media(media="print", color_scheme="dark")
    for hidden in ("#drop", "#url-form", ".threshold", "button"):
        assert wide.locator(f"{hidden}:visible").count() == 0, hidden
    row = wide.locator(".rail").first
    assert row.evaluate("element => getComputedStyle(element).printColorAdjust") == "exact"
    assert wide.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    wide.evaluate("document.querySelectorAll('#model, footer').forEach(element => element.remove())")
    assert num_pages(wide) == 1


def test_files_over_a_page_that_is_scrolled_down_frame_the_window(wide: "Page", url: str, data: Path) -> None:
    chosen(opened(wide, url), *sorted((data / "happy").iterdir()))
    wide.evaluate("scrollTo(0, 900)")
    dragged(wide, "dragEnter", data / "sad" / "00.jpg")
    frame = "getComputedStyle(document.body, '::after')"
    assert wide.evaluate(f"[{frame}.position, {frame}.borderTopStyle]") == ["fixed", "solid"]
    dropped(wide, data / "sad" / "00.jpg")
    wide.wait_for_function(f"() => {frame}.content === 'none'")


def test_no_script_but_the_page_s_own_can_run_in_it(browser: "Browser", url: str) -> None:
    page = opened(browser.new_page(), url)
    complaints = complaints_of(page)
    page.evaluate("""() => {
        document.body.append(Object.assign(document.createElement("script"), {textContent: "window.ran = true"}));
        document.body.append(Object.assign(document.createElement("img"), {src: "https://example.invalid/a.png"}));
    }""")
    assert page.evaluate("window.ran") is None
    page.wait_for_function("() => document.querySelector('img[src^=https]').complete")
    assert len([complaint for complaint in complaints if "Content Security Policy" in complaint]) == 2


def test_without_javascript_the_page_says_what_to_do(browser: "Browser", url: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(url)
        assert "needs JavaScript" in page.locator("main").inner_text()


def pressed_on(page: "Page", name: str) -> None:
    """Go through the page by the tab key to a button, and press it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == name:
            page.keyboard.press("Enter")
            return
    pytest.fail(f"no way to {name!r}")
