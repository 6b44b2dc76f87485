"""The terminal: names cannot move the cursor, and sentences are broken between words."""

import io

import pytest
from rich.console import Console

from mien.core import terminal
from mien.core.terminal import printable, show_prose


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


WORDS = "what may be wrong of all that was found, and what to do about it, look at /a/path/" + "long/" * 12


@pytest.mark.parametrize("width", [40, 80])
def test_sentences_end_between_words_below_where_they_began_and_a_path_stays_whole(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    page = io.StringIO()
    monkeypatch.setattr(
        terminal, "OUT", Console(file=page, force_terminal=True, width=width, soft_wrap=True, highlight=False)
    )
    show_prose(f"\n{WORDS}", head="  file.csv  ")
    head, *lines = page.getvalue().splitlines()
    assert head.strip() == "file.csv" and len(lines) > 1
    assert all(line.startswith(" " * 12 + line.strip()[0]) and len(line) <= width for line in lines[:-1])
    assert " ".join(line.strip() for line in lines) == WORDS


@pytest.mark.parametrize("width", [40, 80])
def test_a_command_at_the_end_of_a_sentence_stays_on_one_line(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    page = io.StringIO()
    console = Console(file=page, force_terminal=True, width=width, soft_wrap=True, highlight=False)
    monkeypatch.setattr(terminal, "OUT", console)
    command = "mien clean 'my photos' --to 'my photos-put-aside'"
    show_prose(f"To move the skipped files out of the folder: {command}")
    show_prose("Next: mien train photos")
    lines = page.getvalue().splitlines()
    assert f"  {command}" in lines and lines[-1] == "Next: mien train photos"


def test_where_no_terminal_reads_a_sentence_stays_on_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    show_prose(WORDS, head="head ")
    assert capfd.readouterr().out == f"head {WORDS}\n"
