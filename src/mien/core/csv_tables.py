"""CSV tables: reading and writing, with cells protected from being run as spreadsheet formulas."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice

from mien.core.text import counted

# Spreadsheets treat cells that start like this as formulas; some also start a cell at a semicolon, tab or line break.
# A leading apostrophe marks text. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = r"(?=[=+\-@＝＋－＠'\t]|\r(?!\n))"
_UNMARKED = re.compile(r"(?<![^;\t\r\n])" + _FORMULA)
_MARKED = re.compile(r"(?<![^;\t\r\n])'" + _FORMULA)
# The same for a whole table, where a cell can also start after a comma or a quotation mark.
_MAY_BE_FORMULA = re.compile(r"[,\";\t\r\n](?:[=+\-@＝＋－＠'\t]|\r(?!\n))")
# Without this mark, Excel assumes the system's legacy encoding and shows "fâché" as "fÃ¢chÃ©".
BYTE_ORDER_MARK = "\ufeff"
# With larger batches the garbage collector kicks in.
_NUM_ROWS = 100


def table_text(rows: Iterable[Iterable[object]]) -> str:
    """Return a table as CSV, starting with a byte order mark so that spreadsheets read it as UTF-8.

    Text that a spreadsheet would treat as a formula gets a leading apostrophe; numbers stay numbers.

    Args:
        rows: Column names first. Cells are text, numbers, or None for an empty cell.

    Source:
        RFC 4180; OWASP, CSV injection.
    """
    return "".join(table_parts(rows))


def table_parts(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield the text of `table_text` in parts, for a table that may not fit into memory."""
    yield BYTE_ORDER_MARK
    yield from _parts(rows)


def rows_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows in the format of `table_text`, for appending to a table."""
    return "".join(_parts(rows))


def _parts(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    waiting = iter(rows)
    return map(_part, iter(lambda: list(islice(waiting, _NUM_ROWS)), []))


def prob_cells(probs: Collection[float]) -> list[str]:
    """Return the probabilities of one image as cells, with nine digits.

    They are made to sum to 1 more exactly than float32 does, since scikit-learn warns about rows that don't.
    """
    total = sum(probs) or 1.0
    return [f"{prob / total:.9g}" for prob in probs]


def read_rows(lines: Iterable[str], *, delimiter: str = ",") -> Iterator[list[str]]:
    """Yield the rows of a CSV file as text cells, removing the apostrophes that `table_text` added.

    A byte order mark at the start is ignored.

    Args:
        lines: A file opened with newline="", or its lines.
        delimiter: The cell separator.

    Raises:
        ValueError: It is not valid CSV.
    """
    rest = iter(lines)
    first = (line.removeprefix(BYTE_ORDER_MARK) for line in islice(rest, 1))
    try:
        for row in csv.reader(chain(first, rest), delimiter=delimiter, strict=True):
            yield [_MARKED.sub("", cell) for cell in row] if "'" in "".join(row) else row
    except csv.Error as error:
        raise ValueError(f"not valid CSV: {error}") from error


def read_records(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the rows below the header as dictionaries by column name, skipping empty lines.

    Args:
        lines: A file opened with newline="", or its lines.

    Raises:
        ValueError: It is not valid CSV, or a row has too few or too many cells.
    """
    rows = read_rows(lines)
    columns = next(rows, [])
    for row in filter(None, rows):
        if len(row) != len(columns):
            raise ValueError(
                f"a row has {counted(len(row), 'cell')}, but the table has {counted(len(columns), 'column')}"
            )
        yield dict(zip(columns, row, strict=True))


def _part(rows: list[Iterable[object]]) -> str:
    text = _written(rows)
    # One search for the whole table instead of one per cell: few tables need escaping.
    return _written(map(_marked, rows)) if _MAY_BE_FORMULA.search(f"\n{text}") else text


def _written(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _marked(row: Iterable[object]) -> Iterator[object]:
    return (_UNMARKED.sub("'", cell) if isinstance(cell, str) else cell for cell in row)
