"""The benchmarks: each says how it is run, at once; those that look for faults find none in a small round."""

import json
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.medium

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(
    path.name for path in BENCHMARKS.glob("*.py") if path.name not in ("timing.py", "serving.py", "ray_cluster.py")
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_says_how_it_is_run(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    monkeypatch.syspath_prepend(BENCHMARKS)
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
    assert f"python benchmarks/{script} " in capsys.readouterr().out
    assert script in (BENCHMARKS / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "kills.py"), "--num-kills", "6"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kills" in done.stdout and done.stdout.endswith("; 0 faults\n")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="needs Atheris")
def test_mutated_files_are_decoded_or_named(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "fuzz.py"), "--num-inputs", "1000", "--seed", "7"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("\n0 failures\n")


@pytest.mark.slow
def test_an_overloaded_server_keeps_its_promises(run: "Run", data: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "overload.py"), str(data), "--run", str(run.path)]
    done = subprocess.run([*words, "--minutes", "0.33", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["broken_promises"] == {}
    # It was overloaded indeed, and answered meanwhile.
    assert told["statuses"]["429"] > 0 and told["statuses"]["200"] > 100


@pytest.mark.slow
def test_the_server_is_timed_beside_others(run: "Run", data: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "serve.py"), str(data), "--run", str(run.path)]
    words += ["--rounds", "1", "--seconds", "1", "--clients", "2", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    servers = json.loads(done.stdout)["servers"]
    assert len(servers) == 5 and all(found["clients"]["2"]["per_second"] > 0 for found in servers.values())


@pytest.mark.slow
def test_predictions_are_timed_beside_what_bounds_them(run: "Run", data: Path) -> None:
    words = [sys.executable, str(BENCHMARKS / "predict.py"), str(data), "--run", str(run.path)]
    done = subprocess.run([*words, "--rounds", "1", "--parts", "batched"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mien / both on the same cores: " in done.stdout
