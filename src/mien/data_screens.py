"""What is printed of a folder of pictures: what it holds, what is wrong with it, and what is moved."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.checking import Check
from mien.dataset import PROBLEMS, Dataset
from mien.leaks import name_leaks
from mien.shortcuts import describe_shortcuts
from mien.terminal import OUT, new_table, printable

if TYPE_CHECKING:
    from mien.quarantine import Move


def show_check(found: Check) -> None:
    """Print what a folder holds, what is wrong with it, what gives the labels away, and the leaks."""
    dataset = found.dataset
    table = new_table("no.", "class", "files", "used")
    before, after = dataset.counts(), dataset.counts(used_only=True)
    for number, name in enumerate(dataset.class_names):
        table.add_row(str(number), printable(name), str(before[name]), str(after[name]))
    OUT.print(table)
    _show_problems(dataset)
    groups = dataset.groups()
    if groups:
        num_copies = sum(map(len, groups))
        OUT.print(f"\n{num_copies} pictures are near copies of one another, in {len(groups)} groups.")
    if found.leaks is not None:
        OUT.print(f"\nleaks: trained on by the run, or near copies of that ({len(found.leaks)})")
        for line in name_leaks(found.leaks):
            OUT.print(printable(line))
    if found.shortcuts:
        OUT.print()
        for line in describe_shortcuts(found.shortcuts):
            OUT.print(printable(line))


def _show_problems(dataset: Dataset) -> None:
    found = [(problem, record) for record in dataset.records for problem in record.problems]
    counts = Counter(problem.code for problem, _ in found)
    for code in (code for code in PROBLEMS if counts[code]):
        OUT.print(f"\n{code}: {PROBLEMS[code]} ({counts[code]})")
        rows = [(problem, record) for problem, record in found if problem.code == code]
        for problem, record in rows[:10]:
            use = "still used" if record.used else "left out"
            OUT.print(f"  {printable(record.path)}: {printable(problem.detail)}; {use}")
        if len(rows) > 10:
            OUT.print(f"  and {len(rows) - 10} more (--json lists all)")


def show_moves(moves: Sequence["Move"], what: str) -> None:
    """Print which files were moved, or would be, and why."""
    for move in moves:
        OUT.print(f"{printable(str(move.source))}: {move.reason}")
    OUT.print(f"{what}: {len(moves)} files")
