"""An archive that is named as data: unpacked once, within limits, and never outside of its place."""

from pathlib import Path

import pytest

from archive_files import write_tar, write_zip, zip_with_link
from conftest import draw_image, encoded
from mien.config import IntakeLimits, ScanConfig
from mien.data.scanning import scan
from mien.errors import NotADatasetError
from mien.fetching.unpacking import unpacked

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
        (IntakeLimits(max_total_bytes=100), "at most 100"),
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


def test_what_is_no_archive_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\n")
    assert unpacked(tmp_path / "t.csv") == tmp_path / "t.csv" and unpacked(tmp_path) == tmp_path
    assert unpacked(tmp_path / "gone") == tmp_path / "gone"
