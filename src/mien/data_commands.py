"""The commands on a folder of pictures: arguments -> one public call -> print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mien.config import CleanConfig, LabelConfig
from mien.errors import SettingsError
from mien.flags import Cleaning, DataPath, Flag, Labelling

if TYPE_CHECKING:
    from mien.quarantine import Move


def check(
    folder: DataPath,
    /,
    *,
    json: Flag = False,
    fail_on: str = "",
    sheet: Path | None = None,
    config: Annotated[CleanConfig, Cleaning] = CleanConfig(),
    labels: Annotated[LabelConfig, Labelling] = LabelConfig(),
) -> None:
    """Say what a folder of class folders holds, and what is wrong with it. Changes nothing.

    Example: mien check data --fail-on unreadable,conflicts

    Parameters
    ----------
    folder
        One sub-folder per class, such as data/happy and data/sad.
    json
        Print one JSON document.
    fail_on
        End with exit code 3 where one of these is found: unreadable, duplicates, conflicts, shortcuts (with commas
        between).
    sheet
        Write a picture of samples with their labels to this PNG file.
    """
    from mien.cleaning import clean, find_gates, refuse
    from mien.data_screens import show_check
    from mien.relabelling import load_decisions, relabel
    from mien.scanning import scan
    from mien.shortcuts import find_shortcuts
    from mien.terminal import TerminalProgress, show_json

    gates, decisions = find_gates(fail_on), load_decisions(labels.relabel) if labels.relabel else {}
    with TerminalProgress() as progress:
        dataset = clean(scan(folder, progress=progress), config)
    if decisions:
        dataset = clean(relabel(dataset, decisions), config)
    shortcuts = find_shortcuts(dataset)
    if json:
        show_json(dataset.to_dict() | {"shortcuts": [shortcut.to_dict() for shortcut in shortcuts]})
    else:
        show_check(dataset, shortcuts)
    if sheet:
        from mien.figures import plot_samples, save_figure

        save_figure(plot_samples(dataset), sheet)
    refuse(dataset, gates, num_shortcuts=len(shortcuts))


def clean(
    folder: Annotated[Path | None, Parameter(name="DATA")] = None,
    /,
    *,
    to: Path | None = None,
    apply: Flag = False,
    undo: Path | None = None,
    config: Annotated[CleanConfig, Cleaning] = CleanConfig(),
) -> None:
    """Move what check would leave out to a quarantine folder, or back. Without --apply it only says what it would move.

    Example: mien clean data --to put-aside --apply, and back again: mien clean --undo put-aside

    Parameters
    ----------
    folder
        One sub-folder per class, such as data/happy and data/sad.
    to
        The quarantine: a folder outside of DATA, on the same disk.
    apply
        Move the files.
    undo
        Move everything in this quarantine back to where it was.
    """
    from mien.data_screens import show_moves

    if undo and not (folder or to or apply):
        from mien.quarantine import restore

        show_moves(restore(undo), "moved back")
    elif folder and to and not undo:
        show_moves(_put_aside(folder, to, config, apply=apply), "moved" if apply else "would move (--apply does it)")
    else:
        raise SettingsError("name DATA and --to FOLDER, or --undo FOLDER alone")


def _put_aside(folder: Path, to: Path, config: CleanConfig, *, apply: bool) -> "list[Move]":
    from mien.cleaning import clean as clean_dataset
    from mien.quarantine import plan_quarantine, quarantine
    from mien.scanning import scan
    from mien.terminal import TerminalProgress

    with TerminalProgress() as progress:
        moves = plan_quarantine(clean_dataset(scan(folder, progress=progress), config), to)
    if apply:
        quarantine(moves, to)
    return moves
