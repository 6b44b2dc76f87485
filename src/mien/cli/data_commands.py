"""The commands on a folder of images: arguments -> one public call -> print."""

import os
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
from mien.core.text import as_typed
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
    """Download images into class folders, and record where each came from.

    Run it again to resume or update. Exits with 1 if any image is missing.

    Example: mien fetch happy.txt sad.txt --to data, or: mien fetch https://example.org/faces.zip --to data

    Parameters
    ----------
    sources
        Text files with one URL per line, named after their class (happy.txt), or with lines class,url; zip or
        tar archives, as files or URLs, with one folder per class; URLs of git repositories laid out like that.
    to
        Folder for the class folders; created if needed. Its sources.csv records where each image came from.
    forget
        Delete everything that came from this URL, archive or repository, including its lines in sources.csv.
    only
        Take only these classes (comma-separated) from archives and repositories: folders with these names, at
        any depth.
    class_level
        Which folder in the path to an image, in an archive or a repository, is its class: 1 is the first, 2 the
        second. auto: found from the folders, as in mien train.
    json
        Print one JSON document.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_data import show_intake
    from mien.core.terminal import show_json
    from mien.fetching.intake import take_in

    if bool(sources) == bool(forget):
        raise SettingsError("expected at least one SOURCE, such as happy.txt; or --forget URL without one")
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

    Finds damaged files, copies, conflicting labels, leaks between splits, and shortcuts that would let a classifier
    cheat.

    Example: mien check data --fail-on unreadable,conflicts

    Parameters
    ----------
    folder
        A folder with one subfolder per class, such as data/happy and data/sad; or with train, val and test
        folders that hold these; a folder with a table of labels, or the table; a zip or tar archive; or an
        address such as s3://bucket/data.
    json
        Print one JSON document.
    fail_on
        Exit with 3 if one of these is found (comma-separated): unreadable, duplicates, conflicts, shortcuts,
        leak.
    against
        Look for images that this run was trained on, or copies of them; exit with 3 if there are any.
    sheet
        Draw a contact sheet to this PNG file: sample images of each class, and copies side by side. An existing
        file is replaced.
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
        typed = f"{as_typed(folder)}{as_flags(decoding)}{as_flags(config)}{as_flags(labels)}"
        put_aside = f"mien clean {typed} --to {_beside(folder)}" if Path(folder).is_dir() else ""
        next_command = f"mien train {typed}{_runs_beside(Path(folder))}"
        if against:
            next_command = f"mien evaluate {as_typed(against)} {typed}{' --leave-out-seen' * bool(found.leaks)}"
        show_check(found, put_aside, next_command)
    if sheet:
        from mien.runs.contact_sheets import plot_check

        plot_check(found.dataset).savefig(sheet)
        if not json:
            OUT.print(f"\nThe images are drawn in {printable(str(sheet))}.")
    refuse(found, gates)


def _beside(folder: str | Path) -> str:
    """Return a folder next to a folder of images for those to put aside."""
    named = Path(folder) if Path(folder).name not in ("", "..") else Path(folder).resolve()
    return as_typed(named.with_name(f"{named.name}-put-aside"))


def _runs_beside(folder: Path) -> str:
    """Return the flag that a training needs where runs would lie among the images; an empty text where they do not."""
    here, there = Path.cwd().resolve(), folder.resolve()
    out = as_typed(Path(os.path.relpath(there.parent), "runs", "train"))
    return f" --out {out}" if here.is_relative_to(there) else ""


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
    """Move bad files and copies to a quarantine folder, or move them back. A dry run unless you add --apply.

    Nothing is deleted. Files are renamed, and a journal records where each came from, so --undo restores every
    byte, name, time and permission, even after a crash. The largest of a set of copies stays; choose otherwise with
    --keep.

    Example: mien clean data --to put-aside --apply, or: mien clean --undo put-aside

    Parameters
    ----------
    folder
        A folder of labelled images, as for mien check. With --undo, only needed if the folder has moved: where
        it is now.
    to
        Quarantine folder, outside DATA and on the same disk: new, empty, or an earlier quarantine of DATA.
    apply
        Really move the files.
    undo
        Move everything in this quarantine folder back.
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
        raise SettingsError("expected DATA and --to FOLDER, or --undo FOLDER")
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
        raise SettingsError(f"{str(folder)!r} is not a folder")
    refuse_place(to, folder)
    decisions = decisions_of(labels)
    with TerminalProgress() as progress:
        scanned = scan(folder, ScanConfig(**asdict(decoding), faces="off"), labels, progress=progress)
        plan = plan_quarantine(clean_as_decided(scanned, config, decisions), to)
    if apply:
        quarantine(plan)
    return plan
