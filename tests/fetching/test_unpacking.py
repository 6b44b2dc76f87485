"""An archive that is named as data: unpacked once, within limits, and never outside of its place."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from archive_files import write_tar, write_zip, zip_with_link
from conftest import Heard, draw_image, encoded, without_permission
from mien.config import IntakeLimits, ScanConfig
from mien.data.scanning import scan
from mien.errors import NotADatasetError, OutputError
from mien.fetching.unpacking import _temporary_folder, unpacked

FILES = {
    f"set/{part}/{label}/{number}.png": encoded(draw_image(100 * (part == "test") + 10 * len(label) + number), "PNG")
    for part in ("train", "test")
    for label in ("happy", "sad")
    for number in range(3)
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_read_as_the_folder_that_it_holds(tmp_path: Path, kind: str) -> None:
    path = (write_zip if kind == "zip" else write_tar)(tmp_path / f"pets.{kind}", FILES)
    dataset = scan(path, ScanConfig(faces="off"))
    assert dataset.counts() == {"happy": 6, "sad": 6}
    assert {r.path for r in dataset.records} == set(FILES) and {r.given for r in dataset.records} == {"train", "test"}
    before = {file: file.stat().st_mtime_ns for file in dataset.root.rglob("*")}
    assert scan(path, ScanConfig(faces="off")).root == dataset.root and dataset.root.name == "pets"
    assert {file: file.stat().st_mtime_ns for file in dataset.root.rglob("*")} == before
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "cache"}


def test_nothing_leads_out_and_what_cannot_be_is_left_out(tmp_path: Path) -> None:
    hostile = {"../../evil.jpg": b"x", "/etc/evil.jpg": b"x", "happy": b"x", "happy/a.jpg": b"x", "a" * 300: b"x"}
    folder = unpacked(write_zip(tmp_path / "a.zip", hostile))
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*")) == ["happy"]
    assert not list(tmp_path.rglob("evil.jpg"))
    link = unpacked(zip_with_link(tmp_path / "link.zip"))
    assert not list(link.rglob("*.jpg"))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (IntakeLimits(max_files=3), "more than 3 files"),
        (IntakeLimits(max_total_bytes=100), "limit of 100"),
    ],
)
def test_a_bomb_leaves_nothing_behind(tmp_path: Path, limits: IntakeLimits, reason: str) -> None:
    with pytest.raises(NotADatasetError, match=f"{reason}.*Unpack it yourself"):
        unpacked(write_zip(tmp_path / "a.zip", FILES), limits)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", FILES, packing="gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(NotADatasetError, match=r"a\.tar\.gz"):
        unpacked(path)
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


@pytest.mark.medium
def test_without_a_cache_it_is_unpacked_in_a_folder_that_goes_with_the_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mien.fetching.unpacking import unpacked\n"
        "folder = unpacked(Path(sys.argv[1])); assert unpacked(Path(sys.argv[1])) == folder\n"
        "print(folder, len(list(folder.rglob('*.png'))))"
    )
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "XDG_CACHE_HOME": os.devnull, "TMPDIR": str(tmp_path / "temporary")}
    arguments = [sys.executable, "-c", code, str(write_zip(tmp_path / "a.zip", FILES))]
    done = subprocess.run(arguments, env=environment, capture_output=True, check=True, text=True)
    folder, num_images = done.stdout.split()
    assert Path(folder).is_relative_to(tmp_path / "temporary") and num_images == "12"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_that_it_goes_is_warned_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    heard = Heard()
    for _ in range(2):
        unpacked(write_zip(tmp_path / "once.zip", FILES), progress=heard)
    (line,) = heard.lines
    assert line.startswith("WARNING: ") and "Not a directory" in line and "unpack it yourself" in line


def test_what_was_unpacked_is_found_in_a_cache_that_cannot_be_written(
    tmp_path: Path, open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(open_path / "cache"))
    path = write_zip(open_path / "a.zip", FILES)
    folder = unpacked(path)
    with without_permission(open_path / "cache" / "mien" / "unpacked", 0o555):
        assert unpacked(path) == folder


def test_where_there_is_no_place_at_all_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    _temporary_folder.cache_clear()
    with pytest.raises(OutputError, match=r"no place to unpack .*a\.zip'.*Not a directory; No usable .* Unpack it"):
        unpacked(write_zip(tmp_path / "a.zip", FILES))


def test_what_is_no_archive_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\n")
    assert unpacked(tmp_path / "t.csv") == tmp_path / "t.csv" and unpacked(tmp_path) == tmp_path
    assert unpacked(tmp_path / "gone") == tmp_path / "gone"
