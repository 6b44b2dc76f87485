"""The report: one page, whole by itself and in order, that any name leaves intact and that says what is missing."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import mien
from conftest import draw_image, save_image
from mien.config import TrainConfig
from mien.core.progress import Silence
from mien.core.text import as_percent
from mien.errors import OutputError, SourceNotFoundError
from mien.runs.charts import plot_learning_curve
from mien.runs.report import _TITLES, render, report, shown
from mien.runs.run import Run, load_run
from mien.scoring.results import Scores, percent
from mien.scoring.verdict import judge_learning_curve

VOID = {"meta", "img", "br", "wbr", "link", "hr", "input"}
ROOT = Path(mien.__file__).parent.parent.parent
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted' & <b>bold",
    "שלום \u202eturned",
    "x" * 240,
    "{{ 7 * 7 }} {% raw %}",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "undecodable \udcff",
    "line\nline\x1b[31m",
)


class Page(HTMLParser):
    """What a browser would make of a page: its elements, its text, and whether all that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.headings: list[tuple[int, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            level, words = self.headings[-1]
            self.headings[-1] = (level, words + data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(run_dir: Path) -> Page:
    return Page((run_dir / "report.html").read_text("utf-8"))


def test_a_training_writes_the_report_that_can_be_written_anew(run: Run, copied: Path) -> None:
    (copied / "report.html").write_text("spoilt")
    assert report(copied) == copied / "report.html"
    # But for the images, which the training had in memory.
    anew, before = (re.sub('base64,[^"]+', "", (f / "report.html").read_text("utf-8")) for f in (copied, run.path))
    assert anew == before


def test_all_that_opens_is_closed_and_no_id_is_there_twice(run: Run) -> None:
    page = page_of(run.path)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert page.open == []
    assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_else_and_runs_nothing(run: Run) -> None:
    page = page_of(run.path)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not {"script", "iframe", "object", "embed", "link", "form", "base"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert attributes.get("src", "data:").startswith("data:image/jpeg;base64,") or "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    css = re.search("<style>(.*?)</style>", (run.path / "report.html").read_text("utf-8"), re.DOTALL)
    assert css and "url(" not in css[1] and "@import" not in css[1]


def test_the_style_is_the_one_that_the_policy_allows(run: Run) -> None:
    import base64
    import hashlib

    text = (run.path / "report.html").read_text("utf-8")
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in text[: style.start()]


def test_every_link_leads_somewhere_and_every_label_is_there(run: Run) -> None:
    page = page_of(run.path)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= ids
    for _, attributes in page.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= ids


def test_the_sections_stand_in_order_and_no_heading_skips_a_level(run: Run) -> None:
    headings = page_of(run.path).headings
    assert [words for level, words in headings if level == 2] == [
        "What it means, and what to do next",
        "The most confident mistakes",
        "Data",
        "Training",
        "Scores",
        "Where it looked",
        "How it was trained",
    ]
    levels = [level for level, _ in headings]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_headings_with_a_scope(run: Run) -> None:
    page = page_of(run.path)
    assert len(page.all("table")) == len(page.all("caption")) > 4
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))


def test_every_image_says_what_it_is(run: Run) -> None:
    alts = [image["alt"] for image in page_of(run.path).all("img")]
    assert len(alts) > 20
    assert all(re.match(r"(happy|sad)/\d\d\.jpg, labelled (happy|sad)", alt) for alt in alts)


def test_the_first_sentence_has_the_numbers_of_the_run(run: Run) -> None:
    page, judged = page_of(run.path), run.scores.out_of_fold
    assert judged
    num_right = sum(row[place] for place, row in enumerate(judged.confusion))
    text = " ".join(page.text.split())
    told = f"{num_right} of {judged.accuracy.num_images} held-out images classified correctly"
    assert page.headings[0][1] == told
    assert f"95% interval {judged.accuracy.low:.0%} to {judged.accuracy.high:.0%}" in text
    assert f"always guessing {judged.baseline_label!r} ({judged.baseline.value:.0%})" in text
    for finding in run.findings:
        assert finding.text in text and finding.advice in text


def test_the_worst_mistake_is_shown_with_its_probability(run: Run) -> None:
    rows = csv.DictReader((run.path / "out_of_fold.csv").read_text("utf-8-sig").splitlines())
    wrong = [row for row in rows if row["predicted"] != row["label"]]
    worst = max(wrong, key=lambda row: float(row[f"prob_{row['predicted']}"]))
    told = f"{worst['path']}, labelled {worst['label']}, predicted {worst['predicted']} with "
    probability = as_percent(float(worst[f"prob_{worst['predicted']}"]))
    assert f"{told}{probability}" in [image["alt"] for image in page_of(run.path).all("img")]


@pytest.mark.medium
@pytest.mark.parametrize("place", [0, pytest.param(4, marks=pytest.mark.slow)])
def test_hostile_names_leave_the_page_intact(tmp_path: Path, place: int, small: TrainConfig) -> None:
    class_names = [name.replace("/", "\\") for name in HOSTILE[place : place + 4]]
    for number, label in enumerate(class_names):
        for serial in range(12):
            name = f"{HOSTILE[serial % len(HOSTILE)].replace('/', '')[:200]}{serial}.jpg"
            save_image(tmp_path / "data" / label / name, draw_image(100 * number + serial))
    run = mien.train(tmp_path / "data", small, out=tmp_path / "run")
    text, plain = (run.path / "report.html").read_text("utf-8"), page_of(run.path)
    assert plain.open == []
    assert [words for level, words in plain.headings if level == 2][-1] == "How it was trained"
    assert {"script", "b"} & {tag for tag, _ in plain.elements} == set()
    assert "\u202e" not in text and "\x1b" not in text
    assert "{{ 7 * 7 }} {% raw %}" in plain.text
    for label in class_names:
        assert str(shown(label))[:30] in plain.text


def test_text_keeps_its_letters_and_loses_what_is_none() -> None:
    assert shown("é שלום \U0001f468\u200d\U0001f469") == "é שלום \U0001f468\u200d\U0001f469"
    assert shown("a\u202eb\udcff\x1b\0") == "a\\u202eb\\udcff\\x1b\\x00"


def test_photos_that_have_gone_or_changed_are_said_to_be(copied: Path, data: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "data": str(moved)}))
    (moved / "happy" / "00.jpg").unlink()
    save_image(moved / "sad" / "00.jpg", draw_image(999))
    page = Page(report(copied).read_text("utf-8"))
    words = [found["aria-label"] for found in page.all("span") if "gone" in found.get("class", "")]
    assert any(said.startswith("happy/00.jpg") and said.endswith("file missing") for said in words)
    assert any(said.startswith("sad/00.jpg") and said.endswith("file changed") for said in words)
    shutil.rmtree(moved)
    (copied / "report.html").unlink()
    assert not Page(report(copied).read_text("utf-8")).all("img")


def test_parts_that_are_missing_are_left_out_with_a_word(copied: Path) -> None:
    (copied / "predictions.csv").unlink()
    (copied / "out_of_fold.csv").unlink()
    assert "predictions.csv is missing" in Page(report(copied).read_text("utf-8")).text


def test_an_unfinished_run_has_no_report(copied: Path) -> None:
    (copied / "metrics.json").unlink()
    (copied / "report.html").unlink()
    data = json.loads((copied / "config.json").read_text("utf-8"))["data"]
    with pytest.raises(SourceNotFoundError, match=f"To finish it: mien train {data} --out {copied} --resume"):
        report(copied)
    assert not (copied / "report.html").exists()


def test_the_curves_mark_the_best_epoch(copied: Path) -> None:
    rows = ["epoch,loss,accuracy,val_loss,val_accuracy,seconds", "1,0.7,0.5,0.6,0.5,1.5", "2,0.5,0.8,0.7,0.6,1.5"]
    (copied / "history.csv").write_text("\n".join(rows))
    page = Page(report(copied).read_text("utf-8"))
    assert "Trained for 2 epochs. Epoch 1 was best" in page.text
    assert "Its weights were kept." in page.text
    assert "Loss by epoch" in page.text and "1, best" in page.text and "3 s for 2 epochs" in page.text


def test_weights_that_are_of_no_epoch_are_not_called_so(copied: Path) -> None:
    rows = ["epoch,loss,accuracy,val_loss,val_accuracy,seconds", "1,0.7,0.5,0.6,0.5,1.5"]
    (copied / "history.csv").write_text("\n".join(rows))
    metrics = json.loads((copied / "metrics.json").read_text())
    losses = {"frozen": 0.4, "half-way": 0.5, "finetuned": 0.6}
    accuracies = {"frozen": 0.8, "half-way": 0.7, "finetuned": 0.6}
    metrics["training"] |= {"kept": "frozen", "val_images": 9, "val_loss": losses, "val_accuracy": accuracies}
    (copied / "metrics.json").write_text(json.dumps(metrics))
    text = Page(report(copied).read_text("utf-8")).text
    assert "Its weights were kept" not in text
    assert "The training kept the pretrained backbone with a linear head, for the lowest loss on 9 validation" in text


def test_a_page_with_photos_is_not_lost_with_them(run: Run, copied: Path, tmp_path: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"data": str(tmp_path / "gone")}))
    before = (copied / "report.html").read_bytes()
    with pytest.raises(SourceNotFoundError, match="the photos are no longer in"):
        report(copied)
    assert (copied / "report.html").read_bytes() == before
    (copied / "report.html").unlink()
    assert "file missing" in report(copied).read_text("utf-8")


def test_a_network_without_its_history_says_so(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["fit"]["method"] = "cnn"
    (copied / "config.json").write_text(json.dumps(config))
    assert "history.csv is missing" in Page(report(copied).read_text("utf-8")).text


@pytest.mark.parametrize("kept", ["fast", "finetuned"])
def test_what_the_preset_best_tried_is_listed_and_needs_no_epochs(copied: Path, kept: str) -> None:
    config, metrics = (json.loads((copied / name).read_text()) for name in ("config.json", "metrics.json"))
    config["fit"]["method"] = "finetune"
    metrics["training"]["selection"] = {
        "kept": kept,
        "losses": {"fast": 0.266, "finetuned": 0.437},
        "accuracies": {"fast": 0.9, "finetuned": 0.82},
        "standard_errors": {"fast": 0.0, "finetuned": 0.055},
        "num_images": 206,
    }
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "metrics.json").write_text(json.dumps(metrics))
    text = Page(report(copied).read_text("utf-8")).text
    assert "the linear head (preset fast)" in text and "0.266" in text and "82%" in text and "0.055" in text
    assert ("history.csv is missing" in text) == (kept == "finetuned")


def test_very_many_classes_are_listed_and_not_drawn_as_a_matrix(run: Run) -> None:
    found = load_run(run.path)
    names = tuple(f"class {number:03}" for number in range(30))
    confusion = tuple(tuple(5 if row == column else int(column == 3) for column in range(30)) for row in range(30))
    judged = replace(found.scores.judged, class_names=names, confusion=confusion)
    facts: Any = type("Facts", (), {"class_names": names, "facts": found.classifier.facts})
    page = Page(
        render(
            replace(found, scores=Scores(judged), classifier=facts, test_predictions=None, out_of_fold_predictions=None)
        )
    )
    assert not any("matrix" in table.get("class", "") for table in page.all("table"))
    assert "30 classes with 0 to 0 used images each" in page.text
    assert "The most frequent mistakes" in page.text


@pytest.mark.slow
@pytest.mark.medium
@pytest.mark.parametrize("error", [OutputError("no room"), KeyError("no room")])
def test_a_report_that_cannot_be_written_loses_no_run(
    data: Path, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> Path:
        raise error

    said: list[str] = []

    class Heard(Silence):
        def say(self, text: str) -> None:
            said.append(text)

    monkeypatch.setattr("mien.runs.saving.write_report", full)
    run = mien.train(data, small, out=tmp_path / "run", progress=Heard())
    assert mien.load(run.path).class_names == ("happy", "sad")
    assert (run.path / "metrics.json").exists()
    assert "no room" in said[-1] and f"To try again: mien report {run.path}" in said[-1]


def test_a_percentage_is_never_rounded_to_all_or_nothing() -> None:
    shares = {0.0: "0%", 0.0004: "0.1%", 0.004: "0.4%", 0.5: "50%", 0.994: "99%", 0.99996: "99.9%", 1.0: "100%"}
    assert {share: percent(share) for share in shares} == shares


def test_the_command_writes_the_page_and_opens_it_where_asked(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mien.cli.run_commands import report as command

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    command(copied)
    assert (capsys.readouterr().out.strip(), opened) == (str(copied / "report.html"), [])
    command(copied, open=True)
    assert opened == [(copied / "report.html").as_uri()]


@pytest.mark.medium
def test_the_wheel_holds_the_page(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as files:
        assert {"mien/runs/page/report.html.jinja", "mien/runs/page/report.css", "mien/core/base.css"} <= set(
            files.namelist()
        )


def test_where_nothing_has_judged_the_labels_the_page_says_so(run: Run) -> None:
    found = replace(load_run(run.path), label_issues=())
    assert "None found." in Page(render(found)).text
    config = replace(found.config, fit=replace(found.config.fit, method="cnn"))
    alone = replace(found, config=config, scores=Scores(found.scores.test))
    assert "Not checked: a network trained from scratch" in Page(render(alone)).text


def test_the_learning_curve_is_drawn_below_what_it_means(run: Run) -> None:
    text = Page(render(run)).text
    curve = run.scores.learning_curve
    assert curve is not None
    (finding,) = judge_learning_curve(curve)
    assert finding in run.findings and finding.text in text
    assert "after training on fewer others" in text
    assert plot_learning_curve(curve).__html__() in render(run)
    without = replace(run, scores=replace(run.scores, learning_curve=None))
    assert "training on fewer" not in Page(render(without)).text


def test_every_finding_has_a_title_of_its_own() -> None:
    source = (Path(mien.__file__).parent / "scoring" / "verdict.py").read_text("utf-8")
    kinds = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    assert {"fine", "stopped_in_time"} < kinds <= _TITLES.keys()
