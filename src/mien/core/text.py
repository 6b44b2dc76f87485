"""Text: make untrusted names safe for folders, files and screens, and shorten long texts and lists."""

import math
import re
import shlex
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

_MAX_LETTERS = 100
_MAX_STEM = 40
# File systems allow 255; the rest is for a number and an extension.
_MAX_NAME_BYTES = 200
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


def safe_name(name: str) -> str:
    """Return a name that every file system allows, as close to the given one as possible.

    Args:
        name: Untrusted text: a part of a path, without its extension.

    Example:
        >>> safe_name("Big smile (2)"), safe_name("a:b"), safe_name("con")
        ('Big smile (2)', 'a-b', 'con-')
    """
    allowed = "".join(letter if letter.isprintable() and letter not in _FORBIDDEN else "-" for letter in name)
    short = allowed.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(". ")
    return f"{short}-" if _RESERVED.fullmatch(short) else short or "image"


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


def fitting(text: str, width: float, measure: Callable[[str], float], *, words: bool = False) -> str:
    """Shorten a text in the middle, with "…", until it fits a width.

    Args:
        text: Text without line breaks.
        width: Available width.
        measure: Returns the width of a text.
        words: Keep only whole words if any fits.

    Example:
        >>> fitting("Three fingers, palm out", 16, len), fitting("Three fingers, palm out", 16, len, words=True)
        ('Three fi…alm out', 'Three…palm out')
    """
    if measure(text) <= width:
        return text

    spans = [word.span() for word in re.finditer(r"[^\s_-]+", text)] if words else []

    def shortened(kept: int) -> str:
        begin, end = kept - kept // 2, len(text) - kept // 2
        begin = max((stop for _, stop in spans if stop <= begin), default=begin)
        end = min((start for start, _ in spans if start >= end), default=end)
        return f"{text[:begin]}…{text[end:]}"

    return shortened(bisect_right(range(1, len(text)), width, key=lambda kept: measure(shortened(kept))))


def short_names(names: Sequence[str], width: float, measure: Callable[[str], float] = len) -> dict[str, str]:
    """Make names visible and shorten them to a width, so that no two of them read the same.

    Args:
        names: Untrusted class names, in order.
        width: Available width.
        measure: Returns the width of a text. Default: the number of characters.

    Example:
        >>> list(short_names(["crack in the clear glaze", "crack in the matt glaze"], 14).values())
        ['crack…glaze #1', 'crack…glaze #2']
    """
    short = {name: fitting(visible(name), width, measure, words=True) for name in names}
    times = Counter(short.values())
    for number, name in enumerate(names, start=1):
        if times[short[name]] > 1:
            mark = f" #{number}"
            short[name] = fitting(visible(name), width - measure(mark), measure, words=True) + mark
    return short


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


def as_typed(*words: str | Path) -> str:
    """Return words as they are typed in a shell: quoted where needed, with every invisible character spelt out.

    A Path never looks like an option.

    Example:
        >>> print(as_typed("mien", "predict", Path("my run"), Path("-new")), as_typed("a\\nb"))
        mien predict 'my run' ./-new $'a\\nb'
    """
    texts = [f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words]
    return " ".join(shlex.quote(text) if text.isprintable() else _spelt_out(text) for text in texts)


def _spelt_out(text: str) -> str:
    """Return text in the quotes of Bash that take escapes."""
    spelt = {"\\": r"\\", "'": r"\'", "\n": r"\n", "\t": r"\t"}
    octets = [[f"\\x{byte:02x}" for byte in letter.encode(errors="surrogateescape")] for letter in text]
    letters = zip(text, octets, strict=True)
    parts = [spelt.get(letter) or (letter if letter.isprintable() else "".join(codes)) for letter, codes in letters]
    return f"$'{''.join(parts)}'"
