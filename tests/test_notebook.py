"""The progress of a notebook, shown by what IPython has for it; `test_notebooks.py` runs it in real ones."""

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mien.notebook import NotebookProgress


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[tuple[str, bool]]:
    """What is shown, and whether it takes the place of what was shown before."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    lines: list[tuple[str, bool]] = []
    shell = InteractiveShell()  # type: ignore[no-untyped-call]

    def publish(data: dict[str, str], *, update: bool = False, **_: Any) -> None:
        lines.append((data["text/plain"], update))

    monkeypatch.setattr(shell.display_pub, "publish", publish)
    monkeypatch.setattr(InteractiveShell, "_instance", shell)
    return lines


def test_one_line_takes_the_place_of_another(shown: list[tuple[str, bool]]) -> None:
    progress = NotebookProgress()
    progress.say("first")
    progress.say("a table\nof two lines\n")
    progress.step("Training", 3, 3, "epoch 1/1")
    assert shown == [("first", False), ("of two lines", True), ("Training 3/3  epoch 1/1", True)]


def test_of_many_steps_few_are_shown_and_the_last_always(shown: list[tuple[str, bool]]) -> None:
    progress = NotebookProgress()
    for done in range(1, 10_001):
        progress.step("Reading", done, 10_000)
    assert len(shown) < 100
    assert shown[-1] == ("Reading 10000/10000", True)


def test_what_could_move_a_cursor_is_written_as_an_escape(shown: list[tuple[str, bool]]) -> None:
    NotebookProgress().say("class \x1b[2J")
    assert shown == [("class \\x1b[2J", False)]
