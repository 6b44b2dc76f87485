"""Fonts: letters for what is drawn with Pillow, and how much of a line there is room for."""

from bisect import bisect_right
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
# Those of matplotlib, or else of Linux, macOS and Windows, which have most alphabets.
_FONT_NAMES = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")


@cache
def load_font(size: int) -> Font:
    """Return the font with the most alphabets that is found here, or else Pillow's own, which has Latin letters only.

    Args:
        size: Height of the letters in pixels.
    """
    found = find_spec("matplotlib")
    folder = Path(found.origin).parent if found and found.origin else Path(__file__).parent
    for name in _FONT_NAMES:
        try:
            # Where there is no such file, Pillow looks for its name among the fonts of the system.
            return ImageFont.truetype(folder / "mpl-data" / "fonts" / "ttf" / name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def fitting(line: str, font: Font, width: float) -> str:
    """Return a line as it is where there is room for it; otherwise its beginning and its end, with "…" between them.

    Args:
        line: Text without line breaks.
        font: What `load_font` returned.
        width: How many pixels there are.
    """
    if font.getlength(line) <= width:
        return line

    def shortened(num_letters: int) -> str:
        return f"{line[: num_letters - num_letters // 2]}…{line[len(line) - num_letters // 2 :]}"

    most = bisect_right(range(1, len(line)), width, key=lambda kept: font.getlength(shortened(kept)))
    return shortened(most)
