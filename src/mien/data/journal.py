"""The journal of a quarantine folder: the files moved there, why, and the original state of their folders."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mien.core import files
from mien.core.files import read_json
from mien.errors import SourceNotFoundError

JOURNAL_NAME = "journal.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class Move:
    """One file that is moved, or will be.

    Attributes:
        path: Relative to the Dataset's folder, and to the quarantine folder, with forward slashes.
        problems: Why it is not used: details by problem code.
    """

    path: str
    problems: dict[str, str]


@dataclass(frozen=True)
class FolderState:
    """State of a Dataset's folder before files were moved out of it.

    Attributes:
        mode: Its permissions.
        mtime_ns: The time of its last change, in nanoseconds since 1970.
    """

    mode: int
    mtime_ns: int

    def __post_init__(self) -> None:
        # Both are passed to the system, and a journal may have been tampered with.
        are_ints = type(self.mode) is int and type(self.mtime_ns) is int
        if not (are_ints and 0 <= self.mode <= 0o7777 and abs(self.mtime_ns) < 2**62):
            raise ValueError(f"a folder has the invalid mode {self.mode} or time {self.mtime_ns}")


@dataclass(frozen=True)
class Journal:
    """The content of a journal.

    Attributes:
        root: The Dataset's folder.
        folders: The folders that files are moved out of, by path relative to the root.
        moves: The files, by path.
    """

    root: Path
    folders: dict[str, FolderState]
    moves: dict[str, Move]

    def with_moves(self, moves: tuple[Move, ...], folders: dict[str, FolderState]) -> "Journal":
        """Return the journal with more moves. Folders already listed keep their state from before the first move."""
        return replace(self, folders=folders | self.folders, moves=self.moves | {move.path: move for move in moves})

    def save(self, quarantine: Path) -> None:
        """Write it atomically and flush it to disk, before anything is moved.

        Raises:
            OutputError: It cannot be written.
        """
        document = {
            "format_version": _FORMAT_VERSION,
            "root": str(self.root),
            "folders": {path: asdict(state) for path, state in self.folders.items()},
            "files": {path: move.problems for path, move in self.moves.items()},
        }
        remove_leftovers(quarantine)
        with files.replacing(quarantine / JOURNAL_NAME) as temporary, open(temporary, "x", encoding="ascii") as file:
            # Names that are not valid UTF-8 hold lone surrogates, which JSON escapes and restores.
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        files.keep_names(quarantine)
        files.keep_names(quarantine.parent)


def load_journal(quarantine: Path) -> Journal:
    """Read the journal of a quarantine folder, and check that it refers to nothing outside.

    Raises:
        SourceNotFoundError: There is none, or it is damaged or was tampered with.
    """
    path = quarantine / JOURNAL_NAME
    if path.is_symlink() or not path.is_file():
        raise SourceNotFoundError(
            f"{str(quarantine)!r} is not a quarantine folder, or is undone already: it has no {JOURNAL_NAME}"
        )
    document = read_json(path)
    try:
        return _journal(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceNotFoundError(f"{str(path)!r} is damaged or was edited: {error}. Nothing was moved") from error


def remove_leftovers(quarantine: Path) -> None:
    """Remove partial journals left by killed commands.

    Raises:
        OutputError: One cannot be removed.
    """
    with files.writing(quarantine):
        for leftover in quarantine.glob(f".{Path(JOURNAL_NAME).stem}.*.tmp*"):
            leftover.unlink()


def _journal(document: Any) -> Journal:
    if document["format_version"] != _FORMAT_VERSION:
        raise ValueError(f"its format version is {document['format_version']!r}; this mien reads {_FORMAT_VERSION}")
    root = Path(document["root"])
    os.fsencode(root)
    if not root.is_absolute() or "\0" in str(root):
        raise ValueError(f"its root is {document['root']!r}, not an absolute path")
    folders = {below(path): FolderState(**state) for path, state in document["folders"].items()}
    moves = {
        below(path): Move(path, {str(code): str(detail) for code, detail in problems.items()})
        for path, problems in document["files"].items()
    }
    unknown = {os.path.dirname(path) for path in moves} - set(folders)
    if unknown:
        raise ValueError(f"it lacks the folder {unknown.pop()!r}")
    return Journal(root, folders, moves)


def below(path: str) -> str:
    """Return a path if it stays within its folder and is not hidden.

    Raises:
        ValueError: It does not.
    """
    place = Path(path)
    os.fsencode(place)
    hidden = any(part.startswith(".") for part in place.parts)
    if not place.parts or place.anchor or hidden or "\0" in path:
        raise ValueError(f"it contains the path {path!r}")
    return path
