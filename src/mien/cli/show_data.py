"""What is printed of a folder of images: what it holds, what is wrong with it, and what is moved."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mien.core.terminal import OUT, new_table, printable, show_prose
from mien.core.text import counted, first_few, shorten
from mien.data.cleaning import describe_losses
from mien.data.dataset import PROBLEMS, Dataset
from mien.data.leaks import name_leaks
from mien.data.shortcuts import describe_shortcuts
from mien.data.subjects import describe_groups
from mien.jobs.check import Check

if TYPE_CHECKING:
    from mien.data.quarantine import Plan
    from mien.fetching.intake import Intake
    from mien.jobs.forget import Forgotten

MAX_LINES = 10
IN_JSON = "more (--json lists all)"


def show_intake(made: "Intake") -> None:
    """Print how many images of each class are new, were there, or are missing, and why."""
    table = new_table("class", "new", "already there", "not stored")
    for name in sorted({*made.new, *made.there, *made.failed}):
        shown = printable(name) or "(in no class folder)"
        table.add_row(shown, *(str(counts[name]) for counts in (made.new, made.there, made.failed)))
    OUT.print(table if table.row_count else "no images found")
    examples: dict[str, str] = {}
    for record in made.failures:
        examples.setdefault(record.status, record.url)
    counts = Counter(record.status for record in made.failures).most_common()
    reasons = [f"{n} {printable(status)}, such as {printable(shorten(examples[status], 200))}" for status, n in counts]
    for line in first_few(reasons, MAX_LINES, rest="other reasons"):
        OUT.print(line)
    for source, reason in made.unusable.items():
        OUT.print(f"{printable(source)}: stopped: {printable(reason)}")
    if made.num_others:
        OUT.print(f"no images, and passed over: {counted(made.num_others, 'file')}")
    show_prose(f"Where each is from: {printable(str(made.log_path))}.")
    if made.unusable or any(not record.is_refused for record in made.failures):
        show_prose("Run the same command again to try what failed.")
    if any(record.is_refused for record in made.failures):
        show_prose("What was refused is not tried again, unless you --forget it first.")


def show_forgotten(forgotten: "Forgotten") -> None:
    """Print what was removed, what stays, and where else to look."""
    for path in forgotten.removed:
        OUT.print(f"removed {printable(path)}")
    for path, urls in forgotten.shared.items():
        OUT.print(f"{printable(path)} stays: it also came from {printable(', '.join(first_few(urls, MAX_LINES)))}")
    for path in forgotten.copies:
        OUT.print(f"{printable(path)} stays: it is a copy of what was removed")
    OUT.print(f"forgotten: {counted(len(forgotten.urls), 'source')}, {counted(len(forgotten.removed), 'image')}")
    show_prose("Take the URL out of your lists too, or it comes back; what was trained with the image still knows it.")


def show_check(found: Check, next_command: str) -> None:
    """Print what a folder holds, what is wrong with it, the leaks, what gives labels away, and what to type next."""
    dataset = found.dataset
    for line in describe_losses(dataset):
        show_prose(f"{printable(line)}\n")
    table = new_table("no.", "class", "files", "used")
    before, after = dataset.counts(), dataset.counts(used_only=True)
    for number, name in enumerate(dataset.class_names):
        table.add_row(str(number), printable(name), str(before[name]), str(after[name]))
    OUT.print(table)
    _show_problems(dataset)
    if not (found.shortcuts or found.leaks or any(record.problems for record in dataset.records)):
        OUT.print("\nNothing was found that is wrong.")
    groups = dataset.groups()
    if groups:
        num_copies = sum(map(len, groups))
        show_prose(f"\n{num_copies} images are copies of one another, in {counted(len(groups), 'set')}.")
    if found.group_by:
        show_prose(f"\n{printable(describe_groups(dataset, found.group_by))}")
    if found.leaks is not None:
        num_files = f"{len(found.leaks)} of {counted(len(dataset.records), 'file')}"
        OUT.print(f"\nleaks: trained on by the run, or copies of that ({num_files})")
        for line in name_leaks(found.leaks):
            OUT.print(printable(line))
    if found.shortcuts:
        OUT.print()
        for line in describe_shortcuts(found.shortcuts):
            show_prose(printable(line))
    usable = f"{len(dataset.indexes()):,} of {counted(len(dataset.records), 'file')} are usable"
    if found.too_few:
        OUT.print(f"\n{usable}, and that is too few to train on:")
        show_prose(printable(found.too_few, keep_lines=True))
    else:
        OUT.print(f"\n{usable}. Next: {printable(next_command)}")


def _show_problems(dataset: Dataset) -> None:
    found: dict[str, list[str]] = {}
    for record in dataset.records:
        use = "still used" if record.used else "left out"
        for problem in record.problems:
            line = f"{printable(record.path)}: {printable(problem.detail)}; {use}"
            found.setdefault(problem.code, []).append(line)
    _show_by_problem(found)


def _show_by_problem(lines: Mapping[str, Sequence[str]]) -> None:
    for code in (code for code in PROBLEMS if code in lines):
        OUT.print(f"\n{code}: {PROBLEMS[code]} ({len(lines[code])})")
        for line in first_few(lines[code], MAX_LINES, rest=IN_JSON):
            OUT.print(f"  {line}")


def show_quarantine(plan: "Plan", *, applied: bool) -> None:
    """Print which files were moved aside, or would be, by the reason, and what to do next."""
    found: dict[str, list[str]] = {}
    for move in plan.moves:
        # Of several problems, the last is the one for which it is not used.
        code = list(move.problems)[-1]
        found.setdefault(code, []).append(f"{printable(move.path)}: {printable(move.problems[code])}")
    _show_by_problem(found)
    left = [f"\nleft where it is: {printable(path)}: {reason}" for path, reason in plan.left.items()]
    for line in first_few(left, MAX_LINES, rest=IN_JSON):
        OUT.print(line)
    folder, files = printable(shlex.quote(str(plan.folder))), _counted(len(plan.moves))
    if not plan.moves:
        show_prose("\nThere is nothing to move.")
    elif applied:
        show_prose(f"\nMoved {files} to {folder}. To bring them back: mien clean --undo {folder}")
    else:
        back = f"mien clean --undo {folder}"
        show_prose(f"\nNothing was moved. --apply would move {files} to {folder}, and {back} brings them back.")


def show_restored(plan: "Plan") -> None:
    """Print what was moved back, and whether something is left in the quarantine."""
    OUT.print(f"Moved {_counted(len(plan.moves))} back to {printable(str(plan.root))}.")
    if plan.folder.exists():
        show_prose(f"What else lies in {printable(str(plan.folder))} did not come from mien, and stays there.")


def _counted(num_files: int) -> str:
    return f"{num_files} file{'s' * (num_files != 1)}"
