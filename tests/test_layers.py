"""The structure: every module has a row, imports point down, and what must start at once loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mien

ROWS = [
    {"__main__"},
    {"cli"},
    {"data_commands", "run_commands", "serve_commands"},
    {"data_screens", "run_screens", "flags", "notebook", "hosting"},
    {"serving"},
    {"terminal_progress"},
    {"terminal"},
    {"demo", "forgetting"},
    {"pipeline", "reviewing", "checking", "comparison", "server"},
    {"finishing", "request_layers", "connections"},
    {"reporting"},
    {"looks"},
    {"highlights"},
    {"finished_run"},
    {"run_files", "logs", "fitting", "suspects", "intake", "explained_pictures", "api_page"},
    {"inference_queue", "url_fetcher", "while_connected", "model_document", "api_description", "refusals"},
    {"answers"},
    {"linear", "deep"},
    {
        "scanning",
        "cleaning",
        "pairs",
        "splitting",
        "features",
        "leaks",
        "training",
        "methods",
        "model_card",
        "evaluation",
        "judgement",
        "charts",
        "explanation",
        "exporting",
        "figures",
        "thumbnails",
        "prediction",
        "quarantine",
        "relabelling",
        "samples",
        "shortcuts",
        "downloads",
        "intake_sources",
        "picture_folder",
        "repositories",
        "gatekeeping",
    },
    {
        "dataset",
        "classifier",
        "drawing",
        "networks",
        "results",
        "recording",
        "duplicates",
        "leave_one_out",
        "journal",
        "archives",
        "url_lists",
        "source_log",
    },
    {
        "images",
        "sources",
        "activation_maps",
        "augmentation",
        "run_folder",
        "event_files",
        "backbone",
        "heads",
        "familiarity",
        "calibration",
        "feature_cache",
        "near_pairs",
        "page_files",
        "provenance",
        "uploads",
    },
    {"memory_budget", "decoding_room"},
    {"fetching", "inference", "hardware", "serve_config", "service_metrics"},
    {
        "files",
        "access_log",
        "config",
        "csv_tables",
        "engine",
        "progress",
        "extras",
        "formats",
        "safe_names",
        "sample_styles",
        "scores",
        "streams",
        "union_find",
    },
    {"errors", "json_values"},
]
HEAVY = {
    "keras",
    "tensorflow",
    "onnxruntime",
    "matplotlib",
    "cv2",
    "sklearn",
    "ray",
    "onnx",
    "httpx",
    "fastapi",
    "uvicorn",
}
SOURCE_DIR = Path(mien.__file__).parent
ROW_OF = {module: number for number, row in enumerate(ROWS) for module in row}
MODULES = sorted(path.stem for path in SOURCE_DIR.glob("*.py") if path.stem != "__init__")


def imported_modules(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((SOURCE_DIR / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "mien":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mien."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mien.")}
    return found & set(MODULES)


def modules_loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_every_module_has_a_row_and_every_row_exists() -> None:
    assert set(MODULES) == set(ROW_OF)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    assert [other for other in imported_modules(module) if ROW_OF[other] <= ROW_OF[module]] == []


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


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["train", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    statement = f"from mien.cli.main import app\ntry: app({arguments})\nexcept SystemExit: pass"
    assert modules_loaded_by(statement) & (HEAVY | {"PIL", "numpy"}) == set()


def test_the_public_names_are_what_the_package_shows() -> None:
    for name in mien.__all__:
        if name not in {"fit"}:
            assert getattr(mien, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mien.nonsense


def test_importing_does_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import mien, mien.cli.main, mien.jobs.train, mien.model.prediction"],
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    assert (done.stdout, done.stderr, list(tmp_path.iterdir())) == (b"", b"", [])
