"""The commands on a folder of images: arguments -> one public call -> print."""

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from mien.cli.flags import (
    Cleaning,
    DataPath,
    Fetching,
    Flag,
    Intake,
    Labelling,
    Machines,
    PngPath,
    Reading,
    as_flags,
    cache_dir_of_user,
)
from mien.config import CleanConfig, DecodeConfig, EngineConfig, FetchLimits, IntakeLimits, LabelConfig, ScanConfig
from mien.core import files
from mien.errors import SettingsError

if TYPE_CHECKING:
    from mien.data.quarantine import Plan


def fetch(
    *sources: Annotated[str, Parameter(name="SOURCE")],
    to: Path,
    forget: str = "",
    only: str = "",
    class_level: int | Literal["auto"] = "auto",
    json: Flag = False,
    limits: Annotated[IntakeLimits, Intake] = IntakeLimits(),
    fetch_limits: Annotated[FetchLimits, Fetching] = FetchLimits(),
) -> int:
    """Fetch images into class folders, and write down where each is from. Run it again, and it goes on.

    Exit code 1 where an image is missing. Example: mien fetch happy.txt sad.txt --to data, or:
    mien fetch https://example.org/faces.zip --to data, or: mien fetch --forget https://example.org/me.jpg --to data

    Parameters
    ----------
    sources
        Text files with a URL in a line, named after their class as happy.txt is, or with lines class,url; zip and tar
        archives, as files or URLs, with images in class folders; URLs of git repositories of that kind.
    to
        The folder of class folders, made where it is missing. Its sources.csv says where each image is from.
    forget
        Remove what came from this URL, archive or repository, and its lines in sources.csv.
    only
        Take only these classes from archives and repositories (with commas between): folders of these names, however
        deep.
    class_level
        Which folder on the way to an image in an archive or a repository is its class: 1 the first, 2 the second. auto:
        told by the folders, as mien train does.
    json
        Print one JSON document.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_data import show_intake
    from mien.core.terminal import show_json
    from mien.fetching.intake import take_in

    if bool(sources) == bool(forget):
        raise SettingsError("name at least one SOURCE, such as happy.txt; or --forget URL alone")
    if forget:
        _forget(forget, to, json=json)
        return 0
    classes = [name.strip() for name in only.split(",") if name.strip()]
    with TerminalProgress() as progress:
        made = take_in(
            sources, to, limits, fetch_limits=fetch_limits, only=classes, class_level=class_level, progress=progress
        )
    show_json(made.to_dict()) if json else show_intake(made)
    return 0 if made.is_whole else 1


def _forget(url: str, to: Path, *, json: bool) -> None:
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_data import show_forgotten
    from mien.core.terminal import show_json
    from mien.jobs.forget import forget

    with TerminalProgress() as progress:
        forgotten = forget(url, to, cache_dir=cache_dir_of_user(progress), progress=progress)
    show_json(forgotten.to_dict()) if json else show_forgotten(forgotten)


def check(
    folder: DataPath,
    /,
    *,
    json: Flag = False,
    fail_on: str = "",
    against: Path | None = None,
    sheet: PngPath | None = None,
    decoding: Annotated[DecodeConfig, Reading] = DecodeConfig(),
    config: Annotated[CleanConfig, Cleaning] = CleanConfig(),
    labels: Annotated[LabelConfig, Labelling] = LabelConfig(),
    engine: Annotated[EngineConfig, Machines] = EngineConfig(),
) -> None:
    """Check a folder of images for problems. Changes nothing.

    Example: mien check data --fail-on unreadable,conflicts

    Parameters
    ----------
    folder
        Class folders such as data/happy and data/sad, alone or within those of splits; a folder with a table of labels,
        or such a table; a zip or tar archive of these; or the address of one in a store, such as s3://bucket/data.
    json
        Print one JSON document.
    fail_on
        End with exit code 3 where one of these is found: unreadable, duplicates, conflicts, shortcuts, leak (with
        commas between).
    against
        Look for what this run was trained on; exit code 3 where an image, or a copy, is among it.
    sheet
        Draw a contact sheet as this PNG file: some images of each class, and those that were called copies, side by
        side.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_data import show_check
    from mien.core.engines import using
    from mien.core.terminal import OUT, printable, show_json
    from mien.jobs.check import check as check_folder
    from mien.jobs.check import find_gates, refuse

    gates = find_gates(fail_on, against=against is not None)
    if sheet:
        files.refuse_among(sheet, Path(folder), "--sheet")
    with TerminalProgress() as progress, using(engine, progress):
        found = check_folder(folder, config, labels, decoding=decoding, against=against, progress=progress)
    if json:
        show_json(found.to_dict())
    else:
        show_check(
            found,
            f"mien train {shlex.quote(str(folder))}{as_flags(decoding)}{as_flags(labels)}{_runs_beside(Path(folder))}",
        )
    if sheet:
        from mien.runs.contact_sheets import plot_check

        plot_check(found.dataset).savefig(sheet)
        if not json:
            OUT.print(f"\nThe images are drawn in {printable(str(sheet))}.")
    refuse(found, gates)


def _runs_beside(folder: Path) -> str:
    """Return the flag that a training needs where runs would lie among the images; an empty text where they do not."""
    here, there = Path.cwd().resolve(), folder.resolve()
    return f" --out {Path(os.path.relpath(there.parent)) / 'runs' / 'train'}" if here.is_relative_to(there) else ""


def clean(
    folder: Annotated[Path | None, Parameter(name="DATA")] = None,
    /,
    *,
    to: Path | None = None,
    apply: Flag = False,
    undo: Path | None = None,
    json: Flag = False,
    decoding: Annotated[DecodeConfig, Reading] = DecodeConfig(),
    config: Annotated[CleanConfig, Cleaning] = CleanConfig(),
    labels: Annotated[LabelConfig, Labelling] = LabelConfig(),
) -> None:
    """Move what check would leave out to a quarantine folder, or back. Without --apply it only says what it would move.

    Nothing is deleted. Files are renamed, and a journal in the quarantine says where each came from: --undo brings back
    their bytes, names, times and modes, also after a kill. Of copies the largest stays; --keep chooses another.

    Example: mien clean data --to put-aside --apply, and back again: mien clean --undo put-aside

    Parameters
    ----------
    folder
        A folder as for mien check. With --undo only where that folder is not where it was: the place where it is now.
    to
        The quarantine: a folder outside of DATA, on the same disk; new, empty, or a quarantine of DATA.
    apply
        Move the files.
    undo
        Move everything in this quarantine back to where it was.
    json
        Print one JSON document.
    """
    from mien.cli.show_data import show_quarantine, show_restored
    from mien.core.terminal import show_json
    from mien.data.quarantine import restore

    if undo and not (to or apply):
        plan = restore(undo, folder)
    elif folder and to and not undo:
        plan = _put_aside(folder, to, decoding, config, labels, apply=apply)
    else:
        raise SettingsError("name DATA and --to FOLDER, or --undo FOLDER")
    if json:
        show_json({"moved": apply or bool(undo), **plan.to_dict()})
    else:
        show_restored(plan) if undo else show_quarantine(plan, applied=apply)


def _put_aside(
    folder: Path, to: Path, decoding: DecodeConfig, config: CleanConfig, labels: LabelConfig, *, apply: bool
) -> "Plan":
    from mien.cli.progress_bars import TerminalProgress
    from mien.data.decisions import decisions_of
    from mien.data.quarantine import plan_quarantine, quarantine, refuse_place
    from mien.data.relabelling import clean_as_decided
    from mien.data.scanning import scan

    if not folder.is_dir():
        raise SettingsError(f"{str(folder)!r} is no folder: files can only be moved out of one")
    refuse_place(to, folder)
    decisions = decisions_of(labels)
    with TerminalProgress() as progress:
        scanned = scan(folder, ScanConfig(**asdict(decoding), faces="off"), labels, progress=progress)
        plan = plan_quarantine(clean_as_decided(scanned, config, decisions), to)
    if apply:
        quarantine(plan)
    return plan
