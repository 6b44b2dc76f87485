"""The page of a review in a browser, asking a real server: what people do with it, and what goes wrong meanwhile."""

import csv
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import uvicorn

from browsing import complaints_of, violations
from conftest import draw_folder, draw_image, encoded
from hostile_names import NAMES, draw_hostile_folder
from mien.config import ServeConfig
from mien.labelling.app import create_review_app
from mien.labelling.opening import review_of
from mien.serving.hosting import listen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

    from mien.runs.run import Run

pytestmark = pytest.mark.browser

# A browser writes a line for every status above 399, and where nobody answers, whatever a page makes of it.
REFUSED = "Failed to load resource"
JPEG = encoded(draw_image(0, width=160, height=120), "JPEG")
SCORES = {"before": {"value": 0.8, "low": 0.6, "high": 0.9}, "after": {"value": 0.9, "low": 0.7, "high": 1.0}}
# Their short forms are the same at first.
LONG_NAMES = [f"Three fingers held up, {number} of them bent, palm facing out" for number in ("one", "two")]
ON_TOP = ["Keep", "Leave out", "class 7", "class 0"]
SMALL_TARGETS = """() => [...document.querySelectorAll("button, select, input, .zoom")]
    .filter(element => element.checkVisibility({visibilityProperty: true}))
    .map(element => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
    .filter(([, {width, height}]) => Math.min(width, height) < 44).map(([text]) => text)"""
# From the top to the bottom, in as many frames; then how long these took, and how many elements there were at most.
SCROLL = """async (numFrames) => {
    const grid = document.getElementById("grid"), height = grid.scrollHeight, times = [];
    let last = performance.now(), most = 0;
    for (let frame = 0; frame <= numFrames; frame += 1) {
        grid.scrollTop = height * frame / numFrames;
        await new Promise(done => requestAnimationFrame(done));
        times.push(performance.now() - last);
        last = performance.now();
        most = Math.max(most, document.querySelectorAll("*").length);
    }
    return [most, times.sort((one, other) => one - other)[Math.floor(0.95 * numFrames)]];
}"""


@dataclass
class Reviewed:
    """A review that is served, and the file in which the decisions are."""

    url: str
    path: Path

    def rows(self) -> list[tuple[str, str]]:
        """Return the paths and the decisions, in the order in which they were written."""
        text = self.path.read_text("utf-8-sig")
        return [(row["path"], row["decision"]) for row in csv.DictReader(text.splitlines())]


@contextmanager
def served_review(folder: Path) -> Iterator[Reviewed]:
    """Serve the review of a folder in a thread."""
    review = review_of(folder)
    with listen(ServeConfig(port=0)) as listener:
        settings = uvicorn.Config(create_review_app(review), log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield Reviewed(f"http://127.0.0.1:{listener.getsockname()[1]}/", review.journal.path.resolve())
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def moods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sixty happy and sixty sad images."""
    return draw_folder(tmp_path_factory.mktemp("review") / "moods", 60)


@pytest.fixture
def reviewed(moods: Path, tmp_path: Path) -> Iterator[Reviewed]:
    """The review of these, of which nothing was trained."""
    # The decisions lie beside the folder.
    with served_review(Path(shutil.copytree(moods, tmp_path / "moods"))) as service:
        yield service


@pytest.fixture
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """A browser of a usual size."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        yield context


@pytest.fixture
def wide(context: "BrowserContext") -> Iterator["Page"]:
    """An empty page of a usual size; it may complain of nothing but what the server refuses."""
    page = context.new_page()
    complaints = complaints_of(page)
    yield page
    assert [complaint for complaint in complaints if not complaint.startswith(REFUSED)] == []


def opened(page: "Page", reviewed: Reviewed, queue: str = "class-0", **place: str) -> "Page":
    """Open the page at a queue, and wait for its images."""
    others = "".join(f"&{name}={value}" for name, value in place.items())
    page.goto(f"{reviewed.url}#queue={queue}{others}")
    page.wait_for_selector(".cell:not([aria-busy=true])")
    return page


def press(page: "Page", *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def saved(page: "Page", num_decided: int) -> None:
    """Wait until the page says that so many are decided, and that nothing waits to be saved."""
    page.wait_for_function(
        """number => document.getElementById("decided").textContent.startsWith(`${number} of `)
        && !document.querySelector(".cell .badge:is([data-state=saving], [data-state=unsaved])")""",
        arg=num_decided,
    )


def badges(page: "Page", count: int) -> list[str]:
    """Return what stands below the first images."""
    return [page.locator(f"#cell-{place} .badge").inner_text() for place in range(count)]


def current(page: "Page") -> int:
    """Return the place of the image that has the frame, which is the one that is read out."""
    place = page.locator(".cell.current").get_attribute("data-place")
    assert page.locator("#grid").get_attribute("aria-activedescendant") == f"cell-{place}"
    return int(place or -1)


def is_in_view(page: "Page") -> bool:
    """Whether the whole image that has the frame is seen; a step of the scroll bar may be some pixels."""
    cell, grid = page.locator(".cell.current").bounding_box(), page.locator("#grid").bounding_box()
    assert cell and grid
    return grid["y"] - 8 < cell["y"] and cell["y"] + cell["height"] < grid["y"] + grid["height"] + 8


def selected(page: "Page") -> list[int]:
    cells = page.locator(".cell[aria-selected=true]").all()
    return sorted(int(cell.get_attribute("data-place") or -1) for cell in cells)


def told(page: "Page") -> str:
    return page.locator("#live").inner_text()


def said(page: "Page", text: str) -> None:
    """Wait until the page says something to those who listen."""
    page.wait_for_function("text => document.getElementById('live').textContent.includes(text)", arg=text)


def very_many(page: "Page", count: int) -> None:
    """Let the server have so many images: it only draws a few."""

    def images(route: "Route") -> None:
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        start = int(query["start"])
        numbers = range(start, min(count, start + int(query["count"])))
        rows = [{"id": number, "path": f"happy/{number}.jpg", "label": "happy", "version": "v"} for number in numbers]
        route.fulfill(json={"total": count, "images": [row | {"decision": "", "note": ""} for row in rows]})

    page.route("**/images?*", images)
    page.route("**/thumbnail/**", lambda route: route.fulfill(body=JPEG, content_type="image/jpeg"))


def suggesting(page: "Page", class_names: list[str], suggested: str = "") -> None:
    """Let the server have these classes, and suggest one, or else the first, for its only image."""
    image = {"id": 1, "path": "happy/0.jpg", "label": "happy", "version": "v", "decision": "", "note": ""}
    image |= {"suggested": suggested or class_names[0], "prob": 0.86}
    page.route("**/state?", lambda route: route.fulfill(json=route.fetch().json() | {"class_names": class_names}))
    page.route("**/images?*", lambda route: route.fulfill(json={"total": 1, "images": [image]}))
    for kind in ("thumbnail", "picture"):
        page.route(f"**/{kind}/**", lambda route: route.fulfill(body=JPEG, content_type="image/jpeg"))
    answer = {"changed": [{"id": 1, "decision": "keep"}], "revision": 1, "num_decided": 1, "can_undo": True}
    page.route("**/decide", lambda route: route.fulfill(json=answer))


def heap_mib(page: "Page") -> float:
    """Return how much memory the scripts of a page hold on to."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    return used / 1024**2


def training(page: "Page", **values: Any) -> None:
    """Let the server tell of a training, whether one runs or not."""
    idle = {"state": "running", "stage": "", "done": 0, "total": 0, "lines": [], "error": "", "result": None}
    page.route("**/training?", lambda route: route.fulfill(json=idle | values))


def test_the_page_is_quiet_and_everybody_can_use_it(page: "Page", reviewed: Reviewed) -> None:
    opened(page, reviewed)
    press(page, "1", "2", "k", "x", "Shift+ArrowRight")
    saved(page, 4)
    assert violations(page) == []
    page.locator("#grid").focus()
    press(page, "Space")
    assert violations(page) == []
    press(page, "Escape", "?")
    assert violations(page) == []
    press(page, "Escape")
    page.evaluate("location.hash = 'queue=conflicts'")
    page.wait_for_selector("#empty:not([hidden])")
    assert violations(page) == []


def test_fifty_images_are_labelled_by_keys_alone_in_their_order(wide: "Page", reviewed: Reviewed) -> None:
    opened(wide, reviewed)
    keys = [("2", "sad"), ("k", "keep"), ("x", "leave-out"), ("1", "happy"), ("2", "sad")] * 10
    press(wide, *(key for key, _ in keys))
    saved(wide, 50)
    assert reviewed.rows() == [(f"happy/{place:02}.jpg", decision) for place, (_, decision) in enumerate(keys)]
    assert current(wide) == 50
    press(wide, "Home")
    assert badges(wide, 5) == ["→ sad", "✓ kept", "✕ left out", "→ happy", "→ sad"]
    wide.reload()
    wide.wait_for_selector("#cell-0:not([aria-busy=true])")
    assert badges(wide, 5) == ["→ sad", "✓ kept", "✕ left out", "→ happy", "→ sad"]


def test_a_decision_is_shown_as_done_only_when_the_server_has_answered(wide: "Page", reviewed: Reviewed) -> None:
    held: list[Route] = []
    wide.route("**/decide", lambda route: held.append(route))
    press(opened(wide, reviewed), "2", "1")
    wide.wait_for_selector("#cell-1 .badge[data-state=saving]")
    assert badges(wide, 3) == ["saving: → sad", "saving: → happy", "undecided"]
    assert len(held) == 1 and told(wide) == ""
    held[0].continue_()
    wide.wait_for_selector("#cell-0 .badge[data-state=saved]")
    assert badges(wide, 2) == ["→ sad", "saving: → happy"] and told(wide) == "00.jpg: sad"
    held[1].continue_()
    saved(wide, 2)
    assert badges(wide, 3) == ["→ sad", "→ happy", "undecided"]
    assert told(wide) == "01.jpg: happy"


def test_what_was_decided_last_is_undone_and_the_frame_goes_back_to_it(wide: "Page", reviewed: Reviewed) -> None:
    opened(wide, reviewed)
    press(wide, "2", "2", "ArrowDown", "u")
    saved(wide, 1)
    assert badges(wide, 2) == ["→ sad", "undecided"] and current(wide) == 1
    assert told(wide) == "Undone: 01.jpg"
    press(wide, "Control+z")
    saved(wide, 0)
    assert badges(wide, 1) == ["undecided"] and wide.locator("#undo").is_disabled()
    press(wide, "u")
    assert told(wide) == "Nothing to undo."
    press(wide, "Home", "2", "ArrowLeft", "Backspace")
    saved(wide, 0)
    assert badges(wide, 1) == ["undecided"] and current(wide) == 0


def test_two_tabs_see_each_other(wide: "Page", context: "BrowserContext", reviewed: Reviewed) -> None:
    other = opened(context.new_page(), reviewed)
    press(opened(wide, reviewed), "2", "2")
    saved(other, 2)
    assert badges(other, 3) == ["→ sad", "→ sad", "undecided"]
    assert told(other) == "2 images changed in another tab"
    press(other, "u")
    saved(wide, 1)
    assert badges(wide, 2) == ["→ sad", "undecided"]
    assert told(wide) == "1 image changed in another tab"


def test_several_images_are_selected_and_decided_as_one(wide: "Page", reviewed: Reviewed) -> None:
    opened(wide, reviewed)
    press(wide, "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowLeft")
    assert selected(wide) == [0, 1] and current(wide) == 1
    wide.click("#cell-3", modifiers=["Control"])
    wide.click("#cell-0", modifiers=["Control"])
    assert selected(wide) == [1, 3]
    assert "2 selected" in wide.locator("#count").inner_text()
    press(wide, "2")
    saved(wide, 2)
    assert badges(wide, 4) == ["undecided", "→ sad", "undecided", "→ sad"] and selected(wide) == []
    assert told(wide) == "2 images: sad"
    wide.click("#cell-0")
    wide.click("#cell-5", modifiers=["Shift"])
    assert selected(wide) == [0, 1, 2, 3, 4, 5]
    press(wide, "Escape")
    assert selected(wide) == []
    press(wide, "Control+a", "x")
    saved(wide, 60)
    press(wide, "u")
    saved(wide, 2)
    assert badges(wide, 2) == ["undecided", "→ sad"]


def test_very_many_are_decided_at_once_only_by_who_says_so_twice(wide: "Page", reviewed: Reviewed) -> None:
    asked: list[Any] = []

    def decide(route: "Route") -> None:
        asked.append(json.loads(route.request.post_data or ""))
        changed = [{"id": number, "decision": "leave-out"} for number in asked[-1]["ids"]]
        route.fulfill(json={"changed": changed, "revision": 1, "num_decided": len(changed), "can_undo": True})

    very_many(wide, 1234)
    wide.route("**/decide", decide)
    press(opened(wide, reviewed), "Control+a", "x")
    assert wide.locator("#confirm-says").inner_text() == "Change 1,234 images to “left out”?"
    press(wide, "Escape")
    assert asked == []
    press(wide, "x")
    wide.click("#confirm-yes")
    said(wide, "1,234 images: left out")
    assert [len(sent["ids"]) for sent in asked] == [1234]
    assert [number for sent in asked for number in sent["ids"]] == list(range(1234))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("count", [100_000, 1_000_000])
def test_very_many_images_scroll_smoothly_in_a_small_page(
    wide: "Page", reviewed: Reviewed, count: int, width: int
) -> None:
    very_many(wide, count)
    wide.set_viewport_size({"width": width, "height": 800})
    opened(wide, reviewed)
    most, frame_ms = wide.evaluate(SCROLL, 300)
    # Twice as long as a frame of a busy machine: that is a limit against blunders, and no figure.
    assert most < 500 and frame_ms < 200 and heap_mib(wide) < 16
    last = f"#cell-{count - 1}"
    assert wide.locator(f"{last} .name").inner_text(timeout=10_000) in ("loading…", f"{count - 1}.jpg")
    wide.wait_for_selector(f"{last}:not([aria-busy=true])")
    assert wide.locator(last).get_attribute("aria-setsize") == str(count)
    for key, place in [("Home", 0), ("End", count - 1), ("ArrowLeft", count - 2), ("Home", 0)]:
        press(wide, key)
        assert current(wide) == place
        cell, grid = wide.locator(".cell.current").bounding_box(), wide.locator("#grid").bounding_box()
        assert (
            cell and grid and grid["y"] - 8 < cell["y"] and cell["y"] + cell["height"] < grid["y"] + grid["height"] + 8
        )


def test_who_makes_the_window_smaller_goes_on_at_the_same_image(wide: "Page", reviewed: Reviewed) -> None:
    very_many(wide, 100_000)
    opened(wide, reviewed)
    press(wide, "End", *["PageUp"] * 5)
    place = current(wide)
    wide.set_viewport_size({"width": 390, "height": 800})
    wide.wait_for_function("() => document.getElementById('grid').clientWidth < 400")
    wide.wait_for_timeout(100)
    assert current(wide) == place and is_in_view(wide)
    wide.set_viewport_size({"width": 1280, "height": 800})
    wide.wait_for_timeout(100)
    assert current(wide) == place and is_in_view(wide)


def test_what_is_decided_while_the_server_is_away_is_saved_in_order_when_it_is_back(
    wide: "Page", reviewed: Reviewed
) -> None:
    opened(wide, reviewed)
    press(wide, "2")
    saved(wide, 1)
    wide.context.set_offline(True)
    press(wide, "2", "x", "k")
    wide.wait_for_selector("#cell-3 .badge[data-state=unsaved]")
    assert badges(wide, 4) == ["→ sad", "not saved: → sad", "not saved: ✕ left out", "not saved: ✓ kept"]
    notice = wide.locator("#notice-text").inner_text()
    assert notice.startswith("The server is not responding.") and "stay on this page until they can be saved" in notice
    assert len(reviewed.rows()) == 1
    wide.context.set_offline(False)
    wide.click("#again")
    saved(wide, 4)
    assert reviewed.rows()[1:] == [
        ("happy/01.jpg", "sad"),
        ("happy/02.jpg", "leave-out"),
        ("happy/03.jpg", "keep"),
    ]
    assert wide.locator("#notice").is_hidden()


def test_a_server_that_comes_back_is_noticed_without_a_click(wide: "Page", reviewed: Reviewed) -> None:
    opened(wide, reviewed)
    wide.context.set_offline(True)
    press(wide, "2")
    wide.wait_for_selector("#notice:not([hidden])")
    wide.context.set_offline(False)
    saved(wide, 1)
    wide.wait_for_selector("#notice", state="hidden")


def test_what_the_server_refuses_is_told_and_the_image_is_as_before(wide: "Page", reviewed: Reviewed) -> None:
    wide.route("**/decide", lambda route: route.fulfill(status=422, json={"error": "there is no such decision"}))
    opened(wide, reviewed)
    press(wide, "2")
    wide.wait_for_selector("#notice:not([hidden])")
    assert wide.locator("#notice-text").inner_text() == "There is no such decision."
    assert badges(wide, 1) == ["undecided"]
    wide.click("#again")
    assert wide.locator("#notice").is_hidden()


def test_a_full_disk_is_told_and_the_decision_is_kept(wide: "Page", reviewed: Reviewed) -> None:
    wide.route("**/decide", lambda route: route.fulfill(status=507, json={"error": "the disk is full"}))
    press(opened(wide, reviewed), "2")
    wide.wait_for_selector("#cell-0 .badge[data-state=unsaved]")
    assert wide.locator("#notice-text").inner_text().startswith("The disk is full.")
    wide.unroute("**/decide")
    wide.click("#again")
    saved(wide, 1)


def test_on_a_phone_images_are_touched_and_buttons_pressed(browser: "Browser", reviewed: Reviewed) -> None:
    size: Any = {"width": 390, "height": 800}
    with browser.new_context(viewport=size, has_touch=True, is_mobile=True) as context:
        page = opened(context.new_page(), reviewed)
        page.tap("#cell-0")
        page.tap("#cell-1")
        page.tap("#legend button:has-text('sad')")
        saved(page, 2)
        page.tap("#cell-3")
        page.tap("#legend button:has-text('leave out')")
        saved(page, 3)
        assert badges(page, 4) == ["→ sad", "→ sad", "undecided", "✕ left out"]
        page.tap("#cell-0 .zoom")
        page.tap("#enlarged-legend button:has-text('clear')")
        saved(page, 2)
        page.tap("#enlarged-close")
        page.select_option("#queue-choice", "class-1")
        page.wait_for_selector(".cell .name:has-text('00.jpg')")
        assert page.url.endswith("#queue=class-1&name=")


def test_a_card_says_its_label_and_what_it_looks_like_however_long_the_names_are(
    page: "Page", reviewed: Reviewed
) -> None:
    suggesting(page, [LONG_NAMES[0]])
    opened(page, reviewed)
    cell = page.locator("#cell-0")
    parts = [cell.locator(part) for part in (".label", ".suggested", ".name", ".badge")]
    boxes = [box for part in parts if (box := part.bounding_box())]
    assert [part.inner_text() for part in parts[::2]] == ["happy", "0.jpg"]
    assert parts[1].inner_text() == f"→ {LONG_NAMES[0]}" and cell.locator(".prob").inner_text() == "86%"
    assert [box["y"] for box in boxes] == sorted(box["y"] for box in boxes)
    assert {round(box["height"]) for box in boxes[:3]} == {20}
    outer, prob = cell.bounding_box(), cell.locator(".prob").bounding_box()
    assert outer and prob and prob["x"] + prob["width"] < outer["x"] + outer["width"] and prob["y"] == boxes[1]["y"]
    assert violations(page) == []
    page.locator("#grid").focus()
    press(page, "Space")
    assert page.locator("#enlarged-says").inner_text() == f"happy → {LONG_NAMES[0]} (86%)"


def test_on_a_phone_keeping_is_always_in_reach_and_the_classes_start_with_the_suggested_one(
    browser: "Browser", reviewed: Reviewed
) -> None:
    size: Any = {"width": 390, "height": 800}
    with browser.new_context(viewport=size, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        suggesting(page, [*LONG_NAMES, *(f"class {number}" for number in range(10))], suggested="class 7")
        opened(page, reviewed)
        assert page.locator("#legend .classes button").count() == 13
        boxes = {name: page.locator(f"#legend button:text-is('{name}')").bounding_box() for name in ON_TOP}
        assert all(box and box["y"] + box["height"] <= 800 for box in boxes.values())
        assert len({box["y"] for box in boxes.values() if box}) == 2
        xs = {name: box["x"] for name, box in boxes.items() if box}
        assert xs["class 7"] < xs["class 0"] and page.evaluate("document.scrollingElement.scrollWidth") == 390
        assert page.evaluate(SMALL_TARGETS) == []
        page.tap("#cell-0 .zoom")
        assert page.evaluate(SMALL_TARGETS) == []
        page.tap("#enlarged-legend button:text-is('Keep')")
        saved(page, 1)


def test_names_on_buttons_are_short_but_differ_and_lists_have_them_whole(wide: "Page", reviewed: Reviewed) -> None:
    suggesting(wide, LONG_NAMES)
    opened(wide, reviewed)
    buttons = wide.locator("#legend .classes button")
    told = [text.split("\n")[1] for text in buttons.all_inner_texts()]
    assert told == ["Three fingers held up, on… palm facing out", "Three fingers held up, tw… palm facing out"]
    assert [button.get_attribute("title") for button in buttons.all()] == LONG_NAMES
    assert wide.locator("#classes option").all_inner_texts() == LONG_NAMES


def test_an_enlarged_image_takes_the_same_keys_and_arrows_go_on(wide: "Page", reviewed: Reviewed) -> None:
    opened(wide, reviewed)
    press(wide, "ArrowRight", "Space")
    name = wide.locator("#enlarged-name")
    assert name.inner_text() == "happy/01.jpg"
    wide.wait_for_function("() => document.getElementById('enlarged-image').naturalWidth > 0")
    press(wide, "2")
    assert name.inner_text() == "happy/02.jpg"
    press(wide, "ArrowRight", "ArrowRight", "ArrowLeft", "x")
    saved(wide, 2)
    assert name.inner_text() == "happy/04.jpg"
    press(wide, "Space")
    assert wide.locator("#enlarged").is_hidden() and current(wide) == 4
    assert badges(wide, 5) == ["undecided", "→ sad", "undecided", "✕ left out", "undecided"]
    wide.dblclick("#cell-6")
    assert name.inner_text() == "happy/06.jpg"


def test_the_queue_and_the_filter_stand_in_the_address(wide: "Page", reviewed: Reviewed) -> None:
    opened(wide, reviewed)
    press(wide, "/")
    wide.keyboard.type("SAD/2")
    wide.wait_for_selector("#empty:not([hidden])")
    assert wide.locator("#empty").inner_text().startswith("No file name contains “SAD/2”.")
    press(wide, "Enter")
    wide.click("#class-queues button:has-text('sad')")
    wide.wait_for_selector(".cell:not([aria-busy=true])")
    assert wide.locator("#count").inner_text() == "10 images"
    wide.reload()
    wide.wait_for_selector(".cell:not([aria-busy=true])")
    assert wide.locator("#count").inner_text() == "10 images"
    assert wide.locator("#name").input_value() == "SAD/2"
    assert wide.locator("[aria-current]").inner_text().split() == ["sad", "60"]
    wide.go_back()
    wide.wait_for_selector("#empty:not([hidden])")


def test_an_image_that_has_gone_is_told(wide: "Page", reviewed: Reviewed) -> None:
    for kind in ("thumbnail", "picture"):
        wide.route(f"**/{kind}/**", lambda route: route.fulfill(status=404, json={"error": "no longer there"}))
    opened(wide, reviewed)
    wide.wait_for_selector("#cell-0 .gone:not([hidden])")
    assert wide.locator("#cell-0 .gone").inner_text() == "cannot be shown"
    press(wide, "Space")
    wide.wait_for_selector("#enlarged-gone:not([hidden])")
    press(wide, "Space", "x")
    saved(wide, 1)


def test_hostile_names_stay_text(wide: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = draw_hostile_folder(tmp_path / "<b>bold<", NAMES, num_images=len(NAMES))
    with served_review(folder) as reviewed:
        opened(wide, reviewed)
        assert violations(wide) == []
        assert wide.locator("main script, .cell b, .cell img[onerror], h1 b").count() == 0
        assert wide.locator("h1").inner_text() == "Labels of <b>bold<"
        assert "\u202e" not in wide.locator("body").inner_text()
        longest = wide.locator(".cell .name", has_text="long").first
        assert "…" in longest.inner_text() and len(longest.get_attribute("title") or "") > 100
        press(wide, "Home", "c")
        press(wide, "-", "r", "Enter")
        saved(wide, 1)
        assert badges(wide, 1) == ["→ -rf"]


def test_of_more_than_nine_classes_any_is_found_by_typing(
    wide: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["constructor", *(f"mood {letter}" for letter in "abcdefghijk")]
    with served_review(draw_hostile_folder(tmp_path / "moods", names, num_images=3)) as reviewed:
        opened(wide, reviewed)
        seen = wide.locator("#legend .classes button:visible").all_inner_texts()
        assert seen[8:] == ["9\nmood h", "c\nAll 12 classes …"]
        press(wide, "c")
        wide.keyboard.type("mood k")
        press(wide, "Enter")
        saved(wide, 1)
        press(wide, "1")
        saved(wide, 2)
        assert badges(wide, 2) == ["→ mood k", "→ constructor"] and current(wide) == 2


def test_a_class_that_is_called_by_a_digit_has_that_key(wide: "Page", tmp_path: Path) -> None:
    with served_review(draw_hostile_folder(tmp_path / "digits", ["0", "1", "7", "none"], num_images=3)) as reviewed:
        opened(wide, reviewed)
        assert wide.locator("#legend .classes button").all_inner_texts() == ["0\n0", "1\n1", "7\n7", "2\nnone"]
        press(wide, "7", "2", "0", "3")
        saved(wide, 3)
        assert badges(wide, 3) == ["→ 7", "→ none", "→ 0"]


def test_space_enlarges_after_a_click_on_a_button(wide: "Page", reviewed: Reviewed) -> None:
    press(opened(wide, reviewed), "2")
    saved(wide, 1)
    wide.click("#undo")
    saved(wide, 0)
    wide.click("#queue-lists button[data-queue=class-1]")
    wide.wait_for_selector(".cell:not([aria-busy=true])")
    press(wide, "Space")
    assert wide.locator("#enlarged").is_visible()
    assert len(reviewed.rows()) == 2


def test_a_training_and_what_it_brought_are_shown(wide: "Page", reviewed: Reviewed) -> None:
    changed = [
        {
            "id": number,
            "path": f"happy/{number}.jpg",
            "version": "v",
            "label": "happy",
            "before": "happy",
            "after": "sad",
        }
        for number in range(3)
    ]
    result = {"run": "", "seconds": 3.21, "verdict": "Too few to tell.", "num_images": 30, "notes": ["A note."]}
    for kind in ("thumbnail", "picture"):
        wide.route(f"**/{kind}/**", lambda route: route.fulfill(body=JPEG, content_type="image/jpeg"))
    wide.route("**/train", lambda route: route.fulfill(status=202, json={}))
    opened(wide, reviewed)
    training(wide, stage="Features", done=20, total=100, lines=["120 images"])
    assert wide.locator("#train").inner_text() == "Train"
    wide.click("#train")
    wide.wait_for_selector("#training-progress:not([hidden])")
    assert wide.locator("#training-says").inner_text() == "Training. Features: 20 of 100"
    assert (
        wide.locator("#train").is_disabled() and wide.locator("#training-progress").evaluate("bar => bar.value") == 20
    )
    wide.route("**/training?", lambda route: route.abort())
    wide.wait_for_selector("#notice:not([hidden])")
    told_at_last = {**result, **SCORES, "changed": changed, "num_changed": 7}
    done = {"state": "done", "stage": "", "done": 0, "total": 0, "lines": [], "error": "", "result": told_at_last}
    wide.route("**/state?", lambda route: route.fulfill(json=route.fetch().json() | {"training": done}))
    training(wide, **done)
    wide.click("#show-result")
    assert wide.locator(".score p").all_inner_texts() == [
        "Before: 80% correct (95% interval 60% to 90%)",
        "After: 90% correct (95% interval 70% to 100%)",
    ]
    assert wide.locator("#verdict").inner_text() == "Too few to tell."
    assert wide.locator("#result-notes").inner_text() == "A note."
    assert "30 images" in wide.locator("#result-says").inner_text()
    assert wide.locator("#changed-title").inner_text() == "7 images with a changed prediction; the first 3"
    assert wide.locator("#changed button").all_inner_texts() == ["happy → sad"] * 3
    assert violations(wide) == []
    wide.locator("#changed button").nth(1).click()
    assert wide.locator("#enlarged-name").inner_text() == "happy/1.jpg"
    press(wide, "ArrowRight")
    assert wide.locator("#enlarged-name").inner_text() == "happy/2.jpg"


def test_a_real_training_ends_with_other_queues_and_can_be_saved(
    wide: "Page", small_run: "Run", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run.path, tmp_path / "run")
    with served_review(tmp_path / "run") as reviewed:
        press(opened(wide, reviewed), "2")
        saved(wide, 1)
        assert wide.locator("#train").inner_text() == "Train again"
        wide.click("#train")
        wide.wait_for_selector("#training-says:has-text('Training finished.')", timeout=60_000)
        said(wide, "Training finished.")
        wide.click("#show-result")
        assert wide.locator(".score").count() == 2
        assert "Not saved as a run yet." in wide.locator("#result-says").inner_text()
        press(wide, "Escape")
        wide.click("#save")
        wide.wait_for_selector("#save", state="hidden")
        wide.wait_for_selector("#training-says:has-text('Saved in runs/train.')", timeout=60_000)
        assert wide.locator("#save").is_hidden() and wide.locator("#path").inner_text() != str(reviewed.path)


def test_a_training_that_fails_says_why(wide: "Page", reviewed: Reviewed) -> None:
    wide.route("**/train", lambda route: route.fulfill(status=409, json={"error": "a training is running"}))
    opened(wide, reviewed)
    training(wide, state="failed", error="no class has enough images")
    wide.click("#train")
    wide.wait_for_selector("#training:not([hidden])")
    assert wide.locator("#training-says").inner_text() == "No class has enough images."
    assert wide.locator("#notice-text").inner_text() == "A training is running."
    assert wide.locator("#train").is_enabled()


def test_keys_go_to_what_is_typed_into(wide: "Page", reviewed: Reviewed) -> None:
    opened(wide, reviewed)
    press(wide, "/")
    wide.keyboard.type("x1k")
    time.sleep(0.1)
    assert reviewed.rows() == [] and wide.locator("#name").input_value() == "x1k"
