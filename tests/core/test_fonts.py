"""Fonts: one is always found, and a line is shortened to the room that there is."""

from collections.abc import Iterator

import pytest

from mien.core.fonts import fitting, load_font


@pytest.fixture
def _own_fonts() -> Iterator[None]:
    load_font.cache_clear()
    yield
    load_font.cache_clear()


@pytest.mark.usefixtures("_own_fonts")
def test_without_a_better_font_pillows_own_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.core.fonts._FONT_NAMES", ("Missing.ttf",))
    assert load_font(15).getlength("happy") > 10


@pytest.mark.parametrize("width", [0, 9, 20, 55, 120, 10_000])
def test_a_line_is_shortened_in_its_middle_as_little_as_can_be(width: int) -> None:
    font, line = load_font(12), "holiday/Wide and narrow.jpg"
    shown = fitting(line, font, width)
    begin, mark, end = shown.partition("…")
    assert line.startswith(begin) and line.endswith(end)
    if mark and (begin or end):
        assert font.getlength(shown) <= width
        wider = f"{line[: len(begin) + 1]}…{end}"
        assert font.getlength(wider) > width - 12
    assert shown == line or width < font.getlength(line)
