"""Fonts: one is always found."""

from collections.abc import Iterator

import pytest

from mien.core.fonts import load_font


@pytest.fixture
def _own_fonts() -> Iterator[None]:
    load_font.cache_clear()
    yield
    load_font.cache_clear()


@pytest.mark.usefixtures("_own_fonts")
def test_without_a_better_font_pillows_own_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.core.fonts._FONT_NAMES", ("Missing.ttf",))
    assert load_font(15).getlength("happy") > 10
