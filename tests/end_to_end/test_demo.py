"""The demo: it trains fast alone unless asked for more, tests both presets on the same images, and opens its report."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mien.data.cleaning import clean
from mien.data.scanning import scan
from mien.data.splitting import split
from mien.jobs.demo import _CONFIGS

if TYPE_CHECKING:
    from mien.runs.run import Run


def test_both_presets_are_tested_on_the_same_images(data: Path) -> None:
    splits = []
    for config in _CONFIGS.values():
        dataset = split(clean(scan(data, config.scan), config.clean), config.split)
        splits.append({name: [dataset.records[i].path for i in dataset.indexes(name)] for name in ("val", "test")})
    assert list(_CONFIGS) == ["fast", "classic"]
    assert splits[0] == splits[1]


@pytest.mark.slow
def test_the_demo_trains_fast_alone_without_keras_and_tells_it_in_four_lines(tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(dict.fromkeys('keras tensorflow cv2 tensorboard tf2onnx'.split()))\n"
    # A tenth of the people: `make demo` draws them all.
    code += "from functools import partial; from mien.jobs import demo; demo.draw = partial(demo.draw, num_images=60)\n"
    code += "sys.argv[1:] = ['demo', '--folder', 'here']\nfrom mien.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["CREDITS.txt", "data", "fast", "unseen"]
    used, accuracy, drawings, look = done.stdout.strip().splitlines()
    assert re.fullmatch(r"Trained and tested on \d+ drawings of happy and sad people; skipped \d+ bad .* files\.", used)
    assert re.fullmatch(r"Accuracy on unseen images: \d+% \(.*\); always guessing '(happy|sad)' gets \d+%\.", accuracy)
    assert re.fullmatch(r"On 24 new drawings: \d+ of 12 right in known styles, \d+ of 12 in a new style\.", drawings)
    report = Path("here", "fast", "report.html")
    assert look.startswith(f"Next: open {report} in a browser. To train on your own photos, put")
    assert re.search(r"e\.g\. data/happy and data/sad, and type: (\S+/)?mien train data$", look)
    assert (tmp_path / report).is_file()


@pytest.mark.medium
@pytest.mark.parametrize(
    ("environment", "exit_code", "has_opened"),
    [
        ({"DISPLAY": ":9"}, 0, True),
        ({"WAYLAND_DISPLAY": "wayland-9"}, 0, True),
        ({"DISPLAY": ":9"}, 1, False),
        ({"DISPLAY": ":9", "CI": "true"}, 0, False),
        pytest.param(
            {}, 0, False, marks=pytest.mark.skipif(sys.platform == "darwin", reason="a Mac always has a screen")
        ),
    ],
    ids=["x11", "wayland", "browser-fails", "ci", "no-screen"],
)
def test_the_demo_opens_the_report_if_there_is_a_screen(
    small_run: "Run", tmp_path: Path, environment: dict[str, str], exit_code: int, has_opened: bool
) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no pseudo-terminals")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\nexit {exit_code}\n')
    browser.chmod(0o755)
    ours, its = os.openpty()
    shown = show_demo_of(small_run, {**environment, "BROWSER": f"{browser} %s"}, stdout=its)
    os.close(its)
    assert shown.returncode == 0 and shown.stderr == ""
    out = os.read(ours, 100_000).decode().replace("\r\n", " ")
    os.close(ours)
    assert ("Next: read the report in your browser" in out) == has_opened
    assert ("Next: open " in out) != has_opened
    is_asked = (tmp_path / "opened").exists()
    assert is_asked == (has_opened or exit_code == 1)
    if is_asked:
        assert (tmp_path / "opened").read_text().strip() == (small_run.path / "report.html").resolve().as_uri()


@pytest.mark.medium
def test_the_demo_opens_no_browser_if_its_output_goes_to_a_file(small_run: "Run", tmp_path: Path) -> None:
    environment = {"DISPLAY": ":9", "BROWSER": f"/usr/bin/touch {tmp_path}/opened %s"}
    shown = show_demo_of(small_run, environment, stdout=subprocess.PIPE)
    assert "Next: open " in shown.stdout and not (tmp_path / "opened").exists()


def show_demo_of(run: "Run", environment: dict[str, str], *, stdout: int) -> subprocess.CompletedProcess[str]:
    """Show what a demo would that had made this run."""
    code = f"""
from pathlib import Path
from mien.cli.show_demo import show_demo
from mien.core.scores import wilson_score
from mien.jobs.demo import Demo, Trial
from mien.jobs.evaluate import evaluate_run
show_demo(Demo(Path(), {{"fast": Trial(evaluate_run({str(run.path)!r}), (), wilson_score(5, 6), wilson_score(4, 6))}}))
"""
    others = {name: os.environ[name] for name in ("PYTHONPATH", "HOME", "SYSTEMROOT") if name in os.environ}
    # No browser of this machine is to be found.
    others["PATH"] = str(run.path)
    return subprocess.run(
        [sys.executable, "-c", code],
        env=others | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.medium
def test_the_demo_with_classic_asks_for_keras_before_it_draws(tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(keras=None)\n"
    code += "sys.argv[1:] = ['demo', '--all']\nfrom mien.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.search(r'keras is not installed. To install it: pip install --editable ".+\[keras\]"', done.stderr)
    assert not list(tmp_path.iterdir())
