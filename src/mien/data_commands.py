"""The commands on a folder of pictures: arguments -> one public call -> print."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mien.config import CleanConfig
from mien.errors import LeakError, SettingsError
from mien.flags import Cleaning, DataPath, Flag

if TYPE_CHECKING:
    from mien.dataset import Dataset
    from mien.leaks import Leak
    from mien.quarantine import Plan


def check(
    folder: DataPath,
    /,
    *,
    json: Flag = False,
    fail_on: str = "",
    against: Path | None = None,
    sheet: Path | None = None,
    config: Annotated[CleanConfig, Cleaning] = CleanConfig(),
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
        End with exit code 3 where one of these is found: unreadable, duplicates, conflicts (with commas between).
    against
        Compare with what this run was trained on; exit code 3 where a picture, or a near copy, is among it.
    sheet
        Write a picture of samples with their labels to this PNG file.
    """
    from mien.cleaning import clean, find_gates, refuse
    from mien.data_screens import show_check
    from mien.scanning import scan
    from mien.terminal import TerminalProgress, show_json

    gates = find_gates(fail_on)
    with TerminalProgress() as progress:
        dataset = clean(scan(folder, progress=progress), config)
    leaks = _find_leaks(dataset, against, config) if against else None
    if json:
        show_json(dataset.to_dict() | ({} if leaks is None else {"leaks": [asdict(leak) for leak in leaks]}))
    else:
        show_check(dataset, leaks)
    if sheet:
        from mien.figures import plot_samples, save_figure

        save_figure(plot_samples(dataset), sheet)
    refuse(dataset, gates)
    if leaks:
        told = f"{len(leaks)} pictures of {str(folder)!r}, or copies of them, were trained on by {str(against)!r}"
        raise LeakError(f"{told}: do not judge it by them")


def _find_leaks(dataset: "Dataset", against: Path, config: CleanConfig) -> "tuple[Leak, ...]":
    from mien.leaks import find_leaks, load_seen
    from mien.run_folder import run_of

    return find_leaks(dataset.records, load_seen(run_of(against)), config.near_bits)


def clean(
    folder: Annotated[Path | None, Parameter(name="DATA")] = None,
    /,
    *,
    to: Path | None = None,
    apply: Flag = False,
    undo: Path | None = None,
    json: Flag = False,
    config: Annotated[CleanConfig, Cleaning] = CleanConfig(),
) -> None:
    """Move what check would leave out to a quarantine folder, or back. Without --apply it only says what it would move.

    Nothing is deleted. Files are renamed, and a journal in the quarantine says where each came from: --undo brings back
    their bytes, names, times and modes, also after a kill. Of copies the largest stays; --keep chooses another.

    Example: mien clean data --to put-aside --apply, and back again: mien clean --undo put-aside

    Parameters
    ----------
    folder
        One sub-folder per class, such as data/happy and data/sad. With --undo only where that folder is not where it
        was: the place where it is now.
    to
        The quarantine: a folder outside of DATA, on the same disk; new, empty, or a quarantine of DATA.
    apply
        Move the files.
    undo
        Move everything in this quarantine back to where it was.
    json
        Print one JSON document.
    """
    from mien.data_screens import show_quarantine, show_restored
    from mien.quarantine import restore
    from mien.terminal import show_json

    if undo and not (to or apply):
        plan = restore(undo, folder)
    elif folder and to and not undo:
        plan = _put_aside(folder, to, config, apply=apply)
    else:
        raise SettingsError("name DATA and --to FOLDER, or --undo FOLDER")
    if json:
        show_json({"moved": apply or bool(undo), **plan.to_dict()})
    else:
        show_restored(plan) if undo else show_quarantine(plan, applied=apply)


def _put_aside(folder: Path, to: Path, config: CleanConfig, *, apply: bool) -> "Plan":
    from mien.cleaning import clean as clean_dataset
    from mien.quarantine import plan_quarantine, quarantine, refuse_place
    from mien.scanning import scan
    from mien.terminal import TerminalProgress

    refuse_place(to, folder)
    with TerminalProgress() as progress:
        plan = plan_quarantine(clean_dataset(scan(folder, progress=progress), config), to)
    if apply:
        quarantine(plan)
    return plan
