"""Forgetting: the image that came from a URL is removed, with its line in the source log."""

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
    """What was forgotten, and what is left.

    Attributes:
        urls: The URLs whose lines were removed from the log.
        removed: The images that were removed, below the folder.
        shared: Images that stay because they also came from other URLs: those URLs, by image.
        copies: Files that stay and are copies of what was removed, below the folder.
    """

    urls: tuple[str, ...]
    removed: tuple[str, ...]
    shared: dict[str, tuple[str, ...]]
    copies: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON values."""
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
    """Remove the image that came from a URL, its features in the cache, and its line in the source log.

    An image that came from other URLs too stays, as do copies of it: both are named.

    Args:
        url: As the log has it; that of an archive or a repository, or its file, stands for all of its images.
        folder: A folder that was filled by `take_in`.
        cache_dir: Where features of images are kept.
        near_bits: Copies are looked for among images whose hashes differ in at most this many bits.
        progress: Warned where the cache cannot be read.

    Raises:
        SourceNotFoundError: Nothing came from there.
        OutputError: An image was changed since it was stored, or it or its features cannot be removed; then nothing
            is removed.
    """
    root = Path(folder)
    if not (root / LOG_NAME).is_file():
        raise SourceNotFoundError(f"{str(folder)!r} has no {LOG_NAME}: nothing was fetched into it")
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
        # The images first: a kill in between leaves lines that can be forgotten again, and no image without one.
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
        raise SourceNotFoundError(f"{url!r} is not in {str(folder.path / LOG_NAME)!r}: nothing came from there")
    return gone


def _refuse_links(doomed: list[SourceRecord], folder: ImageFolder) -> None:
    problems = {folder.class_problem(record.path.split("/")[0]) for record in doomed} - {""}
    if problems:
        raise OutputError(f"nothing was removed: {'; '.join(sorted(problems))}")


def _refuse_changed(doomed: list[SourceRecord], root: Path) -> None:
    changed = [record.path for record in doomed if files.sha256_of(root / record.path) != record.sha256]
    if changed:
        raise OutputError(
            f"{counted(len(changed), 'image')} changed since the fetch, such as {changed[0]!r}; nothing was "
            "removed. Remove them yourself if that is what you mean, then forget the URL again."
        )


def _drop_features(hashes: Iterable[str], cache: FeatureCache, progress: Progress) -> None:
    """Remove features where there are some: a cache without them need not be writable."""
    try:
        kept = cache.kept(hashes)
    except OutputError as error:
        progress.say(f"WARNING: {error}")
        return
    if kept:
        try:
            cache.drop(kept)
        except OutputError as error:
            raise OutputError(f"nothing was removed: {error}") from error


def _copies(removed: tuple[str, ...], root: Path, near_bits: int) -> tuple[str, ...]:
    """Return the other images in the folder that are copies of one that is removed."""
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
