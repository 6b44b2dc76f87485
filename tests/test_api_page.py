"""The page that describes the API: Swagger UI from the server's own address, under a policy."""

import re
from typing import TYPE_CHECKING

import pytest

from browsing import complaints_of
from conftest import draw_picture, encoded
from http_asking import app_of, ask
from serve_process import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from mien.jobs.finish import Run


def test_the_description_of_the_api_loads_nothing_from_elsewhere() -> None:
    app = app_of()
    page = ask(app, "GET", "/docs")
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    for path, kind in (("docs.js", "javascript"), ("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "css")):
        assert f'"docs/{path}"' in page.text
        file = ask(app, "GET", f"/docs/{path}")
        assert file.status_code == 200 and kind in file.headers["content-type"]
    assert "http" not in page.text and "<script>" not in page.text and "style=" not in page.text
    assert ask(app, "GET", "/docs/../server.py").status_code == 404


@pytest.mark.browser
def test_the_page_can_be_tried_out_under_its_policy(browser: "Browser", run: "Run") -> None:
    with served(run.path) as service, browser.new_context() as context:
        page = context.new_page()
        complaints = complaints_of(page)
        page.goto(f"http://127.0.0.1:{service.port}/docs")
        page.locator(".opblock-post .opblock-summary").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.locator("input[type=file]").set_input_files(
            {"name": "blobs.png", "mimeType": "image/png", "buffer": encoded(draw_picture(0), "PNG")}
        )
        page.get_by_role("button", name="Execute").click()
        page.wait_for_selector(".live-responses-table")
        assert re.search(r'"source": "blobs.png"', page.locator(".live-responses-table").inner_text())
    # Swagger UI has no input of its own for files in a list, and takes the common one.
    assert [text for text in complaints if "JsonSchema_string_binary" not in text] == []
