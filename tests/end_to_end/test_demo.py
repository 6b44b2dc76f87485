"""The demo: it trains fast alone unless asked for more, and both presets are asked about the same images."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mien.cli.show_run import show_demo
from mien.data.cleaning import clean
from mien.data.scanning import scan
from mien.data.splitting import split
from mien.jobs.demo import _CONFIGS, run_demo


def test_both_presets_are_tested_on_the_same_images(data: Path) -> None:
    splits = []
    for config in _CONFIGS.values():
        dataset = split(clean(scan(data, config.scan), config.clean), config.split)
        splits.append({name: [dataset.records[i].path for i in dataset.indexes(name)] for name in ("val", "test")})
    assert list(_CONFIGS) == ["fast", "classic"]
    assert splits[0] == splits[1]


@pytest.mark.slow
def test_the_demo_trains_fast_alone_without_keras_and_says_how_to_see_more(tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(dict.fromkeys('keras tensorflow cv2 tensorboard tf2onnx'.split()))\n"
    code += "sys.argv[1:] = ['demo', '--folder', 'here']\nfrom mien.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["CREDITS.txt", "data", "fast", "unseen"]
    assert "mien demo --all" in done.stdout and "make demo-all" in done.stdout
    assert "On images that were not trained on" in done.stdout and "classic" not in done.stdout


def test_the_demo_with_classic_asks_for_keras_before_it_draws(tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(keras=None)\n"
    code += "sys.argv[1:] = ['demo', '--all']\nfrom mien.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'needs the package keras. Type, in the folder of mien: pip install ".[keras,samples]"' in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_both_presets_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    classic = _CONFIGS["classic"]
    monkeypatch.setitem(_CONFIGS, "classic", replace(classic, fit=replace(classic.fit, epochs=1)))
    demo = run_demo(tmp_path / "here", with_classic=True)
    show_demo(demo)
    assert list(demo.trials) == ["fast", "classic"]
    out = capsys.readouterr().out
    assert "Both presets on the same images" in out and "demo-all" not in out
