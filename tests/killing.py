"""Kills before any change of the disk, in one process: what a kill costs is tried at every moment there is.

And a wait for the processes that a killed one has started.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime", "ctypes.dlopen"}
CHANGES |= {"os.link", "os.symlink", "shutil.copyfile"}


class Killed(BaseException):
    """In the place of SIGKILL: from some moment on, nothing changes the disk any more, cleaning up included."""


class Kills:
    """Counts what changes the disk; at the last that is allowed, the process is as good as dead."""

    allowed: int | None = None

    def __call__(self, event: str, _arguments: tuple[object, ...]) -> None:
        if self.allowed is not None and event in CHANGES:
            if self.allowed == 0:
                raise Killed
            self.allowed -= 1


@pytest.fixture(scope="session")
def kills() -> Kills:
    # A hook cannot be taken away again; this one does nothing until it is told to.
    sys.addaudithook(hook := Kills())
    return hook


def is_killed(kills: Kills, allowed: int, call: Callable[[], object]) -> bool:
    """Make a call that is cut off before the first change to the disk that is not allowed; say whether it was."""
    kills.allowed = allowed
    try:
        call()
    except Killed:
        return True
    finally:
        kills.allowed = None
    return False


def wait_for_end_of_group(group: int) -> None:
    """Wait until no process of a group runs; zombies do not count. Linux only.

    Raises:
        TimeoutError: One still runs after half a minute.
    """
    deadline = time.monotonic() + 30
    while running := [path for path in Path("/proc").glob("[0-9]*/stat") if _runs(path, group)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running: {running}")
        time.sleep(0.05)


def _runs(path: Path, group: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        state, _, its_group = path.read_text("utf-8", "replace").rpartition(")")[2].split()[:3]
        return state != "Z" and int(its_group) == group
    return False
