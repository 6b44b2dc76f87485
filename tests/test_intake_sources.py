import os
from pathlib import Path

import pytest

from archive_files import write_zip
from mien.errors import SourceNotFoundError
from mien.fetching.intake import sort_out


def test_sources_are_told_apart_by_content_and_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "happy.txt").write_text("http://h/1")
    archive = write_zip(tmp_path / "odd.txt", {"a/b.jpg": b"x"})
    wanted, others = sort_out([str(tmp_path / "happy.txt"), str(archive), "https://h/x.zip", "git+https://h/r"] * 2)
    assert [picture.url for picture in wanted] == ["http://h/1"]
    assert others == [str(archive), "https://h/x.zip", "git+https://h/r"]


def test_a_folder_stands_for_its_lists(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("sad", "happy"):
        (tmp_path / f"lists/{name}.txt").write_text(f"http://h/{name}")
    wanted, others = sort_out([str(tmp_path / "lists")])
    assert ([picture.label for picture in wanted], others) == (["happy", "sad"], [])
    with pytest.raises(SourceNotFoundError, match="without lists"):
        sort_out([str(tmp_path)])


@pytest.mark.parametrize(
    "source",
    [
        *("ftp://h/a.zip", "file:///etc/passwd", "ssh://h/r.git", "git@h:r.git", "ext::sh", "https://h/\x1b[2J"),
        *("http://h/ü", "nowhere.txt", "a\0b", "x" * 5000),
    ],
)
def test_other_sources_are_refused_by_name(source: str) -> None:
    with pytest.raises(SourceNotFoundError, match="nothing was fetched"):
        sort_out([source])


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(SourceNotFoundError, match="a password") as caught:
        sort_out(["https://me:secret@h/x.zip"])
    assert "secret" not in str(caught.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "happy.txt")
    with pytest.raises(SourceNotFoundError, match="neither a file nor a folder"):
        sort_out([str(tmp_path / "happy.txt")])


def test_only_the_first_of_very_many_problems_are_named() -> None:
    with pytest.raises(SourceNotFoundError, match="and 15 more"):
        sort_out(f"none{number}" for number in range(25))
