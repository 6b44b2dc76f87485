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
    against: Path | None = None,
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
        End with exit code 3 where one of these is found: unreadable, duplicates, conflicts, shortcuts, leak (with
        commas between).
    against
        Look for what this run was trained on; exit code 3 where a picture, or a near copy, is among it.
    sheet
        Write a picture of samples with their labels to this PNG file.
    """
    from mien.checking import check as check_folder
    from mien.checking import find_gates, refuse
    from mien.data_screens import show_check
    from mien.terminal import TerminalProgress, show_json

    gates = find_gates(fail_on, against=against is not None)
    with TerminalProgress() as progress:
        found = check_folder(folder, config, relabel_path=labels.relabel, against=against, progress=progress)
    show_json(found.to_dict()) if json else show_check(found)
    if sheet:
        from mien.figures import plot_samples, save_figure

        save_figure(plot_samples(found.dataset), sheet)
    refuse(found, gates)


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
