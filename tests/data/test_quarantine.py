"""Quarantine: what was moved comes back as it was, whatever happens in between."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mien
from conftest import without_permission
from killing import Kills, is_killed
from mien.core import files
from mien.data.quarantine import Plan, plan_quarantine, quarantine, restore
from mien.errors import OutputError, SourceNotFoundError

State = dict[str, tuple[bytes, int, int]]


def state_of(folder: Path) -> State:
    """Return the content, time and mode of every file and folder by its path; of a link, where it leads."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        content = os.fsencode(path.readlink()) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(folder))] = (content, status.st_mtime_ns, status.st_mode)
    return found


def files_of(*folders: Path) -> list[str]:
    """Return the files below folders, without what belongs to the quarantine itself."""
    found = [(folder, path) for folder in folders for path in folder.rglob("*") if not path.is_dir()]
    own = ("journal.json", ".lock", ".journal")
    return sorted(str(path.relative_to(folder)) for folder, path in found if not path.name.startswith(own))


@pytest.fixture
def photos(data: Path, tmp_path: Path) -> Path:
    """Twelve images of each class, with two copies, two files that are no images and odd names among them."""
    folder = tmp_path / "photos"
    shutil.copytree(data, folder)
    (folder / "happy" / "deep").mkdir()
    shutil.copy(folder / "happy/00.jpg", folder / "happy/deep/again\n😀.jpg")
    shutil.copy(folder / "sad/00.jpg", os.fsdecode(bytes(folder) + b"/sad/\xff" + 250 * b"x" + b".jpg"))
    (folder / "sad/empty.jpg").touch(mode=0o600)
    (folder / "happy/page.jpg").write_text("<html>")
    os.utime(folder / "sad/empty.jpg", (1, 1))
    for place, time_s in (("happy/deep", 2), ("happy", 3), ("sad", 4)):
        os.utime(folder / place, (time_s, time_s))
    (folder / "happy/deep").chmod(0o700)
    return folder


@pytest.fixture
def aside(photos: Path) -> Path:
    return photos.parent / "aside"


def plan(photos: Path, aside: Path) -> Plan:
    return plan_quarantine(mien.clean(mien.scan(photos)), aside)


def test_planning_touches_nothing(photos: Path, aside: Path) -> None:
    before = state_of(photos.parent)
    planned = plan(photos, aside)
    assert len(planned.moves) == 4
    assert {code for move in planned.moves for code in move.problems} == {"exact_duplicate", "empty", "not_an_image"}
    assert "a copy of happy/00.jpg" in {detail for move in planned.moves for detail in move.problems.values()}
    assert state_of(photos.parent) == before


def test_undo_brings_everything_back(photos: Path, aside: Path) -> None:
    before = state_of(photos)
    quarantine(plan(photos, aside))
    assert len(files_of(photos)) == 24 and len(files_of(aside)) == 4
    assert len(mien.clean(mien.scan(photos)).indexes()) == 24
    assert aside.stat().st_mode & 0o777 == 0o700
    assert len(restore(aside).moves) == 4
    assert state_of(photos) == before
    assert not aside.exists()


def test_what_cannot_be_read_as_text_comes_back_from_a_journal_in_ascii(photos: Path, aside: Path) -> None:
    moves = plan(photos, aside).moves
    quarantine(plan(photos, aside))
    assert (aside / "journal.json").read_bytes().isascii()
    assert restore(aside).moves == moves


def test_a_second_call_adds_to_the_quarantine(photos: Path, aside: Path) -> None:
    quarantine(plan(photos, aside))
    (photos / "happy/11.jpg").write_bytes(b"")
    before = files_of(photos, aside)
    quarantine(plan(photos, aside))
    assert len(restore(aside).moves) == 5
    assert files_of(photos) == before


def test_a_folder_that_was_emptied_and_removed_is_made_anew(photos: Path, aside: Path) -> None:
    before = state_of(photos / "happy/deep")
    quarantine(plan(photos, aside))
    (photos / "happy/deep").rmdir()
    restore(aside)
    assert state_of(photos / "happy/deep") == before


def test_where_there_is_nothing_to_move_no_folder_is_made(data: Path, tmp_path: Path) -> None:
    quarantine(plan(data, tmp_path / "aside"))
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_in_the_way_of_an_undo_is_told_before_anything_is_moved(photos: Path, aside: Path) -> None:
    before = state_of(photos)
    quarantine(plan(photos, aside))
    (photos / "sad/empty.jpg").write_text("new")
    (photos / "happy/deep").rmdir()
    (photos / "happy/deep").symlink_to(photos / "sad")
    (photos / "happy/page.jpg").symlink_to("nowhere")
    between = state_of(photos), files_of(aside)
    with pytest.raises(
        OutputError, match=r"3 of 4 files cannot be moved.* inside a linked folder.*a file of that name exists"
    ):
        restore(aside)
    assert (state_of(photos), files_of(aside)) == between
    for name in ("sad/empty.jpg", "happy/deep", "happy/page.jpg"):
        (photos / name).unlink()
    restore(aside)
    assert state_of(photos) == before


def test_what_is_in_the_way_in_a_quarantine_is_told_of_in_the_dry_run(photos: Path, aside: Path) -> None:
    quarantine(plan(photos, aside))
    (photos / "sad/empty.jpg").touch()
    with pytest.raises(OutputError, match=r"1 of 1 files cannot be moved .*sad/empty\.jpg"):
        plan(photos, aside)
    assert len(plan(photos, photos.parent / "another").moves) == 1


@pytest.mark.slow
def test_a_place_that_cannot_be_a_quarantine_is_refused(photos: Path, tmp_path: Path, data: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    for place, reason in [
        (photos / "aside", "must not contain each other"),
        (tmp_path, "must not contain each other"),
        (photos, "must not contain each other"),
        (tmp_path / "full", "not empty"),
        (tmp_path / "full" / "thesis.txt", "is a file"),
        (Path("/dev/shm/aside"), "another disk"),
    ]:
        with pytest.raises(OutputError, match=reason):
            plan(photos, place)
    quarantine(plan(photos, tmp_path / "aside"))
    with pytest.raises(OutputError, match=r"is the quarantine of '.*/photos'"):
        plan(data, tmp_path / "aside")


def test_what_is_no_quarantine_is_not_undone(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="is not a quarantine folder"):
        restore(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_images_that_were_moved_elsewhere_since_are_asked_for(photos: Path, aside: Path) -> None:
    before = state_of(photos)
    quarantine(plan(photos, aside))
    moved = photos.rename(photos.with_name("moved"))
    with pytest.raises(OutputError, match=r"is gone.*mien clean DATA --undo"):
        restore(aside)
    photos.symlink_to(moved)
    with pytest.raises(OutputError, match="is gone"):
        restore(aside)
    assert restore(aside, moved).root == moved
    assert state_of(moved) == before


def test_a_quarantine_may_be_moved_itself(photos: Path, aside: Path) -> None:
    before = state_of(photos)
    quarantine(plan(photos, aside))
    restore(aside.rename(aside.with_name("elsewhere")))
    assert state_of(photos) == before


def test_what_else_lies_in_a_quarantine_stays(photos: Path, aside: Path) -> None:
    before = state_of(photos)
    quarantine(plan(photos, aside))
    (aside / "sad" / "notes.txt").write_text("mine")
    restore(aside)
    assert state_of(photos) == before
    assert files_of(aside) == ["sad/notes.txt"] and not (aside / "journal.json").exists()


def test_links_are_moved_as_links_and_what_lies_behind_linked_folders_stays(photos: Path, aside: Path) -> None:
    pool = photos.parent / "pool"
    shutil.move(photos / "happy/deep", pool)
    (photos / "happy/deep").symlink_to(pool)
    (photos / "sad/again.jpg").symlink_to("00.jpg")
    (photos / "sad/nowhere.jpg").symlink_to("nowhere")
    before = state_of(photos)
    planned = plan(photos, aside)
    assert planned.left == {"happy/deep/again\n😀.jpg": "it is inside a linked folder"}
    quarantine(planned)
    assert len(list(pool.iterdir())) == 1
    assert (aside / "sad/again.jpg").readlink() == Path("00.jpg")
    restore(aside)
    assert state_of(photos) == before


def test_a_file_stays_where_an_image_that_is_used_is_a_link_to_it(photos: Path, aside: Path) -> None:
    (photos / "sad/000-first.jpg").symlink_to("11.jpg")
    planned = plan_quarantine(mien.clean(mien.scan(photos), mien.CleanConfig(keep="first")), aside)
    assert planned.left == {"sad/11.jpg": "a used image links to it"}
    quarantine(planned)
    assert (photos / "sad/000-first.jpg").read_bytes()


def test_hard_links_are_names_of_their_own(photos: Path, aside: Path) -> None:
    (photos / "sad/again.jpg").hardlink_to(photos / "sad/11.jpg")
    before = state_of(photos)
    quarantine(plan(photos, aside))
    assert len(files_of(aside)) == 5
    restore(aside)
    assert state_of(photos) == before


def test_files_that_may_not_be_moved_are_named_and_the_others_are_moved(
    data: Path, open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data, open_path / "photos")
    for place in (open_path, *open_path.rglob("*")):
        place.chmod(0o777)
    for name in ("happy", "sad"):
        (open_path / "photos" / name / "empty.jpg").touch()
    before = files_of(open_path / "photos")
    planned = plan(open_path / "photos", open_path / "aside")
    with without_permission(open_path / "photos/sad", 0o555):
        with pytest.raises(
            OutputError, match=r"1 of 2 files could not be moved .*sad/empty\.jpg' \(Permission denied\)"
        ):
            quarantine(planned)
        assert files_of(open_path / "aside") == ["happy/empty.jpg"]
        assert len(restore(open_path / "aside").moves) == 1
    assert files_of(open_path / "photos") == before


def test_a_disk_that_is_full_when_the_journal_is_written_leaves_everything_in_place(
    photos: Path, aside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(photos)

    def is_full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", is_full)
        with pytest.raises(OutputError, match="No space left"):
            quarantine(plan(photos, aside))
    assert state_of(photos) == before
    assert list(aside.iterdir()) == []
    quarantine(plan(photos, aside))


def test_two_calls_at_a_time_do_not_meet(photos: Path, aside: Path) -> None:
    planned = plan(photos, aside)
    quarantine(planned)
    before = state_of(photos)
    with files.claimed(aside):
        for call in (lambda: quarantine(planned), lambda: restore(aside)):
            with pytest.raises(OutputError, match="another mien command is using"):
                call()
    assert state_of(photos) == before


def tampered(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def apply(aside: Path) -> None:
        document = json.loads((aside / "journal.json").read_text())
        change(document)
        (aside / "journal.json").write_text(json.dumps(document))

    return apply


def naming(path: str) -> Callable[[Path], object]:
    return tampered(lambda document: document["files"].update({path: {}}))


def swap_for_link(aside: Path) -> None:
    (aside / "happy").rename(aside.parent / "outside")
    (aside / "happy").symlink_to(aside.parent / "outside")


def link_journal(aside: Path) -> None:
    (aside / "journal.json").rename(aside.parent / "journal.json")
    (aside / "journal.json").symlink_to(aside.parent / "journal.json")


TAMPERINGS: dict[str, Callable[[Path], object]] = {
    "a way up": naming("happy/../../secret"),
    "an absolute path": naming("/etc/passwd"),
    "a hidden file": naming("happy/.bashrc"),
    "no path": naming(""),
    "a zero byte": naming("happy/\0"),
    "no name of a file": naming("happy/\ud800"),
    "an unknown folder": naming("elsewhere/1.jpg"),
    "a relative root": tampered(lambda document: document.update(root="photos")),
    "no root": tampered(lambda document: document.pop("root")),
    "a root that is a number": tampered(lambda document: document.update(root=3)),
    "an odd mode": tampered(lambda document: document["folders"].update(sad={"mode": 10**9, "mtime_ns": 0})),
    "an odd time": tampered(lambda document: document["folders"].update(sad={"mode": 0, "mtime_ns": 10**30})),
    "another version": tampered(lambda document: document.update(format_version=2)),
    "cut short": lambda aside: os.truncate(aside / "journal.json", 100),
    "no journal": lambda aside: (aside / "journal.json").write_text("[" * 100_000),
    "a list": lambda aside: (aside / "journal.json").write_text("[]"),
    "a link to a folder": swap_for_link,
    "a link to a journal": link_journal,
}


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_a_quarantine_that_was_tampered_with_is_refused_and_nothing_is_moved(
    kind: str, photos: Path, aside: Path
) -> None:
    quarantine(plan(photos, aside))
    TAMPERINGS[kind](aside)
    before = state_of(photos.parent)
    with pytest.raises(
        (OutputError, SourceNotFoundError), match=r"journal|is not a quarantine folder|is a link out of the quarantine"
    ):
        restore(aside)
    after = state_of(photos.parent)
    # The claim of the quarantine wrote a file there, and removed it: only the time of that folder is another.
    assert before.pop("aside")[0] == after.pop("aside")[0]
    assert before == after


def test_a_kill_before_any_change_of_the_disk_loses_nothing(photos: Path, aside: Path, kills: Kills) -> None:
    before, names = state_of(photos), files_of(photos)
    num_kills, planned = 0, plan(photos, aside)
    while is_killed(kills, num_kills, partial(quarantine, planned)):
        assert files_of(photos, aside) == names
        if (aside / "journal.json").exists():
            restore(aside)
            assert state_of(photos) == before
        num_kills += 1
    assert num_kills > 20
    restore(aside)
    assert state_of(photos) == before


@pytest.mark.slow
def test_a_call_that_was_cut_off_is_brought_to_its_end_by_the_next(photos: Path, aside: Path, kills: Kills) -> None:
    before, names = state_of(photos), files_of(photos)
    # Each call is killed a change later than the one before it.
    for allowed in range(100):
        planned = plan(photos, aside)
        if not is_killed(kills, allowed, partial(quarantine, planned)):
            break
        assert files_of(photos, aside) == names
    assert len(files_of(aside)) == 4
    for allowed in range(100):
        if not is_killed(kills, allowed, partial(restore, aside)):
            break
        assert files_of(photos, aside) == names
        if not (aside / "journal.json").exists():
            break
    assert state_of(photos) == before
    assert not aside.exists() or not files_of(aside)
