"""Forgetting: delete an image that came from a URL, with its entry in the source log."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.config import CleanConfig, ScanConfig
from mien.core import files
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted
from mien.data.copies import find_copies
from mien.data.scanning import scan_file
from mien.errors import OutputError, SourceNotFoundError
from mien.fetching.image_folder import ImageFolder, open_folder
from mien.fetching.intake import source_url
from mien.fetching.source_log import LOG_NAME, SourceRecord
from mien.layouts.layout import Entry
from mien.learning.feature_cache import FeatureCache


@dataclass(frozen=True)
class Forgotten:
    """What was deleted, and what was kept.

    Attributes:
        urls: The URLs that were removed from the log.
        removed: The deleted images, relative to the folder.
        shared: Images kept because they also came from other URLs, with those URLs.
        copies: Files kept that are copies of a deleted image, relative to the folder.
    """

    urls: tuple[str, ...]
    removed: tuple[str, ...]
    shared: dict[str, tuple[str, ...]]
    copies: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        shared = {path: list(urls) for path, urls in self.shared.items()}
        return {"urls": list(self.urls), "removed": list(self.removed), "shared": shared, "copies": list(self.copies)}


def forget(
    url: str,
    folder: str | Path,
    *,
    cache_dir: Path | None = None,
    near_bits: int = CleanConfig.near_bits,
    progress: Progress = SILENCE,
) -> Forgotten:
    """Delete the image that came from a URL, its cached features, and its entry in the source log.

    Images that also came from other URLs are kept, and so are copies; both are listed.

    Args:
        url: The URL as in the log. The URL or file of an archive or a repository stands for all of its images.
        folder: A folder that was filled by `take_in`.
        cache_dir: The folder of the feature cache.
        near_bits: Images whose hashes differ in at most this many bits are checked for being copies.
        progress: Warned if the cache cannot be read.

    Raises:
        SourceNotFoundError: No image came from this URL.
        OutputError: An image has changed since it was stored, or it or its features cannot be deleted. Nothing is
            deleted then.
    """
    root = Path(folder)
    if not (root / LOG_NAME).is_file():
        raise SourceNotFoundError(f"{str(folder)!r} has no {LOG_NAME}, so nothing was fetched into it")
    with open_folder(root) as opened:
        gone = _found(url, opened)
        urls = {record.url for record in gone}
        others = [record for record in opened.records.values() if record.url not in urls and record.path]
        shared = {r.path: tuple(o.url for o in others if o.path == r.path) for r in gone if r.path}
        doomed = [r for r in gone if r.path and not shared[r.path] and os.path.lexists(root / r.path)]
        _refuse_links(doomed, opened)
        _refuse_changed(doomed, root)
        removed = tuple(dict.fromkeys(record.path for record in doomed))
        copies = _copies(removed, root, near_bits)
        if cache_dir:
            hashes = [record.sha256 for record in gone if record.path and not shared[record.path]]
            _drop_features(hashes, FeatureCache(cache_dir), progress)
        # Images first: after a kill in between, the remaining log entries can be forgotten again.
        with files.writing(root):
            for path in removed:
                (root / path).unlink()
        for gone_url in urls:
            del opened.records[gone_url]
        return Forgotten(tuple(sorted(urls)), removed, {p: u for p, u in shared.items() if u}, copies)


def _found(url: str, folder: ImageFolder) -> list[SourceRecord]:
    names = {url} if "://" in url else {url, source_url(url)}
    gone = [r for r in folder.records.values() if r.url in names or r.url.partition("#")[0] in names]
    if not gone:
        raise SourceNotFoundError(f"{url!r} is not in {str(folder.path / LOG_NAME)!r}")
    return gone


def _refuse_links(doomed: list[SourceRecord], folder: ImageFolder) -> None:
    problems = {folder.class_problem(record.path.split("/")[0]) for record in doomed} - {""}
    if problems:
        raise OutputError(f"nothing was deleted: {'; '.join(sorted(problems))}")


def _refuse_changed(doomed: list[SourceRecord], root: Path) -> None:
    changed = [record.path for record in doomed if files.sha256_of(root / record.path) != record.sha256]
    if changed:
        raise OutputError(
            f"{counted(len(changed), 'image')} changed since the fetch, e.g. {changed[0]!r}. Nothing was deleted. "
            "If you are sure, delete them yourself, then forget the URL again."
        )


def _drop_features(hashes: Iterable[str], cache: FeatureCache, progress: Progress) -> None:
    """Delete cached features, if there are any; otherwise the cache need not be writable."""
    try:
        kept = cache.kept(hashes)
    except OutputError as error:
        progress.say(f"WARNING: {error}")
        return
    if kept:
        try:
            cache.drop(kept)
        except OutputError as error:
            raise OutputError(f"nothing was deleted: {error}") from error


def _copies(removed: tuple[str, ...], root: Path, near_bits: int) -> tuple[str, ...]:
    """Return the other images in the folder that are copies of a deleted one."""
    if not removed:
        return ()
    others = [path for path in files.walk(root) if path.relative_to(root).as_posix() not in set(removed)]
    paths = [*removed, *(path.relative_to(root).as_posix() for path in others)]
    entries = [Entry(path, path.split("/")[0]) for path in paths]
    records = list(in_threads(lambda entry: scan_file(root, entry, ScanConfig()), entries))
    images = [record for record in records if record.phash]
    num_removed = sum(record.path in set(removed) for record in images)
    copies = zip(images, find_copies(images, near_bits), strict=True)
    return tuple(
        record.path for record, copy in copies if record.path not in removed and copy and copy.of < num_removed
    )
