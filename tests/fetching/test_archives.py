import os
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from archive_files import (
    overlapping_zip,
    packed,
    tar_entry,
    tar_with_long_header,
    write_tar,
    write_zip,
    zip_changed,
    zip_with_link,
)
from mien.config import IntakeLimits
from mien.errors import IntakeError
from mien.fetching.archives import is_archive, members, name_problem

FILES = {"happy/1.jpg": b"one", "sad/2.jpg": b"two" * 1000, "readme.txt": b""}


def read_all(path: Path, limits: IntakeLimits = IntakeLimits(), *, max_bytes: int = 10**6) -> dict[str, bytes | str]:
    """The content of each member, or why it cannot be read."""
    found: dict[str, bytes | str] = {}
    for member in members(path, limits, max_bytes=max_bytes):
        try:
            found[member.name] = member.problem or member.read()
        except IntakeError as error:
            found[member.name] = str(error)
    return found


def read_until_refused(path: Path) -> tuple[dict[str, bytes], str]:
    found: dict[str, bytes] = {}
    try:
        for member in members(path, IntakeLimits(), max_bytes=10**6):
            found[member.name] = member.read()
    except IntakeError as error:
        return found, str(error)
    return found, ""


def refusal(path: Path, limits: IntakeLimits = IntakeLimits()) -> str:
    with pytest.raises(IntakeError) as caught:
        read_all(path, limits)
    assert str(caught.value).isprintable()
    return str(caught.value)


def write_any(path: Path, files: dict[str, bytes], kind: str) -> Path:
    return write_zip(path, files) if kind == "zip" else write_tar(path, files, packing=kind)


@pytest.mark.parametrize("num_blocks", [8, 8.5])
def test_a_tar_archive_that_is_cut_between_two_files_is_no_whole_one(tmp_path: Path, num_blocks: float) -> None:
    content = write_tar(tmp_path / "whole.tar", FILES).read_bytes()
    # Of the first file two blocks, a header and its content; of the second one and six.
    (tmp_path / "cut.tar").write_bytes(content[: int(512 * (1 + num_blocks))])
    found, said = read_until_refused(tmp_path / "cut.tar")
    assert list(found) == ["happy/1.jpg", "sad/2.jpg"]
    assert "damaged or truncated" in said


def test_a_tar_archive_with_a_damaged_header_in_the_middle_is_no_whole_one(tmp_path: Path) -> None:
    content = bytearray(write_tar(tmp_path / "whole.tar", FILES).read_bytes())
    content[512 * 2 + 148 : 512 * 2 + 156] = b"999999\0 "
    (tmp_path / "bad.tar").write_bytes(content)
    found, said = read_until_refused(tmp_path / "bad.tar")
    assert (list(found), "damaged" in said) == (["happy/1.jpg"], True)


@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2"])
def test_members_are_read_in_order(tmp_path: Path, kind: str) -> None:
    path = write_any(tmp_path / "a", FILES, kind)
    assert is_archive(path.read_bytes()[:512])
    assert read_all(path) == FILES and list(read_all(path)) == list(FILES)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["zip", "", "gz"])
def test_members_need_not_be_read(tmp_path: Path, kind: str) -> None:
    path = write_any(tmp_path / "a", FILES, kind)
    assert [m.name for m in members(path, IntakeLimits(), max_bytes=1000)] == list(FILES)


def test_folders_are_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("happy")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(*tar_entry("happy", kind=tarfile.DIRTYPE))
    assert read_all(tmp_path / "a.zip") == read_all(tmp_path / "a.tar") == {}


@pytest.mark.parametrize(
    "name", ["/etc/x.jpg", "../x.jpg", "a/../../x.jpg", "..\\x.jpg", "C:\\x.jpg", "c:x", "\\\\host\\x", "a/.."]
)
@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_a_name_that_leads_out_is_a_problem(tmp_path: Path, name: str, kind: str) -> None:
    assert "leads out" in str(read_all(write_any(tmp_path / "a", {name: b"x"}, kind))[name])


def test_a_name_with_control_characters_or_very_many_letters_is_a_problem(tmp_path: Path) -> None:
    assert name_problem("a\x1b[2J.jpg") and name_problem("a\udcff.jpg") and name_problem("a" * 1001)
    path = zip_changed(tmp_path / "a.zip", {"happy/x.jpgQexe": b"x"}, (b"x.jpgQ", b"x.jpg\0"))
    assert read_all(path) == {"happy/x.jpg\0exe": "its name contains control characters or invalid text"}
    assert "1001 characters" in name_problem("a" * 1001)


def test_links_and_devices_are_problems(tmp_path: Path) -> None:
    kinds = [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
    ]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, kind in enumerate(kinds):
            archive.addfile(*tar_entry(f"{number}.jpg", kind=kind))
    assert set(read_all(tmp_path / "a.tar").values()) == {"a link or a device, not a file"}
    assert len(read_all(tmp_path / "a.tar")) == len(kinds)
    assert read_all(zip_with_link(tmp_path / "a.zip")) == {"happy/link.jpg": "a link or a device, not a file"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_again_is_a_problem(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", b"first")
        archive.writestr("a.jpg", b"second")
        archive.writestr("A.jpg", b"third")
    found = read_all(tmp_path / "a.zip")
    assert found["a.jpg"] == b"first" and found["A.jpg"] == b"third"
    assert found["a.jpg\x002"] == "the archive has another file with this name"


def test_an_encrypted_member_is_a_problem(tmp_path: Path) -> None:
    path = zip_changed(tmp_path / "a.zip", {"a.jpg": b"x"}, (b"PK\1\2\x14\x03\x14\0\0\0", b"PK\1\2\x14\x03\x14\0\1\0"))
    assert read_all(path) == {"a.jpg": "it is encrypted"}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_is_packed_in_an_unusual_way_is_a_problem(tmp_path: Path, method: int) -> None:
    assert read_all(write_zip(tmp_path / "a.zip", {"a.jpg": b"x"}, method=method)) == {
        "a.jpg": "unsupported compression method"
    }


def test_a_damaged_member_does_not_stop_the_others(tmp_path: Path) -> None:
    path = zip_changed(tmp_path / "a.zip", {"a.jpg": b"first", "b.jpg": b"second"}, (b"first", b"fIrst"))
    found = read_all(path)
    assert "damaged: Bad CRC-32" in str(found["a.jpg"]) and found["b.jpg"] == b"second"


def test_a_member_that_says_a_wrong_size_is_a_problem(tmp_path: Path) -> None:
    for size in (3, 50):
        path = zip_changed(tmp_path / "a.zip", {"a.jpg": b"first", "b.jpg": bytes(100)})
        content = bytearray(path.read_bytes())
        place = content.index(b"PK\1\2") + 24
        content[place : place + 4] = struct.pack("<L", size)
        path.write_bytes(content)
        assert "damaged" in str(read_all(path)["a.jpg"]) or "truncated" in str(read_all(path)["a.jpg"])


def test_a_member_that_is_too_large_is_a_problem_and_not_read(tmp_path: Path) -> None:
    for kind in ("zip", "gz"):
        path = write_any(tmp_path / "a", {"a.jpg": os.urandom(2000), "b.jpg": b"x"}, kind)
        found = read_all(path, max_bytes=1999)
        assert "2000 bytes, more than the limit of 1999" in str(found["a.jpg"]) and found["b.jpg"] == b"x"


def test_a_zip_bomb_is_a_problem(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"bomb.bmp": bytes(10_000_000), "b.jpg": b"x"})
    found = read_all(path, max_bytes=10**8)
    assert "200 times its size" in str(found["bomb.bmp"]) and found["b.jpg"] == b"x"


@pytest.mark.medium
@pytest.mark.parametrize("packing", ["gz", "bz2"])
def test_a_tar_bomb_is_stopped_in_little_memory(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "a.tar"
    write_tar(path, {"a.jpg": b"x", "bomb.bmp": bytes(50_000_000), "b.jpg": b"x"})
    path.write_bytes(packed(path.read_bytes(), packing))
    tracemalloc.start()
    assert "200 times its size" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    assert "overlap" in refusal(overlapping_zip(tmp_path / "a.zip"))


def test_an_archive_with_too_much_in_it_is_stopped(tmp_path: Path) -> None:
    files = {f"{number}.jpg": os.urandom(1000) for number in range(30)}
    for kind in ("zip", "gz"):
        path = write_any(tmp_path / "a", files, kind)
        assert "more than 20 files (see --max-files)" in refusal(path, IntakeLimits(max_files=20))
        assert "see --max-total-bytes" in refusal(
            write_any(tmp_path / "a", {**files, "x": bytes(10**5)}, kind), IntakeLimits(max_total_bytes=20_000)
        )
        assert "see --source-timeout-s" in refusal(path, IntakeLimits(source_timeout_s=1e-9))


def test_an_enormous_table_of_contents_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with open(path, "wb") as file:
        size = 400_000_000
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, size, 0, 0))
        file.seek(0)
        file.write(b"PK\3\4")
    tracemalloc.start()
    assert "too many files" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_an_enormous_header_is_not_read(tmp_path: Path) -> None:
    assert "one of its headers is too long" in refusal(tar_with_long_header(tmp_path / "a.tar.gz", 1_000_000))


def test_a_truncated_archive_gives_what_is_whole_and_says_so(tmp_path: Path) -> None:
    files = {f"{number}.jpg": os.urandom(50_000) for number in range(4)}
    for kind in ("zip", "", "gz", "bz2"):
        path = write_any(tmp_path / "a", files, kind)
        content = path.read_bytes()
        for part in (0.2, 0.6, 0.99):
            path.write_bytes(content[: int(len(content) * part)])
            found, reason = read_until_refused(path)
            assert "damaged" in reason or "too early" in reason or (kind, part) == ("", 0.99)  # the last zeros of a tar
            assert all(files[name] == found[name] for name in found)


@pytest.mark.medium
def test_any_flipped_byte_ends_in_content_or_in_an_error_of_mien(tmp_path: Path) -> None:
    for kind in ("zip", "", "gz"):
        path = write_any(tmp_path / "a", {"a.jpg": b"some content", "b.jpg": b"x"}, kind)
        content = path.read_bytes()
        for place in range(0, len(content), 1 if len(content) < 600 else 37):
            path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
            assert read_until_refused(path)[1].isprintable()


def test_what_is_no_such_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content, words in [
        (b"", "not a zip or tar archive"),
        (b"hello", "not a zip or tar"),
        (b"\xff\xd8\xff\xe0", "but an image: put its URL into a list"),
        (b"PK\3\4", "damaged"),
        (b"\xfd7zXZ\0", "xz. Repack it as"),
        (packed(b"no tar", "gz"), "damaged"),
    ]:
        path.write_bytes(content)
        assert words in refusal(path)
    assert not is_archive(b"http://h/a.jpg\n")
