"""What loads what: a command that must start at once loads nothing heavy. `make check` holds the order of the rooms.

And what is used of other projects: only what they show.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import mien

HEAVY = {
    "keras",
    "tensorflow",
    "onnxruntime",
    "matplotlib",
    "cv2",
    "scipy",
    "sklearn",
    "onnx",
    "httpx",
    "fastapi",
    "uvicorn",
    "ray",
}

ROOT = Path(__file__).parents[1]
# Documented by Python, underscore and all.
ALLOWED = ("os._exit", "sys._getframe", "._replace")
PRIVATE = re.compile(r"(^|\.)_(?!_)")


def modules_loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.medium
@pytest.mark.parametrize(
    "statement",
    [
        "import mien",
        "import mien.cli.main",
        "import mien.data.scanning, mien.data.cleaning, mien.data.splitting, mien.model.prediction",
        "import mien.jobs.train",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_used(statement: str) -> None:
    assert modules_loaded_by(statement) & HEAVY == set()


@pytest.mark.medium
@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["train", "--help"], ["next", "--help"], ["sort", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    statement = f"from mien.cli.main import app\ntry: app({arguments})\nexcept SystemExit: pass"
    assert modules_loaded_by(statement) & (HEAVY | {"PIL", "numpy"}) == set()


@pytest.mark.medium
def test_the_public_names_are_what_the_package_shows() -> None:
    for name in mien.__all__:
        if name not in {"build_cnn", "fit"}:
            assert getattr(mien, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mien.nonsense  # type: ignore[attr-defined]


@pytest.mark.medium
def test_importing_does_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import mien, mien.cli.main, mien.jobs.train, mien.model.prediction"],
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    assert (done.stdout, done.stderr, list(tmp_path.iterdir())) == (b"", b"", [])


def names_imported(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield whatever a module imports, such as "numpy.random.Generator", and what the module calls it."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname or alias.name.split(".")[0]) for alias in node.names)


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def names_defined(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr


def private_names_of_others(nodes: Sequence[ast.AST], own_modules: set[str], own_names: set[str]) -> Iterator[str]:
    """Yield what a module takes from another project although it begins with an underscore."""
    imported = [(name, called) for name, called in names_imported(nodes) if name.split(".")[0] not in own_modules]
    yield from (name for name, _ in imported if PRIVATE.search(name))
    others = {called for _, called in imported}
    for node in nodes:
        if isinstance(node, ast.Attribute) and PRIVATE.match(node.attr):
            text = ast.unparse(node)
            if node.attr not in own_names or text.split(".")[0] in others:
                yield text


@pytest.mark.medium
def test_no_name_that_begins_with_an_underscore_is_used_of_another_project() -> None:
    folders = [ROOT / name for name in ("src", "tests", "tools", "benchmarks")]
    paths = [*(ROOT / "docs").glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    modules = {path: [*ast.walk(ast.parse(path.read_bytes()))] for path in paths if "node_modules" not in path.parts}
    own_modules = {"mien", "__future__", *(path.stem for path in modules)}
    own_names = {name for nodes in modules.values() for name in names_defined(nodes)}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, nodes in modules.items()
        for name in private_names_of_others(nodes, own_modules, own_names)
        if not name.endswith(ALLOWED)
    ]
    assert found == []
