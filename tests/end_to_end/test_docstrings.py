"""The examples in the docstrings: every one is run, in a folder with photos and a run."""

import doctest
import shutil
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import pytest

import mien
from conftest import draw_folder

if TYPE_CHECKING:
    from mien.runs.run import Run

MODULES = sorted(found.name for found in walk_packages(mien.__path__, "mien.") if not found.name.endswith("__main__"))
WITH_EXAMPLES = {
    "mien.config",
    "mien.core.kinds",
    "mien.core.scores",
    "mien.core.text",
    "mien.data.cleaning",
    "mien.data.near_copies",
    "mien.data.scanning",
    "mien.data.splitting",
    "mien.exports.exporting",
    "mien.fetching.intake",
    "mien.jobs.check",
    "mien.jobs.compare",
    "mien.jobs.evaluate",
    "mien.jobs.next_images",
    "mien.jobs.train",
    "mien.layouts.layout",
    "mien.layouts.words",
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
    "mien.scoring.results",
    "mien.serving.access_log",
}


WITH_KERAS = {
    "mien.exports.keras_graph",
    "mien.exports.litert",
    *(f"mien.learning.{name}" for name in ("best", "deep", "networks", "training")),
}


@pytest.fixture(scope="module")
def folder(run: "Run", data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(data, folder / "data")
    draw_folder(folder / "unlabelled", 2, first_seed=5000)
    draw_folder(folder / "new", 2, first_seed=6000)
    (folder / "notes.txt").write_text("no image")
    for name in ("train", "train2"):
        shutil.copytree(run.path, folder / "runs" / name)
    return folder


@pytest.mark.medium
@pytest.mark.parametrize(
    "module",
    [
        *sorted(WITH_EXAMPLES - {"mien.learning.fitting"}),
        # Trains, as the example of `mien.train` does.
        pytest.param("mien.learning.fitting", marks=pytest.mark.slow),
    ],
)
def test_the_examples_of_a_module_are_true(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.chdir(folder)
    found = doctest.testmod(import_module(module), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.medium
@pytest.mark.parametrize("module", [name for name in MODULES if name not in WITH_KERAS])
def test_which_modules_have_examples_is_known(module: str) -> None:
    assert has_examples(module) == (module in WITH_EXAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(WITH_KERAS))
def test_which_modules_with_keras_have_examples_is_known(module: str) -> None:
    assert has_examples(module) == (module in WITH_EXAMPLES)


def has_examples(module: str) -> bool:
    return any(test.examples for test in doctest.DocTestFinder().find(import_module(module)))
