"""Unpacking: unpack a zip or tar archive given as data to a folder, once."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from mien.config import IntakeLimits
from mien.core import files
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted
from mien.core.user_cache import user_cache_dir
from mien.errors import IntakeError, NotADatasetError, OutputError
from mien.fetching.archives import is_archive, members

_MAX_SEGMENT = 200
# A user's own files may be large; zip bombs are still detected.
_LIMITS = IntakeLimits(max_files=5_000_000, max_total_bytes=256 * 1024**3)
_MAX_FILE_BYTES = 512 * 1024**2


def unpacked(data: Path, limits: IntakeLimits = _LIMITS, *, progress: Progress = SILENCE) -> Path:
    """Return the folder that an archive is unpacked to; return any other path unchanged.

    It is unpacked in the user's cache folder under a name derived from its content, so that the next call can reuse it.
    If the cache is not usable, a temporary folder is used until the process ends.

    Args:
        data: A file or a folder.
        limits: As for `members`.
        progress: Receives the location of the files, and a warning if they are temporary.

    Raises:
        NotADatasetError: The archive is damaged or exceeds a limit.
        OutputError: The disk is full, or there is no writable folder.
    """
    if not data.is_file() or not _is_archive(data):
        return data
    name = data.name.split(".")[0] or "data"
    own = Path(files.sha256_of(data)[:32], name)
    folder, problem = _folder_for(own, data)
    place = folder / own
    if place.is_dir():
        return place
    half = place.parent.with_name(f"{place.parent.name}.{os.getpid()}.tmp")
    try:
        with files.writing(place):
            shutil.rmtree(half, ignore_errors=True)
            _unpack(data, half / place.name, limits, progress)
            place.parent.parent.mkdir(parents=True, exist_ok=True)
            half.rename(place.parent)
    except IntakeError as error:
        reason, beyond, _ = str(error).partition(" (see --")
        advice = ". Unpack it yourself, and pass the folder" if beyond else ""
        raise NotADatasetError(f"{str(data)!r}: {reason}{advice}") from error
    except OutputError:
        if not place.is_dir():
            raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    if problem:
        advice = "To keep its images, unpack it yourself and pass the folder"
        progress.say(f"WARNING: {data} is unpacked only for this command, because {problem}. {advice}")
    else:
        progress.say(f"unpacked {data} to {place}")
    return place


def _folder_for(own: Path, data: Path) -> tuple[Path, str]:
    """Return where to unpack an archive, and why that is a temporary folder, or ""."""
    folder = Path()
    try:
        folder = user_cache_dir() / "unpacked"
        if not os.path.isdir(folder / own):
            folder.mkdir(parents=True, exist_ok=True)
            # Detect an unwritable folder before unpacking anything.
            with tempfile.TemporaryFile(dir=folder):
                pass
        return folder, ""
    except OutputError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{str(folder)!r} is not writable: {files.reason_of(error)}"
    try:
        return _temporary_folder(), problem
    except OSError as error:
        raise OutputError(
            f"there is no place to unpack {str(data)!r}: {problem}; {files.reason_of(error)}. Unpack it yourself, and "
            "pass the folder"
        ) from error


@cache
def _temporary_folder() -> Path:
    """Return a folder that is deleted when the process ends."""
    folder = tempfile.mkdtemp(prefix="mien-unpacked-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _is_archive(path: Path) -> bool:
    with files.open_regular(path) as file:
        return is_archive(file.read(512))


def _unpack(data: Path, folder: Path, limits: IntakeLimits, progress: Progress) -> None:
    folder.mkdir(parents=True)
    left_out = 0
    found = members(data, limits, max_bytes=_MAX_FILE_BYTES)
    for number, member in enumerate(found, start=1):
        parts = [part for part in member.name.replace("\\", "/").split("/") if part not in ("", ".")]
        progress.step("Unpacking", number, None)
        if member.problem or not parts or any(len(part.encode()) > _MAX_SEGMENT for part in parts):
            left_out += 1
            continue
        path = folder.joinpath(*parts)
        content = member.read()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb") as file:
                file.write(content)
        except (FileExistsError, NotADirectoryError):
            left_out += 1
    progress.step("Unpacking", 1, 1)
    if left_out:
        progress.say(f"skipped {counted(left_out, 'file')} in {data}: links or invalid names")
