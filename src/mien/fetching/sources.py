"""Sources: file | folder | URL | address in a store | standard input -> names of images, and their bytes."""

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
from mien.layouts.tree import is_system_name, may_be_image

if TYPE_CHECKING:
    from mien.fetching.downloads import Fetches

_MAX_NAMED = 10
# URLs and objects of stores that are fetched before their turn comes.
_NUM_AHEAD = 16
Item = TypeVar("Item")
Result = TypeVar("Result")


def expand(sources: str | Path | Iterable[str | Path], progress: Progress = SILENCE) -> list[str]:
    """Name every image that the sources stand for, in order.

    Files, URLs and "-" stay as they are. A pattern such as photos/*.jpg becomes what it matches, and a folder the
    image files below it, sorted: files with an image's extension or first bytes. Hidden ones and what systems leave are
    passed over, linked folders are followed, and no folder is read twice. In a store, the names of objects tell.

    Args:
        sources: Image files, folders, http(s) URLs, addresses such as s3://bucket/photos, or "-" for standard input.
        progress: Told how many other files were in the folders, and of what kind.

    Returns:
        Names for `read`.

    Raises:
        SourceNotFoundError: Paths do not exist or may not be read; the message names all of them.
    """
    return list(expand_in_turn(sources, progress))


def expand_in_turn(sources: str | Path | Iterable[str | Path], progress: Progress = SILENCE) -> Iterator[str]:
    """Name every image that the sources stand for, as `expand` does, but look into folders only as names are taken.

    Raises:
        SourceNotFoundError: Paths do not exist or may not be read; raised at once.
    """
    given = [os.fspath(source) for source in ([sources] if isinstance(sources, str | Path) else sources)]
    names = [name for source in given for name in _matching(source)]
    problems = [f"{name!r}: {problem}" for name in names if _is_path(name) and (problem := _path_problem(name))]
    if problems:
        listed = "; ".join(first_few(problems, _MAX_NAMED))
        raise SourceNotFoundError(f"{len(problems)} of {len(names)} sources cannot be read: {listed}")
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
        progress.say(f"passed over: {_described(others)}")


def expand_files(sources: str | Path | Iterable[str | Path], progress: Progress = SILENCE) -> list[str]:
    """Name every image that the sources stand for, as `expand` does, and make sure that each is a file.

    Raises:
        SourceNotFoundError: As `expand`.
        SettingsError: A source is a URL, an address in a store, or standard input.
    """
    given = [os.fspath(source) for source in ([sources] if isinstance(sources, str | Path) else sources)]
    if stored := list(filter(is_address, given)):
        raise SettingsError(
            f"{stored[0]!r} is in an object store, and this needs files: copy it into a folder first, with the tools "
            "of the store, and name that folder"
        )
    names = expand(given, progress)
    if elsewhere := [name for name in names if not os.path.lexists(name)]:
        raise SettingsError(f"{elsewhere[0]!r} is no file that can be put into a folder: save it first, or mien fetch")
    return names


def read_each(
    names: Sequence[str], function: Callable[[int, Callable[[], bytes]], Result], limits: FetchLimits = FetchLimits()
) -> Generator[Result, None, None]:
    """Yield what a function makes of each image, in order, several at a time; what is slow is read ahead meanwhile.

    Files, and with many machines the objects of stores, too, are spread (see `mien.core.engines`), unless URLs or
    standard input are among them, which this machine reads.

    Args:
        names: What `expand` returned.
        function: Takes the place of a name, and what returns the bytes of that image, or raises as `read` does.
        limits: How far fetching a URL may go.
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
    """Say whether this machine alone can read it, or reads it sooner when it asks for several at a time."""
    return name == "-" or _is_url(name) or (is_address(name) and not on_many_machines())


def _fetching(names: Iterable[str], limits: FetchLimits) -> AbstractContextManager["Fetches | None"]:
    if not any(map(_is_url, names)):
        return nullcontext()
    # Loads the HTTP client, which most commands need not wait for.
    from mien.fetching.downloads import fetching

    return fetching(limits)


def _ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items some places later than they are made."""
    waiting = deque[Item]()
    for item in items:
        waiting.append(item)
        if len(waiting) > _NUM_AHEAD:
            yield waiting.popleft()
    yield from waiting


def read(source: str, limits: FetchLimits = FetchLimits()) -> bytes:
    """Return the bytes of one image, whatever they are; nothing is decoded.

    Args:
        source: A file, an http(s) URL, the address of an object in a store, or "-" for standard input.
        limits: How far fetching a URL may go.

    Raises:
        ImageError: The file or standard input cannot be read, or is enormous, or the file is not a regular one.
        FetchError: The URL cannot be fetched, or must not be.
        SourceNotFoundError: The store refuses, or cannot be reached.
    """
    if source == "-":
        return _read_standard_input()
    if is_address(source):
        return stores.read(source)
    if _is_path(source):
        return images.read(Path(source))
    # Loads the HTTP client, which most commands need not wait for.
    from mien.fetching.http import fetch

    return fetch(source, limits)


def _is_url(name: str) -> bool:
    return name != "-" and not _is_path(name) and not is_address(name)


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


def _images_below(folder: str, others: dict[str, list[str]]) -> Iterator[str]:
    """Yield the images below a folder; put the other files into a dictionary, by what they are."""
    for path in files.walk(Path(folder)):
        if any(map(is_system_name, path.relative_to(folder).parts)):
            continue
        # Below the folder "." there may be a file called "-", or "data:x".
        name = str(path) if _is_path(str(path)) else os.path.join(".", path)
        other = _other_kind(path)
        if other is None:
            yield name
        else:
            others.setdefault(other, []).append(name)


def _images_stored(address: str, others: dict[str, list[str]], progress: Progress) -> Iterator[str]:
    """Yield the images below an address; put the others into a dictionary, by the ends of their names."""
    for found in stores.objects_below(address, progress):
        # To look at the first bytes of each would take as long as to read it.
        if found.address == address or may_be_image(found.address):
            yield found.address
        else:
            others.setdefault(Path(found.address).suffix.lower() or "no extension", []).append(found.address)


def _other_kind(path: Path) -> str | None:
    """Return what a file in a folder is that is not meant as an image; None for an image.

    One that cannot be looked at is taken for an image: then reading it reports why.
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
        return "a link that leads nowhere" if leads_nowhere and not is_named_so else None


def _described(others: dict[str, list[str]]) -> str:
    """Say of files that are no images how many there are of each kind."""
    by_number = sorted(others.items(), key=lambda item: -len(item[1]))
    kinds = []
    for kind, names in by_number[:_MAX_NAMED]:
        kinds.append(f"{kind.removeprefix('a ').removeprefix('an ')}: {len(names)} ({Path(names[0]).name})")
    rest = sum(len(names) for _, names in by_number[_MAX_NAMED:])
    kinds += [f"other kinds: {rest}"] if rest else []
    return f"{counted(sum(map(len, others.values())), 'file')} that mien does not read ({', '.join(kinds)})"


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
