"""The files of the page: each is served, kept by browsers until it changes, and nothing beside them can be had."""

import asyncio
import re
from importlib.resources import files
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette

from browsing import complaints_of
from conftest import draw_image, encoded
from http_asking import app_of, ask
from mien.serving.static import page_routes
from serve_process import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from mien.runs.run import Run

FOLDER = files("mien.serving") / "page"


def asked(path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=list(page_routes())))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(
                method, path, headers={name.replace("_", "-"): headers[name] for name in headers}
            )

    return asyncio.run(ask())


def test_the_page_and_all_that_it_names_is_served_as_what_it_is() -> None:
    page = asked("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    named = re.findall(r'(?:href|src)="(page/[^"]+)"', page.text)
    assert len(named) == 4
    for name in named:
        assert asked(f"/{name}").headers["content-type"].startswith(kinds[name.rpartition(".")[2]])


def test_what_the_scripts_import_is_served() -> None:
    waiting, seen = ["serve.js"], set[str]()
    while waiting:
        name = waiting.pop()
        response = asked(f"/page/{name}")
        assert response.status_code == 200, name
        seen.add(name)
        waiting += set(re.findall(r'from "\./([^"]+)"', response.text)) - seen
    assert {"serve.js", "queue.js", "csv_table.js"} <= seen


def test_what_a_browser_has_already_is_not_sent_again() -> None:
    tag = asked("/page/serve.js").headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = asked("/page/serve.js", If_None_Match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    changed = asked("/page/serve.js", If_None_Match='"other"')
    assert changed.status_code == 200 and changed.content == (FOLDER / "serve.js").read_bytes()


def test_a_browser_asks_each_time_whether_something_changed() -> None:
    assert asked("/").headers["cache-control"] == "no-cache"
    assert asked("/").headers["etag"] != asked("/page/serve.js").headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/page/report.css",
        "/page/report.html.jinja",
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/serve.html",
    ],
)
def test_nothing_beside_them_can_be_had(path: str) -> None:
    assert asked(path).status_code == 404


def test_they_can_be_asked_about_and_not_changed() -> None:
    head = asked("/page/serve.css", method="HEAD")
    assert head.content == b"" and int(head.headers["content-length"]) == len((FOLDER / "serve.css").read_bytes())
    assert asked("/page/serve.css", method="POST").status_code == 405


def test_the_page_has_no_script_or_style_within_itself() -> None:
    html = (FOLDER / "serve.html").read_text("utf-8")
    assert "<style" not in html and not re.search(r"\s(style|on\w+)=", html)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL) == [""]


def test_the_scripts_never_make_markup_of_text() -> None:
    scripts = "".join(path.read_text("utf-8") for path in FOLDER.iterdir() if path.name.endswith(".js"))
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts) == []


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
            {"name": "blobs.png", "mimeType": "image/png", "buffer": encoded(draw_image(0), "PNG")}
        )
        page.get_by_role("button", name="Execute").click()
        page.wait_for_selector(".live-responses-table")
        assert re.search(r'"source": "blobs.png"', page.locator(".live-responses-table").inner_text())
    # Swagger UI has no input of its own for files in a list, and takes the common one.
    assert [text for text in complaints if "JsonSchema_string_binary" not in text] == []
