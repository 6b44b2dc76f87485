"""Stored folders: copy data from an object store to the user's cache.

The path of a copy encodes its address, and vice versa. Nothing else needs to be recorded.
"""

import errno
import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from mien.core import files
from mien.core.files import read_json
from mien.core.formats import MAX_FILE_BYTES
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.text import as_typed, counted, folded
from mien.core.user_cache import user_cache_dir
from mien.errors import ImageError, OutputError, SettingsError
from mien.fetching.stores import SCHEMES, StoredObject, is_address, objects_below, parts_of, read
from mien.layouts.tree import is_table, may_be_image

# Requests are slow but need little computation.
_NUM_AT_A_TIME = 16
_MAX_SEGMENT = 200
_ANOTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NO_NAME = "their names are not valid file names here"
_SAME_NAME = "their names differ from others only in case, which this disk ignores"
# Errors of a disk for an invalid name, or a name that is already a folder.
_REFUSALS = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}


def brought(data: str | Path, *, progress: Progress = SILENCE) -> Path:
    """Copy the files at a store address to this machine and return their path; return any other path unchanged.

    Images are read several times, and again much later, so they are copied. Files with the same size and time are not
    copied again. Only files whose names suggest images or tables are copied.

    Args:
        data: An address, e.g. s3://bucket/photos, or a path.
        progress: Receives progress updates, and the files that cannot be copied.

    Raises:
        SourceNotFoundError: There is nothing at the address, access is denied, or the store cannot be reached.
        SettingsError: The address has an unknown scheme.
        OutputError: There is no space for the copies, or no writable folder.
    """
    address = str(data)
    if not is_address(address):
        if _ANOTHER_SCHEME.match(address):
            raise SettingsError(
                f"{address!r}: expected a path, or an address that starts with {SCHEMES}. For http(s) URLs, create a "
                "folder with mien fetch"
            )
        return Path(data)
    # A table refers to images around it.
    folder = address.rpartition("/")[0] if is_table(address) else address.rstrip("/")
    place = place_of(folder)
    with files.writing(place):
        # Users who cannot read the store must not read the copies.
        _stores_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
    with files.claimed(place.parent, f".{place.name}.lock"):
        _bring(folder, place, progress)
    return place_of(address)


def place_of(data: str) -> Path:
    """Return the path of the copy of an address, even if it does not exist; return any other path unchanged.

    Raises:
        SettingsError: The address is invalid, or cannot be a path on this disk.
        OutputError: This user has no cache folder.
    """
    if not is_address(data):
        return Path(data)
    scheme, path = parts_of(data)
    parts = path.split("/")
    # Refuse parts that lead elsewhere, that Windows takes for a drive, or that contain NUL.
    fit = all(Path(part).name == part and "\0" not in part and part not in ("", "..") for part in parts)
    if not fit or any(len(os.fsencode(part)) > _MAX_SEGMENT for part in parts):
        raise SettingsError(f"{data!r} cannot be stored here: its name is not a valid file name")
    return _stores_dir().joinpath(scheme, *parts)


def address_of(folder: Path) -> str:
    """Return the address that a folder is a copy of, or its absolute path if it is not a copy."""
    whole = folder.resolve()
    with suppress(ValueError, OutputError):
        scheme, *parts = whole.relative_to(_stores_dir().resolve()).parts
        return f"{scheme}://{'/'.join(parts)}"
    return str(whole)


def as_given(folder: Path) -> str:
    """Return the address that a folder is a copy of, or the folder itself: what a user knows it by."""
    address = address_of(folder)
    return address if is_address(address) else str(folder)


def how_to_have_again(folder: Path) -> str:
    """Say how to restore missing images of a folder: put them back, or copy them again from their store."""
    address = as_given(folder)
    return f"run mien check {as_typed(address)}, which copies them again" if is_address(address) else "put them back"


def how_to_finish(run: Path) -> str:
    """Say how to finish a run, from the folder or address of its images in its config.json.

    Raises:
        SourceNotFoundError: config.json is missing or damaged.
    """
    document = read_json(run / "config.json")
    data = document.get("data") if isinstance(document, dict) else None
    return f"To finish it: mien train {as_typed(data or 'data')} --out {as_typed(run)} --resume"


def _stores_dir() -> Path:
    return user_cache_dir() / "stores"


def _bring(address: str, place: Path, progress: Progress) -> None:
    """Make a folder an exact copy of an address."""
    kept, names, left_out = set[Path](), dict[str, Path](), Counter[str]()
    wanted = (
        found
        for found in objects_below(address, progress)
        if found.address == address or may_be_image(found.address) or is_table(found.address)
    )
    for number, (path, problem) in enumerate(in_threads(_copied, wanted, num_threads=_NUM_AT_A_TIME), start=1):
        if path is not None:
            kept.add(path)
            other = names.setdefault(folded(str(path)), path)
            problem = _SAME_NAME if other != path and other.samefile(path) else ""
        if problem:
            left_out[problem] += 1
        progress.step("Copying", number, None)
    progress.step("Copying", 1, 1)
    with files.writing(place):
        if not place.exists():
            place.mkdir(parents=True)
        _remove_others(place, kept)
    progress.say(f"copied {address} to {place}")
    for problem, number in left_out.items():
        progress.say(f"WARNING: {counted(number, 'object')} not copied: {problem}")


def _copied(stored: StoredObject) -> tuple[Path | None, str]:
    """Copy an object unless it is up to date, and return its path, or why it cannot be copied."""
    try:
        path = place_of(stored.address)
        if _is_here(path, stored):
            return path, ""
        if stored.num_bytes > MAX_FILE_BYTES:
            return None, f"larger than {MAX_FILE_BYTES} bytes"
        content = read(stored.address)
        with files.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)
            os.utime(temporary, (stored.modified_s, stored.modified_s))
    except (SettingsError, UnicodeError):
        return None, _NO_NAME
    except ImageError as error:
        # It vanished or grew after it was listed.
        return None, error.detail
    except OutputError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _REFUSALS:
            return None, _NO_NAME
        raise
    return path, ""


def _is_here(path: Path, stored: StoredObject) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    is_same_age = stored.modified_s and abs(status.st_mtime - stored.modified_s) < 0.001
    return bool(is_same_age) and status.st_size == stored.num_bytes


def _remove_others(place: Path, kept: set[Path]) -> None:
    """Remove the copies of deleted objects, and folders that are then empty."""
    for path in list(files.walk(place)):
        if path in kept:
            continue
        path.unlink()
        with suppress(OSError):
            for folder in path.parents:
                if folder == place:
                    break
                folder.rmdir()
