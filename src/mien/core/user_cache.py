"""The user's cache: the folder that this system has for what can be made again."""

from contextlib import suppress
from pathlib import Path

from mien.errors import OutputError


def user_cache_dir() -> Path:
    """Return the user's cache folder. It need not exist, and it may not be writable.

    Raises:
        OutputError: There is none, because the user has no home folder, as in some containers.
    """
    from platformdirs import user_cache_path

    # Where there is no home folder, some versions raise, and others return a path that begins with "~".
    with suppress(RuntimeError):
        path = user_cache_path("mien", appauthor=False)
        if path.is_absolute():
            return path
    raise OutputError("this user has no home folder, and so no cache folder: set XDG_CACHE_HOME to one")
