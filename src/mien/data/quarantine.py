"""Quarantine: move unused files out of a Dataset's folder, and back again. Nothing is ever deleted.

A journal lists every file before the first is moved. Files are moved by renaming, so each one is always complete and
in exactly one place, and keeps its timestamps and permissions.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.core import files
from mien.core.text import as_typed, first_few
from mien.data.dataset import Dataset
from mien.data.journal import JOURNAL_NAME, FolderState, Journal, Move, load_journal, remove_leftovers
from mien.errors import OutputError

_MAX_NAMED = 5
_BEHIND_A_LINK = "it is inside a linked folder"


@dataclass(frozen=True)
class Plan:
    """A plan for moving files between a Dataset's folder and its quarantine folder.

    Attributes:
        root: The Dataset's folder.
        folder: The quarantine folder.
        moves: The files to move.
        left: Unused files that stay in place, and why, by path.
    """

    root: Path
    folder: Path
    moves: tuple[Move, ...]
    left: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "root": str(self.root),
            "quarantine": str(self.folder),
            "num_files": len(self.moves),
            "moves": [
                {"path": move.path, "problem": code, "detail": detail}
                for move in self.moves
                for code, detail in move.problems.items()
            ],
            "left": [{"path": path, "reason": reason} for path, reason in self.left.items()],
        }


def refuse_place(folder: str | Path, root: str | Path) -> None:
    """Check that a folder can be the quarantine of a Dataset's folder, before any other work.

    Args:
        folder: The quarantine folder: outside the Dataset's folder, on the same disk, and new, empty, or already a
            quarantine of it.
        root: The Dataset's folder.

    Raises:
        OutputError: It cannot.
        SourceNotFoundError: Its journal is damaged.
    """
    folder, root = _real(folder), _real(root)
    if folder.is_relative_to(root) or root.is_relative_to(folder):
        raise OutputError(f"the quarantine {str(folder)!r} and {str(root)!r} must not contain each other")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{str(folder)!r} is a file. Choose a folder")
    with files.writing(folder):
        # Hidden files are left by a killed command or created by the system.
        names = [name for name in os.listdir(folder) if not name.startswith(".")] if os.path.isdir(folder) else []
    if names and JOURNAL_NAME not in names:
        raise OutputError(f"{str(folder)!r} is not empty and not a quarantine folder. Choose a new or empty folder")
    if _disk_of(folder) != _disk_of(root):
        raise OutputError(f"{str(folder)!r} is on another disk than {str(root)!r}. Choose a folder on the same disk")
    _journal_of(folder, root)


def plan_quarantine(dataset: Dataset, folder: str | Path) -> Plan:
    """Plan what `quarantine` would move, without touching anything.

    Files inside linked folders stay, because they may belong to something else. So do files that a used image links
    to. A link to a file is moved as a link.

    Args:
        dataset: Result of `clean`.
        folder: The quarantine folder; see `refuse_place`.

    Raises:
        OutputError: The folder cannot be a quarantine of this Dataset, or something in it is in the way.
        SourceNotFoundError: Its journal is damaged.
    """
    root, folder = _real(dataset.root), _real(folder)
    refuse_place(folder, root)
    used = [root / record.path for record in dataset.records if record.used]
    led_to = {os.path.realpath(place) for place in used if place.is_symlink()}
    unused = [record for record in dataset.records if not record.used]
    linked = {parent for parent in {os.path.dirname(record.path) for record in unused} if _has_link(root / parent)}
    moves, left = [], {}
    for record in unused:
        if os.path.dirname(record.path) in linked:
            left[record.path] = _BEHIND_A_LINK
        elif str(root / record.path) in led_to:
            left[record.path] = "a used image links to it"
        else:
            moves.append(Move(record.path, {problem.code: problem.detail for problem in record.problems}))
    _refuse_obstacles(moves, folder)
    return Plan(root, folder, tuple(moves), left)


def quarantine(plan: Plan) -> None:
    """Move files to the quarantine folder. If it is killed, nothing is lost: `restore` moves everything back.

    Args:
        plan: Result of `plan_quarantine`.

    Raises:
        OutputError: The journal cannot be written, so nothing was moved; or some files cannot be moved.
    """
    if not plan.moves:
        return
    with files.writing(plan.folder):
        # Images may have been private because of the folders they were in.
        plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.claimed(plan.folder):
        journal = _journal_of(plan.folder, plan.root)
        with files.writing(plan.root):
            folders = {parent: _state_of(plan.root / parent) for parent in _parents(plan.moves)}
        journal.with_moves(plan.moves, folders).save(plan.folder)
        _move_all(plan.moves, plan.root, plan.folder)


def restore(folder: str | Path, root: str | Path | None = None) -> Plan:
    """Move everything in a quarantine folder back to where it was, and remove the folder.

    Files keep their content, names, timestamps and permissions. Their folders get their old timestamps, and are
    created again if they are gone.

    Args:
        folder: The quarantine folder.
        root: Where the Dataset's folder is now; by default where it was.

    Returns:
        The files moved back.

    Raises:
        SourceNotFoundError: The folder is not a quarantine folder, or its journal is damaged.
        OutputError: Something is in the way, so nothing was moved; or some files cannot be moved.
    """
    folder = _real(folder)
    load_journal(folder)  # Before claiming, which would write a file into a folder that is not a quarantine.
    with files.claimed(folder):
        journal = load_journal(folder)
        if root is not None:
            journal = replace(journal, root=_real(root))
        _refuse_root(journal.root, folder)
        # A file that is missing here was not moved before a kill, or is back already: either way it is in place.
        moves = tuple(move for move in journal.moves.values() if os.path.lexists(folder / move.path))
        _refuse_links(folder, moves)
        _refuse_obstacles(moves, journal.root)
        _make_folders(moves, journal)
        _move_all(moves, folder, journal.root)
        _give_times_back(journal)
        _take_away(folder)
    with suppress(OSError):
        folder.rmdir()
    return Plan(journal.root, folder, moves, {})


def _real(folder: str | Path) -> Path:
    return Path(os.path.realpath(folder))


def _refuse_root(root: Path, folder: Path) -> None:
    if not os.path.isdir(root) or _has_link(root):
        raise OutputError(
            f"{str(root)!r}, the origin of the files in {str(folder)!r}, is gone. Nothing was moved. If it is "
            f"somewhere else now, add its path: mien clean DATA --undo {as_typed(folder)}"
        )
    if _disk_of(root) != _disk_of(folder):
        raise OutputError(f"{str(root)!r} and {str(folder)!r} are on different disks. Copy the quarantine there first")


def _refuse_links(folder: Path, moves: Sequence[Move]) -> None:
    """Refuse to move files out of folders other than the quarantine."""
    linked = [parent for parent in _parents(moves) if _has_link(folder / parent)]
    if linked:
        raise OutputError(
            f"{str(folder / linked[0])!r} is a link out of the quarantine that mien did not make. Nothing was moved. "
            "Remove the link, then run the command again"
        )


def _refuse_obstacles(moves: Sequence[Move], target: Path) -> None:
    """Refuse if anything is in the way of any move, so that either all files are moved or none."""
    obstacles = {parent: _obstacle(target / parent) for parent in _parents(moves)}
    found = {}
    for move in moves:
        reason = obstacles[os.path.dirname(move.path)]
        if reason or os.path.lexists(target / move.path):
            found[move.path] = reason or "a file of that name exists"
    if found:
        raise OutputError(
            f"{len(found)} of {len(moves)} files cannot be moved to {str(target)!r}: {_listed(found)}. Nothing was "
            "moved. Remove what is in the way, then run the command again"
        )


def _obstacle(folder: Path) -> str:
    """Return why files cannot be moved into a folder, which may not exist yet, or "" if they can."""
    if _has_link(folder):
        return _BEHIND_A_LINK
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    return "" if os.path.isdir(nearest) else f"{str(nearest)!r} is not a folder"


def _has_link(folder: Path) -> bool:
    """Return whether a folder, or one of its parents, is a link."""
    return os.path.realpath(folder) != str(folder)


def _move_all(moves: Iterable[Move], source: Path, target: Path) -> None:
    """Move files and flush the changes to disk. Raise an error at the end that lists files that cannot be moved."""
    moved, failed = [], {}
    for move in moves:
        place = target / move.path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            files.rename_to_free_name(source / move.path, place)
            moved.append(move)
        except OSError as error:
            failed[move.path] = files.reason_of(error)
    for folder in _folders_above(moved):
        # New names first: if the disk fails in between, no file has lost its only name.
        files.keep_names(target / folder)
        files.keep_names(source / folder)
    if failed:
        raise OutputError(
            f"{len(failed)} of {len(failed) + len(moved)} files could not be moved from {str(source)!r} to "
            f"{str(target)!r}: {_listed(failed)}. The others were moved. Fix the problem, then run the command "
            "again"
        )


def _parents(moves: Iterable[Move]) -> list[str]:
    """Return the folders of files."""
    return sorted({os.path.dirname(move.path) for move in moves})


def _folders_above(moves: Iterable[Move]) -> list[Path]:
    """Return the folders of files and all their parents, deepest first."""
    folders = {folder for parent in _parents(moves) for folder in (Path(parent), *Path(parent).parents)}
    return sorted(folders, key=lambda folder: -len(folder.parts))


def _listed(reasons: dict[str, str]) -> str:
    return ", ".join(first_few([f"{path!r} ({reason})" for path, reason in reasons.items()], _MAX_NAMED))


def _state_of(folder: Path) -> FolderState:
    status = folder.stat()
    return FolderState(stat.S_IMODE(status.st_mode), status.st_mtime_ns)


def _make_folders(moves: Sequence[Move], journal: Journal) -> None:
    """Create folders again that have been removed."""
    for parent in _parents(moves):
        place = journal.root / parent
        if not os.path.isdir(place):
            with files.writing(place):
                place.mkdir(parents=True)
                place.chmod(journal.folders[parent].mode)


def _give_times_back(journal: Journal) -> None:
    for path, state in journal.folders.items():
        place = journal.root / path
        # Some disks do not store times, and a folder may be gone or belong to another user. Carry on.
        with suppress(OSError):
            if not _has_link(place):
                os.utime(place, ns=(place.stat().st_atime_ns, state.mtime_ns))


def _take_away(folder: Path) -> None:
    """Remove the empty folders of a quarantine, and its journal. Anything else in it stays."""
    remove_leftovers(folder)
    for place, _, _ in os.walk(folder, topdown=False):
        if place != str(folder):
            with suppress(OSError):
                os.rmdir(place)
    # Remove the journal last, so that after a kill the folder is still a quarantine.
    with files.writing(folder):
        (folder / JOURNAL_NAME).unlink()


def _disk_of(path: Path) -> int:
    """Return the ID of the disk that holds a path, or would hold it."""
    return next(os.stat(place).st_dev for place in (path, *path.parents) if os.path.exists(place))


def _journal_of(folder: Path, root: Path) -> Journal:
    """Return the journal of a quarantine folder, or a new one.

    Raises:
        OutputError: It is the quarantine of another folder.
    """
    if not os.path.lexists(folder / JOURNAL_NAME):
        return Journal(root, {}, {})
    journal = load_journal(folder)
    if journal.root != root:
        raise OutputError(f"{str(folder)!r} is the quarantine of {str(journal.root)!r}. Choose another folder")
    return journal
