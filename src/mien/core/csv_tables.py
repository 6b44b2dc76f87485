"""CSV tables: every one that mien writes or reads. No text in a cell is a formula in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

# A spreadsheet takes a cell that begins so for a formula; some begin a cell at a semicolon, a tab or a new line too. An
# apostrophe before it says that it is text. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = r"(?=[=+\-@＝＋－＠'\t]|\r(?!\n))"
_UNMARKED = re.compile(r"(?<![^;\t\r\n])" + _FORMULA)
_MARKED = re.compile(r"(?<![^;\t\r\n])'" + _FORMULA)
# The same in a whole table, where a cell stands behind a comma or a quotation mark too.
_MAY_BE_FORMULA = re.compile(r"[,\";\t\r\n](?:[=+\-@＝＋－＠'\t]|\r(?!\n))")
# Excel takes a file without this mark for one in the system's old encoding, and shows "fâché" as "fÃ¢chÃ©".
BYTE_ORDER_MARK = "\ufeff"
# More at a time, and the garbage collector comes in between.
_NUM_ROWS = 100


def table_text(rows: Iterable[Iterable[object]]) -> str:
    """Return a whole table as CSV; it begins with a byte order mark, which tells a spreadsheet that it is in UTF-8.

    Text that a spreadsheet would take for a formula gets an apostrophe; numbers stay numbers.

    Args:
        rows: The names of the columns first; cells are text, numbers, or None for an empty one.

    Source:
        RFC 4180; OWASP, CSV injection.
    """
    return BYTE_ORDER_MARK + rows_text(rows)


def rows_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as `table_text` writes them, to be added to a table."""
    waiting = iter(rows)
    return "".join(map(_part, iter(lambda: list(islice(waiting, _NUM_ROWS)), [])))


def read_rows(lines: Iterable[str], *, delimiter: str = ",") -> Iterator[list[str]]:
    """Yield the rows that `table_text` was given, all cells as text; tables from elsewhere are read as they are.

    A byte order mark at the start is passed over.

    Args:
        lines: A file that is open with newline="", or its lines.
        delimiter: What divides the cells.

    Raises:
        ValueError: It is no CSV.
    """
    rest = iter(lines)
    first = (line.removeprefix(BYTE_ORDER_MARK) for line in islice(rest, 1))
    try:
        for row in csv.reader(chain(first, rest), delimiter=delimiter, strict=True):
            yield [_MARKED.sub("", cell) for cell in row] if "'" in "".join(row) else row
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from error


def read_records(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the rows below the first by the names that it gives to the columns; empty lines are passed over.

    Args:
        lines: A file that is open with newline="", or its lines.

    Raises:
        ValueError: It is no CSV, or a row has too few or too many cells.
    """
    rows = read_rows(lines)
    columns = next(rows, [])
    for row in filter(None, rows):
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells, and the table {len(columns)} columns")
        yield dict(zip(columns, row, strict=True))


def _part(rows: list[Iterable[object]]) -> str:
    text = _written(rows)
    # One search for all, and not for each cell: few tables hold anything of the kind.
    return _written(map(_marked, rows)) if _MAY_BE_FORMULA.search(f"\n{text}") else text


def _written(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _marked(row: Iterable[object]) -> Iterator[object]:
    return (_UNMARKED.sub("'", cell) if isinstance(cell, str) else cell for cell in row)
