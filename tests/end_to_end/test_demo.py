"""The demo: it trains fast alone unless asked for more, and both presets are asked about the same images."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mien.data.cleaning import clean
from mien.data.scanning import scan
from mien.data.splitting import split
from mien.jobs.demo import _CONFIGS


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
    # A tenth of the people: `make demo` draws them all.
    code += "from functools import partial; from mien.jobs import demo; demo.draw = partial(demo.draw, num_images=60)\n"
    code += "sys.argv[1:] = ['demo', '--folder', 'here']\nfrom mien.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["CREDITS.txt", "data", "fast", "unseen"]
    assert "mien demo --all" in done.stdout and "make demo-all" in done.stdout
    assert "On images that were not trained on" in done.stdout and "classic" not in done.stdout


@pytest.mark.medium
def test_the_demo_with_classic_asks_for_keras_before_it_draws(tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(keras=None)\n"
    code += "sys.argv[1:] = ['demo', '--all']\nfrom mien.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.search(r'needs the package keras. To install it: pip install --editable ".+\[keras\]"', done.stderr)
    assert not list(tmp_path.iterdir())
