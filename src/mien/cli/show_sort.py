"""What is printed of images that are put into class folders, and of those that are removed again."""

import shlex
from collections import Counter

from mien.cli.show_data import IN_JSON, MAX_LINES
from mien.cli.show_run import percent
from mien.config import Link
from mien.core.terminal import ERR, OUT, new_table, printable, show_json, show_prose
from mien.core.text import counted, first_few
from mien.data.sorted_folder import JOURNAL_NAME, Undone
from mien.jobs.sort import Sorted
from mien.model.prediction import UNSURE

_DONE = {None: "Copied", "hard": "Linked", "symbolic": "Linked"}


def show_sorted(found: Sorted, *, link: Link | None, dry_run: bool, json: bool) -> int:
    """Print how many images went to each folder, which are doubtful and why, and what to do next, or all as JSON.

    Args:
        found: What `sort_images` returned.
        link: Which links were made; None for copies.
        dry_run: Nothing was done.
        json: As one JSON document.

    Returns:
        The exit code: 1 where a file cannot be read, or there is none.
    """
    if json:
        show_json({"put": not dry_run, **found.to_dict()})
    elif found.files:
        _show_folders(found)
        _show_next_step(found, done=_DONE[link], dry_run=dry_run)
    elif found.num_there:
        OUT.print("There is nothing new to sort.")
    if found.num_there and not json:
        OUT.print(f"Sorted before: {counted(found.num_there, 'image')}.")
    for source, error in found.unreadable.items():
        ERR.print(f"cannot be read: {printable(f'{source}: {error}')}")
    is_empty = not (found.files or found.unreadable or found.num_there)
    if is_empty:
        ERR.print("no images found")
    return int(bool(found.unreadable) or is_empty)


def show_undone(undone: Undone, *, json: bool) -> int:
    """Print what was removed, and what was left and why, or both as JSON.

    Returns:
        The exit code: 1 where something was left.
    """
    if json:
        show_json(undone.to_dict())
    else:
        folder = printable(shlex.quote(str(undone.folder)))
        OUT.print(f"Removed {counted(len(undone.removed), 'file')} from {folder}. Originals are never touched.")
        for line in first_few([f"left: {path}: {reason}" for path, reason in undone.left.items()], MAX_LINES):
            OUT.print(printable(line))
        if undone.folder.exists() and not undone.left:
            show_prose(f"What else lies in {folder} did not come from mien, or was moved since, and stays there.")
    return int(bool(undone.left))


def _show_folders(found: Sorted) -> None:
    """Print the number of images in each folder, and the doubtful ones."""
    counts = Counter(file.path.split("/")[0] for file in found.files)
    table = new_table("class", "images")
    for name in filter(counts.get, (*found.class_folders.values(), UNSURE)):
        table.add_row(printable(name), str(counts[name]))
    OUT.print(table)
    doubtful = [f"{f.path}: {f.label} {percent(f.probability)}, {f.reason}" for f in found.files if f.reason]
    for line in first_few(doubtful, MAX_LINES, rest=IN_JSON):
        OUT.print(printable(line))
    if doubtful:
        OUT.print()


def _show_next_step(found: Sorted, *, done: str, dry_run: bool) -> None:
    folder, images = printable(shlex.quote(str(found.folder))), counted(len(found.files), "image")
    if dry_run:
        show_prose(f"Nothing was done. Without --dry-run these {images} would be put into {folder}.")
    else:
        show_prose(f"{done} {images} to {folder}; its {JOURNAL_NAME} says where each is from, and what was answered.")
        show_prose("Look through the folders before you train on them.")
        show_prose(f"To remove what was put there: mien sort --undo {folder}")
    if not found.threshold:
        show_prose("Without a threshold, doubtful answers count like sure ones; --threshold 0.8 puts them into unsure.")
