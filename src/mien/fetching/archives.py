"""Archives: read the members of a zip or tar file one by one, within limits, without unpacking to disk."""

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

# An entry of a zip directory takes a few times this much memory.
_MAX_ENTRY_BYTES = 300
# Headers with long names and attributes have a few KiB. With more, tarfile could be kept busy for hours.
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
        name: Its name in the archive, with folders; untrusted text.
        problem: Why it must not be read, or "".
        read: Returns its content, or raises IntakeError if it is damaged or too large. Call it before requesting the
            next member.
    """

    name: str
    problem: str
    read: Callable[[], bytes]


def is_archive(head: bytes) -> bool:
    """Return whether a file is a zip or tar archive, or compressed like one.

    Args:
        head: Its first 512 bytes.
    """
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")) or _is_tar(head)


def members(path: Path, limits: IntakeLimits, *, max_bytes: int) -> Iterator[Member]:
    """Yield the files of an archive once, in order, skipping folders.

    Args:
        path: A zip archive, or a tar archive, uncompressed or compressed with gzip or bzip2.
        limits: Limits for the whole archive.
        max_bytes: Members with more bytes get a problem.

    Yields:
        Every file, link and device. Links, devices, and names that lead out of the archive have a problem.

    Raises:
        IntakeError: It is not such an archive, is damaged, or exceeds a limit. Members yielded before are good.
    """
    deadline = monotonic() + limits.source_timeout_s
    with _telling_damage(), open(path, "rb") as file:
        head = file.read(512)
        file.seek(0)
        seen: set[str] = set()
        found = _zip_members(file, limits) if head.startswith(b"PK") else _tar_members(file, head, limits)
        for number, (name, problem, num_bytes, read) in enumerate(found, start=1):
            if number > limits.max_files:
                raise IntakeError(f"it has more than {limits.max_files} files (see --max-files)")
            if monotonic() > deadline:
                raise IntakeError(f"timed out after {limits.source_timeout_s:g} s (see --source-timeout-s)")
            problem = problem or name_problem(name)
            if num_bytes > max_bytes:
                problem = problem or f"it has {num_bytes} bytes, more than the limit of {max_bytes} (see --max-bytes)"
            if name in seen:
                problem, name = "the archive has another file with this name", f"{name}\0{number}"
            seen.add(name)
            yield Member(name, problem, read)


def name_problem(name: str) -> str:
    """Return what is wrong with the name of a member, or ""."""
    if len(name) > _MAX_NAME_LETTERS:
        return f"its name has {len(name)} characters"
    if not name.isprintable():
        return "its name contains control characters or invalid text"
    if re.match(r"[/\\]|[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
        return "its name leads out of the archive"
    return ""


class _Found(NamedTuple):
    """A file as listed in the archive's directory or in its own header."""

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
            raise IntakeError(
                f"it unpacks to {total} bytes, more than the limit of {limits.max_total_bytes} (see --max-total-bytes)"
            )
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
        return "unsupported compression method"
    if entry.file_size > max_ratio * entry.compress_size + _BLOCK:
        return f"it unpacks to more than {max_ratio:g} times its size (see --max-ratio)"
    return ""


def _zip_name(entry: zipfile.ZipInfo) -> str:
    # `filename` ends at the first NUL, but other programs read the full name.
    return entry.orig_filename if "\0" in entry.orig_filename else entry.filename


def _read_zip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with _telling_damage():
        try:
            with archive.open(entry) as file:
                content = file.read(entry.file_size)
                # Reading to the end verifies the checksum.
                file.read(1)
        except RuntimeError as error:
            raise IntakeError(f"it cannot be opened: {error}") from error
        if len(content) != entry.file_size:
            raise IntakeError("it is truncated")
        return content


def _refuse_overlaps(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse an archive whose entries overlap, with which a small file can unpack to a huge size.

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
            # Otherwise it keeps every entry.
            archive.members.clear()  # type: ignore[attr-defined]
    if guard.last.strip(b"\0") or len(guard.last) < tarfile.BLOCKSIZE:
        # `tarfile` treats a truncated or damaged header as the end.
        raise IntakeError("it is damaged or truncated; files before that point are good")


def _read_tar(archive: tarfile.TarFile, guard: "_Guard", entry: tarfile.TarInfo) -> bytes:
    with _telling_damage():
        guard.allowance = entry.size + _BLOCK
        file = archive.extractfile(entry)
        content = b"".join(iter(lambda: file.read(_BLOCK), b"")) if file else b""
        if len(content) != entry.size:
            raise IntakeError("the archive is truncated")
        return content


def _unpacked(file: BinaryIO, head: bytes) -> BinaryIO:
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)  # type: ignore[return-value]
    if head.startswith(b"\xfd7zXZ\0"):
        # Its header alone can ask for gigabytes of memory.
        raise IntakeError("compressed with xz. Repack it as zip or tar.gz")
    if not _is_tar(head):
        raise IntakeError(f"not a zip or tar archive{_hint(head)}")
    return file


def _hint(head: bytes) -> str:
    if format_of(head[:HEAD_BYTES]):
        return ", but an image: put its URL into a list, e.g. happy.txt"
    return ", but a web page" if describe_other(head).startswith("a web page") else ""


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


class _SmallReads(io.BufferedReader):
    """A file with limited read sizes: `zipfile` reads the whole directory of an archive in one go."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        super().__init__(io.FileIO(file.fileno(), closefd=False))
        self._max_bytes = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._max_bytes:
            raise IntakeError("it has too many files (see --max-files)")
        return super().read(size)


class _Guard(io.RawIOBase):
    """The input of `tarfile`: forward only, within the limits, and with little data outside file contents."""

    def __init__(self, file: BinaryIO, num_packed: float, limits: IntakeLimits) -> None:
        self._file = file
        self._limits = limits
        self._max_ratio_bytes = limits.max_ratio * num_packed + _SLACK_BYTES
        self.allowance = _MAX_HEADER_BYTES
        self.last = b""

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self.allowance:
            raise IntakeError("one of its headers is too long")
        self._refuse_beyond(self._file.tell() + size)
        content = self._file.read(size)
        self.allowance -= len(content)
        self.last = content
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or offset < self._file.tell():
            raise IntakeError("it is damaged: it points backwards")
        self._refuse_beyond(offset)
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()

    def _refuse_beyond(self, offset: int) -> None:
        most = self._limits.max_total_bytes
        if offset > most + _BLOCK:
            raise IntakeError(f"it unpacks to more than {most} bytes (see --max-total-bytes)")
        if offset > self._max_ratio_bytes + _BLOCK:
            raise IntakeError(f"it unpacks to more than {self._limits.max_ratio:g} times its size (see --max-ratio)")


@contextmanager
def _telling_damage() -> Iterator[None]:
    """Turn the standard library's errors about a damaged archive into an IntakeError."""
    try:
        yield
    except IntakeError:
        raise
    except _DAMAGE as error:
        raise IntakeError(f"damaged: {' '.join(str(error).split()) or type(error).__name__}") from error
