"""Public data sets, rebuilt small with real images: each is read as it is meant, and trained on to the end."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.medium
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "layouts.py"
# One of each kind: splits, a table, columns of 0 and 1, names, an archive, folders of two levels.
TRAINED = ["intel_scenes", "own_words", "roboflow_table", "dogs_vs_cats", "tarred", "years", "numbered"]


def ask(*arguments: str) -> list[str]:
    command = [sys.executable, str(BENCHMARK), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_28_public_layouts_are_read_right_or_refused_with_what_leads_there() -> None:
    *rows, last = ask()
    assert last == "28 of 28 are read right, or refused with what leads there"
    assert sum(row.endswith("| at once |") for row in rows) >= 24
    assert sum(row.endswith("| refused |") for row in rows) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_classifier_comes_of_each_kind_of_layout(name: str) -> None:
    (_, _, row, _) = ask("--train", "--only", name)
    assert "trained: " in row and "95% interval" in row
