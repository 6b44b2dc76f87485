"""Sources: list and read the images in files, folders, URLs, object stores and standard input."""

import errno
import glob
import os
import re
import stat
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mien.config import FetchLimits
from mien.core import files, images
from mien.core.engines import on_many_machines, spread
from mien.core.formats import EXTENSIONS, HEAD_BYTES, MAX_FILE_BYTES, format_of, other_kind
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted, first_few
from mien.errors import ImageError, SettingsError, SourceNotFoundError
from mien.fetching import stores
from mien.fetching.stores import is_address
from mien.layouts.tree import is_system_name, may_be_image, refuse_run

if TYPE_CHECKING:
    from mien.fetching.downloads import Fetches

_MAX_NAMED = 10
# Number of URLs and stored objects to fetch ahead.
_NUM_AHEAD = 16
Item = TypeVar("Item")
Result = TypeVar("Result")


def expand(sources: str | Path | Iterable[str | Path], progress: Progress = SILENCE) -> list[str]:
    """List the images of all sources, in order.

    Files, URLs and "-" stay as they are. A pattern such as photos/*.jpg is expanded. A folder becomes the image files
    below it, sorted: files with an image extension or with the first bytes of an image. Hidden files and system files
    are skipped, links to folders are followed, and each folder is read once. In object stores, names decide.

    Args:
        sources: Image files, folders, http(s) URLs, addresses such as s3://bucket/photos, or "-" for standard input.
        progress: Receives the number and kinds of other files in the folders.

    Returns:
        Names for `read`.

    Raises:
        SourceNotFoundError: Paths do not exist or cannot be read. The message lists all of them.
        NotADatasetError: A folder is a run.
    """
    return list(expand_in_turn(sources, progress))


def expand_in_turn(sources: str | Path | Iterable[str | Path], progress: Progress = SILENCE) -> Iterator[str]:
    """List the images of all sources like `expand`, but read folders lazily, as names are requested.

    Raises:
        SourceNotFoundError: Paths do not exist or cannot be read; raised immediately.
        NotADatasetError: A folder is a run; raised immediately.
    """
    given = [os.fspath(source) for source in ([sources] if isinstance(sources, str | Path) else sources)]
    names = [name for source in given for name in _matching(source)]
    problems = [f"{name!r}: {problem}" for name in names if _is_path(name) and (problem := _path_problem(name))]
    if problems:
        listed = "; ".join(first_few(problems, _MAX_NAMED))
        raise SourceNotFoundError(f"{len(problems)} of {len(names)} sources cannot be read: {listed}")
    for folder in filter(os.path.isdir, names):
        refuse_run(Path(folder))
    return _images_of(names, progress)


def _images_of(names: Iterable[str], progress: Progress) -> Iterator[str]:
    others: dict[str, list[str]] = {}
    for name in names:
        if is_address(name):
            yield from _images_stored(name, others, progress)
        elif _is_path(name) and os.path.isdir(name):
            yield from _images_below(name, others)
        else:
            yield name
    if others:
        progress.say(f"skipped {_described(others)}")


def expand_files(sources: str | Path | Iterable[str | Path], progress: Progress = SILENCE) -> list[str]:
    """List the images of all sources like `expand`, and check that each is a file.

    Raises:
        SourceNotFoundError: Paths do not exist or cannot be read.
        SettingsError: A source is a URL, an address in a store, or standard input.
    """
    given = [os.fspath(source) for source in ([sources] if isinstance(sources, str | Path) else sources)]
    if stored := list(filter(is_address, given)):
        raise SettingsError(
            f"{stored[0]!r} is in an object store, but this needs files. Copy it to a folder first, with the tools of "
            "the store, and pass that folder"
        )
    names = expand(given, progress)
    if elsewhere := [name for name in names if not os.path.lexists(name)]:
        raise SettingsError(f"{elsewhere[0]!r} is not a file. Save it first, e.g. with mien fetch")
    return names


def read_each(
    names: Sequence[str], function: Callable[[int, Callable[[], bytes]], Result], limits: FetchLimits = FetchLimits()
) -> Generator[Result, None, None]:
    """Yield the result of a function for each image, in order, several at a time, reading slow sources ahead.

    Files, and on several machines also stored objects, are distributed (see `mien.core.engines`), unless there are URLs
    or standard input, which this machine reads.

    Args:
        names: Result of `expand`.
        function: Called with the index of a name and a function that returns the image's bytes or raises like `read`.
        limits: Limits for fetching a URL.
    """
    if not any(map(_is_read_ahead, names)):
        yield from spread(lambda place: function(place, partial(read, names[place], limits)), range(len(names)))
        return
    with ThreadPoolExecutor(_NUM_AHEAD) as readers, _fetching(names, limits) as fetches:

        def reader(name: str) -> Callable[[], bytes]:
            if is_address(name):
                return readers.submit(stores.read, name).result
            return fetches.begin(name).result if fetches and _is_url(name) else partial(read, name, limits)

        def give_up() -> None:
            readers.shutdown(wait=False, cancel_futures=True)
            if fetches:
                fetches.give_up()

        coming = enumerate(_ahead(map(reader, names)))
        yield from in_threads(lambda given: function(*given), coming, give_up=give_up)


def _is_read_ahead(name: str) -> bool:
    """Return whether only this machine can read it, or reads it faster by requesting several at a time."""
    return name == "-" or _is_url(name) or (is_address(name) and not on_many_machines())


def _fetching(names: Iterable[str], limits: FetchLimits) -> AbstractContextManager["Fetches | None"]:
    if not any(map(_is_url, names)):
        return nullcontext()
    # Imports the HTTP client, which most commands do not need.
    from mien.fetching.downloads import fetching

    return fetching(limits)


def _ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items with a delay of a few places."""
    waiting = deque[Item]()
    for item in items:
        waiting.append(item)
        if len(waiting) > _NUM_AHEAD:
            yield waiting.popleft()
    yield from waiting


def read(source: str, limits: FetchLimits = FetchLimits()) -> bytes:
    """Return the content of one image of any kind, without decoding it.

    Args:
        source: A file, an http(s) URL, the address of an object in a store, or "-" for standard input.
        limits: Limits for fetching a URL.

    Raises:
        ImageError: The file or standard input cannot be read, is too large, or is not a regular file.
        FetchError: The URL cannot be fetched or is forbidden.
        SourceNotFoundError: The store denies access or cannot be reached.
    """
    if source == "-":
        return _read_standard_input()
    if is_address(source):
        return stores.read(source)
    if _is_path(source):
        return images.read(Path(source))
    # Imports the HTTP client, which most commands do not need.
    from mien.fetching.http import fetch

    return fetch(source, limits)


def _is_url(name: str) -> bool:
    return name != "-" and not _is_path(name) and not is_address(name)


def _is_path(name: str) -> bool:
    return name != "-" and not re.match(r"[a-z][a-z0-9+.-]+://|(data|file):", name, re.IGNORECASE)


def _matching(source: str) -> list[str]:
    """Expand a pattern that the shell did not expand; other sources stay as they are."""
    if _is_path(source) and not os.path.lexists(source) and glob.has_magic(source):
        return sorted(glob.glob(source, recursive=True)) or [source]
    return [source]


def _path_problem(path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return files.reason_of(error)
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "not a file or a folder; use '-' for standard input"
    return None if os.access(path, os.R_OK) else "Permission denied"


def _images_below(folder: str, others: dict[str, list[str]]) -> Iterator[str]:
    """Yield the images below a folder, and collect the other files by kind."""
    for path in files.walk(Path(folder)):
        if any(map(is_system_name, path.relative_to(folder).parts)):
            continue
        # Below the folder "." there may be a file named "-" or "data:x".
        name = str(path) if _is_path(str(path)) else os.path.join(".", path)
        other = _other_kind(path)
        if other is None:
            yield name
        else:
            others.setdefault(other, []).append(name)


def _images_stored(address: str, others: dict[str, list[str]], progress: Progress) -> Iterator[str]:
    """Yield the images below an address, and collect the other objects by extension."""
    for found in stores.objects_below(address, progress):
        # Reading the first bytes of each would take as long as reading all of it.
        if found.address == address or may_be_image(found.address):
            yield found.address
        else:
            others.setdefault(Path(found.address).suffix.lower() or "no extension", []).append(found.address)


def _other_kind(path: Path) -> str | None:
    """Return what a file in a folder is if it is not meant as an image, or None for an image.

    A file that cannot be inspected counts as an image, so that reading it reports the problem.
    """
    is_named_so = path.suffix.lower() in EXTENSIONS
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "a pipe or a device"
        if is_named_so or format_of(head := _head(path)):
            return None
        return "an empty file" if not head else other_kind(head)[0].split(" (")[0]
    except OSError as error:
        leads_nowhere = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        return "a broken link" if leads_nowhere and not is_named_so else None


def _described(others: dict[str, list[str]]) -> str:
    """Describe how many files of each kind are not images."""
    by_number = sorted(others.items(), key=lambda item: -len(item[1]))
    kinds = []
    for kind, names in by_number[:_MAX_NAMED]:
        kinds.append(f"{kind.removeprefix('a ').removeprefix('an ')}: {len(names)} ({Path(names[0]).name})")
    rest = sum(len(names) for _, names in by_number[_MAX_NAMED:])
    kinds += [f"other kinds: {rest}"] if rest else []
    return f"{counted(sum(map(len, others.values())), 'file')} that mien cannot read ({', '.join(kinds)})"


def _head(path: Path) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(HEAD_BYTES)


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise ImageError("unreadable", "standard input is closed")
    try:
        content = _gather(iter(lambda: sys.stdin.buffer.read(1 << 16), b""), MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise ImageError("unreadable", f"cannot read standard input: {files.reason_of(error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ImageError("unreadable", f"standard input is larger than {MAX_FILE_BYTES} bytes")
    return content


def _gather(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    """Join chunks until they exceed the limit."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            break
    return bytes(content)
