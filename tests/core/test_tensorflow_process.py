"""A process with TensorFlow ends when the main process does."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from killing import wait_for_end_of_group
from mien.core.tensorflow_process import run_with_tensorflow

pytestmark = pytest.mark.medium

_MAIN = """
import sys
from pathlib import Path
from mien.core.tensorflow_process import run_with_tensorflow
run_with_tensorflow("import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)", Path(sys.argv[1]))
"""


def test_it_ends_with_the_main_process(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("finds processes in /proc")
    begun = tmp_path / "begun"
    with subprocess.Popen([sys.executable, "-c", _MAIN, str(begun)], start_new_session=True) as process:
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    wait_for_end_of_group(process.pid)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("pass", ""),
        ("sys.exit('no such layer')", "no such layer"),
        ("import os; os._exit(3)", "its process ended with code 3"),
        ("sys.stderr.buffer.write(bytes([255])); sys.exit(1)", "\ufffd"),
    ],
)
def test_it_says_why_it_failed(code: str, error: str, tmp_path: Path) -> None:
    assert run_with_tensorflow(f"import sys; {code}", tmp_path) == error
