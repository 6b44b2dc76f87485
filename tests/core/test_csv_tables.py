"""CSV tables: read back exactly as they were written, and no cell is a formula, however a spreadsheet divides it."""

import codecs
import csv
import io
import random

import numpy as np
import pytest

from mien.core.csv_tables import prob_cells, read_records, read_rows, rows_text, table_text
from mien.core.probabilities import softmax

FORMULAS = tuple("=+-@＝＋－＠\t\r")
LETTERS = [*FORMULAS, *"'\"`,;\n\r\0 a1é😀\u202e", "\r\n", "\udcff", "\ud800"]


def back(text: str, *, delimiter: str = ",") -> list[list[str]]:
    return list(read_rows(io.StringIO(text, newline=""), delimiter=delimiter))


def random_rows(seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [["".join(rng.choices(LETTERS, k=rng.randrange(7))) for _ in range(4)] for _ in range(3000)]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_stands_in_a_cell_is_read_back_exactly(seed: int) -> None:
    rows = random_rows(seed)
    assert back(table_text(rows)) == rows


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_probabilities_are_read_back_as_what_scikit_learn_takes_without_a_warning(num_classes: int) -> None:
    from sklearn.metrics import log_loss

    logits = np.random.default_rng(num_classes).normal(size=(500, num_classes), scale=3).astype(np.float32)
    probs = softmax(logits)
    found = np.array([prob_cells(row) for row in probs.tolist()], np.float64)
    assert log_loss(np.arange(500) % num_classes, found) > 0
    np.testing.assert_allclose(found, probs, rtol=2e-6)


def test_probabilities_that_are_all_0_are_written_as_they_are() -> None:
    assert prob_cells([0.0, 0.0]) == ["0", "0"]


def test_no_cell_is_a_formula_for_a_spreadsheet() -> None:
    for row in csv.reader(io.StringIO(table_text(random_rows(7)), newline="")):
        for cell in row:
            assert not cell.startswith(FORMULAS) or cell.startswith("\r\n")


@pytest.mark.parametrize("delimiter", ";\t")
def test_nor_for_one_that_begins_cells_elsewhere(delimiter: str) -> None:
    rows = [["a", f"x{mark}{formula}", "b"] for mark in ";\t\n" for formula in ("=1+1", "@SUM(1)", "-rf", "＝1")]
    cells = [cell for row in csv.reader(io.StringIO(table_text(rows)), delimiter=delimiter) for cell in row]
    assert [cell for cell in cells if cell.startswith(FORMULAS)] == []


def test_a_formula_is_found_in_every_place_of_a_table() -> None:
    assert table_text([["=a", "b"], ["c", "=d"]]) == "\ufeff'=a,b\r\nc,'=d\r\n"
    rows = [["plain", "x"]] * 1500 + [["plain", "=1"]] + [["plain", "x"]] * 1500
    assert table_text(rows).count("'") == 1


def test_numbers_stay_numbers() -> None:
    assert table_text([("loss", "change"), (0.25, -1.5), (None, -3)]) == "\ufeffloss,change\r\n0.25,-1.5\r\n,-3\r\n"


@pytest.mark.parametrize("name", ["path", "fâché", "a,b", '"', "\ufeff", "=1"])
def test_the_mark_at_the_start_belongs_to_no_column(name: str) -> None:
    rows = [[name, "label"], ["\ufeff", "x"]]
    text = table_text(rows)
    assert text.encode().startswith(codecs.BOM_UTF8)
    assert back(text) == rows and list(read_records(text.splitlines(keepends=True))) == [{name: "\ufeff", "label": "x"}]


def test_a_table_without_a_mark_is_read_too_and_rows_can_be_added() -> None:
    assert back("path,label\r\na,b\r\n") == [["path", "label"], ["a", "b"]]
    assert back(table_text([["path"]]) + rows_text([["a"], ["=b"]])) == [["path"], ["a"], ["=b"]]
    assert back("") == []


@pytest.mark.parametrize("cell", ["=1+1", "-rf", "@x", "it's", "'", "'quoted'", "plain"])
def test_what_was_written_without_apostrophes_is_read_as_it_is(cell: str) -> None:
    assert back(f"path,label\r\n{cell},{cell}\r\n")[1] == [cell, cell]


def test_rows_are_given_by_the_names_of_the_columns() -> None:
    text = table_text([("path", "=label"), ("a", "'b"), ("c", "d")]) + "\r\n"
    assert list(read_records(io.StringIO(text))) == [{"path": "a", "=label": "'b"}, {"path": "c", "=label": "d"}]
    assert list(read_records([])) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1\n", "a row has 1 cell, but the table has 2 columns"),
        ("a,b\n1,2,3\n", "a row has 3 cells, but the table has 2 columns"),
        ('a,b\n1,"2\n', "not valid CSV: unexpected end of data"),
        ("a\n" + "x" * 200_000, "not valid CSV: field larger than field limit"),
    ],
)
def test_what_is_no_such_table_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(read_records(io.StringIO(text, newline="")))
