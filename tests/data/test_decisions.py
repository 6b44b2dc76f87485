"""The journal of decisions: nothing that was said to be done is lost, whatever ends the process."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from mien.data.decisions import DecisionJournal, below, elsewhere, load_decisions
from mien.errors import OutputError, SettingsError

NAMES = [
    "a.jpg",
    'quoted "name".jpg',
    "two\r\nlines.jpg",
    "=formula.jpg",
    "comma, and ;.jpg",
    "caf\udce9.jpg",
    "日本.jpg",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.csv"


def test_what_is_decided_is_what_relabel_takes(path: Path) -> None:
    journal = DecisionJournal(path)
    journal.decide({"a.jpg": "sad", "b.jpg": "leave-out", "c.jpg": "keep"})
    journal.decide({"a.jpg": "happy"})
    assert load_decisions(path) == {"a.jpg": "happy", "b.jpg": "leave-out"} == journal.decisions()
    assert journal.num_decided == 3


def test_a_table_without_a_decision_is_refused_with_what_to_write(path: Path) -> None:
    rows = "path,label,suggested,decision\nhappy/1.jpg,happy,sad,\nsad/1.jpg,sad,happy,"
    path.write_text(f"{rows}\n")
    with pytest.raises(
        SettingsError, match=r"no row of '.*' has a decision yet: write happy, sad, leave-out or keep into"
    ):
        load_decisions(path)
    path.write_text(f"{rows}keep\n")
    assert load_decisions(path) == {}
    path.write_text("path,decision\n1.jpg,\n")
    with pytest.raises(SettingsError, match="write a class, leave-out or keep into"):
        load_decisions(path)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_kind_come_back(path: Path, name: str) -> None:
    DecisionJournal(path).decide({name: "sad"})
    assert load_decisions(path) == {name: "sad"}


def test_undo_takes_back_whole_actions_from_the_last_to_the_first(path: Path) -> None:
    journal = DecisionJournal(path)
    journal.decide({"a.jpg": "sad"})
    journal.decide({"a.jpg": "happy", "b.jpg": "happy"})
    assert journal.undo() == {"a.jpg": "sad", "b.jpg": ""}
    journal.decide({"c.jpg": "sad"})
    assert journal.undo() == {"c.jpg": ""}
    assert journal.undo() == {"a.jpg": ""}
    assert journal.undo() == {} and not journal.can_undo
    assert load_decisions(path) == {}


def test_undo_goes_on_after_a_restart_but_not_before_the_beginning(path: Path) -> None:
    journal = DecisionJournal(path, {"a.jpg": "sad"})
    journal.decide({"b.jpg": "sad"})
    journal.decide({"c.jpg": "sad"})
    journal.undo()
    journal.close()
    again = DecisionJournal(path, {"ignored.jpg": "sad"})
    assert again.undo() == {"b.jpg": ""}
    assert not again.can_undo
    assert again.decisions() == {"a.jpg": "sad"}


def test_what_is_decided_already_is_no_action(path: Path) -> None:
    journal = DecisionJournal(path)
    journal.decide({"a.jpg": "sad"})
    assert journal.decide({"a.jpg": "sad"}) == {}
    journal.undo()
    assert not journal.can_undo


def test_changes_are_told_since_a_revision(path: Path) -> None:
    journal = DecisionJournal(path)
    journal.decide({"a.jpg": "sad"})
    revision = journal.revision
    journal.decide({"b.jpg": "sad"})
    journal.decide({"b.jpg": "happy"})
    assert journal.since(revision) == {"b.jpg": "happy"}
    assert journal.since(journal.revision) == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_was_cut_off_is_dropped_and_the_rest_stays(path: Path, name: str) -> None:
    journal = DecisionJournal(path)
    journal.decide({"first.jpg": "sad"})
    whole = path.read_bytes()
    journal.decide({name: "happy"})
    journal.close()
    content = path.read_bytes()
    for end in range(len(whole), len(content)):
        path.write_bytes(content[:end])
        again = DecisionJournal(path)
        # Only the end of the line may be missing.
        kept = {"first.jpg": "sad"} | ({name: "happy"} if end >= len(content) - 2 else {})
        assert again.decisions() == kept
        again.decide({"next.jpg": "sad"})
        again.close()
        assert load_decisions(path) == {**kept, "next.jpg": "sad"}
        assert again.kept_aside is None


def test_what_another_program_wrote_is_kept_beside(path: Path) -> None:
    written = 'path,decision,action,undoes,note\na.jpg,sad,2,,"mine"\nb.jpg,happy,1,,\na.jpg,happy,1,,'
    path.write_text(written)
    journal = DecisionJournal(path)
    assert journal.decisions() == {"a.jpg": "sad", "b.jpg": "happy"}
    assert journal.kept_aside is not None and journal.kept_aside.read_text() == written
    path.with_name("bad.csv").write_text('path,decision,action,undoes\n"a.jpg,sad,1,\nb.jpg,sad,2,\n')
    damaged = DecisionJournal(path.with_name("bad.csv"))
    assert damaged.kept_aside is not None and "b.jpg" in damaged.kept_aside.read_text()


def test_whole_paths_of_images_in_the_folder_are_those_below_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "data" / "sad" / ".." / "happy" / "a.jpg", tmp_path / "other" / "b.jpg"
    decisions = {str(inside): "sad", str(outside): "happy", "sad/c.jpg": "happy"}
    assert below(tmp_path / "data", decisions) == {"happy/a.jpg": "sad", str(outside): "happy", "sad/c.jpg": "happy"}
    assert elsewhere({str(outside): "leave-out"}) == {}


def test_a_journal_that_a_spreadsheet_saved_goes_on(path: Path) -> None:
    journal = DecisionJournal(path)
    journal.decide({"a.jpg": "sad"})
    journal.close()
    path.write_text("path;decision;action;undoes\na.jpg;sad;1;\nb.jpg;happy;1;\n")
    again = DecisionJournal(path)
    again.decide({"c.jpg": "sad"})
    assert load_decisions(path) == {"a.jpg": "sad", "b.jpg": "happy", "c.jpg": "sad"}


def test_another_file_is_refused_and_stays(path: Path) -> None:
    path.write_text("path,decision\na.jpg,sad\n" * 2)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="not a journal"):
        DecisionJournal(path)
    assert path.read_bytes() == before


def test_a_file_that_another_program_changed_is_not_written_to(path: Path) -> None:
    journal = DecisionJournal(path)
    path.write_text("path,decision,action,undoes\r\n")
    with pytest.raises(OutputError, match="another program"):
        journal.decide({"a.jpg": "sad"})
    assert journal.decision("a.jpg") == ""


def test_a_second_review_of_it_is_refused_while_the_first_is_open(path: Path) -> None:
    journal = DecisionJournal(path)
    with pytest.raises(OutputError, match="another mien"):
        DecisionJournal(path)
    journal.close()
    DecisionJournal(path).close()


def test_on_a_full_disk_nothing_is_decided(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = DecisionJournal(path)
    journal.decide({"a.jpg": "sad"})

    def refuse(_number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(OutputError, match="No space left"):
            journal.decide({"b.jpg": "sad"})
    assert journal.decision("b.jpg") == ""
    journal.decide({"c.jpg": "sad"})
    assert load_decisions(path) == {"a.jpg": "sad", "c.jpg": "sad"}


def test_decisions_of_several_threads_are_all_there(path: Path) -> None:
    journal = DecisionJournal(path)

    def decide(thread: int) -> None:
        for number in range(25):
            journal.decide({f"{thread}-{number}.jpg": "sad"})

    threads = [Thread(target=decide, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_decisions(path)) == 100


def test_a_journal_moves_to_another_file_with_all_that_was_decided(path: Path, tmp_path: Path) -> None:
    journal = DecisionJournal(path)
    journal.decide({"a.jpg": "sad"})
    journal.move_to(tmp_path / "moved.csv")
    journal.decide({"b.jpg": "sad"})
    assert load_decisions(path) == {"a.jpg": "sad"}
    assert load_decisions(tmp_path / "moved.csv") == {"a.jpg": "sad", "b.jpg": "sad"}
    DecisionJournal(path).close()


@pytest.mark.slow
@pytest.mark.medium
def test_twenty_kills_lose_no_decision(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mien.data.decisions import DecisionJournal\n"
        "journal, start = DecisionJournal(Path(sys.argv[1])), int(sys.argv[2])\n"
        "for number in range(start, start + 100_000):\n"
        "    journal.decide({f'{number}.jpg': 'sad'}); print(number, flush=True)\n"
    )
    said: set[int] = set()
    for kill in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(1_000_000 * kill)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            said |= {int(process.stdout.readline()) for _ in range(5 + kill)}
            process.kill()
            said |= {int(line) for line in process.stdout if line.endswith("\n")}
    kept = {int(name.removesuffix(".jpg")) for name in load_decisions(path)}
    assert said <= kept
    assert len(kept - said) <= 20
