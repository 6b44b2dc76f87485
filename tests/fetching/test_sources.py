import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Heard, Mien, make_pipe, make_socket, without_permission
from mien.config import FetchLimits
from mien.core.formats import MAX_FILE_BYTES
from mien.errors import FetchError, ImageError, SettingsError, SourceNotFoundError
from mien.fetching import sources
from mien.fetching.sources import expand, expand_files, read
from servers import reply, say_nothing, serving

JPEG = b"\xff\xd8\xff\xe0" + bytes(28)


def why_unreadable(source: str | Path) -> str:
    """What `read` says of a file that it cannot read: one printable line."""
    with pytest.raises(ImageError) as caught:
        read(str(source))
    assert caught.value.problem == "unreadable" and str(caught.value).isprintable()
    return str(caught.value)


def test_expand_keeps_files_urls_and_standard_input_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"not looked at")
    (tmp_path / "a.jpg").touch()
    given: list[str | Path] = [
        tmp_path / "b.txt",
        "-",
        "http://h/x",
        str(tmp_path / "a.jpg"),
        "HTTPS://h/y",
        "ftp://h/z",
    ]
    assert expand(given) == list(map(str, given))


def test_expand_takes_a_single_path_as_one_source(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert expand(str(tmp_path / "a.jpg")) == expand(tmp_path / "a.jpg") == expand(tmp_path) == [f"{tmp_path}/a.jpg"]


def test_expand_finds_images_by_extension_at_any_depth_in_sorted_order(tmp_path: Path) -> None:
    wanted = ["10.JPG", "b/c/d.webp", "b/x.jpeg", "z.tiff"]
    for name in [*wanted, "notes.txt", "Thumbs.db", ".hidden.jpg", ".cache/a.jpg", "b/._x.jpeg", "no_extension"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"text")
    assert expand([tmp_path]) == [str(tmp_path / name) for name in wanted]


@pytest.mark.parametrize(
    "head",
    [
        JPEG,
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM\x36\x00\x0c\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00",
        b"RIFF\x24\x00\x00\x00WEBPVP8 ",
        b"II*\x00",
        b"MM\x00*",
        b"\x00\x00\x00\x20ftypavif",
        b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif",
        b"\x00\x00\x00\x18ftypheic",
    ],
)
def test_expand_finds_images_without_an_extension_by_their_first_bytes(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "image").write_bytes(head)
    assert expand([tmp_path]) == [str(tmp_path / "image")]


@pytest.mark.parametrize(
    "head", [b"", b"BMW and other cars", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"\x00\x00\x00\x18ftypmp42"]
)
def test_expand_passes_over_other_files(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "other").write_bytes(head)
    assert expand([tmp_path]) == []


def test_expand_survives_links_that_go_round_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x.jpg").touch()
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "a/b/self").symlink_to(tmp_path / "a/b/self")
    (tmp_path / "again").symlink_to(tmp_path / "a/b")
    assert expand([tmp_path]) == [str(tmp_path / "a/b/x.jpg")]


def test_expand_follows_linked_folders_and_files(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/x.jpg").touch()
    (tmp_path / "near").mkdir()
    (tmp_path / "near/folder").symlink_to(tmp_path / "far")
    (tmp_path / "near/link.jpg").symlink_to(tmp_path / "far/x.jpg")
    assert expand([tmp_path / "near"]) == [f"{tmp_path}/near/folder/x.jpg", f"{tmp_path}/near/link.jpg"]


def test_expand_keeps_a_broken_link_to_an_image_so_that_reading_reports_it(tmp_path: Path) -> None:
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "lost.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "through.txt").symlink_to("notes.txt/x")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    (tmp_path / "through.jpg").symlink_to("notes.txt/x")
    assert expand([tmp_path]) == [f"{tmp_path}/lost.jpg", f"{tmp_path}/round.jpg", f"{tmp_path}/through.jpg"]
    assert "No such file" in why_unreadable(tmp_path / "lost.jpg")


def test_expand_keeps_whatever_it_cannot_look_at_so_that_reading_reports_it(open_path: Path) -> None:
    names = [str(open_path / name) for name in ("listed/a.jpg", "listed/no_extension", "no_extension")]
    (open_path / "listed").mkdir()
    for name in names:
        Path(name).write_bytes(JPEG)
    (open_path / "no_extension").chmod(0)
    with without_permission(open_path / "listed", 0o444):
        assert expand([open_path]) == names
        assert all("Permission denied" in why_unreadable(name) for name in names)


def test_expand_passes_over_pipes_and_sockets_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    make_pipe("pipe.jpg")
    make_pipe("pipe")
    make_socket("socket.jpg")
    assert expand([tmp_path]) == []


def test_expand_gives_files_with_special_names_another_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-", "data:x.jpg", "file:x.jpg"):
        Path(name).write_bytes(JPEG)
    assert expand(".") == ["./-", "./data:x.jpg", "./file:x.jpg"]
    assert [read(name) for name in expand(".")] == [JPEG] * 3


def test_expand_survives_a_tree_deeper_than_the_recursion_limit(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["d"] * 400)
    deep.mkdir(parents=True)
    (deep / "x.jpg").touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)  # a tree deeper than the usual 1000 takes seconds to make
    try:
        assert expand([tmp_path]) == [f"{deep}/x.jpg"]
    finally:
        sys.setrecursionlimit(limit)


def test_expand_reports_every_missing_source_at_once(tmp_path: Path) -> None:
    make_pipe(tmp_path / "pipe")
    with pytest.raises(SourceNotFoundError) as caught:
        expand([tmp_path / "one", "http://h/x", tmp_path / "two\nlines", "", "nul\0", tmp_path / "pipe"])
    message = str(caught.value)
    assert message.startswith("5 of 6 sources cannot be read")
    assert "one': No such file" in message and "two\\nlines'" in message and "pipe': not a file or" in message
    assert "\n" not in message


def test_expand_shortens_a_long_list_of_missing_sources() -> None:
    with pytest.raises(SourceNotFoundError, match=r"'missing/9': .*; and 990 more") as caught:
        expand(f"missing/{number}" for number in range(1000))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_expand_reports_a_file_or_folder_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "a.jpg"
    path.touch() if kind == "file" else path.mkdir()
    # os.access asks for the real user, whom the tests cannot change.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SourceNotFoundError, match=r"a\.jpg': Permission denied"):
        expand([path])


def test_expand_names_the_subfolder_that_may_not_be_read(open_path: Path) -> None:
    (open_path / "locked").mkdir()
    with without_permission(open_path / "locked"), pytest.raises(SourceNotFoundError, match=r"locked': Permission"):
        expand([open_path])


def test_read_returns_the_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a\udcffb.jpg").write_bytes(JPEG)
    assert [read(name) for name in expand([tmp_path])] == [JPEG]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.jpg", "No such file"),
        ("folder", "Is a directory"),
        ("nul\0", "null"),
        ("", "Is a directory"),
        ("pipe", "not a regular file"),
        ("socket", "No such device"),
    ],
)
def test_read_says_why_a_path_cannot_be_read(
    tmp_path: Path, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    make_pipe("pipe")  # a plain open() would wait for a writer for ever
    make_socket("socket")
    assert reason in why_unreadable(name)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_read_refuses_a_device() -> None:
    assert "not a regular file" in why_unreadable("/dev/zero")


def test_read_refuses_an_enormous_file(tmp_path: Path) -> None:
    with open(tmp_path / "big.bmp", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert "536870913 bytes" in why_unreadable(tmp_path / "big.bmp")


def test_read_takes_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(JPEG)))
    assert read("-") == JPEG


def test_read_takes_a_standard_input_that_comes_in_pieces_and_is_just_small_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 100_000)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(100_000))))
    assert read("-") == bytes(100_000)


def test_read_refuses_an_enormous_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(11))))
    assert why_unreadable("-") == "standard input is larger than 10 bytes"


def test_read_says_that_standard_input_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.TextIOWrapper(io.BytesIO(JPEG))
    closed.close()
    for stdin in (None, closed):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "standard input" in why_unreadable("-") and "closed" in why_unreadable("-")


def test_read_fetches_a_url_within_the_limits() -> None:
    with serving(reply(b"image")) as server:
        assert read(server.url, FetchLimits(allow_private=True)) == b"image"
        assert read(server.url.upper(), FetchLimits(allow_private=True)) == b"image"
        with pytest.raises(FetchError, match="5 bytes, more than the limit of 4"):
            read(server.url, FetchLimits(max_bytes=4, allow_private=True))
        with pytest.raises(FetchError, match="not a public address"):
            read(server.url)


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "file:///etc/passwd", "s4://b/k", "data:image/png;base64,AAAA", "file:/x", "FILE:x"]
)
def test_read_says_that_other_schemes_are_not_fetched(url: str) -> None:
    assert expand([url]) == [url]
    with pytest.raises(FetchError, match="only http and https"):
        read(url)


@pytest.mark.medium
def test_images_are_read_in_their_order_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"standard input")))
    path = str(tmp_path / "a.jpg")
    Path(path).write_bytes(b"a file")
    with serving(*[reply(b"a URL")] * 20) as server:
        names = [path, *[f"{server.url}/{number}" for number in range(20)], "-"]
        found = list(
            sources.read_each(names, lambda place, content: (place, content()), FetchLimits(allow_private=True))
        )
    assert found == [(0, b"a file"), *[(place, b"a URL") for place in range(1, 21)], (21, b"standard input")]


@pytest.mark.medium
def test_whoever_stops_reading_does_not_wait_for_servers_that_say_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jpg")
    Path(path).write_bytes(b"a file")
    with serving(*[say_nothing] * 3) as server:
        names = [path, *[f"{server.url}/{number}" for number in range(3)]]
        found = sources.read_each(names, lambda place, content: content(), FetchLimits(600, allow_private=True))
        assert next(found) == b"a file"
        found.close()


def test_what_needs_files_says_what_to_do_with_an_address_in_a_store() -> None:
    with pytest.raises(SettingsError, match=r"'s3://bucket/photos' is in an object store.*Copy it to a folder first"):
        expand_files(["s3://bucket/photos"])


@pytest.mark.parametrize(
    "words",
    [
        ("review", "s3://bucket/data"),
        ("train", "data", "--out", "s3://bucket/run"),
        ("predict", "s3://bucket/run", "a"),
    ],
)
def test_what_needs_a_folder_of_this_machine_says_so_of_an_address(command: Mien, words: tuple[str, ...]) -> None:
    code, _, err = command(*words)
    assert (code, "expected a file or a folder on this machine" in err) == (2, True), err


@pytest.mark.medium
def test_importing_sources_does_not_import_httpx() -> None:
    code = "import sys, mien.fetching.sources; sys.exit('httpx' in sys.modules or 'ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_expand_says_what_else_is_in_a_folder_and_nothing_of_what_systems_leave(tmp_path: Path) -> None:
    heard = Heard()
    for name, content in {
        "a.jpg": JPEG,
        "b.mp4": b"\0\0\0\x18ftypmp42",
        "deep/c.mp4": b"\0\0\0\x18ftypisom",
        "d.pdf": b"%PDF-1.7",
        "e": b"",
        "Thumbs.db": b"x",
        "__MACOSX/f.jpg": JPEG,
        ".DS_Store": b"x",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert expand(tmp_path, heard) == [str(tmp_path / "a.jpg")]
    assert heard.lines == [
        "skipped 4 files that mien cannot read (video: 2 (b.mp4), PDF document: 1 (d.pdf), empty file: 1 (e))"
    ]
    assert expand([tmp_path / "a.jpg"], heard) == [str(tmp_path / "a.jpg")] and len(heard.lines) == 1
