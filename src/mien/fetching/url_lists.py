"""Lists of URLs: text files with a URL in a line, or with class and URL -> which image is of which class."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mien.core import files
from mien.core.text import class_name_problem, shorten

_MAX_BYTES = 64 * 1024**2
_MAX_URL_LETTERS = 4000
_URL = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_PASSWORD = re.compile(r"[^/]*//[^/?#]*@")
# What divides the cells of a line, and what the cells of a heading are called.
_DELIMITERS = ",;\t|"
_URL_NAMES = {"url", "link", "href", "image", "image_url", "src"}
_LABEL_NAMES = {"class", "label", "category", "name", "tag"}


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

    A line is a URL, of the class that the file is named after; or class and URL in either order, with a comma, a
    semicolon, a tab or a bar between, as all lines have it or a heading says. Blank lines and those that begin with #
    are passed over.

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
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
        lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
        form, entries = _form_of(lines)
        for number, line in entries:
            label, url = form(line, path.stem)
            _add(wanted, problems, Wanted(url, label, f"{path.name}, line {number}"))
    return list(wanted.values()), problems


def _add(wanted: dict[str, Wanted], problems: list[str], image: Wanted) -> None:
    problem = class_name_problem(image.label) or _url_problem(image.url)
    known = wanted.setdefault(image.url, image) if not problem else None
    if known and known.label != image.label:
        shown = shorten(image.url, 200)
        problem = f"{shown!r} is of class {image.label!r} here, and of class {known.label!r} in {known.place}"
    if problem:
        problems.append(f"{image.place}: {problem}")


def _form_of(
    lines: Sequence[tuple[int, str]],
) -> tuple[Callable[[str, str], tuple[str, str]], Sequence[tuple[int, str]]]:
    """Return how the lines of a list say class and URL, and those that are no heading.

    A heading says it; else all lines must have one form: a class and a URL in either order, with one of the usual marks
    between. Where they have not, a line is a URL, or `class,url`: a URL may have any mark in it.
    """
    for delimiter in _DELIMITERS:
        heading = [cell.casefold() for cell in _cells(lines[0][1], delimiter)] if lines else []
        urls, labels = ([n for n, name in enumerate(heading) if name in names] for names in (_URL_NAMES, _LABEL_NAMES))
        if len(urls) == 1 and len(labels) == 1:
            if delimiter == "," and heading[0] in _LABEL_NAMES and len(heading) == 2:
                return _split, lines[1:]
            return partial(_by_places, delimiter, labels[0], urls[0]), lines[1:]
    for delimiter in _DELIMITERS:
        if places := _places_of_many([_cells(line, delimiter) for _, line in lines]):
            return partial(_by_places, delimiter, *places), lines
        rows = [_cells(line, delimiter) for _, line in lines]
        if all(len(row) == 2 and _is_url(row[0]) and not _is_url(row[1]) for row in rows) and _are_classes(rows):
            return partial(_by_places, delimiter, 1, 0), lines
        if delimiter != "," and all(len(row) == 2 and _is_url(row[1]) and not _is_url(row[0]) for row in rows):
            return partial(_by_places, delimiter, 0, 1), lines
    return _split, lines


def _places_of_many(rows: Sequence[Sequence[str]]) -> tuple[int, int] | None:
    """Return where class and URL stand in rows of more than two cells, of which the others are numbers."""
    if not rows or len(rows[0]) < 3 or any(len(row) != len(rows[0]) for row in rows):
        return None
    columns = list(zip(*rows, strict=True))
    urls = [place for place, cells in enumerate(columns) if all(map(_is_url, cells))]
    words = [place for place, cells in enumerate(columns) if place not in urls and not all(map(_is_number, cells))]
    return (words[0], urls[0]) if len(urls) == len(words) == 1 else None


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()


def _are_classes(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether what stands behind URLs may be classes, and not the end of URLs with such a mark in them."""
    names = {row[1] for row in rows}
    return bool(rows) and all("." not in name and "=" not in name and not class_name_problem(name) for name in names)


def _is_url(cell: str) -> bool:
    return _URL.match(cell) is not None


def _cells(line: str, delimiter: str) -> list[str]:
    (row,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True) if line else ([],)
    return [cell.strip() for cell in row]


def _by_places(delimiter: str, label: int, url: int, line: str, _file_class: str) -> tuple[str, str]:
    cells = [*_cells(line, delimiter), *[""] * (max(label, url) + 1)]
    return cells[label], cells[url].partition("#")[0]


def _split(line: str, file_class: str) -> tuple[str, str]:
    """Return class and URL of a line that is a URL or `class,url`; a URL may have commas too."""
    label, comma, url = line.partition(",")
    if _URL.match(line.strip('"')) or not comma:
        label, url = file_class, line
    return label.strip().strip('"'), url.strip().strip('"').partition("#")[0]


def _url_problem(url: str) -> str:
    if not (_URL.fullmatch(url) and url.isprintable()):
        return f"expected a URL that begins with http:// or https://, or class,url; got {shorten(url, 60)!r}"
    if _PASSWORD.match(url):
        return "the URL holds a user name or a password; take them out, or download the image yourself"
    return "the URL is longer than 4000 letters" if len(url) > _MAX_URL_LETTERS else ""
