"""Intake sources: what a user names -> lists of URLs, archives and repositories; looked at before anything starts."""

import re
from collections.abc import Iterable
from pathlib import Path

from mien import files
from mien.archives import is_archive
from mien.errors import SourceNotFoundError
from mien.url_lists import Wanted, read_lists

_MAX_NAMED = 10


def sort_out(sources: Iterable[str]) -> tuple[list[Wanted], list[str]]:
    """Return the pictures that lists name, and the sources that are archives or repositories.

    Args:
        sources: Lists of URLs or folders of them, zip and tar archives, http(s) URLs of archives or repositories.

    Raises:
        SourceNotFoundError: Sources cannot be read, or lines of lists are wrong; the message names them.
    """
    problems: list[str] = []
    lists: list[Path] = []
    others: list[str] = []
    for source in dict.fromkeys(sources):
        if re.match(r"[a-z][a-z0-9+.-]*:(//|:)|[\w.-]+@[\w.-]+:", source, re.IGNORECASE):
            others.append(source)
            if re.match(r"[^/]*//[^/?#]*@", source):
                problems.append("a URL holds a user name or a password: take them out")
            elif not re.fullmatch(r"(git\+)?https?://[!-~]+", source):
                problems.append(f"{source!r}: of URLs, only those with http:// or https:// are fetched")
            continue
        try:
            found = _lists_of(Path(source))
        except (OSError, ValueError) as error:
            problems.append(f"{source!r}: {files.reason_of(error)}")
            continue
        lists += found
        others += [] if found else [source]
    wanted, wrong_lines = read_lists(lists)
    refuse(problems + wrong_lines)
    return wanted, others


def refuse(problems: list[str]) -> None:
    """Refuse to start where there are problems.

    Raises:
        SourceNotFoundError: There are.
    """
    if problems:
        more = f"; and {len(problems) - _MAX_NAMED} more" if len(problems) > _MAX_NAMED else ""
        raise SourceNotFoundError(f"nothing was fetched: {'; '.join(problems[:_MAX_NAMED])}{more}")


def _lists_of(path: Path) -> list[Path]:
    """Return the lists that a path names; none for an archive."""
    if path.is_dir():
        found = sorted(path.glob("*.txt"))
        if not found:
            raise ValueError("a folder without lists of URLs, such as happy.txt")
        return found
    if path.exists() and not path.is_file():
        raise ValueError("neither a file nor a folder")
    with open(path, "rb") as file:
        return [] if is_archive(file.read(512)) else [path]
