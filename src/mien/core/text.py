"""Text: make untrusted names safe for folders, files and screens, and shorten long texts and lists."""

import math
import re
import unicodedata
from collections.abc import Sequence

_MAX_LETTERS = 100
_MAX_STEM = 40
# Anything smaller is a rounding error.
_LEAST_SHARE = 1e-6
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN = '/\\:*?"<>|;'


def class_name_problem(name: str) -> str:
    """Return why a name cannot be used for a class folder on every system, or an empty text if it can.

    Args:
        name: Untrusted text.
    """
    if not name:
        return "a class name is empty"
    shown = repr(name[:60])
    if len(name) > _MAX_LETTERS or len(name.encode("utf-8", "replace")) > 2 * _MAX_LETTERS:
        return f"the class name {shown}... is longer than {_MAX_LETTERS} characters"
    if not name.isprintable() or any(letter in _FORBIDDEN for letter in name):
        return f"the class name {shown} contains characters that are not allowed in folder names"
    if name[0] in ". " or name[-1] in ". ":
        return f"the class name {shown} starts or ends with a dot or a space"
    if _RESERVED.fullmatch(name):
        return f"the class name {shown} is reserved by Windows"
    return ""


def folded(name: str) -> str:
    """Return a key that is equal for names that some systems treat as the same (case, encoding of accents)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_stem(name: str) -> str:
    """Return a safe start for a file name: letters, digits and dashes from the last part of a name.

    Args:
        name: Untrusted text, e.g. a path or a URL path.

    Example:
        >>> safe_stem("photos/Big smile (2).JPG")
        'Big-smile-2'
    """
    last = re.split(r"[/\\]", name)[-1].rpartition(".")
    words = re.findall(r"[A-Za-z0-9]+", last[0] or last[2])
    return "-".join(words)[:_MAX_STEM].strip("-") or "image"


def visible(text: str, *, kept: str = "") -> str:
    """Return text with invisible characters and those that change the writing direction escaped.

    Args:
        text: Untrusted text, possibly with bytes that could not be decoded.
        kept: Characters to leave alone.
    """
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, most: int) -> str:
    """Return the first `most` characters of a text on one line, with a space for each invisible one.

    Args:
        text: Untrusted text.
        most: Maximum number of characters.
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)[:most]


def shorten(text: str, most: int, *, end: int = 0) -> str:
    """Shorten a text to `most` characters: its start, "…", and its last `end` characters.

    Example:
        >>> shorten("a long name.jpg", 10), shorten("a long name.jpg", 10, end=4)
        ('a long na…', 'a lon….jpg')
    """
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[len(text) - end :]}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1.

    Example:
        >>> counted(1, "image"), counted(1200, "image")
        ('1 image', '1,200 images')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def signed(number: float, decimals: int = 0) -> str:
    """Return a rounded number with its sign, but without one if it rounds to zero.

    Example:
        >>> signed(4.6), signed(-4.6), signed(-0.4), signed(-0.04, 1)
        ('+5', '-5', '0', '0.0')
    """
    text = f"{number:+.{decimals}f}"
    return text if float(text) else text[1:]


def in_points(share: float, decimals: int = 0) -> str:
    """Return a difference of two shares in percentage points, never rounding a small one to zero.

    Example:
        >>> in_points(0.046), in_points(-0.01), in_points(0.0004), in_points(0.0)
        ('+5 points', '-1 point', '+0.04 points', 'no difference')
    """
    if abs(share) < _LEAST_SHARE:
        return "no difference"
    text = signed(100 * share, decimals)
    text = text if float(text) else f"{100 * share:+.1g}"
    return f"{text} point{'s' * (text[1:] != '1')}"


# With more classes than this, name only those that matter and summarise the rest.
MANY_CLASSES = 20


def first_few(items: Sequence[object], most: int, *, rest: str = "more") -> list[str]:
    """Return the first items as text, plus "and N more" if any are left.

    Args:
        items: What to list.
        most: How many to list.
        rest: The noun for the others.

    Example:
        >>> ", ".join(first_few(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], 2))
        'a.jpg, b.jpg, and 2 more'
    """
    others = [f"and {len(items) - most} {rest}"] if len(items) > most else []
    return [*map(str, items[:most]), *others]


def as_percent(probability: float) -> str:
    """Return a probability rounded down, so that one below a threshold never appears to reach it.

    Example:
        >>> as_percent(0.899), as_percent(0.001)
        ('89%', '<1%')
    """
    whole = math.floor(100 * probability + 1e-9)
    return f"{whole}%" if whole or not probability else "<1%"
