"""Quarantine: nothing is lost, whatever happens, and undo brings every byte, name, time and mode back."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mien
from mien.errors import OutputError, SourceNotFoundError
from mien.quarantine import plan_quarantine, quarantine, restore

State = dict[str, tuple[bytes, int, int]]


def state_of(folder: Path) -> State:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_mode) for p in files}


@pytest.fixture
def photos(data: Path, tmp_path: Path) -> Path:
    """Twelve pictures of each class, with two copies, two empty files and odd names among them."""
    folder = tmp_path / "photos"
    shutil.copytree(data, folder)
    (folder / "happy" / "deep").mkdir()
    shutil.copy(folder / "happy/00.jpg", folder / "happy/deep/again\n😀.jpg")
    shutil.copy(folder / "sad/00.jpg", os.fsdecode(bytes(folder) + b"/sad/\xff.jpg"))
    (folder / "sad/empty.jpg").touch(mode=0o600)
    (folder / "happy/page.jpg").write_text("<html>")
    os.utime(folder / "sad/empty.jpg", (1, 1))
    return folder


def dataset_of(photos: Path) -> mien.Dataset:
    return mien.clean(mien.scan(photos))


def test_planning_touches_nothing(photos: Path, tmp_path: Path) -> None:
    before = state_of(tmp_path)
    moves = plan_quarantine(dataset_of(photos), tmp_path / "aside")
    assert len(moves) == 4
    assert {move.reason for move in moves} == {"exact_duplicate", "empty", "not_an_image"}
    assert state_of(tmp_path) == before
    assert not (tmp_path / "aside").exists()


def test_undo_brings_everything_back(photos: Path, tmp_path: Path) -> None:
    before = state_of(photos)
    quarantine(plan_quarantine(dataset_of(photos), tmp_path / "aside"), tmp_path / "aside")
    assert len(state_of(photos)) == len(before) - 4
    assert len(dataset_of(photos).indexes()) == 24
    assert len(restore(tmp_path / "aside")) == 4
    assert state_of(photos) == before
    assert not (tmp_path / "aside").exists()


def test_a_second_call_adds_to_the_quarantine(photos: Path, tmp_path: Path) -> None:
    before = state_of(photos)
    quarantine(plan_quarantine(dataset_of(photos), tmp_path / "aside"), tmp_path / "aside")
    journal = tmp_path / "aside" / "journal.jsonl"
    journal.write_text(journal.read_text().rstrip("\n") + '\n{"source": "cut sho')
    (photos / "happy/11.jpg").write_bytes(b"")
    quarantine(plan_quarantine(dataset_of(photos), tmp_path / "aside"), tmp_path / "aside")
    assert len(restore(tmp_path / "aside")) == 5
    assert set(state_of(photos)) == set(before)


def test_a_file_that_is_in_the_way_is_never_written_over(photos: Path, tmp_path: Path) -> None:
    quarantine(plan_quarantine(dataset_of(photos), tmp_path / "aside"), tmp_path / "aside")
    (photos / "sad/empty.jpg").write_text("new")
    with pytest.raises(OutputError, match="is there already"):
        restore(tmp_path / "aside")
    assert (photos / "sad/empty.jpg").read_text() == "new"
    (photos / "sad/empty.jpg").unlink()
    restore(tmp_path / "aside")
    assert (photos / "sad/empty.jpg").read_bytes() == b""


def test_a_place_that_cannot_be_a_quarantine_is_refused(photos: Path, tmp_path: Path) -> None:
    dataset = dataset_of(photos)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    for place, reason in [
        (photos / "aside", "within each other"),
        (tmp_path, "within each other"),
        (photos, "within each other"),
        (tmp_path / "full", "not empty"),
        (tmp_path / "full" / "thesis.txt", "is a file"),
        (Path("/dev/shm/aside"), "another disk"),
    ]:
        with pytest.raises(OutputError, match=reason):
            plan_quarantine(dataset, place)


def test_an_undo_that_was_cut_off_can_be_called_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, aside = state_of(photos), tmp_path / "aside"
    quarantine(plan_quarantine(dataset_of(photos), aside), aside)

    def cut_off(path: Path, **_: object) -> None:
        raise KeyboardInterrupt

    for method in ("rmdir", "unlink"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, method, cut_off)
            with pytest.raises(KeyboardInterrupt):
                restore(aside)
        assert state_of(photos) == before
        assert plan_quarantine(dataset_of(photos), aside)
    restore(aside)
    assert not aside.exists()


def test_what_is_no_quarantine_is_not_undone(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no quarantine"):
        restore(tmp_path)


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(photos: Path, tmp_path: Path) -> None:
    for number in range(400):
        (photos / "happy" / f"empty{number}.jpg").touch()
    before = state_of(photos)
    command = [sys.executable, "-m", "mien", "clean"]
    for attempt in range(12):
        process = subprocess.Popen([*command, str(photos), "--to", str(tmp_path / "aside"), "--apply"], stdout=-3)
        time.sleep(0.25 + 0.03 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "aside").exists():
            process = subprocess.Popen([*command, "--undo", str(tmp_path / "aside")], stdout=-3, stderr=-3)
            time.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            process.wait()
        moved = state_of(tmp_path / "aside") if (tmp_path / "aside").exists() else {}
        assert set(state_of(photos)) | set(moved) - {"journal.jsonl"} == set(before)
    if (tmp_path / "aside" / "journal.jsonl").exists():
        restore(tmp_path / "aside")
    assert state_of(photos) == before
