"""Checking: what was found is told, and every gate refuses what it is for."""

from pathlib import Path

import pytest

from conftest import dataset_of, record
from mien.core.scores import wilson_score
from mien.data.dataset import PROBLEMS, ImageRecord, Problem
from mien.data.leaks import Leak
from mien.data.shortcuts import Shortcut
from mien.errors import GateError, LeakError, SettingsError
from mien.jobs.check import GATES, Check, check, find_gates, refuse


def a_bad(code: str) -> ImageRecord:
    return record(f"sad/{code}", problems=(Problem(code, ""),))


def test_every_gate_refuses_what_it_is_for_and_nothing_else() -> None:
    assert set().union(*GATES.values()) <= set(PROBLEMS)
    for gate, refused in GATES.items():
        for code in PROBLEMS:
            dataset = dataset_of(record("happy/1"), a_bad(code))
            if code in refused:
                with pytest.raises(GateError, match=rf"'moods' has {gate} \(1 file\)"):
                    refuse(Check(dataset, (), None), [gate])
            else:
                refuse(Check(dataset, (), None), [gate])


def test_a_refusal_counts_everything_that_was_found() -> None:
    dataset = dataset_of(a_bad("empty"), a_bad("unreadable"), a_bad("near_duplicate"), a_bad("too_few_bytes"))
    with pytest.raises(GateError, match=r"unreadable \(2 files\), duplicates \(1 file\)$"):
        refuse(Check(dataset, (), None), list(GATES))
    refuse(Check(dataset, (), None), ["conflicts"])
    refuse(Check(dataset, (), None), [])


def test_gates_are_named_with_commas_between() -> None:
    assert find_gates("") == ()
    assert find_gates("unreadable, conflicts") == ("unreadable", "conflicts")
    with pytest.raises(SettingsError, match=r"unknown gate 'conflict'\. Use some of unreadable, duplicates, conflicts"):
        find_gates("unreadable,conflict")


def test_a_gate_for_leaks_needs_a_run_and_a_run_is_a_gate() -> None:
    with pytest.raises(SettingsError, match="--against RUN"):
        find_gates("leak")
    assert find_gates("conflicts", against=True) == ("conflicts", "leak")
    assert find_gates("leak", against=True) == ("leak",)


def test_what_is_of_the_folder_as_a_whole_is_refused_too() -> None:
    half = wilson_score(15, 30)
    shortcut = Shortcut("file size", wilson_score(27, 30), half, "sad", "sad images are smaller files")
    found = Check(dataset_of(record("happy/1")), (shortcut,), (Leak("happy/1", "happy/2", "near copy", 3),))
    with pytest.raises(GateError, match=r"has shortcuts \(1 found\)$"):
        refuse(found, ["shortcuts", "conflicts"])
    with pytest.raises(LeakError, match=r"leak \(1 training images of the run, or copies of them\)"):
        refuse(found, ["leak"])
    refuse(found, ["conflicts"])


def test_a_folder_is_told_of_as_json(data: Path) -> None:
    found = check(data).to_dict()
    assert (found["num_files"], found["shortcuts"]) == (24, [])
    assert "leaks" not in found
