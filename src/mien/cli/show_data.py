"""Printing about a folder of images: its content and problems, and files fetched, forgotten or moved."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mien.core.terminal import OUT, new_table, printable, show_prose
from mien.core.text import as_typed, counted, first_few, shorten
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
_LEAKED = "in the run's training data, or copies of it"
IN_JSON = "more (add --json for all)"


def show_intake(made: "Intake") -> None:
    """Print how many images of each class are new, existed, or are missing, and why."""
    table = new_table("class", "new", "already there", "not stored")
    for name in sorted({*made.new, *made.there, *made.failed}):
        shown = printable(name) or "(in no class folder)"
        table.add_row(shown, *(str(counts[name]) for counts in (made.new, made.there, made.failed)))
    OUT.print(table if table.row_count else "no images found")
    examples: dict[str, str] = {}
    for record in made.failures:
        examples.setdefault(record.status, record.url)
    counts = Counter(record.status for record in made.failures).most_common()
    reasons = [f"{n} {printable(status)} (e.g. {printable(shorten(examples[status], 200))})" for status, n in counts]
    for line in first_few(reasons, MAX_LINES, rest="other reasons"):
        OUT.print(line)
    for source, reason in made.unusable.items():
        OUT.print(f"{printable(source)}: stopped: {printable(reason)}")
    if made.num_others:
        OUT.print(f"skipped because not an image: {counted(made.num_others, 'file')}")
    show_prose(f"The source of each image is in {printable(str(made.log_path))}.")
    if made.unusable or any(not record.is_refused for record in made.failures):
        show_prose("To retry what failed, run the same command again.")
    if any(record.is_refused for record in made.failures):
        show_prose("What was refused is not retried unless you --forget it first.")


def show_forgotten(forgotten: "Forgotten") -> None:
    """Print what was removed, what was kept, and what else to do."""
    for path in forgotten.removed:
        OUT.print(f"removed {printable(path)}")
    for path, urls in forgotten.shared.items():
        OUT.print(f"kept {printable(path)}: it also came from {printable(', '.join(first_few(urls, MAX_LINES)))}")
    for path in forgotten.copies:
        OUT.print(f"kept {printable(path)}: it is a copy of a removed image")
    OUT.print(f"forgot {counted(len(forgotten.urls), 'source')} and removed {counted(len(forgotten.removed), 'image')}")
    show_prose("Remove the URL from your lists too, or it will be fetched again. Models trained on it still know it.")


def show_check(found: Check, put_aside: str, next_command: str) -> None:
    """Print how many files are usable and the worst problem, then the details, then the next command.

    Args:
        found: What `check` returned.
        put_aside: The command that moves skipped files out of the folder, or "".
        next_command: The command to go on with.
    """
    dataset = found.dataset
    usable = f"{len(dataset.indexes()):,} of {counted(len(dataset.records), 'file')} are usable"
    show_prose(printable(f"{usable}. {_worst_problem(found)}", keep_lines=True))
    _show_classes(dataset)
    _show_problems(dataset)
    groups = dataset.groups()
    if groups:
        OUT.print(f"\nCopies: {counted(sum(map(len, groups)), 'image')} in {counted(len(groups), 'set')}.")
    if found.group_by:
        show_prose(f"\n{printable(describe_groups(dataset, found.group_by))}")
    if found.leaks is not None:
        OUT.print(f"\nleaks: {_LEAKED} ({len(found.leaks)} of {counted(len(dataset.records), 'file')})")
        for line in name_leaks(found.leaks):
            show_prose(printable(line))
    if found.shortcuts:
        OUT.print()
        for line in describe_shortcuts(found.shortcuts):
            show_prose(printable(line))
    if put_aside and not all(record.used for record in dataset.records):
        show_prose(f"\nTo move the skipped files out of the folder: {printable(put_aside)}")
    OUT.print("\nNot ready to train: see the first lines." if found.too_few else f"\nNext: {printable(next_command)}")


def _worst_problem(found: Check) -> str:
    """Return what a user must know first: why it cannot be trained on, or else what is most wrong."""
    dataset = found.dataset
    has_problems = any(record.problems for record in dataset.records) or found.leaks or found.shortcuts
    if found.too_few:
        return f"{'That' if has_problems else 'No problems found, but that'} is too few to train:\n{found.too_few}"
    if not has_problems:
        return "No problems found."
    if losses := describe_losses(dataset):
        return "\n".join(losses)
    if found.leaks:
        return f"{counted(len(found.leaks), 'file')} must not be used to judge the run: {_LEAKED}."
    if found.shortcuts:
        return "But a model could cheat: see the shortcut below."
    skipped = [record for record in dataset.records if not record.used]
    counts = Counter(record.problems[-1].code for record in skipped or dataset.records if record.problems)
    ((code, count),) = counts.most_common(1)
    return f"Main problem: {PROBLEMS[code]} ({counted(count, 'file')})."


def _show_classes(dataset: Dataset) -> None:
    table = new_table("no.", "class", "files", "used")
    before, after = dataset.counts(), dataset.counts(used_only=True)
    for number, name in enumerate(dataset.class_names):
        table.add_row(str(number), printable(name), str(before[name]), str(after[name]))
    OUT.print(table)


def _show_problems(dataset: Dataset) -> None:
    found: dict[str, list[str]] = {}
    for record in dataset.records:
        use = "still used" if record.used else "skipped"
        for problem in record.problems:
            line = f"{printable(record.path)}: {printable(problem.detail)} ({use})"
            found.setdefault(problem.code, []).append(line)
    _show_by_problem(found)


def _show_by_problem(lines: Mapping[str, Sequence[str]]) -> None:
    for code in (code for code in PROBLEMS if code in lines):
        OUT.print(f"\n{code}: {PROBLEMS[code]} ({len(lines[code])})")
        for line in first_few(lines[code], MAX_LINES, rest=IN_JSON):
            show_prose(line, head="  ")


def show_quarantine(plan: "Plan", *, applied: bool) -> None:
    """Print which files were moved or would be, by problem, and what to do next."""
    found: dict[str, list[str]] = {}
    for move in plan.moves:
        # The last of several problems is the reason why it is not used.
        code = list(move.problems)[-1]
        found.setdefault(code, []).append(f"{printable(move.path)}: {printable(move.problems[code])}")
    _show_by_problem(found)
    left = [f"\nnot moved: {printable(path)}: {reason}" for path, reason in plan.left.items()]
    for line in first_few(left, MAX_LINES, rest=IN_JSON):
        OUT.print(line)
    folder, files = as_typed(plan.folder), counted(len(plan.moves), "file")
    undo = f"mien clean --undo {folder}"
    if not plan.moves:
        show_prose("\nNothing to move.")
    elif applied:
        show_prose(f"\nMoved {files} to {folder}. To undo: {undo}")
    else:
        show_prose(f"\nDry run: nothing was moved. Add --apply to move {files} to {folder}. To undo it then: {undo}")


def show_restored(plan: "Plan") -> None:
    """Print what was moved back, and whether anything is left in the quarantine folder."""
    OUT.print(f"Moved {counted(len(plan.moves), 'file')} back to {printable(str(plan.root))}.")
    if plan.folder.exists():
        show_prose(f"{printable(str(plan.folder))} still contains files that mien did not put there. They stay.")
