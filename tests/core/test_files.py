import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from conftest import make_pipe, make_socket, without_permission
from mien.core import files
from mien.errors import OutputError, SourceNotFoundError


def test_threads_that_write_the_same_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    texts = [letter * 10_000 for letter in "abcdefgh"] * 20
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: files.write_text(path, text), texts))
    assert path.read_text() in texts and list(tmp_path.iterdir()) == [path]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".html")
    files.write_text(path, "text")
    assert path.read_text() == "text"


def test_a_file_is_replaced_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), MemoryError()])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")

    def fail() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")

    def fill_the_disk() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError) as caught:
        fill_the_disk()
    assert str(caught.value).startswith(f"cannot write '{path}': No space left on device. Free some space or choose")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing" / "a.txt", tmp_path / "file" / "a.txt", tmp_path / "folder"):
        with pytest.raises(OutputError, match=f"cannot write '{path}'"):
            files.write_text(path, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_what_mien_itself_raises_goes_through_unchanged(tmp_path: Path) -> None:
    for error in (OutputError("in the way"), SourceNotFoundError("gone")):
        with pytest.raises(type(error)) as caught, files.writing(tmp_path):
            raise error
        assert caught.value is error


def test_text_keeps_its_line_ends_and_the_bytes_of_odd_names(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a", "é\r\n\n" + os.fsdecode(b"\xff"))
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\r\n\n\xff"


def test_a_temporary_file_has_its_room_and_leaves_no_name() -> None:
    with files.temporary_file(5000) as file:
        assert os.fstat(file.fileno()).st_size >= 5000
        assert os.fstat(file.fileno()).st_nlink == 0


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot ask for room")
def test_a_temporary_file_without_room_is_refused_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match="No space left"), files.temporary_file(5000):
        pytest.fail("given a file without room")


def test_a_system_without_a_folder_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(OutputError, match="set TMPDIR"), files.temporary_file(5000):
        pytest.fail("given a file in no folder")


def test_a_temporary_file_has_its_room_where_the_system_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with files.temporary_file(5000) as file:
        assert os.fstat(file.fileno()).st_size >= 5000


def test_files_are_found_in_a_fixed_order_without_the_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/c/3", ".hidden/4", "a/.5", "z", "A", ".git/6", "10", "9"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in files.walk(tmp_path)]
    assert found == ["10", "9", "A", "a/c/3", "b/1", "b/2", "z"]


def test_loops_of_links_end_and_no_folder_is_gone_through_twice(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "1").touch()
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "again").symlink_to("deep", target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to("self")
    found = [path.relative_to(tmp_path).as_posix() for path in files.walk(tmp_path)]
    assert found == ["a/again/1", "a/self"]


def test_a_folder_that_may_be_listed_and_not_entered_has_files_that_cannot_be_read(open_path: Path) -> None:
    path = open_path / "a" / "1"
    path.parent.mkdir()
    path.touch()
    with without_permission(path.parent, 0o444):
        assert list(files.walk(open_path)) == [path]
        with pytest.raises(PermissionError):
            files.read_regular(path, max_bytes=9)


def test_a_folder_that_may_not_be_listed_is_an_error(open_path: Path) -> None:
    (open_path / "a").mkdir()
    with without_permission(open_path / "a"), pytest.raises(SourceNotFoundError, match="a': Permission denied"):
        list(files.walk(open_path))


def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read_regular(tmp_path / "a", max_bytes=5) == b"12345"
    assert files.read_bytes(tmp_path / "a", max_bytes=5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes, more than the limit of 4"):
        files.read_regular(tmp_path / "a", max_bytes=4)
    with pytest.raises(SourceNotFoundError, match=r"cannot read '.*/a': it has 5 bytes, more than the limit of 4$"):
        files.read_bytes(tmp_path / "a", max_bytes=4)


def test_a_path_that_no_system_can_have_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="null"):
        files.read_regular(tmp_path / "a\0b", max_bytes=9)
    with pytest.raises(SourceNotFoundError, match="null"):
        files.read_bytes(tmp_path / "a\0b", max_bytes=9)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "missing", "broken link", "loop", "device"])
def test_what_is_no_regular_file_is_never_opened(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    monkeypatch.chdir(tmp_path)  # The path of a socket must be short.
    if kind == "pipe":
        make_pipe(path)
    elif kind == "socket":
        make_socket("a.jpg")
    elif kind == "folder":
        path.mkdir()
    elif kind == "broken link":
        path.symlink_to("missing")
    elif kind == "loop":
        path.symlink_to("a.jpg")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match=r".") as caught:
        files.read_regular(path, max_bytes=1000)
    assert files.reason_of(caught.value)
    with pytest.raises(SourceNotFoundError, match=r"cannot read '.*a.jpg': ."):
        files.read_bytes(path, max_bytes=1000)


@pytest.mark.parametrize("target", [None, "/dev/zero"])
def test_text_is_read_of_regular_files_only(target: str | None, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\r\n")
    with files.open_text(tmp_path / "a", errors="surrogateescape") as file:
        assert file.read() == "\udcff\r\n"
    path = tmp_path / "b"
    path.symlink_to(target) if target else make_pipe(path)
    with pytest.raises(OSError, match="not a regular file"):
        files.open_text(path)
    assert files.sha256_of(path) == ""


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345" * 100_000)
    assert files.sha256_of(tmp_path / "a") == hashlib.sha256(b"12345" * 100_000).hexdigest()
    assert files.sha256_of(tmp_path / "missing") == ""


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_renamed_file_never_takes_the_place_of_another(
    in_one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_one_step:
        monkeypatch.setattr(files, "_rename_in_one_step", lambda _source, _target: errno.EINVAL)
    source, target = tmp_path / "a", tmp_path / os.fsdecode(b"\xff b")
    takings: list[Callable[[], object]] = [target.touch, target.mkdir]
    takings += [lambda: target.symlink_to("nowhere"), lambda: target.hardlink_to(source)]
    for take in takings:
        source.write_text("mine")
        take()
        with pytest.raises(FileExistsError):
            files.rename_to_free_name(source, target)
        assert source.read_text() == "mine"
        target.rmdir() if target.is_dir() else target.unlink()
    files.rename_to_free_name(source, target)
    assert target.read_text() == "mine" and not source.exists()
    with pytest.raises(FileNotFoundError):
        files.rename_to_free_name(source, tmp_path / "c")


def test_a_folder_is_claimed_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        files.claimed(tmp_path),
        pytest.raises(OutputError, match="another mien command is using"),
        files.claimed(tmp_path),
    ):
        pass
    with files.claimed(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_claim_a_folder_no_two_ever_have_it(tmp_path: Path) -> None:
    inside, most_inside, claims = 0, 0, 0

    def claim_often() -> None:
        nonlocal inside, most_inside, claims
        for _ in range(100):
            with suppress(OutputError), files.claimed(tmp_path):
                inside += 1
                time.sleep(0)
                most_inside, claims = max(most_inside, inside), claims + 1
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        for claimant in [pool.submit(claim_often) for _ in range(4)]:
            claimant.result()
    assert most_inside == 1 and claims > 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.medium
def test_a_kill_ends_a_claim(tmp_path: Path) -> None:
    imports = "import time; from pathlib import Path; from mien.core.files import claimed"
    code = f"{imports}\nwith claimed(Path({str(tmp_path)!r})): print(flush=True); time.sleep(99)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        with pytest.raises(OutputError, match="another mien command is using"), files.claimed(tmp_path):
            pass
        process.kill()
    with files.claimed(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_claim_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear")
    (tmp_path / files.LOCK_NAME).symlink_to("diary.txt")
    with pytest.raises(OutputError, match="cannot write"), files.claimed(tmp_path):
        pass
    assert (tmp_path / "diary.txt").read_text() == "dear"


def test_the_names_in_a_folder_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: kept.append(identity(os.fstat(descriptor))))
    before = open_descriptors()
    files.keep_names(tmp_path)
    assert kept == [identity(tmp_path.stat())]
    assert open_descriptors() == before


def test_a_disk_that_cannot_keep_names_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    before = open_descriptors()
    files.keep_names(tmp_path)
    assert len(asked) == 1
    assert open_descriptors() == before
    files.keep_names(tmp_path / "missing")
    assert len(asked) == 1 and not (tmp_path / "missing").exists()


def identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def open_descriptors() -> int:
    """Return the number that the next opened file would have: it grows with each that is left open."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor
