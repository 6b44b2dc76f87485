"""The command line: arguments -> one public call -> print."""

import logging
import os
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from mien import __version__
from mien.config import AugmentConfig, BackboneConfig, CleanConfig, FitConfig, ScanConfig, SplitConfig, TrainConfig
from mien.errors import GateError, MienError, SettingsError, UserError
from mien.fetching import FetchLimits
from mien.flags import (
    Augmentation,
    Cleaning,
    Fetching,
    Pretrained,
    Reading,
    Splitting,
    Training,
    fill_in_settings,
    spelled_out,
)

if TYPE_CHECKING:
    from mien.quarantine import Move

DataPath = Annotated[Path, Parameter(name="DATA")]
RunPath = Annotated[Path, Parameter(name="RUN")]
Flag = Annotated[bool, Parameter(negative="")]

app = App(
    name="mien",
    help="Turn a folder of photos into a classifier you can trust. Start with: mien demo",
    version=__version__,
    config=fill_in_settings,
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command(help="Install completion for this shell.")


@app.command
def demo(*, folder: Path = Path("mien-demo")) -> None:
    """Draw happy and sad people, train on them in two ways, and judge pictures drawn apart. Needs no photos.

    Example: mien demo

    Parameters
    ----------
    folder
        Where everything is put; a second run uses what is there.
    """
    from mien.demo import run_demo
    from mien.terminal import TerminalProgress, show_demo

    with TerminalProgress() as progress:
        made = run_demo(folder, progress=progress)
    show_demo(made)


@app.command
def check(
    folder: DataPath,
    /,
    *,
    json: Flag = False,
    fail_on: str = "",
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
    sheet
        Write a picture of samples with their labels to this PNG file.
    """
    from mien.cleaning import clean, find_gates, refuse
    from mien.scanning import scan
    from mien.terminal import TerminalProgress, show_check, show_json

    gates = find_gates(fail_on)
    with TerminalProgress() as progress:
        dataset = clean(scan(folder, progress=progress), config)
    show_json(dataset.to_dict()) if json else show_check(dataset)
    if sheet:
        from mien.figures import plot_samples, save_figure

        save_figure(plot_samples(dataset), sheet)
    refuse(dataset, gates)


@app.command
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
    from mien.terminal import show_moves

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


@app.command
def train(
    folder: DataPath,
    /,
    *,
    preset: str = TrainConfig.preset,
    out: Path | None = None,
    resume: Flag = False,
    config: Path | None = None,
    save_h5: Flag = False,
    cache_dir: Path | None = None,
    scan: Annotated[ScanConfig, Reading] = ScanConfig(),
    clean: Annotated[CleanConfig, Cleaning] = CleanConfig(),
    split: Annotated[SplitConfig, Splitting] = SplitConfig(),
    backbone: Annotated[BackboneConfig, Pretrained] = BackboneConfig(),
    fit: Annotated[FitConfig, Training] = FitConfig(),
    augment: Annotated[AugmentConfig, Augmentation] = AugmentConfig(),
) -> None:
    """Train a classifier on a folder of class folders, and measure it honestly.

    Example: mien train data, or: mien train data --preset classic --epochs 30 --augment

    Parameters
    ----------
    folder
        One sub-folder per class, such as data/happy and data/sad. Nothing in it is changed.
    preset
        Settings to begin with. fast: a linear head on the features of a pretrained network; seconds. best: that network
        trained on as well; minutes. classic: the tutorial's network; leaves out files under 10240 bytes.
    out
        The run folder; by default the first free one of runs/train, runs/train2, ...
    resume
        Go on with a run that was cut off: the one in --out, or the newest unfinished one in runs/.
    config
        Begin with the settings of an earlier run: its config.json.
    save_h5
        Write model.h5 too (presets best and classic, whose networks are Keras').
    cache_dir
        Where the features of pictures are kept, so that a second training need not make them again; by default in
        the folder that this system has for caches.
    """
    from mien.pipeline import train as train_folder
    from mien.terminal import TerminalProgress, show_run

    settings = TrainConfig(preset, scan, clean, split, backbone, fit, augment)
    cache_dir = cache_dir or user_cache_dir()
    with TerminalProgress() as progress:
        run = train_folder(
            folder, settings, out=out, resume=resume, save_h5=save_h5, cache_dir=cache_dir, progress=progress
        )
    show_run(run)


@app.command
def evaluate(
    run: RunPath, folder: Annotated[Path | None, Parameter(name="DATA")] = None, /, *, json: Flag = False
) -> None:
    """Score a run again: on its own test split, or on another labelled folder.

    Example: mien evaluate runs/train other-photos

    Parameters
    ----------
    run
        A run folder, such as runs/train.
    folder
        Labelled pictures in class folders; those that the run was trained on, and their near copies, are left out. By
        default the test split of the run.
    json
        Print one JSON document.
    """
    from mien.reviewing import review
    from mien.terminal import TerminalProgress, show_evaluation, show_json

    with TerminalProgress() as progress:
        reviewed = review(run, folder, progress=progress)
    if json:
        verdict = [asdict(finding) for finding in reviewed.findings]
        out_of_fold = reviewed.out_of_fold.to_dict() if reviewed.out_of_fold else None
        show_json({"evaluation": reviewed.evaluation.to_dict(), "out_of_fold": out_of_fold, "verdict": verdict})
    else:
        show_evaluation(reviewed.evaluation, reviewed.findings, out_of_fold=reviewed.out_of_fold)


@app.command
def predict(
    run: RunPath,
    /,
    *sources: Annotated[str, Parameter(name="SOURCE", allow_leading_hyphen=True)],
    json: Flag = False,
    csv: Path | None = None,
    limits: Annotated[FetchLimits, Fetching] = FetchLimits(),
) -> int:
    """Say which class pictures belong to. Exit code 1 where one of them could not be read.

    Example: mien predict runs/train photo.jpg holiday/ https://example.org/face.png

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    sources
        Picture files, folders (every picture below), http(s) URLs, or - for a picture on standard input. A path that
        does not exist ends the command before anything is read.
    json
        Print one JSON document per picture, a line each.
    csv
        Write the answers to this CSV file instead.
    """
    from mien.classifier import load
    from mien.prediction import predict as predict_sources
    from mien.terminal import show_predictions

    if not sources:
        raise SettingsError("name at least one SOURCE: a picture, a folder, a URL, or - for standard input")
    classifier = load(run)
    predictions = predict_sources(classifier, sources, limits=limits)
    return 1 if show_predictions(predictions, classifier.class_names, json=json, csv_path=csv) else 0


def user_cache_dir() -> Path:
    """Return the folder that this system has for what can be made again."""
    from platformdirs import user_cache_path

    return user_cache_path("mien", appauthor=False)


def _silence_native_libraries() -> None:
    """Keep what C libraries write to stderr off the screen; Python's own messages still get there.

    TensorFlow announces its CPU features there, libtiff complains of damaged files, and no setting turns that off.
    """
    # Where stderr is closed, there is nothing to keep off.
    with suppress(OSError):
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)


def main() -> None:
    """Run the command line; the process ends with the exit code of the design: 0, 1, 2 or 3."""
    _silence_native_libraries()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "tf2onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # A picture that is too large is reported by mien itself, with its name.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        code = app(spelled_out(sys.argv[1:]), result_action="return_value", exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"UsageError: {' '.join(str(error).split())} (see --help)", file=sys.stderr)
        code = 2
    except MienError as error:
        from mien.terminal import printable

        print(f"{type(error).__name__}: {printable(str(error), keep_lines=True)}", file=sys.stderr)
        code = 2 if isinstance(error, UserError) else 3 if isinstance(error, GateError) else 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
