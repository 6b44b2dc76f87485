"""Hostile names, end to end: no command, file or screen takes a name for anything but a name."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conftest import Mien
from hostile_names import NAMES, draw_hostile_folder
from mien.config import TrainConfig
from mien.core.csv_tables import read_records
from mien.data.dataset import load_records

pytestmark = pytest.mark.medium

FORMULAS = re.compile(r'(^|[,;"\n])[=+@\t＝＋－＠-]')


@pytest.fixture
def command(command: Mien) -> Mien:
    """Run a command; whatever it prints must be safe for a terminal."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code, out, err = command(*arguments)
        assert {letter for letter in out + err if not letter.isprintable()} <= {"\n"}
        return code, out, err

    return run


def state(folder: Path) -> dict[bytes, bytes]:
    return {os.fsencode(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_check_names_every_class(command: Mien, tmp_path: Path) -> None:
    hostile = draw_hostile_folder(tmp_path / "data", num_images=2)
    code, out, _ = command("check", hostile)
    assert code == 0 and "[red]bold[not red]" in out and "\\u202egpj.exe" in out and "\\x1b[31mred\\x07" in out
    code, out, _ = command("check", hostile, "--json")
    assert code == 0 and json.loads(out)["classes"] == dict.fromkeys(sorted(NAMES), 2)


def test_clean_moves_files_and_brings_every_name_back(command: Mien, tmp_path: Path) -> None:
    folder = draw_hostile_folder(tmp_path / "data", num_images=2)
    for name in NAMES:
        (folder / name / f"{name[:60]}.png").write_bytes(b"<html>no image")
    before = state(folder)
    assert command("clean", folder, "--to", tmp_path / "aside")[0] == 0 and state(folder) == before
    code, *_ = command("clean", folder, "--to", tmp_path / "aside", "--apply")
    assert code == 0 and len(state(folder)) == len(before) - len(NAMES)
    assert command("clean", "--undo", tmp_path / "aside")[0] == 0 and state(folder) == before


@pytest.mark.parametrize(
    "class_names",
    [pytest.param(NAMES, marks=pytest.mark.slow), NAMES[:2], pytest.param(NAMES[4:7], marks=pytest.mark.slow)],
    ids=["many", "two", "three"],
)
def test_train_predict_evaluate_and_compare_take_a_name_for_a_name(
    command: Mien, small: TrainConfig, tmp_path: Path, class_names: list[str]
) -> None:
    folder = draw_hostile_folder(tmp_path / "data", class_names)
    run, other = tmp_path / "<b>run", tmp_path / "=run"
    for seed, path in enumerate((run, other)):
        assert command("train", folder, "--out", path, "--backbone", small.backbone.backbone, "--seed", seed)[0] == 0
    code, out, _ = command("predict", run, folder, "--json")
    assert code == 0 and {json.loads(line)["label"] for line in out.splitlines()} <= {*class_names, "unsure"}
    assert command("predict", run, folder, "--csv", tmp_path / "answers.csv")[0] == 0
    assert command("sort", run, folder, "--to", tmp_path / "sorted")[0] == 0
    before = state(folder)
    assert len(list((tmp_path / "sorted").glob("*/*"))) == len(before)
    assert command("sort", "--undo", tmp_path / "sorted")[0] == 0
    assert not (tmp_path / "sorted").exists() and state(folder) == before
    assert command("predict", run, "--about")[0] == 0
    assert command("evaluate", run)[0] == 0
    assert command("compare", run, other)[0] == 0
    assert {record.label for record in load_records(run / "manifest.csv")} == set(class_names)
    for table in (*run.glob("*.csv"), tmp_path / "answers.csv"):
        check_table(table, class_names)
    for name in ("config.json", "metrics.json"):
        json.loads((run / name).read_text("utf-8"))
    assert (run / "samples.png").read_bytes().startswith(b"\x89PNG")
    for name in ("confusion.svg", "reliability.svg"):
        assert ElementTree.fromstring((run / name).read_text("utf-8")).tag.endswith("svg")
    assert raw_html((run / "MODEL_CARD.md").read_text("utf-8")) == []
    check_report((run / "report.html").read_text("utf-8"))


def check_table(path: Path, class_names: list[str]) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    assert not FORMULAS.search(text), path.name
    # What tells Excel that it is in UTF-8.
    assert text.startswith("\ufeff") and text.count("\ufeff") == 1, path.name
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row in read_records(file):
            assert row["label"] in (*class_names, "unsure")
            assert row.get("path", f"{row['label']}/").startswith(f"{row['label']}/")


def raw_html(markdown: str) -> list[str]:
    """Return what a reader of Markdown would take for HTML, an image or a link made of a name."""
    outside = re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL)
    return re.findall(r"<[a-zA-Z/!][^>]*>|!?\[[^\]]*\]\(", outside)


class Tags(HTMLParser):
    """Collects what could run, be fetched, or have been made of a name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag] if tag in ("script", "iframe", "object", "embed", "base", "link") else []
        for name, value in attrs:
            links = name in ("src", "href") and not (value or "").startswith(("data:image/", "#"))
            self.found += [f"{tag} {name}={value}"] if name.startswith("on") or links else []


def check_report(html: str) -> None:
    tags = Tags()
    tags.feed(html)
    assert tags.found == []
    assert "\u202e" not in html and "\x1b" not in html and ">49<" not in html
