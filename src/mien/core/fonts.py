"""Fonts: the typeface for text drawn with Pillow."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
# Matplotlib's, then those of Linux, macOS and Windows: they cover the most alphabets.
_FONT_NAMES = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")


@cache
def load_font(size: int) -> Font:
    """Return the available font that covers the most alphabets, or Pillow's Latin-only default.

    Args:
        size: Height of the letters in pixels.
    """
    found = find_spec("matplotlib")
    folder = Path(found.origin).parent if found and found.origin else Path(__file__).parent
    for name in _FONT_NAMES:
        try:
            # If the file is missing, Pillow searches the system fonts for its name.
            return ImageFont.truetype(folder / "mpl-data" / "fonts" / "ttf" / name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
