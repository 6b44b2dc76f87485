"""The folder for fetched images: safe file names, and a log entry for each image before it appears."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mien.config import ScanConfig
from mien.core import files, images
from mien.core.formats import EXTENSIONS
from mien.core.text import class_name_problem, folded, one_line, safe_stem
from mien.errors import ImageError, OutputError
from mien.fetching.source_log import SourceRecord, add_source, load_sources, write_sources

_WORK_NAME = ".mien-fetch"


class ImageFolder:
    """A growing folder of class folders.

    Attributes:
        path: The folder.
        work_dir: A hidden folder in it, on the same disk, for unfinished files; emptied at the next start.
        records: The result for each URL, by URL.
        num_images: Number of images stored since it was opened.
    """

    def __init__(self, path: Path, work_dir: Path) -> None:
        self.path = path
        self.work_dir = work_dir
        self.records = {record.url: record for record in load_sources(path)}
        self.num_images = 0
        self._paths = {_content_key(record): record.path for record in self.records.values() if record.path}
        self._class_names = {folded(entry.name): entry.name for entry in os.scandir(path) if entry.is_dir()}

    def holds(self, url: str) -> bool:
        """Return whether the image of a URL, or all images of an archive, are stored."""
        record = self.records.get(url)
        if record is None or not record.is_ok:
            return False
        if record.path:
            return os.path.lexists(self.path / record.path)
        members = (other for other in self.records if other.startswith(f"{url}#"))
        return all(self.records[member].is_refused or self.holds(member) for member in members)

    def is_settled(self, url: str) -> bool:
        """Return whether fetching a URL is pointless, because it is stored or was refused."""
        return self.holds(url) or (url in self.records and self.records[url].is_refused)

    def class_problem(self, label: str) -> str:
        """Return why a class folder cannot have this name, or ""."""
        problem = class_name_problem(label)
        if not problem and (self.path / label).is_symlink():
            problem = f"the class folder {label!r} is a link, which may lead elsewhere. Replace it with a folder"
        if not problem and os.path.lexists(self.path / label) and not (self.path / label).is_dir():
            problem = f"cannot create the class folder {label!r}, because a file has this name"
        alike = label if problem else self._class_names.setdefault(folded(label), label)
        return problem or ("" if alike == label else f"the class {label!r} already exists as {alike!r}. Rename one")

    def keep(
        self, url: str, label: str, *, name: str, content: bytes, max_pixels: int = ScanConfig.max_pixels
    ) -> SourceRecord:
        """Store an image, once per class regardless of its name; refuse files that are not images.

        The content is written aside, then logged, then moved into its class folder. If the process is killed, every
        image is still in the log, and `open_folder` finishes what was logged.

        Args:
            url: Its source.
            label: The class.
            name: Its name there; untrusted text.
            content: The complete file.
            max_pixels: Refuse larger images.

        Returns:
            The new log record.

        Raises:
            OutputError: The disk is full, or something else is in the way.
        """
        problem = self.class_problem(label)
        if problem:
            return self.note(url, f"failed: {problem}")
        try:
            format_ = images.decode(content, ScanConfig(max_pixels=max_pixels)).format
        except ImageError as error:
            # It may be retried with a higher limit.
            kind = "failed" if error.problem == "too_many_pixels" else "refused"
            return self.note(url, f"{kind}: {error}")
        return self._store(url, f"{label}/{safe_stem(name)}", format_, content)

    def _store(self, url: str, start: str, format_: str, content: bytes) -> SourceRecord:
        sha256 = hashlib.sha256(content).hexdigest()
        extension = next(extension for extension, kind in EXTENSIONS.items() if kind == format_)
        path = self._paths.get((start.split("/")[0], sha256), f"{start}-{sha256[:12]}{extension}")
        target = self.path / path
        is_new = not os.path.lexists(target)
        if is_new:
            with files.writing(target):
                (self.work_dir / sha256).write_bytes(content)
        elif files.sha256_of(target) != sha256:
            return self.note(url, f"failed: {path} exists with different content")
        record = self.note(url, "ok", path=path, sha256=sha256)
        if is_new:
            self._appear(record)
        return record

    def note(self, url: str, status: str, *, path: str = "", sha256: str = "") -> SourceRecord:
        """Log the result for a URL."""
        date = datetime.now(UTC).isoformat(timespec="seconds")
        record = SourceRecord(path, url, date, one_line(status, 500), sha256)
        add_source(self.path, record)
        self.records[url] = record
        if path:
            self._paths[_content_key(record)] = path
        return record

    def _appear(self, record: SourceRecord) -> None:
        """Move an image from the work folder to its logged path, unless it is there already."""
        source, target = self.work_dir / record.sha256, self.path / record.path
        with files.writing(target):
            target.parent.mkdir(exist_ok=True)
            if not os.path.lexists(target):
                files.rename_to_free_name(source, target)
        self.num_images += 1

    def recover(self) -> None:
        """Make the log and the images consistent after a kill, and empty the work folder."""
        for half_log in self.path.glob(".sources.*.tmp.csv"):
            half_log.unlink()
        names = set(os.listdir(self.work_dir)) - {files.LOCK_NAME}
        for record in self.records.values():
            if record.sha256 not in names or self.class_problem(record.path.split("/")[0]):
                continue
            # An incomplete file does not match the hash in its name.
            if files.sha256_of(self.work_dir / record.sha256) == record.sha256:
                self._appear(record)
        for name in names:
            leftover = self.work_dir / name
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)

    def save(self) -> None:
        """Rewrite the log with one line per URL."""
        write_sources(self.path, self.records.values())


@contextmanager
def open_folder(path: Path) -> Iterator[ImageFolder]:
    """Open a folder for storing images, creating it if needed, and keep other processes out during the block.

    Raises:
        OutputError: It is not writable, or is in use by another process.
        SourceNotFoundError: Its log cannot be read.
    """
    work_dir = path / _WORK_NAME
    with files.writing(path):
        work_dir.mkdir(parents=True, exist_ok=True)
        if work_dir.is_symlink():
            raise OutputError(f"{str(work_dir)!r} is a link. Remove it")
    try:
        with files.claimed(work_dir):
            folder = ImageFolder(path, work_dir)
            with files.writing(path):
                folder.recover()
            folder.save()
            yield folder
            folder.save()
    finally:
        _remove_empty(work_dir)


def _content_key(record: SourceRecord) -> tuple[str, str]:
    return record.path.split("/")[0], record.sha256


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # Unfinished files stay for the next start.
        return
