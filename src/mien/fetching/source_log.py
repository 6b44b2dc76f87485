"""The source log: sources.csv beside the class folders, which says where each image is from."""

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
    """What became of one URL, or of one member of an archive or a repository.

    Attributes:
        path: The image, below the folder, with forward slashes; empty where nothing was stored.
        url: Where it is from; a member stands behind a #, its name percent-encoded.
        date: When, in UTC, ISO 8601.
        status: "ok"; "failed: " and a reason that another try may change; or "refused: " and one that it may not.
        sha256: Of the content that was stored, or of the archive; otherwise empty.
    """

    path: str
    url: str
    date: str
    status: str
    sha256: str

    @property
    def is_ok(self) -> bool:
        """Whether it is stored."""
        return self.status == "ok"

    @property
    def is_refused(self) -> bool:
        """Whether there is no use in another try."""
        return self.status.startswith("refused: ")


_COLUMNS = [field.name for field in fields(SourceRecord)]


def load_sources(folder: str | Path) -> list[SourceRecord]:
    """Read the source log of a folder of class folders: one record per URL or member, the newest.

    A last line that a kill cut short is passed over.

    Args:
        folder: What `mien fetch` was told by --to.

    Returns:
        The records in the order of their first appearance; none where there is no log.

    Raises:
        SourceNotFoundError: There is one that cannot be read, or another file of its name.
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
        raise SourceNotFoundError(f"cannot read {str(path)!r}: {error}. Move it away to begin a new one.") from error
    return list({record.url: record for record in records}.values())


def _whole_line(rest: bytes) -> str:
    """Return what stands behind the last end of a line, if it is a whole line: an editor may leave out its end."""
    try:
        text = rest.decode("utf-8")
        (row,) = read_rows([text])
        _record(row)
    except ValueError:
        return ""
    return text


def write_sources(folder: Path, records: Iterable[SourceRecord]) -> None:
    """Write the whole log anew, in one piece.

    Raises:
        OutputError: It cannot be written.
    """
    files.write_text(folder / LOG_NAME, table_text([_COLUMNS, *map(astuple, records)]))


def add_source(folder: Path, record: SourceRecord) -> None:
    """Add a line to a log that `write_sources` wrote; the next record of the same URL takes its place.

    Raises:
        OutputError: It cannot be written.
    """
    path = folder / LOG_NAME
    with files.writing(path), open(path, "ab") as file:
        file.write(rows_text([astuple(record)]).encode("utf-8"))


def _record(row: list[str]) -> SourceRecord:
    if len(row) != len(_COLUMNS):
        raise ValueError(f"a line has {len(row)} fields, not {len(_COLUMNS)}")
    record = SourceRecord(*row)
    # A log that came with a folder from elsewhere must not lead out of it.
    if record.path and not (_PATH.fullmatch(record.path) and not class_name_problem(record.path.split("/")[0])):
        raise ValueError(f"{record.path!r} is not the path of an image in a class folder")
    if not _SHA256.fullmatch(record.sha256) or (record.path and not record.sha256):
        raise ValueError(f"{record.sha256!r} is no SHA-256 hash")
    return record
