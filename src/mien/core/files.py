"""The file system: atomic writes, and safe walking and reading of untrusted folders."""

import ctypes
import errno
import hashlib
import io
import json
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from mien.core.text import as_typed, one_line
from mien.errors import MienError, OutputError, SourceNotFoundError

LOCK_NAME = ".lock"
# Errors of disks that cannot rename without replacing.
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and move it to `path` if the block succeeds.

    Raises:
        OutputError: The file cannot be written, e.g. because the disk is full or permission is missing.
    """
    # One name per thread, shortened so that there is room for the suffix.
    own = f"{os.getpid()}-{threading.get_native_id()}"
    temporary = path.with_name(f".{path.stem[:40]}.{own}.tmp{path.suffix[:40]}")
    with writing(path):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn operating system errors in the block into an OutputError that names `path`."""
    try:
        yield
    except MienError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        what_to_do = "Free some space or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Choose"
        raise OutputError(f"cannot write {str(path)!r}: {reason}. {what_to_do} another place.") from error


def refuse_among(path: Path, folder: Path, flag: str) -> None:
    """Refuse to write output into a folder of images.

    Args:
        path: Where the output would go.
        folder: The images.
        flag: The option that chooses another place.

    Raises:
        OutputError: `path` is inside `folder`.
    """
    if path.resolve().is_relative_to(folder.resolve()):
        parent = folder.resolve().parent
        beside = Path(min(os.path.relpath(parent), str(parent), key=len), path.resolve().relative_to(folder.resolve()))
        typed = f"{flag} {as_typed(beside)}"
        raise OutputError(
            f"the output {str(path)!r} must be outside the folder of images {str(folder)!r}, e.g. {typed}"
        )


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically. Names that are not valid UTF-8 keep their bytes.

    Raises:
        OutputError: The file cannot be written.
    """
    write_parts(path, [text])


def write_parts(path: Path, parts: Iterable[str]) -> None:
    """Write a UTF-8 file atomically, as `write_text` does, in parts that need not be in memory together.

    Raises:
        OutputError: The file cannot be written.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        for part in parts:
            file.write(part)


@contextmanager
def claimed(folder: Path, lock_name: str = LOCK_NAME) -> Iterator[None]:
    """Lock a folder, or a file in it, against other processes for the block. The lock ends if the process is killed.

    Args:
        folder: The folder.
        lock_name: The lock file in it.

    Raises:
        OutputError: Another process holds the lock, or the folder is not writable.
    """
    # Takes 50 ms to import, and few commands need it.
    from filelock import FileLock, Timeout

    path = folder / lock_name
    # On disks without locks, the library's fallback would outlive a kill.
    lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
    with writing(path):
        try:
            lock.acquire()
        except Timeout as error:
            what_to_do = "Wait for it to finish, or choose another folder"
            raise OutputError(f"another mien command is using {str(folder)!r}. {what_to_do}") from error
    try:
        yield
    finally:
        # Windows cannot delete an open file; there the library deletes it after closing it.
        with suppress(OSError):
            path.unlink()
        lock.release()


def rename_to_free_name(source: Path, target: Path) -> None:
    """Rename a file, link or folder without ever replacing another, unlike `os.rename`.

    Linux, macOS and Windows do this in one step. On other systems, and on disks that do not support it (some network
    disks), the name is checked just before: a program that takes it in that moment would lose its file.

    Raises:
        FileExistsError: The name is taken.
        OSError: It cannot be renamed; nothing has changed.
    """
    if os.name == "nt":
        source.rename(target)
        return
    code = _rename_in_one_step(os.fsencode(source), os.fsencode(target))
    if code in _CANNOT:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
    elif code:
        raise OSError(code, os.strerror(code), str(target))


def keep_names(folder: Path) -> None:
    """Flush the names in a folder to disk, so that a power failure does not undo a rename."""
    # Windows cannot open folders, and some network disks do not support this.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def temporary_file(num_bytes: int) -> Iterator[BinaryIO]:
    """Yield an open file of this size, with its disk space reserved. It is deleted when it is closed.

    Raises:
        OutputError: The disk is full, or there is no folder for temporary files.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise OutputError("there is no folder for temporary files that can be written: set TMPDIR to one") from error
    with writing(folder), tempfile.TemporaryFile() as opened:
        file = cast(BinaryIO, opened)
        # Reserve the space now: if the disk fills up later, a memory-mapped file kills the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        else:
            block = bytes(1024**2)
            for _ in range(-(-num_bytes // len(block))):
                file.write(block)
            file.flush()
        yield file


def walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted, skipping hidden files and visiting each folder once.

    Links are followed. A broken link is yielded too, so that reading it reports the problem.

    Raises:
        SourceNotFoundError: A folder cannot be read.
    """
    # An explicit stack instead of recursion: a tree may be deeper than Python's stack.
    waiting, seen = [folder], set()
    while waiting:
        path = waiting.pop()
        # Not `path.is_dir()`: it raises in a folder that can be listed but not entered.
        if not os.path.isdir(path):
            yield path
            continue
        try:
            status = path.stat()
            names = sorted((name for name in os.listdir(path) if not name.startswith(".")), reverse=True)
        except OSError as error:
            raise SourceNotFoundError(f"cannot read the folder {str(path)!r}: {reason_of(error)}") from error
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            waiting += [path / name for name in names]


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading, without ever waiting for a pipe or a device.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115  (the caller closes it)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def open_text(path: Path, *, errors: str = "strict") -> TextIO:
    """Open a regular UTF-8 file for reading, keeping its line endings.

    Args:
        path: The file.
        errors: What to do with bytes that are not UTF-8, as in `open`.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    return io.TextIOWrapper(open_regular(path), encoding="utf-8", errors=errors, newline="")


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """Read a whole regular file.

    Raises:
        OSError: It cannot be read, is not a regular file, or is larger than `max_bytes`.
    """
    try:
        with open_regular(path) as file:
            num_bytes = os.fstat(file.fileno()).st_size
            if num_bytes > max_bytes:
                raise OSError(errno.EFBIG, f"it has {num_bytes} bytes, more than the limit of {max_bytes}", str(path))
            return file.read(num_bytes)
    except ValueError as error:
        # The path contains a NUL character.
        raise OSError(errno.EINVAL, str(error), str(path)) from error


def read_bytes(path: Path, *, max_bytes: int) -> bytes:
    """Read a whole regular file, like `read_regular`, but raise an error of mien.

    Raises:
        SourceNotFoundError: It cannot be read, is not a regular file, or is larger than `max_bytes`.
    """
    try:
        return read_regular(path, max_bytes=max_bytes)
    except OSError as error:
        raise SourceNotFoundError(f"cannot read {str(path)!r}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Return an error's reason on one short line, whatever a hostile file or server put into it."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return one_line(text, 300)


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content, or an empty text if it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a pipe without a writer would block forever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _rename_in_one_step(source: bytes, target: bytes) -> int:
    """Rename without replacing, and return the error number or 0."""
    library = ctypes.CDLL(None, use_errno=True)
    failed = -1
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        here, no_replace = -100, 1
        failed = library.renameat2(here, source, here, target, no_replace)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        exclusively = 4
        failed = library.renamex_np(source, target, exclusively)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        SourceNotFoundError: It is missing, or not JSON.
    """
    try:
        with open_text(path) as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        raise SourceNotFoundError(f"cannot read {str(path)!r}: {reason}") from error
