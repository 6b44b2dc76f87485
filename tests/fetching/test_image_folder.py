import errno
import os
from pathlib import Path

import pytest

from conftest import draw_image, encoded
from mien.core import files
from mien.errors import OutputError, SourceNotFoundError
from mien.fetching.image_folder import open_folder
from mien.fetching.source_log import LOG_NAME, load_sources

JPEG = encoded(draw_image(1), "JPEG")


def test_an_image_gets_a_safe_name_and_the_extension_of_its_content(tmp_path: Path) -> None:
    with open_folder(tmp_path / "data") as folder:
        for format_, extension in [
            ("JPEG", ".jpg"),
            ("PNG", ".png"),
            ("WEBP", ".webp"),
            ("TIFF", ".tif"),
            ("BMP", ".bmp"),
        ]:
            content = encoded(draw_image(2), format_)
            record = folder.keep(f"u{extension}", "happy", name="../../=evil name.exe", content=content)
            assert record.path == f"happy/evil-name-{record.sha256[:12]}{extension}"
            assert (tmp_path / "data" / record.path).read_bytes() == content
    assert not (tmp_path / "data/.mien-fetch").exists() and folder.num_images == 5


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", "refused: 0 bytes"),
        (b"<html>", "refused: a web page, not an image"),
        (JPEG[:400], "refused: damaged"),
        (b"<svg>", "refused: a drawing (SVG)"),
        (b"GIF89a" + b"\xff" * 20, "refused: "),
    ],
)
def test_what_is_no_image_is_refused_and_not_stored(tmp_path: Path, content: bytes, status: str) -> None:
    with open_folder(tmp_path) as folder:
        assert folder.keep("u", "happy", name="a.jpg", content=content).status.startswith(status)
        assert folder.is_settled("u") and not folder.holds("u")
    assert os.listdir(tmp_path) == [LOG_NAME]


def test_a_class_that_must_not_be_is_refused(tmp_path: Path) -> None:
    with open_folder(tmp_path / "data") as folder:
        for label in ("..", "", "a/b", ".git", "nul"):
            assert folder.keep("u", label, name="a.jpg", content=JPEG).status.startswith("failed: ")
    assert os.listdir(tmp_path) == ["data"] and os.listdir(tmp_path / "data") == [LOG_NAME]


def test_a_class_folder_that_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/happy").symlink_to(tmp_path / "elsewhere")
    with open_folder(tmp_path / "data") as folder:
        assert "is a link" in folder.keep("u", "happy", name="a.jpg", content=JPEG).status
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    with open_folder(tmp_path / "first") as folder:
        path = folder.keep("u", "happy", name="a.jpg", content=JPEG).path
    (tmp_path / "data/happy").mkdir(parents=True)
    (tmp_path / "data" / path).symlink_to(tmp_path / "outside.jpg")
    with open_folder(tmp_path / "data") as folder:
        assert "exists with different content" in folder.keep("u", "happy", name="a.jpg", content=JPEG).status
    assert not (tmp_path / "outside.jpg").exists()


def test_a_full_disk_is_reported_and_leaves_no_half_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        with open(path, "wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    with open_folder(tmp_path) as folder, monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            folder.keep("u", "happy", name="a.jpg", content=JPEG)
    assert load_sources(tmp_path) == [] and not (tmp_path / "happy").exists()
    with open_folder(tmp_path) as folder:
        assert folder.keep("u", "happy", name="a.jpg", content=JPEG).is_ok


@pytest.mark.parametrize("in_one_step", [True, False])
def test_images_appear_on_a_disk_without_hard_links_too(
    in_one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not in_one_step:
        monkeypatch.setattr(files, "_rename_in_one_step", lambda _source, _target: errno.EINVAL)
    monkeypatch.setattr(os, "link", refuse)
    with open_folder(tmp_path) as folder:
        assert (tmp_path / folder.keep("u", "happy", name="a.jpg", content=JPEG).path).read_bytes() == JPEG


def test_a_log_that_is_another_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_text("my,own,table\n")
    with pytest.raises(SourceNotFoundError), open_folder(tmp_path):
        pass
    assert (tmp_path / LOG_NAME).read_text() == "my,own,table\n"


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(OutputError), open_folder(tmp_path / "data"):
        pass
