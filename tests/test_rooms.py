"""What loads what: a command that must start at once loads nothing heavy. `make check` holds the order of the rooms."""

import subprocess
import sys
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
}


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
@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["train", "--help"]])
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
