"""Optional packages: a missing one is an error that says what to type."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mien.core.extras import needing, require
from mien.errors import MissingExtraError


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(
        MissingExtraError, match=r'nowhere_to_be_found is not installed.*pip install --editable ".+\[keras\]"$'
    ):
        require("keras", "json", "nowhere_to_be_found")
    with pytest.raises(MissingExtraError, match="nowhere_to_be_found"), needing("keras"):
        __import__("nowhere_to_be_found.inside")


@pytest.mark.parametrize(
    "statement", ["import mien.nowhere", "from mien.core.extras import nothing", "import numpy.nowhere"]
)
def test_an_import_that_fails_in_what_is_installed_keeps_its_cause(statement: str) -> None:
    with pytest.raises(ImportError, match=r"nowhere|nothing") as caught, needing("keras"):
        exec(statement)
    assert not isinstance(caught.value, MissingExtraError)


def test_what_is_installed_is_not_loaded() -> None:
    require("keras", "keras", "tensorboard")


FOLDER = Path(__file__).parents[2]


def told(done: "subprocess.CompletedProcess[str]") -> str:
    return done.stderr.replace('"', "")


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
        assert f"keras is not installed. To install it: pip install --editable {FOLDER}[keras]" in told(
            without("keras", code)
        )


@pytest.mark.medium
@pytest.mark.parametrize(
    ("missing", "code", "extra"),
    [
        ("keras", "mien.build_cnn", "keras"),
        ("fastapi", "mien.create_app", "serve"),
    ],
)
def test_each_public_function_names_the_extra_that_it_needs(missing: str, code: str, extra: str) -> None:
    done = without(missing, f"import mien\n{code}")
    assert f"{missing} is not installed. To install it: pip install --editable {FOLDER}[{extra}]" in told(done)


@pytest.mark.parametrize(
    ("origin", "typed"),
    [
        (None, '"mien[keras]"'),
        ({"url": "https://example.org/mien.zip"}, '"mien[keras]"'),
        ({"url": "file:///tmp/my%20files/mien-1-py3-none-any.whl"}, '"/tmp/my files/mien-1-py3-none-any.whl[keras]"'),
        ({"url": "file:///home/me/mien", "dir_info": {"editable": True}}, '--editable "/home/me/mien[keras]"'),
    ],
)
def test_the_command_installs_from_where_mien_was_installed_from(
    origin: dict[str, object] | None, typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "mien-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mien\nVersion: 1\n")
    if origin:
        (metadata / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtraError) as caught:
        require("keras", "nowhere_to_be_found")
    assert str(caught.value).endswith(f"To install it: pip install {typed}")
