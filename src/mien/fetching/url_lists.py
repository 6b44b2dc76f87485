"""URL lists: text files with one URL, or a class and a URL, per line."""

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
# Cell separators, and names of the columns in a header.
_DELIMITERS = ",;\t|"
_URL_NAMES = {"url", "link", "href", "image", "image_url", "src"}
_LABEL_NAMES = {"class", "label", "category", "name", "tag"}


@dataclass(frozen=True)
class Wanted:
    """An image in a list.

    Attributes:
        url: Its URL, without a fragment, which servers never see.
        label: Name of its class.
        place: The line where it first appears, e.g. "happy.txt, line 3".
    """

    url: str
    label: str
    place: str


def read_lists(paths: Iterable[Path]) -> tuple[list[Wanted], list[str]]:
    """Read URL lists, keeping each URL once.

    A line holds a URL, whose class is the file's name; or a class and a URL in either order, separated by a comma, a
    semicolon, a tab or |. All lines must use the same order unless a header gives it. Blank lines and lines that start
    with # are ignored.

    Args:
        paths: UTF-8 text files, e.g. happy.txt.

    Returns:
        The images in order, and all problems in the lists, with file and line.
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
            problems.append(f"{path.name}: not UTF-8 text. Save it as UTF-8")
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
        problem = f"{shown!r} has class {image.label!r} here, but {known.label!r} in {known.place}"
    if problem:
        problems.append(f"{image.place}: {problem}")


def _form_of(
    lines: Sequence[tuple[int, str]],
) -> tuple[Callable[[str, str], tuple[str, str]], Sequence[tuple[int, str]]]:
    """Return how to parse the lines of a list, and the lines without the header.

    Without a header, all lines must have the same form: a class and a URL in either order with a common separator.
    Otherwise each line is a URL or `class,url`, since URLs may contain any separator.
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
    """Return the columns of class and URL in rows with more than two cells whose other cells are numbers."""
    if not rows or len(rows[0]) < 3 or any(len(row) != len(rows[0]) for row in rows):
        return None
    columns = list(zip(*rows, strict=True))
    urls = [place for place, cells in enumerate(columns) if all(map(_is_url, cells))]
    words = [place for place, cells in enumerate(columns) if place not in urls and not all(map(_is_number, cells))]
    return (words[0], urls[0]) if len(urls) == len(words) == 1 else None


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()


def _are_classes(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the texts after URLs look like classes, not like parts of URLs that contain the separator."""
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
    """Return class and URL of a line with a URL or `class,url`; URLs may contain commas."""
    label, comma, url = line.partition(",")
    if _URL.match(line.strip('"')) or not comma:
        label, url = file_class, line
    return label.strip().strip('"'), url.strip().strip('"').partition("#")[0]


def _url_problem(url: str) -> str:
    if not (_URL.fullmatch(url) and url.isprintable()):
        return f"expected a URL that starts with http:// or https://, or class,url, not {shorten(url, 60)!r}"
    if _PASSWORD.match(url):
        return "the URL contains a user name or password. Remove them, or download the image yourself"
    return "the URL is longer than 4000 characters" if len(url) > _MAX_URL_LETTERS else ""
