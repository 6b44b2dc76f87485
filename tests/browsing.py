"""A browser for tests: Chromium without the network, and what must hold for every page that mien makes."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request

AXE_PATH = Path(__file__).parent / "browser" / "node_modules" / "axe-core" / "axe.min.js"
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
_AXE_RUN = """async () => (await axe.run(document, {runOnly: [
    "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})).violations.flatMap(
    found => found.nodes.map(node => `${found.id}: ${found.help}: ${node.target} ${node.html.slice(0, 120)}`))"""
# A card that was never on screen has a place by estimate, and seems to lie over others: each is shown once.
_SCROLL_THROUGH = """async () => {
    for (let top = 0; top < document.body.scrollHeight; top += innerHeight / 2) {
        scrollTo({top, behavior: "instant"});
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    }
    scrollTo({top: 0, behavior: "instant"});
}"""
_LAYOUT = """() => {
    const told = [], root = document.scrollingElement;
    if (root.scrollWidth > innerWidth) told.push(`the page is ${root.scrollWidth} wide, the window ${innerWidth}`);
    for (const element of document.body.querySelectorAll("*")) {
        const style = getComputedStyle(element);
        // A name may end in an ellipsis if its title is the whole name.
        const isTold = style.textOverflow === "ellipsis" && element.title;
        const hides = ["hidden", "clip"].includes(style.overflowX) && !isTold;
        // What is one pixel wide is meant for screen readers alone.
        if (hides && element.clientWidth > 1 && element.scrollWidth > element.clientWidth + 1)
            told.push(`cut: ${element.outerHTML.slice(0, 120)}`);
    }
    let level = 0;
    for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
        const next = Number(heading.tagName[1]);
        if (next > level + 1) told.push(`h${next} after h${level}: ${heading.textContent.trim()}`);
        level = next;
    }
    return told;
}"""
_FOCUSED = """() => {
    const element = document.activeElement, style = getComputedStyle(element);
    const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
    return element === document.body ? null : (shown ? "" : "no visible focus: ") + element.outerHTML.slice(0, 120);
}"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what needs a browser last: once Playwright has begun, no event loop but its own can run."""
    items.sort(key=lambda item: "browser" in item.keywords)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Callable[..., "Browser"]]:
    """Start Chromium, as the system has it, with further arguments; a test that needs it fails where it is missing."""
    from playwright.sync_api import sync_playwright

    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    path = next(found, None)
    if path is None or not AXE_PATH.exists():
        pytest.fail("Chromium or axe-core is missing: type make browser")
    # Chromium's own sandbox refuses to work for root.
    own = ["--no-sandbox"] if sys.platform != "win32" and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        yield lambda *arguments: playwright.chromium.launch(executable_path=path, args=[*own, *arguments])


@pytest.fixture(scope="session")
def browser(chromium: Callable[..., "Browser"]) -> Iterator["Browser"]:
    """Chromium, without more."""
    with chromium() as started:
        yield started


@pytest.fixture(params=LOOKS, ids=[f"{scheme}-{width}" for scheme, width in LOOKS])
def page(browser: "Browser", request: pytest.FixtureRequest) -> Iterator["Page"]:
    """An empty page, light and dark, wide and on a phone; it may complain of nothing, and ask nobody for anything."""
    color_scheme, width = request.param
    with browser.new_context(color_scheme=color_scheme, viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        complaints = complaints_of(page)
        yield page
        assert complaints == []


def complaints_of(page: "Page") -> list[str]:
    """Return a list that grows from now on: errors and warnings of the console, dialogs, and requests to elsewhere."""
    complaints: list[str] = []

    def refuse(dialog: "Dialog") -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", lambda said: complaints.extend([said.text] if said.type in ("error", "warning") else []))
    page.on("pageerror", lambda error: complaints.extend([str(error)]))
    page.on("dialog", refuse)
    page.on("request", lambda asked: complaints.extend(_elsewhere(asked)))
    return complaints


def violations(page: "Page") -> list[str]:
    """Return what axe-core finds against WCAG 2 A and AA and its best practices, and what is wrong with the layout.

    No page may scroll sideways, cut off a text that has no title, leave out a level of headings, or hide where the
    focus is.
    """
    page.evaluate(_SCROLL_THROUGH)
    page.evaluate(AXE_PATH.read_text("utf-8"))
    found: list[str] = page.evaluate(_AXE_RUN)
    return [*found, *page.evaluate(_LAYOUT), *_unseen_focus(page)]


def num_pages(page: "Page") -> int:
    """Return how many sheets of paper a page comes to in print."""
    return page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")


def _unseen_focus(page: "Page") -> Iterator[str]:
    """Go through the page by the tab key; yield what has the focus and does not show it."""
    seen = set()
    while True:
        page.keyboard.press("Tab")
        told = page.evaluate(_FOCUSED)
        if told is None or told in seen:
            return
        seen.add(told)
        if told.startswith("no visible focus"):
            yield told


def _elsewhere(request: "Request") -> list[str]:
    """Return the address of what is asked for, if that is neither in the page, nor a file, nor on this machine."""
    parts = urlsplit(request.url)
    is_here = parts.scheme in ("data", "blob", "file") or parts.hostname == "127.0.0.1"
    return [] if is_here else [f"asks for {request.url}"]
