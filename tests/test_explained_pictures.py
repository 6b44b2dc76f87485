"""Explained pictures: a PNG file for each, nothing of the user's written over, and a bad picture stops no other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw_folder, draw_picture
from mien.errors import OutputError, SettingsError, SourceNotFoundError
from mien.explained_pictures import draw_explanation, explain_sources
from mien.explanation import HeatMap
from test_explanation import colour_classifier


def test_each_picture_gets_a_file_and_one_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 2)
    (photos / "happy" / "page.jpg").write_text("<html>gone</html>")
    found = list(explain_sources(colour_classifier(), [photos], tmp_path / "maps"))
    assert [item.png and item.png.name for item in found] == ["00.png", "01.png", None, "00-2.png", "01-2.png"]
    assert "web page" in str(found[2].prediction.error) and found[2].to_dict()["png"] is None
    for item in found:
        if item.png:
            with Image.open(item.png) as drawn:
                assert drawn.size > (600, 300)
            assert item.label == item.prediction.label and item.method == "class activation"
    # Again, they take the place of what mien drew before.
    again = list(explain_sources(colour_classifier(), [photos], tmp_path / "maps"))
    assert [item.png for item in again] == [item.png for item in found]
    assert len(list((tmp_path / "maps").iterdir())) == 4


def test_no_picture_of_the_users_is_written_over(tmp_path: Path) -> None:
    draw_picture(1).save(tmp_path / "one.png")
    before = (tmp_path / "one.png").read_bytes()
    (found,) = explain_sources(colour_classifier(), [tmp_path / "one.png"], tmp_path)
    assert found.png == tmp_path / "one-2.png" and found.png.exists()
    with pytest.raises(OutputError, match="not from mien explain"):
        list(explain_sources(colour_classifier(), [tmp_path / "one.png"], tmp_path / "one.png"))
    assert (tmp_path / "one.png").read_bytes() == before


def test_a_single_picture_may_name_its_file_and_several_may_not(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 1)
    (found,) = explain_sources(colour_classifier(), [photos / "happy"], tmp_path / "map.png", label="green")
    assert (found.png, found.label) == (tmp_path / "map.png", "green")
    with pytest.raises(OutputError, match="2 pictures: name a folder"):
        list(explain_sources(colour_classifier(), [photos], tmp_path / "map.png"))
    with pytest.raises(OutputError, match="cannot write"):
        list(explain_sources(colour_classifier(), [photos], photos / "happy" / "00.jpg"))


def test_mistakes_are_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        list(explain_sources(colour_classifier(), [tmp_path / "nothing"], tmp_path / "maps"))
    with pytest.raises(SettingsError, match="no class 'calm'"):
        list(explain_sources(colour_classifier(), [tmp_path], tmp_path / "maps", label="calm"))
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("label", ["\x1b[31m", "悲しい", "a" * 300, "", "\ud800"])
def test_any_label_can_be_drawn(label: str) -> None:
    heat_map = HeatMap(label, "occlusion", np.ones((3, 3), np.float32))
    drawn = draw_explanation(np.zeros((40, 30, 3), np.uint8), heat_map, label[:40])
    assert np.asarray(drawn).min() < 50


@pytest.mark.parametrize("width", [100, 320, 640])
def test_the_letters_grow_with_the_paper_and_a_long_label_stays_on_it(width: int) -> None:
    drawn = draw_explanation(
        np.full((40, width, 3), 255, np.uint8), HeatMap("a" * 99, "occlusion", np.zeros((3, 3), np.float32)), "H"
    )
    dark = np.asarray(drawn).min(axis=2) < 128
    heights = np.flatnonzero(dark[: drawn.height // 3].any(axis=1))
    assert heights[-1] - heights[0] + 1 >= drawn.width / 70
    assert not dark[:, -8:].any()
