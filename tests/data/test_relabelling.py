"""Relabelling: any spreadsheet's CSV is read, checked as a whole, and applied without touching the disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import dataset_of, make_pipe, record
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.decisions import decisions_csv, load_decisions
from mien.data.kept_splits import sides_of
from mien.data.relabelling import relabel, undecided
from mien.data.splitting import split
from mien.errors import SettingsError, SourceNotFoundError, TooFewImagesError

PHASH = "0" * 32


def decisions(tmp_path: Path, content: str | bytes) -> dict[str, str]:
    path = tmp_path / "decisions.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    return load_decisions(path)


def moods(*extra: ImageRecord) -> Dataset:
    return clean(
        dataset_of(*(record(f"{name}/{number}.jpg") for name in ("happy", "sad") for number in range(12)), *extra)
    )


@pytest.mark.parametrize(
    "content",
    [
        "path,decision\nsad/é.jpg,happy\nsad/2.jpg,leave-out\nsad/3.jpg,keep\nsad/4.jpg,\n",
        "path;label;decision\r\nsad/é.jpg;sad; happy \r\nsad/2.jpg;sad;leave-out\r\n",
        "\ufeffpath,decision\r\nsad/é.jpg,happy\r\n\r\n,,\r\nsad/2.jpg,leave-out",
        "path\tdecision\nsad/é.jpg\thappy\nsad/2.jpg\tleave-out\n".encode("utf-16"),
        "Decision,Path\nhappy,sad/é.jpg\nleave-out,sad/2.jpg\n",
        'rank,path,decision\n1,"sad/é.jpg",happy\n2,sad/2.jpg,leave-out\n3,sad/3.jpg\n',
    ],
)
def test_the_tables_that_spreadsheets_save_are_read(tmp_path: Path, content: str | bytes) -> None:
    assert decisions(tmp_path, content) == {"sad/é.jpg": "happy", "sad/2.jpg": "leave-out"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    given = {
        "=cmd/a.jpg": "@happy",
        'sad/"q", x.jpg': "leave-out",
        "sad/line\nbreak.jpg": "happy",
        "sad/\udce9.jpg": "a",
    }
    assert decisions(tmp_path, decisions_csv(given)) == given


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must contain the columns"),
        ("file,class\nsad/1.jpg,happy\n", "must contain the columns"),
        (b"\x89PNG\0\0\0", "not a text file"),
        (b"path,decision\nsad/1.jpg\0,happy\n", "not a text file"),
        ("path,decision\n" + "x" * 200_000 + ",happy\n", "not valid CSV"),
        ("path,decision\nsad/1.jpg,happy\nsad/2.jpg,happy\nsad/1.jpg,keep\n", "more than one row for 'sad/1.jpg'"),
    ],
)
def test_what_is_no_table_of_decisions_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        decisions(tmp_path, content)


@pytest.mark.parametrize(
    ("row", "num_cells"),
    [
        ("2,sad/2.jpg,leave-out,more", 4),
        ("happy", 1),
        ("2", 1),
        ("2,sad/2.jpg,,", 4),
        ("2;sad/2.jpg;leave-out", 1),
    ],
)
def test_a_row_with_too_few_or_too_many_cells_is_named(tmp_path: Path, row: str, num_cells: int) -> None:
    """As an editor leaves them that writes a decision behind the end of its line."""
    with pytest.raises(SettingsError, match=rf"row 4 of .*decisions\.csv' has {num_cells} cells?, .* has 3") as refused:
        decisions(tmp_path, f"rank,path,decision\r\n1,sad/1.jpg,\r\n\r\n{row}\n3,sad/3.jpg,\r\n")
    assert row in str(refused.value)


def test_a_word_alone_is_no_path_of_a_table_of_two_columns(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="row 3 of"):
        decisions(tmp_path, "path,decision\r\nsad/1.jpg,\rkeep\n")


def test_a_quote_that_is_never_closed_swallows_no_decision(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text('path,decision\nhappy/1,"sad\nhappy/2,sad\n')
    with pytest.raises(SettingsError, match="is not valid CSV: unexpected end of data"):
        load_decisions(tmp_path / "odd.csv")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    make_pipe(tmp_path / "pipe.csv")
    with pytest.raises(SourceNotFoundError, match="not a regular file"):
        load_decisions(tmp_path / "pipe.csv")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"gone\.csv"):
        load_decisions(tmp_path / "gone.csv")


def test_all_that_is_unknown_is_reported_together() -> None:
    with pytest.raises(SettingsError, match=r"(?s)'sad/77\.jpg', 'x/1\.jpg'.*'Sad', 'angry'") as refused:
        relabel(moods(), {"sad/77.jpg": "happy", "x/1.jpg": "leave-out", "sad/1.jpg": "angry", "sad/2.jpg": "Sad"})
    assert "'happy', 'sad', 'leave-out', 'keep'" in str(refused.value)


def test_a_path_in_another_encoding_is_hinted_at(tmp_path: Path) -> None:
    given = decisions(tmp_path, "path,decision\nsad/é.jpg,happy\n".encode("cp1252"))
    with pytest.raises(SettingsError, match="save it as UTF-8"):
        relabel(moods(), given)


def test_a_decision_changes_the_label_and_says_from_what() -> None:
    dataset = clean(relabel(moods(), {"sad/1.jpg": "happy", "sad/2.jpg": "leave-out", "sad/3.jpg": "sad"}))
    found = {r.path: r for r in dataset.records}
    assert (found["sad/1.jpg"].label, found["sad/1.jpg"].used) == ("happy", True)
    assert [p.detail for p in found["sad/1.jpg"].problems] == ["relabelled from sad"]
    assert (found["sad/2.jpg"].label, found["sad/2.jpg"].used) == ("sad", False)
    assert found["sad/3.jpg"].problems == ()
    assert dataset.counts(used_only=True) == {"happy": 13, "sad": 10}


@pytest.mark.parametrize(("decision", "used"), [("happy", 1), ("leave-out", 0)])
def test_a_decision_holds_for_copies_under_the_same_label(decision: str, used: int) -> None:
    copies = [record(f"sad/copy{number}.jpg", phash=PHASH, width=number) for number in (300, 400)]
    dataset = clean(relabel(moods(*copies), {"sad/copy300.jpg": decision}))
    records = [r for r in dataset.records if "copy" in r.path]
    assert sum(r.used for r in records) == used
    assert not any(p.code == "conflicting_labels" for r in records for p in r.problems)


@pytest.mark.parametrize("decision", ["happy", "leave-out"])
def test_a_decision_settles_a_conflict(decision: str) -> None:
    dataset = moods(record("sad/twin.jpg", phash=PHASH), record("happy/twin.jpg", phash=PHASH))
    assert not any(r.used for r in dataset.records if "twin" in r.path)
    before = split(dataset)
    settled = split(clean(relabel(before, {"sad/twin.jpg": decision})), sides=sides_of(before.records))
    assert [(r.label, r.split != "") for r in settled.records if "twin" in r.path and r.used] == [("happy", True)]


def test_no_other_image_changes_its_split() -> None:
    before = split(moods())
    one, two = [r.path for r in before.records if r.split == "train" and r.label == "sad"][:2]
    relabelled = clean(relabel(before, {one: "happy", two: "leave-out"}))
    after = split(relabelled, sides=sides_of(before.records))
    changed = [r.path for r, then in zip(after.records, before.records, strict=True) if r.split != then.split]
    assert changed == [two]


def test_a_class_may_not_lose_its_last_image_of_a_split() -> None:
    before = split(moods())
    given = {r.path: "leave-out" for r in before.records if r.split == "test" and r.label == "sad"}
    with pytest.raises(TooFewImagesError, match="test split has no image of class 'sad'"):
        split(clean(relabel(before, given)), sides=sides_of(before.records))


def test_a_class_that_is_named_leave_out_is_refused_nothing() -> None:
    dataset = clean(dataset_of(*(replace(record(f"{name}/1.jpg"), label=name) for name in ("keep", "sad"))))
    assert relabel(dataset, {"sad/1.jpg": "keep"}).counts() == {"keep": 2, "sad": 0}


def test_the_label_of_the_folder_is_found_again_whatever_else_is_wrong_with_the_image() -> None:
    others = (Problem("wrong_extension", ".png, but JPEG"), Problem("label_issue", "looks happy (95%)"))
    for place in range(3):
        problems = [*others]
        problems.insert(place, Problem("relabelled", "relabelled from happy"))
        # A manifest keeps the particulars of all in one cell, and gives them to the first.
        told = "; ".join(problem.detail for problem in problems)
        read = [Problem(problem.code, "" if number else told) for number, problem in enumerate(problems)]
        dataset = dataset_of(record("happy/a.jpg", label="sad", problems=tuple(read)), record("happy/b.jpg"))
        assert [found.label for found in undecided(dataset).records] == ["happy", "happy"]
