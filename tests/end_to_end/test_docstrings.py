"""The examples in the docstrings: every one is run, in a folder with photos and a run."""

import doctest
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import mien
from conftest import draw_folder

MODULES = sorted(found.name for found in walk_packages(mien.__path__, "mien.") if not found.name.endswith("__main__"))
WITH_EXAMPLES = {
    "mien.config",
    "mien.core.scores",
    "mien.core.text",
    "mien.data.cleaning",
    "mien.data.scanning",
    "mien.data.splitting",
    "mien.fetching.intake",
    "mien.jobs.check",
    "mien.jobs.compare",
    "mien.jobs.train",
    "mien.learning.fitting",
    "mien.model.classifier",
    "mien.model.explanation",
    "mien.model.prediction",
    "mien.runs.charts",
    "mien.runs.contact_sheets",
    "mien.runs.figures",
    "mien.runs.report",
    "mien.scoring.evaluation",
    "mien.scoring.label_issues",
    "mien.scoring.paired",
    "mien.serving.access_log",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    draw_folder(folder / "data", 12)
    (folder / "notes.txt").write_text("no image")
    mien.train(folder / "data", out=folder / "runs" / "train")
    mien.train(folder / "data", out=folder / "runs" / "train2")
    return folder


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_are_true(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.chdir(folder)
    found = doctest.testmod(import_module(module), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert (found.attempted > 0) == (module in WITH_EXAMPLES)
