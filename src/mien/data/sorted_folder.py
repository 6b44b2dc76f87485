"""The output folder of mien sort: class folders, and a journal with the origin of each file.

Each file is first created aside, then entered in the journal, then moved into place. If the command is killed, the
journal still lists everything that is there. Originals are only read.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from mien.config import Link
from mien.core import files
from mien.data.journal import below, remove_leftovers
from mien.errors import OutputError, SourceNotFoundError
from mien.schema import built

JOURNAL_NAME = "journal.jsonl"
_WORK_NAME = ".mien-sort"
# The maximum length of a name on common disks.
_MAX_BYTES = 255
_MAX_SUFFIX = 20


@dataclass(frozen=True)
class SortedFile:
    """One file that was sorted into a class folder, or would be.

    Attributes:
        path: Path relative to the folder, with a forward slash: the class folder (or unsure) and the name.
        source: Absolute path of the original.
        label: The most probable class.
        probability: Probability of that class.
        reason: Why the file is in the folder unsure, or "".
        link: The kind of link, or None for a copy.
        sha256: Hash of the original's content.
    """

    path: str
    source: str
    label: str
    probability: float
    reason: str
    link: Link | None
    sha256: str

    def is_at(self, place: Path) -> bool:
        """Return whether a path holds the sorted file, unchanged."""
        if self.link == "symbolic":
            return place.is_symlink() and os.readlink(place) == self.source
        return not place.is_symlink() and files.sha256_of(place) == self.sha256


@dataclass(frozen=True)
class Undone:
    """The result of undoing a sort.

    Attributes:
        folder: The folder.
        removed: The paths of removed files.
        left: The files that were kept, and why, by path.
    """

    folder: Path
    removed: tuple[str, ...]
    left: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        left = [{"path": path, "reason": reason} for path, reason in self.left.items()]
        return {"folder": str(self.folder), "removed": list(self.removed), "left": left}


class SortedFolder:
    """The output folder of mien sort. Creating this object changes nothing; use `open_sorted` to make changes.

    Attributes:
        path: The folder, which may not exist yet.
        files: The files sorted into it, in order.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.realpath(path))
        _refuse_place(self.path)
        self.files = _load(self.path / JOURNAL_NAME)
        self._taken = {file.path for file in self.files}
        self._hashes = {file.source: file.sha256 for file in self.files}
        self._half = self.path / _WORK_NAME / "half"

    def knows(self, source: str) -> bool:
        """Return whether an original was sorted with its current content, even if the result was moved or removed."""
        return source in self._hashes and self._hashes[source] == files.sha256_of(Path(source))

    def free_path(self, folder: str, name: str) -> str:
        """Return and reserve a path in a class folder that is not and never was in use."""
        # A name that starts with a dot would be hidden.
        paths = (f"{folder}/{other}" for other in _alternatives(name.lstrip(".") or "image"))
        path = next(path for path in paths if path not in self._taken and not os.path.lexists(self.path / path))
        self._taken.add(path)
        return path

    def put(self, file: SortedFile) -> None:
        """Copy or link an original into the folder.

        Raises:
            OutputError: It cannot be created, and nothing of it is left: no space, no permission, no support for links.
        """
        place = self.path / file.path
        _refuse_link(place.parent)
        with files.writing(place):
            try:
                _make(file, self._half)
                with open(self.path / JOURNAL_NAME, "a", encoding="ascii") as journal:
                    journal.write(_lines([file]))
                place.parent.mkdir(exist_ok=True)
                files.rename_to_free_name(self._half, place)
            except OSError:
                self._half.unlink(missing_ok=True)
                self._save()
                raise
        self.files.append(file)

    def undo(self) -> Undone:
        """Remove sorted files that have not changed, but keep copies whose original is gone."""
        removed, left = [], {}
        for file in self.files:
            place = self.path / file.path
            if os.path.lexists(place):
                if reason := _remove(file, place):
                    left[file.path] = reason
                else:
                    removed.append(file.path)
        folders = {os.path.dirname(file.path) for file in self.files}
        self.files = [file for file in self.files if file.path in left]
        self._save()
        for folder in folders:
            with suppress(OSError):
                (self.path / folder).rmdir()
        return Undone(self.path, tuple(removed), left)

    def recover(self) -> None:
        """Finish or remove a file that was in progress when a command was killed."""
        remove_leftovers(self.path)
        last = self.files[-1] if self.files else None
        if last and last.is_at(self._half) and not os.path.lexists(place := self.path / last.path):
            _refuse_link(place.parent)
            place.parent.mkdir(exist_ok=True)
            files.rename_to_free_name(self._half, place)
        self._half.unlink(missing_ok=True)
        # A partial last line would run into the next one.
        self._save()

    def close(self) -> None:
        """Remove the journal if it is empty."""
        if not self.files:
            (self.path / JOURNAL_NAME).unlink(missing_ok=True)

    def _save(self) -> None:
        files.write_text(self.path / JOURNAL_NAME, _lines(self.files))


@contextmanager
def open_sorted(path: str | Path) -> Iterator[SortedFolder]:
    """Open an output folder for sorting, creating it if needed, and keep other processes out during the block.

    Args:
        path: A new or empty folder, or one that mien sort filled.

    Raises:
        OutputError: It is none of these, is not writable, or is in use by another process.
        SourceNotFoundError: Its journal is damaged.
    """
    place = SortedFolder(path).path
    work_dir = place / _WORK_NAME
    with files.writing(place):
        # Images may have been private because of the folders they were in.
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        work_dir.mkdir(exist_ok=True)
    _refuse_link(work_dir)
    try:
        with files.claimed(work_dir):
            # Read it again, now that no other process can change it.
            folder = SortedFolder(place)
            with files.writing(place):
                folder.recover()
            try:
                yield folder
            finally:
                folder.close()
    finally:
        for empty in (work_dir, place):
            with suppress(OSError):
                empty.rmdir()


def undo_sort(path: str | Path) -> Undone:
    """Remove what mien sort put into a folder, and the folder itself if nothing else is in it. Originals are untouched.

    Files that have changed are kept, and so are copies whose original is gone, because they may be the only ones.

    Args:
        path: The folder.

    Raises:
        SourceNotFoundError: It is not an output folder of mien sort, or its journal is damaged.
        OutputError: It is not writable, or is in use by another process.
    """
    if not os.path.lexists(Path(path, JOURNAL_NAME)):
        raise SourceNotFoundError(f"{str(path)!r} was not filled by mien sort: it has no {JOURNAL_NAME}")
    with open_sorted(path) as folder:
        return folder.undo()


def _refuse_place(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{str(folder)!r} is a file. Choose a folder")
    with files.writing(folder):
        # Hidden files are left by a killed command or created by the system.
        names = [name for name in os.listdir(folder) if not name.startswith(".")] if folder.is_dir() else []
    if names and JOURNAL_NAME not in names:
        raise OutputError(f"{str(folder)!r} is not empty and was not filled by mien sort. Choose a new or empty folder")


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise OutputError(f"{str(folder)!r} is a link, which may lead elsewhere. Replace it with a folder")


def _load(path: Path) -> list[SortedFile]:
    if not os.path.lexists(path):
        return []
    try:
        if path.is_symlink():
            raise ValueError("it is a link")
        with files.open_text(path) as journal:
            # Text after the last line end is incomplete, and its file never appeared.
            lines = journal.read().split("\n")[:-1]
        return [_file(json.loads(line)) for line in lines]
    except (OSError, ValueError, RecursionError) as error:
        raise SourceNotFoundError(f"{str(path)!r} is damaged or was edited: {error}. Nothing was changed") from error


def _file(document: Any) -> SortedFile:
    file = built(SortedFile, document)
    os.fsencode(file.source)
    # A tampered journal must not lead out of the folder.
    if len(Path(below(file.path)).parts) != 2:
        raise ValueError(f"{file.path!r} is not the path of a file in a class folder")
    return file


def _lines(entries: Iterable[SortedFile]) -> str:
    # In ASCII, because names that are not valid UTF-8 hold lone surrogates, which JSON escapes and restores.
    return "".join(f"{json.dumps(asdict(file))}\n" for file in entries)


def _alternatives(name: str) -> Iterator[str]:
    """Yield a name, then the name with a number, shortened to what disks allow."""
    yield name
    stem, suffix = os.path.splitext(name)
    for number in count(2):
        ending = f"-{number}{suffix[:_MAX_SUFFIX]}"
        while len(os.fsencode(stem + ending)) > _MAX_BYTES:
            stem = stem[:-1]
        yield stem + ending


def _make(file: SortedFile, place: Path) -> None:
    if file.link is None:
        shutil.copy2(file.source, place)
        return
    try:
        if file.link == "hard":
            os.link(os.path.realpath(file.source), place)
        else:
            place.symlink_to(file.source)
    except OSError as error:
        raise OutputError(
            f"cannot create a {file.link} link to {file.source!r} in {str(place.parents[1])!r}: "
            f"{files.reason_of(error)}. Remove --link to copy the images instead"
        ) from error


def _remove(file: SortedFile, place: Path) -> str:
    """Remove a file, and return why if it is kept."""
    if place.parent.is_symlink():
        return "it is inside a linked folder"
    if not file.is_at(place):
        return "it has changed"
    if file.link != "symbolic" and not os.path.exists(file.source):
        return "its original is gone"
    try:
        place.unlink()
    except OSError as error:
        return files.reason_of(error)
    return ""
