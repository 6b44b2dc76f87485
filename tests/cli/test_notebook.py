"""The progress of a notebook, shown by what IPython has for it; `test_notebooks.py` runs it in real ones."""

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mien.cli.notebook import NotebookProgress
from mien.core.progress import Epoch, Progress


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
    progress: Progress = NotebookProgress()
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


def test_the_epochs_stay_above_the_line(shown: list[tuple[str, bool]]) -> None:
    progress = NotebookProgress()
    history = (Epoch(1, 0.7, 0.5, 0.61, 0.55, 2.0), Epoch(2, 0.6, 0.7, 0.72, 0.5, 2.0))
    progress.epoch(history[:1], 9)
    progress.epoch(history, 9)
    progress.say("saving")
    *table, line = shown[-1][0].splitlines()
    assert line == "saving"
    assert [row.split()[0] for row in table[-2:]] == ["1", "2"]
    assert "best" in table[-2]
    assert "0.720" in table[-1]
    assert [update for _, update in shown] == [False, True, True]
