"""Sorted folders: whatever happens in between, originals stay, nothing is half there, and undo removes what was put."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from conftest import without_permission
from hostile_names import NAMES
from killing import Kills, is_killed
from mien.config import Link
from mien.core import files
from mien.data.sorted_folder import JOURNAL_NAME, SortedFile, SortedFolder, Undone, open_sorted, undo_sort
from mien.errors import OutputError, SourceNotFoundError

LINKS: tuple[Link | None, ...] = (None, *get_args(Link))
BESIDE = (JOURNAL_NAME, ".mien-sort", ".journal", ".lock")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Nine files in three folders, some of which share a name; odd names among them."""
    for place in ("a", "b", "c"):
        (tmp_path / "photos" / place).mkdir(parents=True)
        for number, name in enumerate(("1.jpg", "two\nlines.jpg", os.fsdecode(b"\xff" + 250 * b"x" + b".jpg"))):
            (tmp_path / "photos" / place / name).write_bytes(f"{place}{number}".encode() * 1000)
    return tmp_path / "photos"


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "sorted"


def state_of(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return the content, time and mode of every file by its path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in found}


def put_files(photos: Path, to: Path, link: Link | None = None, sources: Iterable[Path] = ()) -> None:
    """Put files into the folder of the class `happy`, as `mien sort` does; those that are known are passed over."""
    with open_sorted(to) as folder:
        for source in sources or sorted(path for path in photos.rglob("*") if path.is_file()):
            if not folder.knows(str(source)):
                path = folder.free_path("happy", source.name)
                folder.put(SortedFile(path, str(source), "happy", 0.75, "", link, files.sha256_of(source)))


def put_names(to: Path) -> list[str]:
    """Return the files under final names."""
    paths = (path.relative_to(to) for path in to.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in paths if not path.parts[0].startswith(BESIDE))


@pytest.mark.parametrize("link", LINKS)
def test_what_is_put_has_the_content_of_the_original_and_undo_leaves_nothing(
    photos: Path, to: Path, link: Link | None
) -> None:
    before = state_of(photos)
    put_files(photos, to, link)
    found = SortedFolder(to).files
    assert len(found) == 9 and put_names(to) == sorted(file.path for file in found)
    for file in found:
        place, source = to / file.path, Path(file.source)
        assert place.read_bytes() == source.read_bytes() and place.stat().st_mtime_ns == source.stat().st_mtime_ns
        assert (place.is_symlink(), place.samefile(source)) == (link == "symbolic", link is not None)
    assert to.stat().st_mode & 0o777 == 0o700
    assert sorted(undo_sort(to).removed) == sorted(file.path for file in found)
    assert not to.exists() and state_of(photos) == before


def test_names_that_clash_get_a_number_and_stay_short_enough(photos: Path, to: Path) -> None:
    put_files(photos, to)
    long_name = 250 * "x"
    assert put_names(to)[:3] == ["happy/1-2.jpg", "happy/1-3.jpg", "happy/1.jpg"]
    assert sum(long_name[:240] in name for name in put_names(to)) == 3
    folder = SortedFolder(to)
    assert folder.free_path("happy", "1.jpg") == "happy/1-4.jpg" and folder.free_path("sad", "1.jpg") == "sad/1.jpg"
    assert folder.free_path("sad", ".1.jpg") == "sad/1-2.jpg" and folder.free_path("sad", "...") == "sad/image"
    for name in ("x" * 255, "x." + "y" * 253, "ä" * 127):
        assert len({folder.free_path("sad", name) for _ in range(3)}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_as_it_is(tmp_path: Path, to: Path, name: str) -> None:
    source = tmp_path / f"{os.fsdecode(os.fsencode(name)[:250])}.jpg"
    source.write_bytes(b"x")
    put_files(tmp_path, to, sources=[source])
    assert put_names(to) == [f"happy/{source.name}"]
    assert (to / JOURNAL_NAME).read_bytes().isascii()
    assert SortedFolder(to).files[0].source == str(source)
    undo_sort(to)
    assert not to.exists() and source.exists()


def test_a_second_call_goes_on_and_takes_no_name_that_was_there(photos: Path, to: Path) -> None:
    put_files(photos, to, sources=[photos / "a/1.jpg"])
    # Moved by its owner, who knows better.
    (to / "sad").mkdir()
    (to / "happy/1.jpg").rename(to / "sad/1.jpg")
    put_files(photos, to)
    assert len(put_names(to)) == 9 and "happy/1.jpg" not in put_names(to) and "sad/1.jpg" in put_names(to)
    put_files(photos, to)
    assert len(put_names(to)) == 9


def test_an_original_that_changed_is_put_there_again(photos: Path, to: Path) -> None:
    put_files(photos, to)
    (photos / "a/1.jpg").write_bytes(b"new")
    put_files(photos, to)
    assert (to / "happy/1-4.jpg").read_bytes() == b"new" and len(put_names(to)) == 10


def test_undo_leaves_and_names_what_was_changed_and_what_it_did_not_put_there(photos: Path, to: Path) -> None:
    put_files(photos, to)
    (to / "happy/1.jpg").write_bytes(b"edited")
    (to / "happy/1-2.jpg").unlink()
    (to / "happy/1-2.jpg").symlink_to(photos / "b/1.jpg")
    (to / "happy/mine.jpg").write_bytes(b"mine")
    undone = undo_sort(to)
    assert undone.left == {"happy/1.jpg": "it has changed", "happy/1-2.jpg": "it has changed"}
    assert len(undone.removed) == 7
    assert put_names(to) == ["happy/1-2.jpg", "happy/1.jpg", "happy/mine.jpg"]
    assert (to / "happy/1.jpg").read_bytes() == b"edited"
    # It is still known where these are from.
    assert set(undo_sort(to).left) == set(undone.left)


@pytest.mark.parametrize("link", LINKS)
def test_undo_leaves_what_may_be_the_only_copy(photos: Path, to: Path, link: Link | None) -> None:
    put_files(photos, to, link)
    (photos / "a/1.jpg").unlink()
    left = undo_sort(to).left
    assert left == ({} if link == "symbolic" else {"happy/1.jpg": "its original is gone"})
    assert (to / "happy/1.jpg").exists() == (link != "symbolic")


def test_undo_follows_no_link_to_another_folder(photos: Path, to: Path) -> None:
    put_files(photos, to)
    (to / "happy").rename(to.parent / "elsewhere")
    (to / "happy").symlink_to(to.parent / "elsewhere")
    undone = undo_sort(to)
    assert not undone.removed and set(undone.left.values()) == {"it is inside a linked folder"}
    with pytest.raises(OutputError, match="is a link, which may lead elsewhere"):
        put_files(photos, to, sources=[Path(shutil.copy(photos / "a/1.jpg", photos / "new.jpg"))])


def test_a_folder_that_cannot_be_sorted_into_is_refused(photos: Path, to: Path) -> None:
    (to / "happy").mkdir(parents=True)
    for place, reason in [(to, "not empty and was not filled by mien sort"), (photos / "a/1.jpg", "is a file")]:
        with pytest.raises(OutputError, match=reason):
            put_files(photos, place)
    with pytest.raises(SourceNotFoundError, match="was not filled by mien sort"):
        undo_sort(to)
    (to / "happy").rmdir()
    (to / ".hidden").touch()
    put_files(photos, to)
    undo_sort(to)
    assert [path.name for path in to.iterdir()] == [".hidden"]


def test_where_nothing_is_put_no_folder_is_left(to: Path) -> None:
    with open_sorted(to) as folder:
        assert not folder.knows("a.jpg")
    assert not to.exists()


@pytest.mark.parametrize("at", ["copy", "journal"])
def test_a_disk_that_is_full_leaves_nothing_half_and_the_next_call_goes_on(
    photos: Path, to: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    before = state_of(photos)
    put_files(photos, to, sources=[photos / "a/1.jpg"])

    def is_full(_: object, place: str | Path) -> None:
        Path(place).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    def writes_half(entries: list[SortedFile]) -> str:
        text = "".join(json.dumps(vars(entry)) + "\n" for entry in entries)
        if len(entries) == 1 and entries[0].source.endswith("b/1.jpg"):
            with open(to / JOURNAL_NAME, "a", encoding="ascii") as journal:
                journal.write(text[:30])
            raise OSError(errno.ENOSPC, "No space left on device")
        return text

    with monkeypatch.context() as patch:
        if at == "copy":
            patch.setattr(shutil, "copy2", is_full)
        else:
            patch.setattr("mien.data.sorted_folder._lines", writes_half)
        with pytest.raises(
            OutputError, match=r"cannot write .*1-2\.jpg.*No space left on device. Free some space or choose"
        ):
            put_files(photos, to, sources=[photos / "b/1.jpg"])
    assert put_names(to) == ["happy/1.jpg"]
    assert [file.path for file in SortedFolder(to).files] == put_names(to)
    assert not (to / ".mien-sort").exists()
    put_files(photos, to)
    assert len(put_names(to)) == 9
    assert len(undo_sort(to).removed) == 9 and state_of(photos) == before


def test_what_could_not_be_put_is_not_known_and_the_next_call_puts_it(photos: Path, to: Path) -> None:
    put_files(photos, to, sources=[photos / "a/1.jpg"])
    (to / "happy").rename(to / "kept")
    (to / "happy").touch()
    with pytest.raises(OutputError, match=r"cannot write .*1-2\.jpg': File exists"):
        put_files(photos, to, sources=[photos / "b/1.jpg"])
    assert len(SortedFolder(to).files) == 1
    (to / "happy").unlink()
    put_files(photos, to, sources=[photos / "b/1.jpg"])
    assert put_names(to) == ["happy/1-2.jpg", "kept/1.jpg"]


def test_a_link_that_cannot_be_made_is_told_of_with_what_to_do(photos: Path, to: Path) -> None:
    with pytest.raises(
        OutputError, match=r"cannot create a hard link to .* in .*sorted'.* Remove --link to copy the images"
    ):
        put_files(photos, to, "hard", sources=[Path("/proc/version")])
    assert not to.exists()


def test_a_folder_without_permission_is_told_of(open_path: Path) -> None:
    source = open_path / "1.jpg"
    source.write_bytes(b"x")
    (open_path / "sorted").mkdir()
    with without_permission(open_path / "sorted", 0o555), pytest.raises(OutputError, match="Permission denied"):
        put_files(open_path, open_path / "sorted", sources=[source])


def test_two_calls_at_a_time_do_not_meet(photos: Path, to: Path) -> None:
    put_files(photos, to)
    with open_sorted(to):
        for call in (partial(put_files, photos, to), partial(undo_sort, to)):
            with pytest.raises(OutputError, match="another mien command is using"):
                call()
    assert len(put_names(to)) == 9


def tampered(**changes: object) -> Callable[[Path], object]:
    def apply(journal: Path) -> None:
        first, *rest = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join([json.dumps(json.loads(first) | changes) + "\n", *rest]))

    return apply


def link_journal(journal: Path) -> None:
    journal.rename(journal.parent.parent / "elsewhere")
    journal.symlink_to(journal.parent.parent / "elsewhere")


TAMPERINGS: dict[str, Callable[[Path], Any]] = {
    "a way up": tampered(path="../secret"),
    "a deeper way up": tampered(path="happy/../../secret"),
    "an absolute path": tampered(path="/etc/passwd"),
    "a hidden file": tampered(path="happy/.bashrc"),
    "no class folder": tampered(path="thesis.txt"),
    "no path": tampered(path=""),
    "a zero byte": tampered(path="happy/\0"),
    "no name of a file": tampered(source="/\ud800"),
    "another link": tampered(link="chain"),
    "no number": tampered(probability="high"),
    "an unfinished line": lambda journal: journal.write_text('{"path":\n'),
    "a list": lambda journal: journal.write_text("[]\n"),
    "much nested": lambda journal: journal.write_text("[" * 100_000 + "\n"),
    "no text": lambda journal: journal.write_bytes(b"\xff\xff\n"),
    "a link": link_journal,
}


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_a_journal_that_was_tampered_with_is_refused_and_nothing_is_removed(kind: str, photos: Path, to: Path) -> None:
    put_files(photos, to)
    TAMPERINGS[kind](to / JOURNAL_NAME)
    for call in (partial(put_files, photos, to), partial(undo_sort, to)):
        with pytest.raises(SourceNotFoundError, match=r"journal\.jsonl' is damaged or was edited.*Nothing was changed"):
            call()
    assert len(put_names(to)) == 9


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.skipif(sys.platform == "win32", reason="what is open cannot be removed there")
def test_a_kill_before_any_change_of_the_disk_leaves_nothing_half_or_unknown(
    photos: Path, to: Path, kills: Kills, link: Link | None
) -> None:
    before, num_kills = state_of(photos), 0
    while is_killed(kills, num_kills, partial(put_files, photos, to, link)):
        known = {file.path: file for file in SortedFolder(to).files}
        for name in put_names(to):
            assert (to / name).read_bytes() == Path(known[name].source).read_bytes()
        if (to / JOURNAL_NAME).exists():
            assert undo_sort(to).left == {} and not to.exists()
        num_kills += 1
    assert num_kills > 40
    assert len(put_names(to)) == 9 and state_of(photos) == before


def test_calls_that_are_cut_off_again_and_again_come_to_their_end(photos: Path, to: Path, kills: Kills) -> None:
    allowed = 0
    while is_killed(kills, allowed, partial(put_files, photos, to)):
        allowed += 1
    assert len(put_names(to)) == 9 and len(SortedFolder(to).files) == 9

    def undo() -> Undone | None:
        return undo_sort(to) if (to / JOURNAL_NAME).exists() else None

    allowed = 0
    while is_killed(kills, allowed, undo):
        allowed += 1
    assert not put_names(to) and len(state_of(photos)) == 9


def test_what_a_kill_left_half_is_not_taken_for_a_file(photos: Path, to: Path) -> None:
    put_files(photos, to, sources=[photos / "a/1.jpg"])
    (to / ".mien-sort").mkdir()
    (to / ".mien-sort/half").write_bytes((photos / "b/1.jpg").read_bytes()[:500])
    with open(to / JOURNAL_NAME, "a", encoding="ascii") as journal:
        journal.write('{"path": "happy/1-2.jpg", "sour')
    (to / ".journal.1-1.tmp.jsonl").write_text('{"path": "hap')
    put_files(photos, to)
    assert len(put_names(to)) == len(SortedFolder(to).files) == 9
    assert all(len((to / name).read_bytes()) == 2000 for name in put_names(to))
    undo_sort(to)
    assert not to.exists()
