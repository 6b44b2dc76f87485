"""The benchmarks: each says how it is run, at once; those that look for faults find none in a small round."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py") if path.name != "timing.py")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_says_how_it_is_run(script: str) -> None:
    done = subprocess.run([sys.executable, BENCHMARKS / script, "--help"], capture_output=True, text=True, check=True)
    assert f"python benchmarks/{script} " in done.stdout
    assert script in (BENCHMARKS / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "kills.py"), "--num-kills", "12"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 kills" in done.stdout and done.stdout.endswith("; 0 faults\n")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="needs Atheris")
def test_mutated_files_are_decoded_or_named(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "fuzz.py"), "--num-inputs", "1000", "--seed", "7"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("\n0 failures\n")
