"""Optional packages: a missing one is an error that says what to type."""

import subprocess
import sys
from pathlib import Path

import pytest

from mien.core.extras import needing, require
from mien.errors import MissingExtraError


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(
        MissingExtraError, match=r'needs the package nowhere_to_be_found.*pip install --editable "\.\[train\]"'
    ):
        require("train", "json", "nowhere_to_be_found")
    with pytest.raises(MissingExtraError, match="nowhere_to_be_found"), needing("train"):
        __import__("nowhere_to_be_found.inside")


@pytest.mark.parametrize(
    "statement", ["import mien.nowhere", "from mien.core.extras import nothing", "import numpy.nowhere"]
)
def test_an_import_that_fails_in_what_is_installed_keeps_its_cause(statement: str) -> None:
    with pytest.raises(ImportError, match=r"nowhere|nothing") as caught, needing("train"):
        exec(statement)
    assert not isinstance(caught.value, MissingExtraError)


def test_what_is_installed_is_not_loaded() -> None:
    require("train", "keras", "tensorboard")


def without(modules: str, code: str) -> "subprocess.CompletedProcess[str]":
    """Run Python where some packages cannot be imported."""
    missing = f"import sys; sys.modules.update(dict.fromkeys({modules.split()!r}))\n"
    return subprocess.run([sys.executable, "-c", missing + code], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_preset_fast_trains_without_the_packages_of_networks(data: Path, tmp_path: Path) -> None:
    code = f"import mien; print(mien.train({str(data)!r}, out={str(tmp_path / 'run')!r}).scores.test.accuracy)"
    done = without("keras tensorflow jax cv2 tensorboard tf2onnx h5py", code)
    assert done.returncode == 0, done.stderr
    assert "95% interval" in done.stdout


@pytest.mark.medium
def test_a_network_without_keras_is_refused_at_once_with_the_command_that_installs_it(tmp_path: Path) -> None:
    """Before the folder is looked at: it does not even exist."""
    for preset in ("classic", "best"):
        code = f"import mien; mien.train({str(tmp_path / 'nowhere')!r}, mien.PRESETS[{preset!r}])"
        assert (
            'needs the package keras. Type, in the folder of mien: pip install --editable ".[keras]"'
            in without("keras", code).stderr
        )


@pytest.mark.medium
@pytest.mark.parametrize(
    ("missing", "code", "extra"),
    [
        ("keras", "mien.build_cnn", "keras"),
        ("fastapi", "mien.create_app", "serve"),
        ("resvg_py", "mien.plot_history([mien.core.progress.Epoch(1, 1, 1, 1, 1, 1)]).png()", "train"),
        ("onnx", "mien.train('data')", "train"),
    ],
)
def test_each_public_function_names_the_extra_that_it_needs(missing: str, code: str, extra: str) -> None:
    done = without(missing, f"import mien.core.progress\n{code}")
    assert (
        f'this needs the package {missing}. Type, in the folder of mien: pip install --editable ".[{extra}]"'
        in done.stderr
    )
