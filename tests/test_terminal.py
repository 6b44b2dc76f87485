"""The terminal: names cannot move the cursor, and a long job without a terminal still says where it is."""

import pytest

from mien.terminal import TerminalProgress, printable


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


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr("mien.terminal.time.monotonic", lambda: now)
    with TerminalProgress() as progress:
        for done in range(1, 31):
            now += 1
            progress.step("Reading", done, 30)
    assert capfd.readouterr().err.splitlines() == ["Reading 11/30", "Reading 22/30"]
