"""Sources: file | folder | URL | standard input -> names of images, and their bytes."""

import errno
import glob
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from mien.config import FetchLimits
from mien.core import files, images
from mien.core.formats import EXTENSIONS, MAX_FILE_BYTES, begins_like_an_image
from mien.core.text import first_few
from mien.errors import ImageError, SourceNotFoundError
from mien.fetching import http

_MAX_NAMED = 10


def expand(sources: str | Path | Iterable[str | Path]) -> list[str]:
    """Name every image that the sources stand for, in order.

    Files, URLs and "-" stay as they are. A pattern such as photos/*.jpg becomes what it matches, and a folder the
    image files below it, sorted: files with an image's extension or first bytes. Hidden ones are passed over, linked
    folders are followed, and no folder is read twice.

    Args:
        sources: Image files, folders, http(s) URLs, or "-" for standard input.

    Returns:
        Names for `read`.

    Raises:
        SourceNotFoundError: Paths do not exist or may not be read; the message names all of them.
    """
    given = [os.fspath(source) for source in ([sources] if isinstance(sources, str | Path) else sources)]
    names = [name for source in given for name in _matching(source)]
    paths = [name for name in names if _is_path(name)]
    problems = [f"{path!r}: {problem}" for path in paths if (problem := _path_problem(path))]
    if problems:
        listed = "; ".join(first_few(problems, _MAX_NAMED))
        raise SourceNotFoundError(f"{len(problems)} of {len(names)} sources cannot be read: {listed}")
    folders = set(filter(os.path.isdir, paths))
    return [image for name in names for image in (_images_below(name) if name in folders else [name])]


def read(source: str, limits: FetchLimits = FetchLimits()) -> bytes:
    """Return the bytes of one image, whatever they are; nothing is decoded.

    Args:
        source: A file, an http(s) URL, or "-" for standard input.
        limits: How far fetching a URL may go.

    Raises:
        ImageError: The file or standard input cannot be read, or is enormous, or the file is not a regular one.
        FetchError: The URL cannot be fetched, or must not be.
    """
    if source == "-":
        return _read_standard_input()
    if _is_path(source):
        return images.read(Path(source))
    return http.fetch(source, limits)


def _is_path(name: str) -> bool:
    return name != "-" and not re.match(r"[a-z][a-z0-9+.-]+://|(data|file):", name, re.IGNORECASE)


def _matching(source: str) -> list[str]:
    """Return the files that a pattern matches, where no shell has; a source that is none stays as it is."""
    if _is_path(source) and not os.path.lexists(source) and glob.has_magic(source):
        return sorted(glob.glob(source, recursive=True)) or [source]
    return [source]


def _path_problem(path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return files.reason_of(error)
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "neither a file nor a folder; standard input is '-'"
    return None if os.access(path, os.R_OK) else "Permission denied"


def _images_below(folder: str) -> Iterator[str]:
    for path in files.walk(Path(folder)):
        if _is_image(path):
            # Below the folder "." there may be a file called "-", or "data:x".
            yield str(path) if _is_path(str(path)) else os.path.join(".", path)


def _is_image(path: Path) -> bool:
    """Say whether a file in a folder is meant. One that cannot be looked at is: then reading it reports why."""
    is_named_so = path.suffix.lower() in EXTENSIONS
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and (is_named_so or begins_like_an_image(_head(path)))
    except OSError as error:
        leads_nowhere = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        return is_named_so or not leads_nowhere


def _head(path: Path) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(32)


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise ImageError("unreadable", "standard input is closed")
    try:
        content = _gather(iter(lambda: sys.stdin.buffer.read(1 << 16), b""), MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise ImageError("unreadable", f"cannot read standard input: {files.reason_of(error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ImageError("unreadable", f"standard input has more than {MAX_FILE_BYTES} bytes")
    return content


def _gather(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    """Join the chunks; stop at the first that goes beyond the limit."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            break
    return bytes(content)
