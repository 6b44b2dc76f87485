"""The source log: sources.csv, which records where each image came from."""

import io
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from mien.core import files
from mien.core.csv_tables import read_rows, rows_text, table_text
from mien.core.text import class_name_problem
from mien.errors import SourceNotFoundError

LOG_NAME = "sources.csv"
_PATH = re.compile(r"[^/]+/[A-Za-z0-9][A-Za-z0-9.-]*")
_SHA256 = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True)
class SourceRecord:
    """The result for one URL, or for one member of an archive or repository.

    Attributes:
        path: Path of the image relative to the folder, with forward slashes; "" if nothing was stored.
        url: The source. For a member, its percent-encoded name follows a #.
        date: Time in UTC, ISO 8601.
        status: "ok", "failed: REASON" if trying again may help, or "refused: REASON" if it will not.
        sha256: Hash of the stored content or of the archive, else "".
    """

    path: str
    url: str
    date: str
    status: str
    sha256: str

    @property
    def is_ok(self) -> bool:
        """Whether it was stored."""
        return self.status == "ok"

    @property
    def is_refused(self) -> bool:
        """Whether trying again is pointless."""
        return self.status.startswith("refused: ")


_COLUMNS = [field.name for field in fields(SourceRecord)]


def load_sources(folder: str | Path) -> list[SourceRecord]:
    """Read the source log of a folder: the latest record for each URL or member.

    An incomplete last line is ignored.

    Args:
        folder: The folder that `mien fetch` wrote to.

    Returns:
        The records in order of first appearance; [] if there is no log.

    Raises:
        SourceNotFoundError: The log cannot be read, or is another kind of file.
    """
    path = Path(folder) / LOG_NAME
    try:
        with files.open_regular(path) as file:
            content = file.read()
        whole, rest = content[: content.rfind(b"\n") + 1].decode("utf-8"), content[content.rfind(b"\n") + 1 :]
        rows = list(read_rows(io.StringIO(whole + _whole_line(rest), newline="")))
        if content and (not rows or rows[0] != _COLUMNS):
            raise ValueError(f"its first line is not {','.join(_COLUMNS)}")
        records = [_record(row) for row in rows[1:]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SourceNotFoundError(f"cannot read {str(path)!r}: {error}. Move it away to start a new one.") from error
    return list({record.url: record for record in records}.values())


def _whole_line(rest: bytes) -> str:
    """Return text after the last line end if it is a complete row: an editor may drop the last line end."""
    try:
        text = rest.decode("utf-8")
        (row,) = read_rows([text])
        _record(row)
    except ValueError:
        return ""
    return text


def write_sources(folder: Path, records: Iterable[SourceRecord]) -> None:
    """Write the whole log, atomically.

    Raises:
        OutputError: It cannot be written.
    """
    files.write_text(folder / LOG_NAME, table_text([_COLUMNS, *map(astuple, records)]))


def add_source(folder: Path, record: SourceRecord) -> None:
    """Append a record to a log written by `write_sources`. It replaces earlier records of the same URL.

    Raises:
        OutputError: It cannot be written.
    """
    path = folder / LOG_NAME
    with files.writing(path), open(path, "ab") as file:
        file.write(rows_text([astuple(record)]).encode("utf-8"))


def _record(row: list[str]) -> SourceRecord:
    if len(row) != len(_COLUMNS):
        raise ValueError(f"a line has {len(row)} fields instead of {len(_COLUMNS)}")
    record = SourceRecord(*row)
    # A log from elsewhere must not lead out of its folder.
    if record.path and not (_PATH.fullmatch(record.path) and not class_name_problem(record.path.split("/")[0])):
        raise ValueError(f"{record.path!r} is not the path of an image in a class folder")
    if not _SHA256.fullmatch(record.sha256) or (record.path and not record.sha256):
        raise ValueError(f"{record.sha256!r} is not a SHA-256 hash")
    return record
