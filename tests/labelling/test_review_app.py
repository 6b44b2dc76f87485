"""The interface of the page: one person on this machine, and an error for everything else."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image

from http_asking import ask
from mien.data.decisions import load_decisions
from mien.labelling.app import create_review_app
from mien.labelling.opening import review_of
from mien.labelling.review import Review
from mien.labelling.work import Work


@pytest.fixture
def review(copied: Path) -> Iterator[Review]:
    """The review of a run of 24 images."""
    found = review_of(copied)
    yield found
    found.close()


@pytest.fixture
def app(review: Review) -> FastAPI:
    """The application of that review."""
    return create_review_app(review)


def first(app: FastAPI) -> dict[str, Any]:
    found: dict[str, Any] = ask(app, "GET", "/images?queue=class-0&count=1").json()["images"][0]
    return found


def test_the_page_and_its_files_are_served(app: FastAPI) -> None:
    page = ask(app, "GET", "/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name in ("base.css", "icon.svg"):
        assert ask(app, "GET", f"/page/{name}").status_code == 200


def test_a_decision_is_on_the_disk_when_it_is_answered(app: FastAPI, review: Review) -> None:
    image = first(app)
    answered = ask(app, "POST", "/decide", json={"ids": [image["id"]], "decision": "sad"})
    assert answered.json()["changed"] == [{"id": image["id"], "decision": "sad"}]
    assert load_decisions(review.journal.path) == {image["path"]: "sad"}
    assert ask(app, "GET", "/changes?revision=0").json()["num_decided"] == 1
    assert ask(app, "POST", "/undo").json()["num_decided"] == 0


@pytest.mark.parametrize(("kind", "side"), [("thumbnail", 320), ("picture", 1600)])
def test_images_come_as_jpegs_that_may_be_kept(app: FastAPI, kind: str, side: int) -> None:
    image = first(app)
    found = ask(app, "GET", f"/{kind}/{image['id']}/{image['version']}")
    assert "immutable" in found.headers["cache-control"]
    with Image.open(io.BytesIO(found.content)) as decoded:
        assert decoded.format == "JPEG" and max(decoded.size) <= side


def test_an_image_that_has_gone_is_told(app: FastAPI, review: Review, tmp_path: Path) -> None:
    image = first(app)
    review.dataset = type(review.dataset)(tmp_path, review.dataset.class_names, review.dataset.records)
    found = ask(app, "GET", f"/thumbnail/{image['id']}/{image['version']}")
    assert (found.status_code, found.json()) == (404, {"error": "file missing"})


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/state", {"headers": {"Host": "evil.example"}}, 403),
        ("POST", "/undo", {"headers": {"Origin": "http://evil.example"}}, 403),
        ("POST", "/decide", {"headers": {"Sec-Fetch-Site": "cross-site"}, "json": {"ids": [], "decision": ""}}, 403),
        ("POST", "/decide", {"json": {"ids": [1], "decision": "sad"}}, 422),
        ("POST", "/decide", {"json": {"ids": ["a"], "decision": "sad"}}, 422),
        ("POST", "/decide", {"json": {"ids": [0] * 1_000_001, "decision": "sad"}}, 422),
        ("POST", "/decide", {"content": b"{"}, 422),
        ("GET", "/images?queue=none", {}, 422),
        ("GET", "/images?queue=class-0&count=501", {}, 422),
        ("GET", "/thumbnail/1/a", {}, 422),
        ("GET", "/nothing", {}, 404),
        ("GET", "/../../etc/passwd", {}, 404),
        ("GET", "/docs", {}, 404),
    ],
)
def test_everything_else_is_refused_in_one_form(
    app: FastAPI, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    refused = ask(app, method, path, **options)
    assert (refused.status_code, [*refused.json()]) == (status, ["error"])


def test_a_journal_that_cannot_be_written_is_told_and_nothing_is_decided(app: FastAPI, review: Review) -> None:
    image = first(app)
    review.journal.path.write_text("path,decision,action,undoes\n")
    refused = ask(app, "POST", "/decide", json={"ids": [image["id"]], "decision": "sad"})
    assert refused.status_code == 507 and "another program" in refused.json()["error"]
    assert first(app)["decision"] == ""


def test_a_training_runs_alone_and_tells_what_came_of_it(app: FastAPI) -> None:
    assert ask(app, "POST", "/train").status_code == 202
    assert ask(app, "POST", "/train").status_code == 429
    deadline = time.monotonic() + 60
    while (told := ask(app, "GET", "/training").json())["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (told["state"], told["error"]) == ("done", "")
    assert told["result"]["num_images"] == told["result"]["after"]["num_images"] > 0
    assert ask(app, "GET", "/state").json()["training_revision"] == 1


def wait_for(work: Work) -> dict[str, Any]:
    while (told := work.to_dict())["state"] == "running":
        time.sleep(0.01)
    return told


def test_work_that_fails_says_why_and_the_next_can_begin(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()

    def fail() -> None:
        work.say("so far")
        raise ValueError("a secret")

    work.start(fail)
    told = wait_for(work)
    assert told["state"] == "failed" and told["lines"] == ["so far"]
    assert "secret" not in told["error"] and "a secret" in caplog.text
    work.start(lambda: None)
    assert wait_for(work)["state"] == "done"
