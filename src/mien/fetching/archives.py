"""Archives: a zip or tar file -> its members, one by one, within limits. Nothing is ever unpacked to a path."""

import bz2
import gzip
import io
import math
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import BinaryIO, NamedTuple

from mien.config import IntakeLimits
from mien.core.formats import HEAD_BYTES, describe_other, format_of
from mien.errors import IntakeError

# What an entry of a table of contents takes in memory is a few times this.
_MAX_ENTRY_BYTES = 300
# A tar header with long names and attributes has a few KiB; reading more, tarfile could be kept busy for hours.
_MAX_HEADER_BYTES = 32 * 1024
_SLACK_BYTES = 1024**2
_MAX_NAME_LETTERS = 1000
_LOCAL_HEADER_BYTES = 30
_BLOCK = 64 * 1024
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """A file in an archive or a repository.

    Attributes:
        name: What it is called there, with folders; hostile text.
        problem: Why it must not be read; an empty text where it may.
        read: Returns its content; raises IntakeError where it is damaged or larger than its limit. Only to be
            called before the next member is asked for.
    """

    name: str
    problem: str
    read: Callable[[], bytes]


def is_archive(head: bytes) -> bool:
    """Say whether a file is a zip or tar archive, or packed as one may be.

    Args:
        head: Its first 512 bytes.
    """
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")) or _is_tar(head)


def members(path: Path, limits: IntakeLimits, *, max_bytes: int) -> Iterator[Member]:
    """Go through the files of an archive once, in order; folders are passed over.

    Args:
        path: A zip archive, or a tar archive, plain or packed with gzip or bzip2.
        limits: For the archive as a whole.
        max_bytes: A member with more bytes has a problem.

    Yields:
        Every file, link and device; links and devices, and names that lead out of the archive, with a problem.

    Raises:
        IntakeError: It is no such archive, damaged, or goes beyond a limit; members before that are good.
    """
    deadline = monotonic() + limits.source_timeout_s
    with _telling_damage(), open(path, "rb") as file:
        head = file.read(512)
        file.seek(0)
        seen: set[str] = set()
        found = _zip_members(file, limits) if head.startswith(b"PK") else _tar_members(file, head, limits)
        for number, (name, problem, num_bytes, read) in enumerate(found, start=1):
            if number > limits.max_files:
                raise IntakeError(f"it has more than {limits.max_files} files, see --max-files")
            if monotonic() > deadline:
                raise IntakeError(f"not done within {limits.source_timeout_s:g} s, see --source-timeout-s")
            problem = problem or name_problem(name)
            if num_bytes > max_bytes:
                problem = problem or f"it has {num_bytes} bytes; at most {max_bytes} are read, see --max-bytes"
            if name in seen:
                problem, name = "the archive has another file of this name", f"{name}\0{number}"
            seen.add(name)
            yield Member(name, problem, read)


def name_problem(name: str) -> str:
    """Say what is wrong with the name of a member; an empty text where nothing is."""
    if len(name) > _MAX_NAME_LETTERS:
        return f"its name has {len(name)} letters"
    if not name.isprintable():
        return "its name has control characters, or bytes that are no text"
    if re.match(r"[/\\]|[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
        return "its name leads out of the archive"
    return ""


class _Found(NamedTuple):
    """A file as the table of contents, or its own header, has it."""

    name: str
    problem: str
    num_bytes: int
    read: Callable[[], bytes]


def _zip_members(file: BinaryIO, limits: IntakeLimits) -> Iterator[_Found]:
    with zipfile.ZipFile(_SmallReads(file, _MAX_ENTRY_BYTES * limits.max_files + _SLACK_BYTES)) as archive:
        entries = archive.infolist()
        _refuse_overlaps(entries, archive.start_dir)
        total = sum(entry.file_size for entry in entries)
        if total > limits.max_total_bytes:
            raise IntakeError(f"it unpacks to {total} bytes; at most {limits.max_total_bytes}, see --max-total-bytes")
        for entry in entries:
            if not entry.is_dir():
                problem = _zip_problem(entry, limits.max_ratio)
                yield _Found(_zip_name(entry), problem, entry.file_size, partial(_read_zip, archive, entry))


def _zip_problem(entry: zipfile.ZipInfo, max_ratio: float) -> str:
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if mode not in (0, stat.S_IFREG):
        return "a link or a device, not a file"
    if entry.flag_bits & 1:
        return "it is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is packed in an unusual way"
    if entry.file_size > max_ratio * entry.compress_size + _BLOCK:
        return f"it unpacks to more than {max_ratio:g} times its size, see --max-ratio"
    return ""


def _zip_name(entry: zipfile.ZipInfo) -> str:
    # `filename` ends at the first NUL, and what others read is the whole.
    return entry.orig_filename if "\0" in entry.orig_filename else entry.filename


def _read_zip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with _telling_damage():
        try:
            with archive.open(entry) as file:
                content = file.read(entry.file_size)
                # Reading on to the end is what compares the checksum.
                file.read(1)
        except RuntimeError as error:
            raise IntakeError(f"it cannot be opened: {error}") from error
        if len(content) != entry.file_size:
            raise IntakeError("it ends too early")
        return content


def _refuse_overlaps(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse an archive in which entries share bytes, so that a small file unpacks to very much.

    Source:
        D. Fifield, A better zip bomb, WOOT 2019.
    """
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        size = _LOCAL_HEADER_BYTES + len(entry.orig_filename) + entry.compress_size
        if not 0 <= entry.header_offset <= end - size:
            raise IntakeError("its entries overlap, as in a zip bomb")
        end = entry.header_offset


def _tar_members(file: BinaryIO, head: bytes, limits: IntakeLimits) -> Iterator[_Found]:
    num_packed = math.inf if _is_tar(head) else os.fstat(file.fileno()).st_size
    guard = _Guard(_unpacked(file, head), num_packed, limits)
    with tarfile.open(fileobj=guard, mode="r:") as archive:
        while (entry := archive.next()) is not None:
            if not entry.isdir():
                is_file = entry.isreg() and not entry.issparse()
                problem = "" if is_file else "a link or a device, not a file"
                yield _Found(entry.name, problem, entry.size, partial(_read_tar, archive, guard, entry))
            guard.allowance = _MAX_HEADER_BYTES
            # Else it remembers every one.
            archive.members.clear()  # type: ignore[attr-defined]
    if guard.last.strip(b"\0") or len(guard.last) < tarfile.BLOCKSIZE:
        # `tarfile` takes a header that is cut short or damaged for the end.
        raise IntakeError("it is damaged, or ends too early: what came before that is good")


def _read_tar(archive: tarfile.TarFile, guard: "_Guard", entry: tarfile.TarInfo) -> bytes:
    with _telling_damage():
        guard.allowance = entry.size + _BLOCK
        file = archive.extractfile(entry)
        content = b"".join(iter(lambda: file.read(_BLOCK), b"")) if file else b""
        if len(content) != entry.size:
            raise IntakeError("the archive ends too early")
        return content


def _unpacked(file: BinaryIO, head: bytes) -> BinaryIO:
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)  # type: ignore[return-value]
    if head.startswith(b"\xfd7zXZ\0"):
        # Its head alone may ask for gigabytes of memory.
        raise IntakeError("packed with xz; pack it as zip or tar.gz")
    if not _is_tar(head):
        raise IntakeError(f"no zip or tar archive{_hint(head)}")
    return file


def _hint(head: bytes) -> str:
    if format_of(head[:HEAD_BYTES]):
        return ", but an image: put its URL into a list such as happy.txt"
    return ", but a web page" if describe_other(head).startswith("a web page") else ""


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


class _SmallReads(io.BufferedReader):
    """A file of which nobody may read very much at once, as `zipfile` does with a table of contents."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        super().__init__(io.FileIO(file.fileno(), closefd=False))
        self._max_bytes = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._max_bytes:
            raise IntakeError("it has too many files, see --max-files")
        return super().read(size)


class _Guard(io.RawIOBase):
    """What `tarfile` reads from: forward only, within the limits, and little at a time for what is no content."""

    def __init__(self, file: BinaryIO, num_packed: float, limits: IntakeLimits) -> None:
        self._file = file
        self._limits = limits
        self._max_ratio_bytes = limits.max_ratio * num_packed + _SLACK_BYTES
        self.allowance = _MAX_HEADER_BYTES
        self.last = b""

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self.allowance:
            raise IntakeError("it has a header that is too long")
        self._refuse_beyond(self._file.tell() + size)
        content = self._file.read(size)
        self.allowance -= len(content)
        self.last = content
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or offset < self._file.tell():
            raise IntakeError("it is damaged: it leads backward")
        self._refuse_beyond(offset)
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()

    def _refuse_beyond(self, offset: int) -> None:
        most = self._limits.max_total_bytes
        if offset > most + _BLOCK:
            raise IntakeError(f"it unpacks to more than {most} bytes, see --max-total-bytes")
        if offset > self._max_ratio_bytes + _BLOCK:
            raise IntakeError(f"it unpacks to more than {self._limits.max_ratio:g} times its size, see --max-ratio")


@contextmanager
def _telling_damage() -> Iterator[None]:
    """Turn what the standard library says of a damaged archive into an IntakeError."""
    try:
        yield
    except IntakeError:
        raise
    except _DAMAGE as error:
        raise IntakeError(f"damaged: {' '.join(str(error).split()) or type(error).__name__}") from error
