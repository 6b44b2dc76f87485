"""The notebooks: what git holds of them, the steps that they take, and what they show in the documentation."""

import ast
import itertools
import json
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest

import mien

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
# Those that `make docs` ran last.
EXECUTED = [REPOSITORY / "docs" / "_build" / "notebooks" / path.name for path in NOTEBOOKS]
# The steps that each is there for, in order.
TRAIN_STEPS = """
    samples.draw mien.scan mien.clean Image.open dataset.batches mien.plot_samples mien.split mien.build_cnn
    network.summary mien.fit mien.plot_history mien.evaluate mien.plot_confusion mien.verdict mien.plot_mistakes
    classifier.save fitted.model.save mien.load mien.train mien.explain
    mien.overlay mien.plot_reliability
""".split()
USE_STEPS = """
    samples.draw mien.load mien.predict mien.explain mien.predict mien.predict mien.FetchLimits mien.predict
""".split()
SCRATCH_STEPS = """
    samples.draw scratch.convolution scratch.gradient_error scratch.initial_weights mien.build_cnn tape.gradient
    scratch.network optimizer.apply scratch.learn model.train_on_batch scratch.accuracy
""".split()
# What only the machine that wrote a notebook has.
MACHINE = re.compile(r"(?<![\w.])(/(home|root|Users|tmp|var|opt|mnt|work|content)/|[A-Z]:\\)|file://|(\d+\.){3}\d+:\d+")


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


def code(path: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(path, "code"))


def called(path: Path) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(code(path))) if isinstance(node, ast.Call)]
    return [ast.unparse(call.func) for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset))]


def run(folder: Path, *names: str) -> None:
    """Run notebooks in a process of its own: here the network is off, and warnings are errors, in Jupyter too."""
    tool, paths = REPOSITORY / "tools" / "execute_notebooks.py", [REPOSITORY / "notebooks" / name for name in names]
    done = subprocess.run([sys.executable, tool, folder, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def shown(path: Path) -> dict[str, str]:
    """Return all that each code cell of a notebook shows, by the cell's name."""
    texts = {}
    for cell in cells(path, "code"):
        outputs = [output.get("text") or output["data"] for output in cell["outputs"]]
        texts[cell["id"]] = "\n".join("".join(o) if isinstance(o, list) else "".join(o["text/plain"]) for o in outputs)
    return texts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_a_notebook_imports_of_mien_is_there(path: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(code(path))) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if (node.module or "").split(".")[0] == "mien":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                assert find_spec(name) or hasattr(import_module(str(node.module)), alias.name), name


def test_there_are_three() -> None:
    assert [path.name for path in NOTEBOOKS] == ["from_scratch.ipynb", "train.ipynb", "use_model.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_git_holds_no_outputs_and_nothing_that_changes_by_itself(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    for cell in cells(path, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert {key for cell in document["cells"] for key in cell["metadata"]} == set()
    assert document["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_written_in_one_form(path: Path) -> None:
    text = path.read_text("utf-8")
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert text == nbformat.writes(notebook).rstrip("\n") + "\n"  # type: ignore[no-untyped-call]
    names = [cell["id"] for cell in notebook.cells]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z-]+", name) for name in names), "give a new cell a name of its own, in words"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_cell_names_a_place_of_one_machine(path: Path) -> None:
    assert not [cell["id"] for kind in ("code", "markdown") for cell in cells(path, kind) if found_in(cell)]


def found_in(cell: dict[str, Any]) -> bool:
    return bool(MACHINE.search("".join(cell["source"])))


@pytest.mark.parametrize("text", ["open('/home/ann/x')", r"C:\photos", "http://127.0.0.1:8888/tree", "see /tmp/x"])
def test_places_of_one_machine_are_found(text: str) -> None:
    assert MACHINE.search(text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_cell_is_introduced_and_none_is_long(path: Path) -> None:
    kinds = [cell["cell_type"] for cell in json.loads(path.read_text("utf-8"))["cells"]]
    assert kinds[0] == "markdown"
    assert all(before == "markdown" for before, kind in itertools.pairwise(kinds) if kind == "code")
    sources = ["".join(cell["source"]) for cell in cells(path, "code")]
    assert max(source.count("\n") for source in sources) < 20
    assert max(len(line) for source in sources for line in source.splitlines()) <= 100
    assert sum(source.startswith("DATA = ") or "\nDATA = " in source for source in sources) == 1


@pytest.mark.parametrize(
    ("name", "steps"),
    [("train.ipynb", TRAIN_STEPS), ("use_model.ipynb", USE_STEPS), ("from_scratch.ipynb", SCRATCH_STEPS)],
)
def test_a_notebook_takes_its_steps_in_order(name: str, steps: list[str]) -> None:
    calls = iter(called(REPOSITORY / "notebooks" / name))
    # `in` goes on from where the step before was found.
    assert [step for step in steps if step not in calls] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_uses_public_names_alone_but_for_the_drawn_people(path: Path) -> None:
    source = code(path).replace("from mien.data import samples\n", "", 1)
    assert set(re.findall(r"\bmien\.(\w+)", source)) <= set(mien.__all__)
    imported = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert {module for module in imported if module and module.startswith("mien.")} == set()


@pytest.mark.site
@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.name)
def test_the_site_shows_what_a_notebook_draws_and_no_warning(path: Path) -> None:
    outputs = [output for cell in cells(path, "code") for output in cell["outputs"]]
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert "WARNING" not in json.dumps(outputs)
    # A figure that only shows its name has no image.
    plots = [o for o in outputs if re.search("Figure|Sheet|image mode", str(o.get("data", {}).get("text/plain")))]
    assert len(plots) >= 2
    assert all({"image/png", "image/svg+xml", "image/jpeg"} & plot["data"].keys() for plot in plots)


@pytest.mark.site
def test_the_site_shows_what_the_notebooks_say() -> None:
    scratch, train, use = (shown(path) for path in EXECUTED)
    # What is checked there fails the build by itself. The network is better than chance, whatever the luck.
    (low,) = re.findall(r"NumPy .*interval (\d+)%", scratch["score"])
    assert int(low) > 50
    assert "(32, 256, 256, 3) uint8" in train["batch"]
    assert train["same-split"] == "True"
    assert "3,696,625" in re.sub(r"\x1b\[[\d;]*m", "", train["build"])
    assert train["evaluate"].count("95% interval") == 2
    assert "not a public address" in use["refused"]
    assert use["url"] == use["predict"]
    assert use["bad"].startswith("not-a-photo.jpg - text, not an image")
    assert len(use["folder"].splitlines()) == 12


@pytest.mark.slow
def test_a_cell_that_fails_fails_the_run(tmp_path: Path) -> None:
    notebook = json.loads((REPOSITORY / "notebooks" / "use_model.ipynb").read_text("utf-8"))
    notebook["cells"][2]["source"] = ["import mien\n", "mien.load('nowhere')"]
    broken = tmp_path / "broken.ipynb"
    broken.write_text(json.dumps(notebook))
    with pytest.raises(AssertionError, match="no classifier at 'nowhere'"):
        run(tmp_path / "out", str(broken))
