"""The folder that images from elsewhere are put into: under safe names, each written down before it appears."""

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
    """A folder of class folders that grows.

    Attributes:
        path: The folder.
        work_dir: A hidden folder in it for what is half done; on the same disk, and emptied at the next start.
        records: What became of each URL, by URL.
        num_images: How many were stored since it was opened.
    """

    def __init__(self, path: Path, work_dir: Path) -> None:
        self.path = path
        self.work_dir = work_dir
        self.records = {record.url: record for record in load_sources(path)}
        self.num_images = 0
        self._paths = {_content_key(record): record.path for record in self.records.values() if record.path}
        self._class_names = {folded(entry.name): entry.name for entry in os.scandir(path) if entry.is_dir()}

    def holds(self, url: str) -> bool:
        """Say whether the image of a URL is there; or of an archive, whether all of its images are."""
        record = self.records.get(url)
        if record is None or not record.is_ok:
            return False
        if record.path:
            return os.path.lexists(self.path / record.path)
        members = (other for other in self.records if other.startswith(f"{url}#"))
        return all(self.records[member].is_refused or self.holds(member) for member in members)

    def is_settled(self, url: str) -> bool:
        """Say whether there is no use in fetching a URL: what it holds is there, or was refused."""
        return self.holds(url) or (url in self.records and self.records[url].is_refused)

    def class_problem(self, label: str) -> str:
        """Say why there can be no class folder of that name; an empty text where there can."""
        problem = class_name_problem(label)
        if not problem and (self.path / label).is_symlink():
            problem = f"the class folder {label!r} is a link, which may lead elsewhere: put a folder in its place"
        if not problem and os.path.lexists(self.path / label) and not (self.path / label).is_dir():
            problem = f"there can be no class folder {label!r}: a file has this name"
        alike = label if problem else self._class_names.setdefault(folded(label), label)
        return problem or ("" if alike == label else f"the class {label!r} is written {alike!r} elsewhere: rename one")

    def keep(
        self, url: str, label: str, *, name: str, content: bytes, max_pixels: int = ScanConfig.max_pixels
    ) -> SourceRecord:
        """Store an image, once per class whatever it is called; what is no image is refused.

        The content is written beside, then the log, and then it appears in its class folder whole: whenever a kill
        comes, every image is in the log, and `open_folder` completes what the log already says.

        Args:
            url: Where it is from.
            label: The class.
            name: What it is called there; hostile text.
            content: The file, whole.
            max_pixels: Larger images are refused.

        Returns:
            What was written into the log.

        Raises:
            OutputError: The disk is full, or something else is in the way.
        """
        problem = self.class_problem(label)
        if problem:
            return self.note(url, f"failed: {problem}")
        try:
            format_ = images.decode(content, ScanConfig(max_pixels=max_pixels)).format
        except ImageError as error:
            # Whoever allows more pixels tries it again.
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
            return self.note(url, f"failed: {path} is in the way: a file of another content")
        record = self.note(url, "ok", path=path, sha256=sha256)
        if is_new:
            self._appear(record)
        return record

    def note(self, url: str, status: str, *, path: str = "", sha256: str = "") -> SourceRecord:
        """Write down what became of a URL."""
        date = datetime.now(UTC).isoformat(timespec="seconds")
        record = SourceRecord(path, url, date, one_line(status, 500), sha256)
        add_source(self.path, record)
        self.records[url] = record
        if path:
            self._paths[_content_key(record)] = path
        return record

    def _appear(self, record: SourceRecord) -> None:
        """Move an image from the work folder to where the log says it is, if it is not there yet."""
        source, target = self.work_dir / record.sha256, self.path / record.path
        with files.writing(target):
            target.parent.mkdir(exist_ok=True)
            if not os.path.lexists(target):
                files.rename_to_free_name(source, target)
        self.num_images += 1

    def recover(self) -> None:
        """Bring the log and its images together again after a kill, and empty the work folder."""
        for half_log in self.path.glob(".sources.*.tmp.csv"):
            half_log.unlink()
        names = set(os.listdir(self.work_dir)) - {files.LOCK_NAME}
        for record in self.records.values():
            if record.sha256 not in names or self.class_problem(record.path.split("/")[0]):
                continue
            # What a kill cut short does not have the hash that it is named after.
            if files.sha256_of(self.work_dir / record.sha256) == record.sha256:
                self._appear(record)
        for name in names:
            leftover = self.work_dir / name
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)

    def save(self) -> None:
        """Write the log anew, with one line per URL."""
        write_sources(self.path, self.records.values())


@contextmanager
def open_folder(path: Path) -> Iterator[ImageFolder]:
    """Open a folder to put images into, made where it is missing; keep other processes out for the block.

    Raises:
        OutputError: It cannot be written, or another process is at work in it.
        SourceNotFoundError: Its log cannot be read.
    """
    work_dir = path / _WORK_NAME
    with files.writing(path):
        work_dir.mkdir(parents=True, exist_ok=True)
        if work_dir.is_symlink():
            raise OutputError(f"{str(work_dir)!r} is a link; remove it")
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
        # What is half done stays for the next start.
        return
