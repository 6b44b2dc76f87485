"""Quarantine: files that are not used are moved out of a Dataset's folder, and back again. Nothing is ever deleted."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mien import files
from mien.dataset import Dataset
from mien.errors import OutputError, SourceNotFoundError

_JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Move:
    """One file that is moved, or is to be moved.

    Attributes:
        source: Where it was.
        target: Where it is in quarantine.
        reason: The codes of its problems.
    """

    source: Path
    target: Path
    reason: str


def plan_quarantine(dataset: Dataset, folder: str | Path) -> list[Move]:
    """Return what `quarantine` would move. Nothing is touched.

    Args:
        dataset: What `clean` returned.
        folder: Where to: outside of the Dataset's folder and on the same disk; new, empty, or a quarantine of it.

    Raises:
        OutputError: The folder cannot be a quarantine of this Dataset.
    """
    root, folder = dataset.root.resolve(), Path(folder).resolve()
    if folder.is_relative_to(root) or root.is_relative_to(folder):
        raise OutputError(f"the quarantine {str(folder)!r} and {str(root)!r} lie within each other: name another place")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{str(folder)!r} is a file: name a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / _JOURNAL).is_file():
        raise OutputError(f"the folder {str(folder)!r} is not empty, and no quarantine: name another place")
    if _disk_of(folder) != _disk_of(root):
        raise OutputError(f"{str(folder)!r} is on another disk than {str(root)!r}: name a folder on the same one")
    return [
        Move(root / record.path, folder / record.path, ";".join(problem.code for problem in record.problems))
        for record in dataset.records
        if not record.used
    ]


def quarantine(moves: list[Move], folder: str | Path) -> None:
    """Move files into quarantine; each move is written down before it is made, so that a kill loses nothing.

    Args:
        moves: What `plan_quarantine` returned.
        folder: The same folder.

    Raises:
        OutputError: A file cannot be moved: another disk, no permission, or something is in the way.
    """
    folder = Path(folder).resolve()
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / _JOURNAL, "a", encoding="ascii") as journal:
            # A kill may have cut the last line of an earlier call short.
            journal.write("\n" * (journal.tell() > 0))
            for move in moves:
                entry = {"source": str(move.source), "target": str(move.target), "reason": move.reason}
                journal.write(json.dumps(entry) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
                _move(move.source, move.target)


def restore(folder: str | Path) -> list[Move]:
    """Move everything in a quarantine back to where it was, and take the quarantine away.

    Returns:
        What was moved back.

    Raises:
        SourceNotFoundError: The folder is no quarantine.
        OutputError: A file cannot be moved back; those before it have been, and the rest is still in quarantine.
    """
    folder = Path(folder).resolve()
    # The journal also speaks of a move that a kill prevented: that file is still where it was.
    by_target = {move.target: move for move in _journal(folder) if move.target.is_relative_to(folder)}
    moves = [move for target, move in by_target.items() if os.path.lexists(target)]
    with files.writing(folder):
        for move in moves:
            _move(move.target, move.source)
        for place in sorted(folder.rglob("*"), reverse=True):
            with suppress(OSError):
                place.rmdir()
        # The journal goes last: until then, a kill leaves what is still a quarantine.
        (folder / _JOURNAL).unlink()
        with suppress(OSError):
            folder.rmdir()
    return moves


def _move(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise OutputError(f"cannot move {str(source)!r}: {str(target)!r} is there already. Move that away first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        raise OutputError(f"cannot move {str(source)!r} to {str(target)!r}: {files.reason_of(error)}") from error


def _disk_of(path: Path) -> int:
    """Return the number of the disk that a path is on, or would be."""
    return next(place.stat().st_dev for place in (path, *path.parents) if place.exists())


def _journal(folder: Path) -> Iterator[Move]:
    try:
        lines = (folder / _JOURNAL).read_text("ascii").splitlines()
    except (OSError, ValueError) as error:
        raise SourceNotFoundError(f"{str(folder)!r} is no quarantine: it has no {_JOURNAL} that can be read") from error
    for line in lines:
        # A line that a kill cut short, or an empty one: the file was not moved yet.
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            yield Move(Path(entry["source"]), Path(entry["target"]), str(entry["reason"]))
