"""Lists of URLs: text files with a URL in a line, or `class,url` -> which image is of which class."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mien.core import files
from mien.core.text import class_name_problem, shorten

_MAX_BYTES = 64 * 1024**2
_MAX_URL_LETTERS = 4000
_URL = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_PASSWORD = re.compile(r"[^/]*//[^/?#]*@")
_HEADINGS = {"class,url", "label,url"}


@dataclass(frozen=True)
class Wanted:
    """An image that a list names.

    Attributes:
        url: Where it is; without a fragment, which no server ever sees.
        label: Name of its class.
        place: The line that names it first, such as "happy.txt, line 3".
    """

    url: str
    label: str
    place: str


def read_lists(paths: Iterable[Path]) -> tuple[list[Wanted], list[str]]:
    """Read lists, each URL once.

    A line is a URL, of the class that the file is named after, or `class,url`. Blank lines and those that begin with
    # are passed over.

    Args:
        paths: Text files in UTF-8, such as happy.txt.

    Returns:
        The images in order, and everything that is wrong with the lists, by file and line.
    """
    wanted: dict[str, Wanted] = {}
    problems: list[str] = []
    for path in paths:
        try:
            text = files.read_regular(path, max_bytes=_MAX_BYTES).decode("utf-8-sig")
        except OSError as error:
            problems.append(f"{path.name}: {files.reason_of(error)}")
            continue
        except UnicodeDecodeError:
            problems.append(f"{path.name}: not a text in UTF-8: save it as such")
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#") and (number > 1 or line.strip() not in _HEADINGS):
                _add_line(wanted, problems, line.strip(), path.stem, f"{path.name}, line {number}")
    return list(wanted.values()), problems


def _add_line(wanted: dict[str, Wanted], problems: list[str], line: str, file_class: str, place: str) -> None:
    label, url = _split(line, file_class)
    problem = class_name_problem(label) or _url_problem(url)
    known = wanted.setdefault(url, Wanted(url, label, place)) if not problem else None
    if known and known.label != label:
        problem = f"{shorten(url, 200)!r} is of class {label!r} here, and of class {known.label!r} in {known.place}"
    if problem:
        problems.append(f"{place}: {problem}")


def _split(line: str, file_class: str) -> tuple[str, str]:
    """Return class and URL of a line; a URL may have commas too."""
    label, comma, url = line.partition(",")
    if _URL.match(line) or not comma:
        label, url = file_class, line
    return label.strip().strip('"'), url.strip().strip('"').partition("#")[0]


def _url_problem(url: str) -> str:
    if not (_URL.fullmatch(url) and url.isprintable()):
        return f"expected a URL that begins with http:// or https://, or class,url; got {shorten(url, 60)!r}"
    if _PASSWORD.match(url):
        return "the URL holds a user name or a password; take them out, or download the image yourself"
    return "the URL is longer than 4000 letters" if len(url) > _MAX_URL_LETTERS else ""
