"""Tables: read CSV, TSV, JSON, JSON lines and Parquet into rows of text."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mien.core import files
from mien.core.csv_tables import read_rows
from mien.core.extras import needing
from mien.errors import SourceNotFoundError

_MAX_BYTES = 512 * 1024**2
_DELIMITERS = ",;\t|"
_NUM_LOOKED_AT = 20
# The line of the first row if there is a header.
_FIRST_LINE = 2


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        path: Its file.
        columns: Column names.
        rows: One tuple of texts per row.
        first_line: The line, or the number, of the first row in the file.
        too_long: Numbers of rows with more cells than columns, which are not in `rows`.
        notes: Problems of the file as a whole, a sentence each.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first_line: int = _FIRST_LINE
    too_long: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def called(self, name: str) -> str:
        """Return the column with a name, ignoring case; if there is none, return the name."""
        alike = [column for column in self.columns if column.casefold() == name.casefold()]
        return alike[0] if name not in self.columns and len(alike) == 1 else name

    def without_heading(self) -> "Table":
        """Return the table with its first line as data and with numbered columns."""
        names = tuple(f"column {number}" for number in range(1, len(self.columns) + 1))
        return replace(self, columns=names, rows=(self.columns, *self.rows), first_line=self.first_line - 1)


def read_table(path: Path) -> Table:
    """Read a table in the format given by its file extension.

    In JSON, nested objects become columns such as data.image, and a list with one item becomes that item.

    Raises:
        SourceNotFoundError: It cannot be read, or is not a table.
        MissingExtraError: It is a Parquet file, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return _read_parquet(path)
        text, note = _text_of(files.read_regular(path, max_bytes=_MAX_BYTES))
        if suffix in (".json", ".jsonl", ".ndjson"):
            return _from_objects(path, _objects(text, in_lines=suffix != ".json"))
        with _long_cells():
            return replace(_read_csv(path, text), notes=(note,) if note else ())
    except OSError as error:
        raise SourceNotFoundError(f"cannot read the table {str(path)!r}: {files.reason_of(error)}") from error
    except RecursionError as error:
        raise SourceNotFoundError(f"cannot read the table {str(path)!r}: it is nested too deeply") from error
    except ValueError as error:
        raise SourceNotFoundError(f"cannot read the table {str(path)!r}: {error}") from error


@contextmanager
def _long_cells() -> Iterator[None]:
    """Allow long cells, e.g. whole texts or embeddings, which some tables contain next to the labels."""
    limit = csv.field_size_limit(_MAX_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _text_of(content: bytes) -> tuple[str, str]:
    """Decode a table as UTF-8, as UTF-16 if it has a byte order mark, or else as Windows-1252.

    Returns:
        The text, and a note if the encoding is a guess.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), ""
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return content.decode(
            "cp1252"
        ), "not UTF-8, so it was read as Windows-1252. Save it as UTF-8 if names look wrong"


def _read_csv(path: Path, text: str) -> Table:
    lines = text.splitlines(keepends=True)
    delimiter = _delimiter_of(lines)
    found = list(read_rows(io.StringIO(text, newline=""), delimiter=delimiter))
    rows = [row for row in found if any(map(str.strip, row))]
    if not rows or len(rows[0]) < 2:
        raise ValueError("it does not have two columns separated by commas, semicolons, tabs or |")
    heading = [name.strip() for name in rows[0]]
    width = len(heading)
    # Some programs write the row number first, without a column name, or an empty cell at the end.
    heading = [name or f"column {number}" for number, name in enumerate(heading, start=1)]
    # Ignore an empty cell at the end.
    too_long = tuple(
        n for n, row in enumerate(rows[1:], start=_FIRST_LINE) if any(cell.strip() for cell in row[width:])
    )
    kept = [[*row[:width], *[""] * (width - len(row))] for row in rows[1:] if not any(map(str.strip, row[width:]))]
    return replace(_table(path, heading, kept), too_long=too_long)


def _delimiter_of(lines: Sequence[str]) -> str:
    """Return the separator that gives the first lines the same, largest number of cells."""
    first = list(islice((line for line in lines if line.strip()), _NUM_LOOKED_AT))

    def fit(delimiter: str) -> tuple[int, int]:
        try:
            widths = Counter(len(row) for row in csv.reader(first, delimiter=delimiter))
        except csv.Error as error:
            raise ValueError(f"not valid CSV: {error}") from error
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count if width > 1 else 0), width

    return max(_DELIMITERS, key=fit)


def _objects(text: str, *, in_lines: bool) -> list[Mapping[str, Any]]:
    found = [json.loads(line) for line in text.splitlines() if line.strip()] if in_lines else json.loads(text)
    if isinstance(found, dict) and all(isinstance(value, str | int) for value in found.values()):
        # {"a.jpg": "cat", ...}
        return [{"path": name, "label": value} for name, value in found.items()]
    if not (isinstance(found, list) and found and all(isinstance(item, dict) for item in found)):
        raise ValueError("it is not a list of objects, one per image")
    return found


def _from_objects(path: Path, objects: Sequence[Mapping[str, Any]]) -> Table:
    flat = [dict(_flattened("", item)) for item in objects]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    return _table(path, columns, [[row.get(name, "") for name in columns] for row in flat], first_line=1)


def _flattened(name: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, list) and len(value) == 1:
        yield from _flattened(name, value[0])
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _flattened(f"{name}.{key}" if name else key, inner)
    elif isinstance(value, list):
        yield name, ", ".join(_cell(item) for item in value)
    else:
        yield name, _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    # A missing value in the column turned whole numbers into floats.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _read_parquet(path: Path) -> Table:
    with needing("tables"):
        from pyarrow import ArrowException, parquet
    try:
        with files.open_regular(path) as file:
            found = parquet.read_table(file)
    except ArrowException as error:
        raise ValueError(f"not a Parquet file: {error}") from error
    for field in found.schema:
        if "struct" in str(field.type) or "binary" in str(field.type):
            raise ValueError(
                f"its column {field.name!r} contains the images themselves: save them as files, with a column of paths"
            )
    rows = [[_cell(value) for value in row.values()] for row in found.to_pylist()]
    return _table(path, found.column_names, rows, first_line=1)


def _table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], *, first_line: int = _FIRST_LINE
) -> Table:
    if len(set(columns)) < len(columns):
        raise ValueError(f"it has two columns named {Counter(columns).most_common(1)[0][0]!r}")
    return Table(path, tuple(columns), tuple(map(tuple, rows)), first_line)
