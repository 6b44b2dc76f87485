"""Explained images: a PNG file for each, nothing of the user's written over, and a bad image stops no other."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from conftest import draw_folder, draw_image, make_pipe, save_image
from mien.core.text import safe_name
from mien.errors import OutputError, SettingsError, SourceNotFoundError
from mien.model.explained_images import _targets, draw_explanation, explain_sources
from mien.model.explanation import HeatMap
from onnx_models import colour_classifier

pytestmark = pytest.mark.medium


def test_each_image_gets_a_file_and_one_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 2)
    (photos / "happy" / "page.jpg").write_text("<html>gone</html>")
    found = list(explain_sources(colour_classifier(), [photos], tmp_path / "maps"))
    maps = [item.png and item.png.relative_to(tmp_path / "maps").as_posix() for item in found]
    assert maps == ["happy/00.png", "happy/01.png", None, "sad/00.png", "sad/01.png"]
    assert "web page" in str(found[2].prediction.error) and found[2].to_dict()["png"] is None
    for item in found:
        if item.png:
            with Image.open(item.png) as drawn:
                assert drawn.size > (600, 300)
            assert item.label == item.prediction.label and item.method == "class activation"
    # Again, they take the place of what mien drew before.
    again = list(explain_sources(colour_classifier(), [photos], tmp_path / "maps"))
    assert [item.png for item in again] == [item.png for item in found]
    assert len(list((tmp_path / "maps").rglob("*.png"))) == 4


def test_images_of_the_same_name_never_replace_each_others_map(tmp_path: Path) -> None:
    draw_image(1).save(tmp_path / "Große Freude (1).jpeg", "JPEG")
    for folder in ("happy", "sad"):
        (tmp_path / folder).mkdir()
        draw_image(2).save(tmp_path / folder / "Image 13.jpeg", "JPEG")

    def maps_of(*names: str) -> list[str]:
        found = explain_sources(colour_classifier(), [tmp_path / name for name in names], tmp_path / "maps")
        return [item.png.name for item in found if item.png]

    assert maps_of("happy/Image 13.jpeg") == ["Image 13.png"]
    assert maps_of("sad/Image 13.jpeg", "Große Freude (1).jpeg") == ["Image 13-2.png", "Große Freude (1).png"]
    # Again, each takes the place of its own.
    assert maps_of("sad/Image 13.jpeg") == ["Image 13-2.png"] and maps_of("happy/Image 13.jpeg") == ["Image 13.png"]
    # A system may treat these names as the same.
    draw_image(3).save(tmp_path / "IMAGE 13.png")
    assert maps_of("IMAGE 13.png", "happy/Image 13.jpeg")[0] != "Image 13.png"


def test_a_link_in_the_output_folder_leads_no_map_elsewhere(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 1)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "happy").symlink_to(photos / "happy")
    with pytest.raises(OutputError, match="Choose another --out"):
        list(explain_sources(colour_classifier(), [photos], tmp_path / "maps"))
    assert [path.name for path in (photos / "happy").iterdir()] == ["00.jpg"]


def test_no_image_of_the_users_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    for path in (tmp_path / "one.png", tmp_path / "maps" / "one.png"):
        draw_image(1).save(path)
    before = (tmp_path / "one.png").read_bytes()
    (found,) = explain_sources(colour_classifier(), [tmp_path / "one.png"], tmp_path / "maps")
    assert found.png == tmp_path / "maps" / "one-2.png" and found.png.exists()
    assert (tmp_path / "maps" / "one.png").read_bytes() == before
    with pytest.raises(OutputError, match="was not made by mien explain"):
        list(explain_sources(colour_classifier(), [tmp_path / "one.png"], tmp_path / "one.png"))
    assert (tmp_path / "one.png").read_bytes() == before


def test_a_single_image_may_name_its_file_and_several_may_not(tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 1)
    (found,) = explain_sources(colour_classifier(), [photos / "happy"], tmp_path / "map.png", label="green")
    assert (found.png, found.label) == (tmp_path / "map.png", "green")
    with pytest.raises(OutputError, match=r"there are 2 images\. Set --out to a folder"):
        list(explain_sources(colour_classifier(), [photos], tmp_path / "map.png"))
    for name in ("map.jpg", "map.TIFF"):
        with pytest.raises(OutputError, match=r"Name a \.png file or a folder"):
            list(explain_sources(colour_classifier(), [photos / "happy"], tmp_path / name))
        assert not (tmp_path / name).exists()
    # A folder may be called so, if it is there.
    (tmp_path / "map.jpg").mkdir()
    (found,) = explain_sources(colour_classifier(), [photos / "happy"], tmp_path / "map.jpg")
    assert found.png == tmp_path / "map.jpg" / "00.png"


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("photos", "photos"),
        ("photos", "photos/maps"),
        ("photos", "photos/map.png"),
        ("photos/happy", "photos"),
        ("photos", "."),
        ("photos/happy/00.jpg", "photos/happy"),
        ("photos", "link"),
        ("link", "photos/happy"),
        ("holiday", "elsewhere"),
    ],
)
def test_no_map_is_put_among_the_images(source: str, out: str, tmp_path: Path) -> None:
    draw_folder(tmp_path / "photos", 1)
    draw_folder(tmp_path / "elsewhere", 1)
    (tmp_path / "link").symlink_to("photos")
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "linked").symlink_to(tmp_path / "elsewhere" / "happy")
    before = sorted(tmp_path.rglob("*"))
    out = "elsewhere/happy" if out == "elsewhere" else out
    with pytest.raises(OutputError, match=r"another --out|must be outside"):
        list(explain_sources(colour_classifier(), [tmp_path / source], tmp_path / out))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_explains_its_images_and_never_its_maps(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    colour_classifier().save(run / "model.onnx")
    draw_image(1).save(run / "chart.png")
    for _ in range(2):
        (found,) = explain_sources(colour_classifier(), [run], run / "explained")
        assert found.png == run / "explained" / "chart.png"
    # Asked for by its name, it is an image like any other.
    (found,) = explain_sources(colour_classifier(), [run / "explained" / "chart.png"], tmp_path / "maps")
    assert found.png == tmp_path / "maps" / "chart.png"


def test_what_is_no_file_under_the_name_of_a_map_is_in_the_way_and_never_waited_for(tmp_path: Path) -> None:
    draw_image(1).save(tmp_path / "one.jpg")
    (tmp_path / "maps").mkdir()
    make_pipe(tmp_path / "pipe.png")
    make_pipe(tmp_path / "maps" / "one.png")
    (tmp_path / "maps" / "one-2.png").symlink_to("/dev/zero")
    with pytest.raises(OutputError, match="was not made by mien explain"):
        list(explain_sources(colour_classifier(), [tmp_path / "one.jpg"], tmp_path / "pipe.png"))
    (found,) = explain_sources(colour_classifier(), [tmp_path / "one.jpg"], tmp_path / "maps")
    assert found.png == tmp_path / "maps" / "one-3.png"


class CountingPath(type(Path())):  # type: ignore[misc]
    """A folder that keeps the names that were tried in it."""

    tried: ClassVar[list[str]] = []

    def __truediv__(self, name: str) -> Path:
        self.tried.append(name)
        return Path(self, name)


def test_many_images_of_one_name_are_told_apart_without_trying_all_names_for_each(tmp_path: Path) -> None:
    names = [f"{place}/悲.jpg" for place in range(1000)] + ["悲-3.jpg"]
    stems = [safe_name(Path(name).stem) for name in names]
    found = [path.name for path in _targets(names, stems, CountingPath(tmp_path, "maps"))]
    assert len(names) <= len(CountingPath.tried) < 2 * len(names)
    assert found[:3] == ["悲.png", "悲-2.png", "悲-3.png"] and found[-1] == "悲-3-2.png"
    assert len(set(found)) == len(names)


def test_images_of_one_name_keep_their_maps_when_they_come_in_another_order(tmp_path: Path) -> None:
    names = [str(save_image(tmp_path / letter / "p.png", draw_image(number))) for number, letter in enumerate("ab")]
    classifier, out = colour_classifier(), tmp_path / "maps"
    before, after = (
        {found.prediction.source: found.png for found in explain_sources(classifier, order, out)}
        for order in (names, names[::-1])
    )
    assert before == after and {*before.values()} == {out / "p.png", out / "p-2.png"}


def test_mistakes_are_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        list(explain_sources(colour_classifier(), [tmp_path / "nothing"], tmp_path / "maps"))
    with pytest.raises(SettingsError, match="unknown class 'calm'"):
        list(explain_sources(colour_classifier(), [tmp_path], tmp_path / "maps", label="calm"))
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("label", ["\x1b[31m", "悲しい", "a" * 300, "", "\ud800"])
def test_any_label_can_be_drawn(label: str) -> None:
    heat_map = HeatMap(label, "occlusion", np.ones((3, 3), np.float32))
    drawn = draw_explanation(np.zeros((40, 30, 3), np.uint8), heat_map, label[:40])
    assert np.asarray(drawn).min() < 50


@pytest.mark.parametrize("label", ["W" * 99, "悲" * 99, "Ж" * 30])
def test_a_long_label_stays_on_the_paper(label: str) -> None:
    drawn = draw_explanation(
        np.full((40, 30, 3), 255, np.uint8), HeatMap(label, "occlusion", np.zeros((3, 3), np.float32)), "title"
    )
    assert np.asarray(drawn)[:, -8:].min() == 255


@pytest.mark.parametrize("label", ["é", "ł", "Ж", "λ"])
def test_letters_of_other_alphabets_are_drawn_as_such(label: str) -> None:
    def drawn(text: str) -> bytes:
        return draw_explanation(np.zeros((40, 30, 3), np.uint8), heat_map, text).tobytes()

    heat_map = HeatMap("happy", "occlusion", np.ones((3, 3), np.float32))
    # No font has a letter there, and draws a box.
    assert drawn(label) != drawn("\uffff")


@pytest.mark.parametrize("width", [100, 320, 640])
def test_the_letters_grow_with_the_paper_and_a_long_label_stays_on_it(width: int) -> None:
    drawn = draw_explanation(
        np.full((40, width, 3), 255, np.uint8), HeatMap("a" * 99, "occlusion", np.zeros((3, 3), np.float32)), "H"
    )
    dark = np.asarray(drawn).min(axis=2) < 128
    heights = np.flatnonzero(dark[: drawn.height // 3].any(axis=1))
    assert heights[-1] - heights[0] + 1 >= drawn.width / 70
    assert not dark[:, -8:].any()
