"""Containers: commands go on where the user has no name, no home folder and no cache that can be written to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Mien, draw_folder, without_permission

if sys.platform == "win32":
    pytest.skip("there, users are another matter", allow_module_level=True)
pytestmark = pytest.mark.medium
# Of no user.
_ID = 54321
CLASSIC = ["--preset", "classic", "--image-size", "32", "--min-bytes", "0", "--epochs", "1"]


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.make_archive(str(tmp_path / "moods"), "zip", data))


def warnings_in(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("WARNING: ")]


@pytest.mark.slow
def test_a_training_without_a_home_folder_warns_once(command: Mien, data: Path, tmp_path: Path, homeless: None) -> None:
    code, _, err = command("train", data, "--out", tmp_path / "run")
    (warning,) = warnings_in(err)
    assert code == 0 and "no home folder" in warning


@pytest.mark.slow
@pytest.mark.parametrize("flag", [False, True])
def test_a_training_whose_cache_cannot_be_used_warns_once(
    command: Mien, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    named = ["--cache-dir", Path(os.devnull, "cache")] if flag else []
    code, _, err = command("train", data, "--out", tmp_path / "run", *named)
    (warning,) = warnings_in(err)
    assert code == 0 and "cannot use the feature cache" in warning and "Not a directory" in warning


def test_an_archive_is_read_without_a_home_folder(command: Mien, archive: Path, homeless: None) -> None:
    code, out, err = command("check", archive)
    (warning,) = warnings_in(err)
    assert code == 0 and "24 of 24 files are usable" in out and "unpacked only for this command" in warning


def test_an_image_is_forgotten_without_a_home_folder(
    command: Mien, archive: Path, tmp_path: Path, homeless: None
) -> None:
    assert command("fetch", archive, "--to", tmp_path / "fetched")[0] == 0
    code, out, err = command("fetch", "--forget", archive, "--to", tmp_path / "fetched")
    assert code == 0 and "24 images" in out and len(warnings_in(err)) == 1


def test_a_run_folder_that_cannot_be_made_is_refused_with_the_reason(
    command: Mien, data: Path, open_path: Path
) -> None:
    photos = shutil.copytree(data, open_path / "photos")
    with without_permission(open_path, 0o555):
        code, _, err = command("train", photos, "--out", open_path / "run")
    assert code == 2 and f"OutputError: cannot write '{open_path / 'run'}': Permission denied" in err


@pytest.mark.skipif(not shutil.which("setpriv") or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("home", "settings"),
    [
        ("/nonexistent", []),
        pytest.param(None, [], marks=pytest.mark.slow),
        pytest.param("/", [], marks=pytest.mark.slow),
        pytest.param(None, CLASSIC, marks=pytest.mark.slow),
    ],
)
def test_a_user_without_a_name_trains_on_an_archive_and_predicts(
    open_path: Path, home: str | None, settings: list[str]
) -> None:
    draw_folder(open_path / "moods", 12)
    shutil.make_archive(str(open_path / "moods"), "zip", open_path / "moods")
    work_dir, temporary_dir = open_path / "work", open_path / "temporary"
    for folder in (work_dir, temporary_dir):
        folder.mkdir()
        os.chown(folder, _ID, _ID)
    unset = ("HOME", "XDG_CACHE_HOME", "USER", "LOGNAME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"TMPDIR": str(temporary_dir), **({"HOME": home} if home else {})}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["setpriv", f"--reuid={_ID}", f"--regid={_ID}", "--clear-groups", sys.executable, *arguments],
            cwd=work_dir,
            env=environment,
            capture_output=True,
            check=False,
            text=True,
        )

    def run_mien(*arguments: str) -> list[str]:
        done = run("-m", "mien", *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        return warnings_in(done.stderr)

    if run("-c", "import mien").returncode:
        pytest.skip("other users cannot start this Python")
    assert len(run_mien("train", "../moods.zip", "--out", "run", *settings)) == 2
    assert run_mien("predict", "run", "../moods/happy/00.jpg") == []
    assert [path.name for path in work_dir.iterdir()] == ["run"]
    # TensorFlow writes code of its own there, and Python what it compiles of that.
    assert {path.name for path in temporary_dir.iterdir()} <= {".keras", "__pycache__"}
