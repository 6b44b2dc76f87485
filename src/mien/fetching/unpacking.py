"""Unpacking: a zip or tar archive that is named as data -> a folder with its files, made once."""

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
# A file of the user's own may be large; that it is a bomb is found out all the same.
_LIMITS = IntakeLimits(max_files=5_000_000, max_total_bytes=256 * 1024**3)
_MAX_FILE_BYTES = 512 * 1024**2


def unpacked(data: Path, limits: IntakeLimits = _LIMITS, *, progress: Progress = SILENCE) -> Path:
    """Return the folder that an archive is unpacked to; anything else as it is.

    It is unpacked below the folder that this system has for caches, under a name made of its content: the next time
    nothing is left to do. Where that folder cannot be used, a temporary one takes its place until the process ends.

    Args:
        data: A file or a folder.
        limits: As `members` takes them.
        progress: Told where the files are, and warned where they do not stay.

    Raises:
        NotADatasetError: The archive is damaged, or goes beyond a limit.
        OutputError: There is no room for its files, or no folder that can be written to.
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
        reason, beyond, _ = str(error).partition(", see --")
        advice = ". Unpack it yourself, and name the folder" if beyond else ""
        raise NotADatasetError(f"{str(data)!r}: {reason}{advice}") from error
    except OutputError:
        if not place.is_dir():
            raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    if problem:
        advice = "To keep its images, unpack it yourself, and name the folder"
        progress.say(f"WARNING: {data} is unpacked for this command alone, because {problem}. {advice}")
    else:
        progress.say(f"{data} is unpacked in {place}")
    return place


def _folder_for(own: Path, data: Path) -> tuple[Path, str]:
    """Return where to unpack an archive, and why that is a temporary folder; an empty text where it is none."""
    folder = Path()
    try:
        folder = user_cache_dir() / "unpacked"
        if not os.path.isdir(folder / own):
            folder.mkdir(parents=True, exist_ok=True)
            # A folder that may not be written to is found out before anything is unpacked.
            with tempfile.TemporaryFile(dir=folder):
                pass
        return folder, ""
    except OutputError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{str(folder)!r} cannot be written: {files.reason_of(error)}"
    try:
        return _temporary_folder(), problem
    except OSError as error:
        raise OutputError(
            f"there is no place to unpack {str(data)!r}: {problem}; {files.reason_of(error)}. Unpack it yourself, and "
            "name the folder"
        ) from error


@cache
def _temporary_folder() -> Path:
    """Return a folder that goes with the process."""
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
        progress.step("Unpacking", number, number + 1)
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
        progress.say(f"not unpacked of {data}: {counted(left_out, 'member')}: links, or names that cannot be")
