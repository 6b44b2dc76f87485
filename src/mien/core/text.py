"""Text: names from elsewhere made safe for folders, files and screens; long texts and long lists cut short."""

import re
import unicodedata
from collections.abc import Sequence

_MAX_LETTERS = 100
_MAX_STEM = 40
# What is less is an error of rounding.
_LEAST_SHARE = 1e-6
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN = '/\\:*?"<>|;'


def class_name_problem(name: str) -> str:
    """Say why a name cannot be that of a class folder on every system; an empty text where it can.

    Args:
        name: Hostile text.
    """
    if not name:
        return "a class name is empty"
    shown = repr(name[:60])
    if len(name) > _MAX_LETTERS or len(name.encode("utf-8", "replace")) > 2 * _MAX_LETTERS:
        return f"the class name {shown}... is longer than {_MAX_LETTERS} letters"
    if not name.isprintable() or any(letter in _FORBIDDEN for letter in name):
        return f"the class name {shown} has letters that a folder's name cannot have"
    if name[0] in ". " or name[-1] in ". ":
        return f"the class name {shown} begins or ends with a dot or a space"
    if _RESERVED.fullmatch(name):
        return f"the class name {shown} means a device on Windows"
    return ""


def folded(name: str) -> str:
    """Return what two names have in common that some systems take for one: case, and how accents are written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_stem(name: str) -> str:
    """Return what may stand at the beginning of a file's name: letters, digits and dashes of the name's last part.

    Args:
        name: Hostile text: a path, or that of a URL.

    Example:
        >>> safe_stem("photos/Big smile (2).JPG")
        'Big-smile-2'
    """
    last = re.split(r"[/\\]", name)[-1].rpartition(".")
    words = re.findall(r"[A-Za-z0-9]+", last[0] or last[2])
    return "-".join(words)[:_MAX_STEM].strip("-") or "image"


def visible(text: str, *, kept: str = "") -> str:
    """Return text with every letter that cannot be seen, or turns the direction of writing, written as an escape.

    Args:
        text: Hostile text, which may hold bytes that could not be decoded.
        kept: Letters to leave as they are all the same.
    """
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, most: int) -> str:
    """Return at most so many letters of a text, on one line: what cannot be seen becomes a space.

    Args:
        text: Hostile text.
        most: How many letters.
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)[:most]


def shorten(text: str, most: int, *, end: int = 0) -> str:
    """Return a text in at most so many letters: of a longer one the beginning, "…", and the last `end` letters.

    Example:
        >>> shorten("a long name.jpg", 10), shorten("a long name.jpg", 10, end=4)
        ('a long na…', 'a lon….jpg')
    """
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[len(text) - end :]}"


def counted(number: int, noun: str) -> str:
    """Return a number with what it counts.

    Example:
        >>> counted(1, "image"), counted(1200, "image")
        ('1 image', '1,200 images')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def signed(number: float, decimals: int = 0) -> str:
    """Return a rounded number with its sign; what rounds to zero has none.

    Example:
        >>> signed(4.6), signed(-4.6), signed(-0.4), signed(-0.04, 1)
        ('+5', '-5', '0', '0.0')
    """
    text = f"{number:+.{decimals}f}"
    return text if float(text) else text[1:]


def in_points(share: float, decimals: int = 0) -> str:
    """Return the difference of two shares in percentage points; a small one is not rounded to zero.

    Example:
        >>> in_points(0.046), in_points(-0.01), in_points(0.0004), in_points(0.0)
        ('+5 points', '-1 point', '+0.04 points', 'no difference')
    """
    if abs(share) < _LEAST_SHARE:
        return "no difference"
    text = signed(100 * share, decimals)
    text = text if float(text) else f"{100 * share:+.1g}"
    return f"{text} point{'s' * (text[1:] != '1')}"


# Of more classes than this, those that matter are told of one by one, and the others together.
MANY_CLASSES = 20


def first_few(items: Sequence[object], most: int, *, rest: str = "more") -> list[str]:
    """Return the first of some items as text; where there are others, the last text says how many.

    Args:
        items: What to name.
        most: How many to name at most.
        rest: What to call the others.

    Example:
        >>> ", ".join(first_few(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], 2))
        'a.jpg, b.jpg, and 2 more'
    """
    others = [f"and {len(items) - most} {rest}"] if len(items) > most else []
    return [*map(str, items[:most]), *others]
