"""The examples in the docstrings: every one is run, in a folder with photos and a run."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import mien
from conftest import draw_folder

MODULES = sorted(path.stem for path in Path(mien.__file__).parent.glob("*.py") if path.stem != "__main__")
WITH_EXAMPLES = {
    "access_log",
    "scanning",
    "cleaning",
    "comparison",
    "config",
    "pairs",
    "splitting",
    "fitting",
    "evaluation",
    "charts",
    "explanation",
    "figures",
    "checking",
    "reporting",
    "classifier",
    "prediction",
    "pipeline",
    "intake",
    "safe_names",
    "scores",
    "suspects",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    draw_folder(folder / "data", 12)
    (folder / "notes.txt").write_text("no picture")
    mien.train(folder / "data", out=folder / "runs" / "train")
    mien.train(folder / "data", out=folder / "runs" / "train2")
    return folder


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_are_true(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.chdir(folder)
    name = "mien" if module == "__init__" else f"mien.{module}"
    found = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert (found.attempted > 0) == (module in WITH_EXAMPLES)
