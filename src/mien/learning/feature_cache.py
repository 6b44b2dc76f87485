"""The feature cache: features on disk, keyed by the content of the image and of the backbone."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import OutputError

# joblib and diskcache store pickles, which can run code.
_NAME = "features.sqlite"
_SCHEMA = "CREATE TABLE IF NOT EXISTS features (maker TEXT, sha256 TEXT, row BLOB, PRIMARY KEY (maker, sha256))"
_FIND = "SELECT sha256, row FROM features WHERE maker = ? AND sha256 = ?"
_FORGET = "DELETE FROM features WHERE rowid <= (SELECT (MIN(rowid) + MAX(rowid)) / 2 FROM features)"
# About 400,000 images with the built-in backbone. Above this, the older half is deleted.
_MAX_BYTES = 2 * 1024**3


class FeatureCache:
    """Features in one SQLite file, safe for concurrent runs and after a kill.

    It is only a cache: a damaged file is recreated, and missing features are computed again. After a failure, it
    returns and stores nothing more.

    Attributes:
        is_usable: False after a failure.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self.is_usable = True

    def get(self, maker: str, hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Return the cached rows, by image hash.

        Args:
            maker: Everything that the features depend on besides the image.
            hashes: SHA-256 of the image files.

        Raises:
            OutputError: The file cannot be read or created.
        """
        found: dict[str, NDArray[np.float32]] = {}
        if not self.is_usable:
            return found
        with self._opened() as database:
            for sha256 in hashes:
                for name, row in database.execute(_FIND, (maker, sha256)):
                    found[name] = np.frombuffer(row, "<f4")
        return found

    def put(self, maker: str, rows: Mapping[str, NDArray[np.float32]]) -> None:
        """Store rows, by image hash.

        Raises:
            OutputError: The file cannot be written.
        """
        if not self.is_usable:
            return
        items = [(maker, sha256, row.astype("<f4").tobytes()) for sha256, row in rows.items()]
        with self._opened() as database:
            if _num_bytes(database) > _MAX_BYTES:
                database.execute(_FORGET)
            database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", items)

    def kept(self, hashes: Iterable[str]) -> set[str]:
        """Return which of the images have a row by any maker. Never creates a cache.

        Raises:
            OutputError: The file cannot be read.
        """
        if not self._exists():
            return set()
        with self._opened() as database:
            return set(hashes) & {sha256 for (sha256,) in database.execute("SELECT DISTINCT sha256 FROM features")}

    def drop(self, hashes: Iterable[str]) -> None:
        """Delete the rows of images by any maker. Never creates a cache.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._exists():
            with self._opened() as database:
                # Otherwise the bytes stay in the file until the space is reused.
                database.execute("PRAGMA secure_delete = ON")
                database.executemany("DELETE FROM features WHERE sha256 = ?", [(sha256,) for sha256 in hashes])

    def _exists(self) -> bool:
        try:
            self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._refusal(str(error.strerror)) from error
        return True

    def _refusal(self, reason: str) -> OutputError:
        self.is_usable = False
        return OutputError(f"cannot use the feature cache {str(self._path)!r}: {reason}")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open the database, and commit at the end of the block."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=30.0)) as database, database:
                database.execute(_SCHEMA)
                yield database
        except sqlite3.OperationalError as error:
            raise self._refusal(str(error)) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            # Not a database, or a damaged one.
            self._path.unlink(missing_ok=True)
            raise OutputError(f"the feature cache {str(self._path)!r} was damaged and has been reset") from error
        except OSError as error:
            raise self._refusal(str(error.strerror)) from error


def _num_bytes(database: sqlite3.Connection) -> int:
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
