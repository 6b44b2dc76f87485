"""The journal of a quarantine: it comes back as it was written, or is refused."""

import json
import os
from pathlib import Path

import pytest

from mien.data.journal import JOURNAL_NAME, FolderState, Journal, Move, load_journal
from mien.errors import OutputError, SourceNotFoundError

ODD = 'happy/\udcff\n"\\ 😀.jpg'
JOURNAL = Journal(
    Path(os.fsdecode(b"/photos \xfe")),
    {"happy": FolderState(0o2755, 1_700_000_000_123_456_789), "sad": FolderState(0o700, -1)},
    {ODD: Move(ODD, {"empty": "0 bytes"}), "sad/1.jpg": Move("sad/1.jpg", {"exact_duplicate": f"a copy of {ODD}"})},
)


def test_a_journal_comes_back_as_it_was_written(tmp_path: Path) -> None:
    JOURNAL.save(tmp_path)
    assert load_journal(tmp_path) == JOURNAL
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL_NAME]


def test_a_journal_can_be_read_by_people(tmp_path: Path) -> None:
    JOURNAL.save(tmp_path)
    text = (tmp_path / JOURNAL_NAME).read_text("ascii")
    assert '"sad/1.jpg": {' in text and "0 bytes" in text


def test_the_state_of_a_folder_is_that_of_before_the_first_moves(tmp_path: Path) -> None:
    later = {"sad": FolderState(0o755, 5), "third": FolderState(0o755, 6)}
    joined = JOURNAL.with_moves((Move("third/1.jpg", {"empty": ""}),), later)
    assert list(joined.moves) == [*JOURNAL.moves, "third/1.jpg"]
    assert joined.folders == {**JOURNAL.folders, "third": FolderState(0o755, 6)}


def test_half_written_journals_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".journal.123.tmp.json").write_text("{")
    JOURNAL.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL_NAME]


def test_a_journal_that_cannot_be_written_is_an_error_of_output(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        JOURNAL.save(tmp_path / "missing")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "7", '{"format_version": 1}', "[" * 100_000])
def test_what_is_no_journal_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="it has no journal"):
        load_journal(tmp_path)
    (tmp_path / JOURNAL_NAME).write_text(text)
    with pytest.raises(SourceNotFoundError, match="journal"):
        load_journal(tmp_path)


@pytest.mark.parametrize("path", ["../1.jpg", "sad/../../1.jpg", "/etc/passwd", "sad/.ssh/1.jpg", "", "sad/\0"])
def test_a_journal_that_names_a_place_outside_is_refused(path: str, tmp_path: Path) -> None:
    JOURNAL.save(tmp_path)
    for section, entry in (("files", {}), ("folders", {"mode": 0o755, "mtime_ns": 0})):
        document = json.loads((tmp_path / JOURNAL_NAME).read_text())
        document[section][path] = entry
        (tmp_path / JOURNAL_NAME).write_text(json.dumps(document))
        with pytest.raises(SourceNotFoundError, match="is damaged or was edited: it contains"):
            load_journal(tmp_path)
