"""Stored folders: data that is named by its address in an object store -> a copy of its files in the user's cache.

The path of a copy says its address, and an address where its copy is. Nothing else has to be written down.
"""

import errno
import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from mien.core import files
from mien.core.formats import MAX_FILE_BYTES
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted, folded
from mien.core.user_cache import user_cache_dir
from mien.errors import ImageError, OutputError, SettingsError
from mien.fetching.stores import SCHEMES, StoredObject, is_address, objects_below, parts_of, read
from mien.layouts.tree import is_table, may_be_image

# A request takes long, and little of it is work.
_NUM_AT_A_TIME = 16
_MAX_SEGMENT = 200
_ANOTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NO_NAME = "what it is called cannot be the name of a file here"
_SAME_NAME = "another is called so on this disk, which takes small letters and capitals for the same"
# What a disk says of a name that it cannot give, or has given to a folder.
_REFUSALS = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}


def brought(data: str | Path, *, progress: Progress = SILENCE) -> Path:
    """Return where the files of an address in a store lie on this machine, as they are now; any other path as it is.

    Images are read several times, and looked at again long after: they are copied, and where size and time are the
    same, not copied again. What is neither an image nor a table by its name stays away.

    Args:
        data: An address, such as s3://bucket/photos, or a path.
        progress: Told how far it is, and what cannot be copied.

    Raises:
        SourceNotFoundError: There is nothing there, it may not be read, or the store cannot be reached.
        SettingsError: It begins as no address that is known.
        OutputError: There is no room for the copies, or no folder that can be written to.
    """
    address = str(data)
    if not is_address(address):
        if _ANOTHER_SCHEME.match(address):
            raise SettingsError(
                f"{address!r}: expected a path, or an address that begins with {SCHEMES}; of http(s) URLs mien fetch "
                "makes a folder"
            )
        return Path(data)
    # The images that a table names lie around it.
    folder = address.rpartition("/")[0] if is_table(address) else address.rstrip("/")
    place = place_of(folder)
    with files.writing(place):
        # Whoever may not read the store may not read the copies.
        _stores_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
    with files.claimed(place.parent, f".{place.name}.lock"):
        _bring(folder, place, progress)
    return place_of(address)


def place_of(data: str) -> Path:
    """Return where the copy of an address lies, or would lie; any other path as it is.

    Raises:
        SettingsError: It is no address, or nothing can be called so on this disk.
        OutputError: This user has no cache.
    """
    if not is_address(data):
        return Path(data)
    scheme, path = parts_of(data)
    parts = path.split("/")
    # What leads elsewhere, what Windows takes for a drive, and what has a NUL, do not fit.
    fit = all(Path(part).name == part and "\0" not in part and part not in ("", "..") for part in parts)
    if not fit or any(len(os.fsencode(part)) > _MAX_SEGMENT for part in parts):
        raise SettingsError(f"{data!r}: {_NO_NAME}")
    return _stores_dir().joinpath(scheme, *parts)


def address_of(folder: Path) -> str:
    """Return the address that a folder is the copy of; the whole path of one that is none."""
    whole = folder.resolve()
    with suppress(ValueError, OutputError):
        scheme, *parts = whole.relative_to(_stores_dir().resolve()).parts
        return f"{scheme}://{'/'.join(parts)}"
    return str(whole)


def how_to_have_again(folder: Path) -> str:
    """Say what to do where images of a folder have gone: they are put back, or copied again from their store."""
    address = address_of(folder)
    return f"type mien check {address}, which copies them here again" if is_address(address) else "put them back"


def _stores_dir() -> Path:
    return user_cache_dir() / "stores"


def _bring(address: str, place: Path, progress: Progress) -> None:
    """Make a place hold what an address holds, and nothing else."""
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
        progress.step("Copying", number, number + 1)
    progress.step("Copying", 1, 1)
    with files.writing(place):
        if not place.exists():
            place.mkdir(parents=True)
        _remove_others(place, kept)
    progress.say(f"{address} is copied to {place}")
    for problem, number in left_out.items():
        progress.say(f"WARNING: {counted(number, 'object')} not copied: {problem}")


def _copied(stored: StoredObject) -> tuple[Path | None, str]:
    """Copy an object, unless it is here as it is there; return where to, or else why it cannot be."""
    try:
        path = place_of(stored.address)
        if _is_here(path, stored):
            return path, ""
        if stored.num_bytes > MAX_FILE_BYTES:
            return None, f"it has more than {MAX_FILE_BYTES} bytes"
        content = read(stored.address)
        with files.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)
            os.utime(temporary, (stored.modified_s, stored.modified_s))
    except (SettingsError, UnicodeError):
        return None, _NO_NAME
    except ImageError as error:
        # It vanished, or grew, after it was listed.
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
    """Remove the copies of what is not in the store any more, and the folders that then hold nothing."""
    for path in list(files.walk(place)):
        if path in kept:
            continue
        path.unlink()
        with suppress(OSError):
            for folder in path.parents:
                if folder == place:
                    break
                folder.rmdir()
