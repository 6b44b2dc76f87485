"""Fonts: the typeface for text drawn with Pillow."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
# Matplotlib's, then those of Linux, macOS and Windows: they cover the most alphabets.
_FONT_NAMES = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")
# Where Linux, macOS and Windows keep all others.
_FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    *("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts"),
)


@cache
def load_font(size: int, text: str = "") -> Font:
    """Return the available font that covers the most alphabets, or Pillow's Latin-only default.

    Args:
        size: Height of the letters in pixels.
        text: If that font lacks one of these letters, any font of the system that has them all is returned instead.
    """
    found = find_spec("matplotlib")
    folder = Path(found.origin).parent if found and found.origin else Path(__file__).parent
    # If a file is missing, Pillow searches the system fonts for its name.
    named = _opened((folder / "mpl-data" / "fonts" / "ttf" / name for name in _FONT_NAMES), size)
    usual = next(named, None) or ImageFont.load_default(size)
    fonts = chain([usual], _opened(_system_fonts(), size))
    return next((font for font in fonts if has_letters(font, text)), usual)


def has_letters(font: Font, text: str) -> bool:
    """Return whether a font has a glyph for every letter of a text."""
    try:
        # No font has a glyph for the last code point, so it is drawn like any other that is missing.
        missing = bytes(font.getmask("\U0010ffff"))
        return all(bytes(font.getmask(letter)) != missing for letter in set(text))
    except (OSError, ValueError):
        return False  # The font is damaged, or only covers Latin.


def _opened(paths: Iterable[Path], size: int) -> Iterator[Font]:
    for path in paths:
        try:
            yield ImageFont.truetype(path, size)
        except OSError:
            continue


def _system_fonts() -> Iterator[Path]:
    """Yield the font files of this system, those of ordinary weight first."""
    found = [path for folder in _FOLDERS for path in Path(os.path.expanduser(folder)).rglob("*.[to]t[cf]")]
    yield from sorted(found, key=lambda path: ("Regular" not in path.stem, path))
