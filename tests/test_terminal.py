"""The terminal: names cannot move the cursor."""

import pytest

from mien.terminal import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é 😀.jpg", "plain é 😀.jpg"),
        ("a\nb\t\x1b[31m", "a\\nb\\t\\x1b[31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\udcff.jpg", "\\udcff.jpg"),
    ],
)
def test_names_are_shown_without_what_moves_a_cursor(name: str, shown: str) -> None:
    assert printable(name) == shown
