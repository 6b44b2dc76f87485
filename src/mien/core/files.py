"""The file system: writing so that nobody ever sees half a file, walking and reading what may be hostile."""

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from mien.core.text import one_line
from mien.errors import MienError, OutputError, SourceNotFoundError

LOCK_NAME = ".lock"
# What a disk says that cannot rename without replacing.
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; put it in the place of `path` when the block ends well.

    Raises:
        OutputError: The file cannot be written: no room, no permission.
    """
    # Of its own in each thread; and a long name has room for more.
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
    """Turn the operating system's refusals in the block into an OutputError that names `path`."""
    try:
        yield
    except MienError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        what_to_do = "Free some room, or name" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Name"
        raise OutputError(f"cannot write {str(path)!r}: {reason}. {what_to_do} another place.") from error


def refuse_among(path: Path, folder: Path, flag: str) -> None:
    """Make sure that what is to be written would not lie among somebody's images.

    Args:
        path: Where it is to be written.
        folder: The images.
        flag: What names another place.

    Raises:
        OutputError: It would.
    """
    if path.resolve().is_relative_to(folder.resolve()):
        beside = Path(os.path.relpath(folder.resolve().parent)) / path.resolve().relative_to(folder.resolve())
        raise OutputError(
            f"{str(path)!r} would lie among the images of {str(folder)!r}: name another {flag}, such as {beside}"
        )


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file in one piece. Names that are not valid UTF-8 keep their bytes.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


@contextmanager
def claimed(folder: Path, lock_name: str = LOCK_NAME) -> Iterator[None]:
    """Keep other processes out of a folder, or of a file in it, for the block; a kill ends the claim.

    Args:
        folder: The folder.
        lock_name: The file there that is locked.

    Raises:
        OutputError: Another process has claimed it, or it cannot be written to.
    """
    # Takes 50 ms to load, and few commands claim anything.
    from filelock import FileLock, Timeout

    path = folder / lock_name
    # Where a disk has no locks, what the library does instead would outlive a kill.
    lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
    with writing(path):
        try:
            lock.acquire()
        except Timeout as error:
            what_to_do = "wait for it, or name another folder"
            raise OutputError(f"another mien command is using {str(folder)!r}: {what_to_do}") from error
    try:
        yield
    finally:
        # Windows does not remove what is open; there the library does, once it is closed.
        with suppress(OSError):
            path.unlink()
        lock.release()


def rename_to_free_name(source: Path, target: Path) -> None:
    """Rename a file, link or folder, but never, unlike `os.rename`, in the place of another.

    Linux, macOS and Windows do that in one step. Other systems, and disks that cannot (some on a network), are asked
    whether the name is free just before: another program that takes it in that moment would lose its file.

    Raises:
        FileExistsError: The name is taken.
        OSError: It cannot be renamed; both names are as they were.
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
    """Have the disk write down the names in a folder, so that a loss of power does not undo what renaming did."""
    # Windows opens no folders; some disks on a network do not do this.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def temporary_file(num_bytes: int) -> Iterator[BinaryIO]:
    """Give an open file of a size, with room for it on the disk; it vanishes with its last user.

    Raises:
        OutputError: The disk has no room.
    """
    with writing(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as opened:
        file = cast(BinaryIO, opened)
        # Ask for the room now: a memory-mapped file on a disk that fills up later kills the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        else:
            block = bytes(1024**2)
            for _ in range(-(-num_bytes // len(block))):
                file.write(block)
            file.flush()
        yield file


def walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted; hidden ones are passed over, and no folder is read twice.

    Links are followed. One that leads nowhere is yielded, so that reading it says so.

    Raises:
        SourceNotFoundError: A folder on the way may not be read.
    """
    # A list of what is left to visit, and not recursion: a tree may be deeper than Python's stack.
    waiting, seen = [folder], set()
    while waiting:
        path = waiting.pop()
        # Not `path.is_dir()`: it raises in a folder that may be listed and not entered.
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
    """Open a regular file for reading; what is none, such as a pipe, is never waited for.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115  (whoever asked closes it)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def open_text(path: Path, *, errors: str = "strict") -> TextIO:
    """Open a regular UTF-8 file for reading, the ends of its lines as they are.

    Args:
        path: The file.
        errors: What becomes of bytes that are not UTF-8, as in `open`.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    return io.TextIOWrapper(open_regular(path), encoding="utf-8", errors=errors, newline="")


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """Read a regular file whole.

    Raises:
        OSError: It cannot be read, is not a regular file, or is larger than `max_bytes`.
    """
    try:
        with open_regular(path) as file:
            num_bytes = os.fstat(file.fileno()).st_size
            if num_bytes > max_bytes:
                raise OSError(errno.EFBIG, f"it has {num_bytes} bytes; at most {max_bytes} are read", str(path))
            return file.read(num_bytes)
    except ValueError as error:
        # A path with a NUL in it.
        raise OSError(errno.EINVAL, str(error), str(path)) from error


def read_bytes(path: Path, *, max_bytes: int) -> bytes:
    """Read a regular file whole, as `read_regular` does, for whoever has no error of their own.

    Raises:
        SourceNotFoundError: It cannot be read, is not a regular file, or is larger than `max_bytes`.
    """
    try:
        return read_regular(path, max_bytes=max_bytes)
    except OSError as error:
        raise SourceNotFoundError(f"cannot read {str(path)!r}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Put an error's reason on one short line, whatever a hostile file or server made it say."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return one_line(text, 300)


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content; an empty text where it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _open_without_waiting(path: str, flags: int) -> int:
    # A pipe without a writer would be waited for, for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _rename_in_one_step(source: bytes, target: bytes) -> int:
    """Rename without replacing, as `os.rename` cannot; return the error's number, or 0."""
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
        SourceNotFoundError: It is missing, or no JSON.
    """
    try:
        with open_text(path) as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        raise SourceNotFoundError(f"cannot read {str(path)!r}: {reason}") from error
