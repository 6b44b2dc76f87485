"""report.html in a browser: nothing runs, nothing is asked for, and everybody can read it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mien
from browsing import complaints_of, num_pages, violations
from conftest import draw_folder
from hostile_names import draw_hostile_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session", params=["plain", "hostile"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run, alone in a folder: all that it needs is in it."""
    folder = tmp_path_factory.mktemp(request.param)
    data = draw_folder(folder / "data", 12) if request.param == "plain" else draw_hostile_folder(folder / "data")
    run = mien.train(data, out=folder / "run")
    (folder / "alone").mkdir()
    return Path(shutil.copy(run.path / "report.html", folder / "alone"))


def test_a_report_is_quiet_and_everybody_can_read_it(page: "Page", report: Path) -> None:
    page.goto(report.as_uri())
    assert violations(page) == []


def test_a_report_needs_no_javascript_and_can_be_printed(browser: "Browser", report: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        assert "held-out images classified correctly" in page.locator("h1").inner_text()
        assert page.locator("main").is_visible() and num_pages(page) > 0


@pytest.mark.parametrize("report", ["plain"], indirect=True)
def test_the_tables_of_two_classes_fit_a_phone(browser: "Browser", report: Path) -> None:
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        tables = page.locator(".scroll").all()
        assert len(tables) > 5
        wide = "table => table.scrollWidth > table.clientWidth ? table.ariaLabel : ''"
        assert [found for table in tables if (found := table.evaluate(wide))] == []


def test_an_image_is_enlarged_with_its_caption_one_at_a_time_and_escape_closes_it(
    browser: "Browser", report: Path
) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        first, second = (page.locator(".gallery figure").nth(number) for number in (0, 1))
        small = first.locator("img").bounding_box()
        first.locator("button").click()
        large = first.locator("img").bounding_box()
        assert small and large and large["width"] > 1.5 * small["width"] and first.locator("figcaption").is_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        is_open = [figure.evaluate("figure => figure.matches(':popover-open')") for figure in (first, second)]
        assert is_open == [False, True]
        page.keyboard.press("Escape")
        assert second.locator("img").is_visible()
        assert not second.evaluate("figure => figure.matches(':popover-open')")


def test_what_is_wrong_with_a_page_is_found(page: "Page", tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        "<title>a</title><h1>one</h1><h3>three</h3><img src='data:,'><div style='width: 2000px'>wide</div>"
        "<p style='overflow: hidden; width: 20px'>hidden</p><a href='#a' style='outline: none'>link</a>"
    )
    page.goto((tmp_path / "page.html").as_uri())
    found = "\n".join(violations(page))
    for what in ("image-alt", "html-has-lang", "wide, the window", "cut: <p", "h3 after h1", "no visible focus: <a"):
        assert what in found


def test_what_a_page_complains_of_is_heard(browser: "Browser", tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        "<script>console.warn('careful'); alert(1)</script><script>nothing()</script><img src='http://example.invalid/a'>"
    )
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        complaints = complaints_of(page)
        page.goto((tmp_path / "page.html").as_uri())
    found = "\n".join(complaints)
    for what in ("careful", "dialog: 1", "nothing is not defined", "asks for http://example.invalid/a"):
        assert what in found
