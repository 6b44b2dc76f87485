"""Quarantine: files that are not used are moved out of a Dataset's folder, and back again. Nothing is ever deleted.

A journal names every file before the first is moved. A file is moved by renaming it, so that it is at any moment in
exactly one of the two places, whole, and keeps its times and its mode.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.core import files
from mien.core.text import first_few
from mien.data.dataset import Dataset
from mien.data.journal import JOURNAL_NAME, FolderState, Journal, Move, load_journal, remove_leftovers
from mien.errors import OutputError

_MAX_NAMED = 5
_BEHIND_A_LINK = "it lies behind a link to another folder"


@dataclass(frozen=True)
class Plan:
    """What is moved between a Dataset's folder and its quarantine, or is to be moved.

    Attributes:
        root: The Dataset's folder.
        folder: The quarantine.
        moves: The files.
        left: Files that are not used and stay where they are, by path: why.
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
    """Make sure that a folder can be the quarantine of a Dataset's folder, before any other work.

    Args:
        folder: The quarantine: outside of the other and on the same disk; new, empty, or a quarantine of it.
        root: The Dataset's folder.

    Raises:
        OutputError: It cannot.
        SourceNotFoundError: It is a quarantine whose journal is damaged.
    """
    folder, root = _real(folder), _real(root)
    if folder.is_relative_to(root) or root.is_relative_to(folder):
        raise OutputError(f"the quarantine {str(folder)!r} and {str(root)!r} lie within each other: name another place")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{str(folder)!r} is a file: name a folder")
    with files.writing(folder):
        # Hidden files are what a kill left, or what a system puts everywhere.
        names = [name for name in os.listdir(folder) if not name.startswith(".")] if os.path.isdir(folder) else []
    if names and JOURNAL_NAME not in names:
        raise OutputError(
            f"the folder {str(folder)!r} is not empty, and mien clean did not make it: name another place"
        )
    if _disk_of(folder) != _disk_of(root):
        raise OutputError(f"{str(folder)!r} is on another disk than {str(root)!r}: name a folder on the same one")
    _journal_of(folder, root)


def plan_quarantine(dataset: Dataset, folder: str | Path) -> Plan:
    """Return what `quarantine` would move. Nothing is touched.

    What lies behind a link to a folder stays where it is: it may belong to something else. So does a file that is used
    by another name, a link to it. A link to a file is moved as the link that it is.

    Args:
        dataset: What `clean` returned.
        folder: The quarantine, as `refuse_place` wants it.

    Raises:
        OutputError: The folder cannot be a quarantine of this Dataset, or something in it is in the way.
        SourceNotFoundError: It is a quarantine whose journal is damaged.
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
            left[record.path] = "an image that is used is a link to it"
        else:
            moves.append(Move(record.path, {problem.code: problem.detail for problem in record.problems}))
    _refuse_obstacles(moves, folder)
    return Plan(root, folder, tuple(moves), left)


def quarantine(plan: Plan) -> None:
    """Move files into quarantine. A kill at any moment loses nothing: `restore` brings back what was moved.

    Args:
        plan: What `plan_quarantine` returned.

    Raises:
        OutputError: The journal cannot be written, and nothing was moved; or a file cannot be moved: the others are.
    """
    if not plan.moves:
        return
    with files.writing(plan.folder):
        # Images may have been private by the folders that they lay in.
        plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.claimed(plan.folder):
        journal = _journal_of(plan.folder, plan.root)
        with files.writing(plan.root):
            folders = {parent: _state_of(plan.root / parent) for parent in _parents(plan.moves)}
        journal.with_moves(plan.moves, folders).save(plan.folder)
        _move_all(plan.moves, plan.root, plan.folder)


def restore(folder: str | Path, root: str | Path | None = None) -> Plan:
    """Move everything in a quarantine back to where it was, and take the quarantine away.

    Files come back with their bytes, names, times and modes. The folders that they lay in get the time that they had
    before, and are made anew where they are gone.

    Args:
        folder: The quarantine.
        root: Where the Dataset's folder is now; by default where it was.

    Returns:
        What was moved back.

    Raises:
        SourceNotFoundError: The folder is no quarantine, or its journal is damaged.
        OutputError: Something is in the way, and nothing was moved; or a file cannot be moved: the others are.
    """
    folder = _real(folder)
    load_journal(folder)  # A claim writes a file, which has no place in what is no quarantine.
    with files.claimed(folder):
        journal = load_journal(folder)
        if root is not None:
            journal = replace(journal, root=_real(root))
        _refuse_root(journal.root, folder)
        # A file that is not here was not moved yet when a kill came, or is back already: it is where it belongs.
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
            f"{str(root)!r}, where the files of {str(folder)!r} came from, is not there any more. Nothing was moved. "
            f"Name the place where that folder is now: mien clean DATA --undo {str(folder)!r}"
        )
    if _disk_of(root) != _disk_of(folder):
        raise OutputError(f"{str(root)!r} is on another disk than {str(folder)!r}: move the quarantine there first")


def _refuse_links(folder: Path, moves: Sequence[Move]) -> None:
    """Make sure that nothing is moved out of other folders than the quarantine."""
    linked = [parent for parent in _parents(moves) if _has_link(folder / parent)]
    if linked:
        raise OutputError(
            f"{str(folder / linked[0])!r} leads out of the quarantine by a link, which mien did not make. Nothing was "
            "moved. Remove the link, then call this again"
        )


def _refuse_obstacles(moves: Sequence[Move], target: Path) -> None:
    """Make sure that nothing is in the way of any of the moves, so that all are made or none."""
    obstacles = {parent: _obstacle(target / parent) for parent in _parents(moves)}
    found = {}
    for move in moves:
        reason = obstacles[os.path.dirname(move.path)]
        if reason or os.path.lexists(target / move.path):
            found[move.path] = reason or "something is there already"
    if found:
        raise OutputError(
            f"{len(found)} of {len(moves)} files have no free place in {str(target)!r}: {_listed(found)}. Nothing was "
            "moved. Move away what is in the way, then call this again"
        )


def _obstacle(folder: Path) -> str:
    """Say why files cannot be moved into a folder, which need not be there yet; nothing where they can."""
    if _has_link(folder):
        return _BEHIND_A_LINK
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    return "" if os.path.isdir(nearest) else f"{str(nearest)!r} is no folder"


def _has_link(folder: Path) -> bool:
    """Say whether a folder, or one on the way to it, is a link."""
    return os.path.realpath(folder) != str(folder)


def _move_all(moves: Iterable[Move], source: Path, target: Path) -> None:
    """Move files, and have the disk keep that; those that cannot be moved are told of at the end."""
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
        # The new names first: whatever the disk then loses, it is not the only name of a file.
        files.keep_names(target / folder)
        files.keep_names(source / folder)
    if failed:
        raise OutputError(
            f"{len(failed)} of {len(failed) + len(moved)} files cannot be moved from {str(source)!r} to "
            f"{str(target)!r}: {_listed(failed)}. They are where they were; the others are moved. Put that right, "
            "then call this again"
        )


def _parents(moves: Iterable[Move]) -> list[str]:
    """Return the folders of files."""
    return sorted({os.path.dirname(move.path) for move in moves})


def _folders_above(moves: Iterable[Move]) -> list[Path]:
    """Return the folders of files and those above, the deepest first."""
    folders = {folder for parent in _parents(moves) for folder in (Path(parent), *Path(parent).parents)}
    return sorted(folders, key=lambda folder: -len(folder.parts))


def _listed(reasons: dict[str, str]) -> str:
    return ", ".join(first_few([f"{path!r} ({reason})" for path, reason in reasons.items()], _MAX_NAMED))


def _state_of(folder: Path) -> FolderState:
    status = folder.stat()
    return FolderState(stat.S_IMODE(status.st_mode), status.st_mtime_ns)


def _make_folders(moves: Sequence[Move], journal: Journal) -> None:
    """Make the folders anew that were removed since."""
    for parent in _parents(moves):
        place = journal.root / parent
        if not os.path.isdir(place):
            with files.writing(place):
                place.mkdir(parents=True)
                place.chmod(journal.folders[parent].mode)


def _give_times_back(journal: Journal) -> None:
    for path, state in journal.folders.items():
        place = journal.root / path
        # Some disks keep no times, and a folder may be another user's or gone: no reason to stop.
        with suppress(OSError):
            if not _has_link(place):
                os.utime(place, ns=(place.stat().st_atime_ns, state.mtime_ns))


def _take_away(folder: Path) -> None:
    """Remove the empty folders of a quarantine, and its journal; what else lies there stays."""
    remove_leftovers(folder)
    for place, _, _ in os.walk(folder, topdown=False):
        if place != str(folder):
            with suppress(OSError):
                os.rmdir(place)
    # The journal goes last: until then, a kill leaves what is still a quarantine.
    with files.writing(folder):
        (folder / JOURNAL_NAME).unlink()


def _disk_of(path: Path) -> int:
    """Return the number of the disk that a path is on, or would be."""
    return next(os.stat(place).st_dev for place in (path, *path.parents) if os.path.exists(place))


def _journal_of(folder: Path, root: Path) -> Journal:
    """Return the journal of a quarantine, or a new one.

    Raises:
        OutputError: It is a quarantine of another folder.
    """
    if not os.path.lexists(folder / JOURNAL_NAME):
        return Journal(root, {}, {})
    journal = load_journal(folder)
    if journal.root != root:
        raise OutputError(f"{str(folder)!r} is a quarantine of {str(journal.root)!r}: name another place")
    return journal
