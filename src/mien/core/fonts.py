"""Fonts: the typeface for text drawn with Pillow, and fitting a line into a width."""

from bisect import bisect_right
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


def fitting(line: str, font: Font, width: float) -> str:
    """Shorten a line in the middle, with "…", until it fits a width.

    Args:
        line: Text without line breaks.
        font: What `load_font` returned.
        width: Available width in pixels.
    """
    if font.getlength(line) <= width:
        return line

    def shortened(num_letters: int) -> str:
        return f"{line[: num_letters - num_letters // 2]}…{line[len(line) - num_letters // 2 :]}"

    most = bisect_right(range(1, len(line)), width, key=lambda kept: font.getlength(shortened(kept)))
    return shortened(most)
