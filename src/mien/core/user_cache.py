"""The user's cache: the system's folder for files that can be regenerated."""

from contextlib import suppress
from pathlib import Path

from mien.errors import OutputError


def user_cache_dir() -> Path:
    """Return the user's cache folder. It may not exist or may not be writable.

    Raises:
        OutputError: The user has no home folder, e.g. in a container.
    """
    from platformdirs import user_cache_path

    # Without a home folder, some versions raise, and others return a path that starts with "~".
    with suppress(RuntimeError):
        path = user_cache_path("mien", appauthor=False)
        if path.is_absolute():
            return path
    raise OutputError("no cache folder, because this user has no home folder. Set XDG_CACHE_HOME to a folder")
