"""The folder that images are sorted into: class folders, and a journal that says where each file in them is from.

A file is made beside, then the journal names it, then it appears under its name, whole: whenever a kill comes, the
journal knows all that is there. Originals are only read.
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
# All that a name may have on the usual disks.
_MAX_BYTES = 255
_MAX_SUFFIX = 20


@dataclass(frozen=True)
class SortedFile:
    """One file that was put into a class folder, or would be.

    Attributes:
        path: Below the folder, with a forward slash: the class folder, or unsure, and the name.
        source: The absolute path of the original.
        label: The class that is most probable.
        probability: Of that class.
        reason: Why the file is in the folder unsure; empty where it is not.
        link: Which link it is; None for a copy.
        sha256: Of the original's content.
    """

    path: str
    source: str
    label: str
    probability: float
    reason: str
    link: Link | None
    sha256: str

    def is_at(self, place: Path) -> bool:
        """Say whether a place holds what was put there, unchanged."""
        if self.link == "symbolic":
            return place.is_symlink() and os.readlink(place) == self.source
        return not place.is_symlink() and files.sha256_of(place) == self.sha256


@dataclass(frozen=True)
class Undone:
    """What became of the files that were put into a folder.

    Attributes:
        folder: The folder.
        removed: The paths of those that were removed.
        left: Those that were not, by path: why.
    """

    folder: Path
    removed: tuple[str, ...]
    left: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        left = [{"path": path, "reason": reason} for path, reason in self.left.items()]
        return {"folder": str(self.folder), "removed": list(self.removed), "left": left}


class SortedFolder:
    """A folder that images are sorted into. Looking at one changes nothing; `open_sorted` gives one to change.

    Attributes:
        path: The folder, which need not be there.
        files: What was put there, in order.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.realpath(path))
        _refuse_place(self.path)
        self.files = _load(self.path / JOURNAL_NAME)
        self._taken = {file.path for file in self.files}
        self._hashes = {file.source: file.sha256 for file in self.files}
        self._half = self.path / _WORK_NAME / "half"

    def knows(self, source: str) -> bool:
        """Say whether an original was put there as it is now: if not there any more, it was moved or removed since."""
        return source in self._hashes and self._hashes[source] == files.sha256_of(Path(source))

    def free_path(self, folder: str, name: str) -> str:
        """Return a path in a class folder that nothing has or had, and keep it for the caller."""
        # What begins with a dot would be hidden.
        paths = (f"{folder}/{other}" for other in _alternatives(name.lstrip(".") or "image"))
        path = next(path for path in paths if path not in self._taken and not os.path.lexists(self.path / path))
        self._taken.add(path)
        return path

    def put(self, file: SortedFile) -> None:
        """Make a copy of an original, or a link to it.

        Raises:
            OutputError: It cannot be made, and nothing of it is left: no room, no permission, no such links there.
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
        """Remove what was put there and has not changed since, but for copies whose original is gone."""
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
        """Bring the last file to its place, where a kill came before that; remove what is half made."""
        remove_leftovers(self.path)
        last = self.files[-1] if self.files else None
        if last and last.is_at(self._half) and not os.path.lexists(place := self.path / last.path):
            _refuse_link(place.parent)
            place.parent.mkdir(exist_ok=True)
            files.rename_to_free_name(self._half, place)
        self._half.unlink(missing_ok=True)
        # A last line that a kill cut short would run into the next.
        self._save()

    def close(self) -> None:
        """Take the journal away where nothing is in it."""
        if not self.files:
            (self.path / JOURNAL_NAME).unlink(missing_ok=True)

    def _save(self) -> None:
        files.write_text(self.path / JOURNAL_NAME, _lines(self.files))


@contextmanager
def open_sorted(path: str | Path) -> Iterator[SortedFolder]:
    """Open a folder to sort images into, made where it is missing; keep other processes out for the block.

    Args:
        path: New, empty, or one that images were sorted into.

    Raises:
        OutputError: It is none of these, cannot be written, or another process is at work in it.
        SourceNotFoundError: Its journal is damaged.
    """
    place = SortedFolder(path).path
    work_dir = place / _WORK_NAME
    with files.writing(place):
        # Images may have been private by the folders that they lay in.
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        work_dir.mkdir(exist_ok=True)
    _refuse_link(work_dir)
    try:
        with files.claimed(work_dir):
            # Now that no other process changes it.
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
    """Remove what was sorted into a folder, and the folder where nothing else is in it. Originals are not touched.

    A file that was changed since is left, and so is a copy whose original is gone: it may be the only one.

    Args:
        path: The folder.

    Raises:
        SourceNotFoundError: No image was sorted into it, or its journal is damaged.
        OutputError: It cannot be written, or another process is at work in it.
    """
    if not os.path.lexists(Path(path, JOURNAL_NAME)):
        raise SourceNotFoundError(f"{str(path)!r} is no folder that mien sort filled: it has no {JOURNAL_NAME}")
    with open_sorted(path) as folder:
        return folder.undo()


def _refuse_place(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{str(folder)!r} is a file: name a folder")
    with files.writing(folder):
        # Hidden files are what a kill left, or what a system puts everywhere.
        names = [name for name in os.listdir(folder) if not name.startswith(".")] if folder.is_dir() else []
    if names and JOURNAL_NAME not in names:
        raise OutputError(f"the folder {str(folder)!r} is not empty, and mien sort did not fill it: name another place")


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise OutputError(f"{str(folder)!r} is a link, which may lead elsewhere: put a folder in its place")


def _load(path: Path) -> list[SortedFile]:
    if not os.path.lexists(path):
        return []
    try:
        if path.is_symlink():
            raise ValueError("it is a link")
        with files.open_text(path) as journal:
            # What stands behind the last end of a line was cut short, and its file has not appeared.
            lines = journal.read().split("\n")[:-1]
        return [_file(json.loads(line)) for line in lines]
    except (OSError, ValueError, RecursionError) as error:
        raise SourceNotFoundError(f"{str(path)!r} is not as mien wrote it: {error}. Nothing was changed") from error


def _file(document: Any) -> SortedFile:
    file = built(SortedFile, document)
    os.fsencode(file.source)
    # A journal that was tampered with must not lead out of the folder.
    if len(Path(below(file.path)).parts) != 2:
        raise ValueError(f"{file.path!r} is not the path of a file in a class folder")
    return file


def _lines(entries: Iterable[SortedFile]) -> str:
    # In ASCII: names that are not valid UTF-8 hold lone surrogates, and JSON gives them back as they were.
    return "".join(f"{json.dumps(asdict(file))}\n" for file in entries)


def _alternatives(name: str) -> Iterator[str]:
    """Yield a name, and then the same with a number, never longer than a disk takes it."""
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
            f"no {file.link} link to {file.source!r} can be made in {str(place.parents[1])!r}: "
            f"{files.reason_of(error)}. Without --link, images are copied"
        ) from error


def _remove(file: SortedFile, place: Path) -> str:
    """Remove a file; return why it was not."""
    if place.parent.is_symlink():
        return "it lies behind a link to another folder"
    if not file.is_at(place):
        return "it was changed since"
    if file.link != "symbolic" and not os.path.exists(file.source):
        return "its original is gone"
    try:
        place.unlink()
    except OSError as error:
        return files.reason_of(error)
    return ""
