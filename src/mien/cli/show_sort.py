"""Printing about images sorted into class folders, and about undoing that."""

from collections import Counter

from mien.cli.show_data import IN_JSON, MAX_LINES
from mien.config import Link
from mien.core.terminal import ERR, OUT, new_table, printable, show_json, show_prose
from mien.core.text import as_percent, as_typed, counted, first_few
from mien.data.sorted_folder import JOURNAL_NAME, Undone
from mien.jobs.sort import Sorted
from mien.model.prediction import UNSURE

_DONE = {None: "Copied", "hard": "Linked", "symbolic": "Linked"}


def show_sorted(found: Sorted, *, link: Link | None, dry_run: bool, json: bool) -> int:
    """Print how many images went to each folder, the doubtful ones and why, and what to do next, or all as JSON.

    Args:
        found: Result of `sort_images`.
        link: The kind of links made, or None for copies.
        dry_run: Whether it was a dry run.
        json: Print one JSON document.

    Returns:
        The exit code: 1 if a file could not be read, or there are none.
    """
    if json:
        show_json({"put": not dry_run, **found.to_dict()})
    elif found.files:
        _show_folders(found)
        _show_next_step(found, done=_DONE[link], dry_run=dry_run)
    elif found.num_there:
        OUT.print("Nothing new to sort.")
    if found.num_there and not json:
        OUT.print(f"Already sorted: {counted(found.num_there, 'image')}.")
    for source, error in found.unreadable.items():
        ERR.print(f"cannot read {printable(f'{source}: {error}')}")
    is_empty = not (found.files or found.unreadable or found.num_there)
    if is_empty:
        ERR.print("no images found")
    return int(bool(found.unreadable) or is_empty)


def show_undone(undone: Undone, *, json: bool) -> int:
    """Print what was removed, and what was kept and why, or both as JSON.

    Returns:
        The exit code: 1 if anything was kept.
    """
    if json:
        show_json(undone.to_dict())
    else:
        folder = as_typed(undone.folder)
        OUT.print(f"Removed {counted(len(undone.removed), 'file')} from {folder}. The originals are untouched.")
        for line in first_few([f"kept {path}: {reason}" for path, reason in undone.left.items()], MAX_LINES):
            OUT.print(printable(line))
        if undone.folder.exists() and not undone.left:
            show_prose(f"{folder} still contains files that mien did not put there, or that were moved. They stay.")
    return int(bool(undone.left))


def _show_folders(found: Sorted) -> None:
    """Print the number of images in each folder, and the doubtful images."""
    counts = Counter(file.path.split("/")[0] for file in found.files)
    table = new_table("class", "images")
    for name in filter(counts.get, (*found.class_folders.values(), UNSURE)):
        table.add_row(printable(name), str(counts[name]))
    OUT.print(table)
    doubtful = [f"{f.path}: {f.label} {as_percent(f.probability)}, {f.reason}" for f in found.files if f.reason]
    for line in first_few(doubtful, MAX_LINES, rest=IN_JSON):
        OUT.print(printable(line))
    if doubtful:
        OUT.print()


def _show_next_step(found: Sorted, *, done: str, dry_run: bool) -> None:
    folder, images = as_typed(found.folder), counted(len(found.files), "image")
    if dry_run:
        show_prose(f"Dry run: nothing was done. Without --dry-run, {images} would go to {folder}.")
    else:
        show_prose(f"{done} {images} to {folder}. {JOURNAL_NAME} in it lists the source and prediction of each.")
        show_prose("Look through the folders before you train on them.")
        show_prose(f"To undo: mien sort --undo {folder}")
    if not found.threshold:
        show_prose("No threshold was set, so doubtful images were sorted too. --threshold 0.8 puts them into unsure.")
