"""Fonts: one is always found, with the letters that a text needs if this system has any."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import ImageFont

from mien.core.fonts import has_letters, load_font

FOLDER = Path(mpl.get_data_path()) / "fonts" / "ttf"


@pytest.fixture
def _own_fonts() -> Iterator[None]:
    load_font.cache_clear()
    yield
    load_font.cache_clear()


@pytest.mark.usefixtures("_own_fonts")
def test_without_a_better_font_pillows_own_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.core.fonts._FONT_NAMES", ("Missing.ttf",))
    assert load_font(15).getlength("happy") > 10


@pytest.mark.usefixtures("_own_fonts")
def test_the_systems_fonts_help_out_with_letters_that_the_usual_one_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Damaged-Regular.ttf").write_text("no font")
    shutil.copy(FOLDER / "DejaVuSans.ttf", tmp_path)
    monkeypatch.setattr("mien.core.fonts._FONT_NAMES", ("cmr10.ttf",))
    monkeypatch.setattr("mien.core.fonts._FOLDERS", (str(tmp_path), str(tmp_path / "gone")))
    usual, helping, no_better = load_font(15, "sad"), load_font(15, "sad Ж"), load_font(15, "sad 悲")
    assert isinstance(usual, ImageFont.FreeTypeFont) and isinstance(helping, ImageFont.FreeTypeFont)
    assert (usual.getname()[0], helping.getname()[0]) == ("cmr10", "DejaVu Sans")
    assert has_letters(helping, "sad Ж") and not has_letters(usual, "Ж")
    assert no_better.getlength("sad") == usual.getlength("sad")
