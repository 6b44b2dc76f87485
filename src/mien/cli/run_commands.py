"""The commands that make runs and measure them: arguments -> one public call -> print."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mien.cli.flags import (
    Augmentation,
    Cleaning,
    CsvPath,
    DataPath,
    Flag,
    HtmlPath,
    Labelling,
    Machines,
    MaxPixels,
    OutPath,
    Predicting,
    Pretrained,
    Reading,
    RunPath,
    Splitting,
    Training,
    as_flags,
    cache_dir_of_user,
)
from mien.config import (
    AugmentConfig,
    BackboneConfig,
    CleanConfig,
    EngineConfig,
    FitConfig,
    LabelConfig,
    PredictConfig,
    Preset,
    ScanConfig,
    SplitConfig,
    TrainConfig,
    expect,
)
from mien.core.text import as_typed
from mien.errors import SettingsError


def demo(*, folder: Path = Path("mien-demo"), with_classic: Annotated[Flag, Parameter(name="--all")] = False) -> None:
    """Draw happy and sad faces, train on them, and test on faces drawn separately. Needs no photos.

    Example: mien demo

    Parameters
    ----------
    folder
        Folder for all files. A second run reuses what is there.
    with_classic
        Also train the network of a well-known tutorial (the preset classic) and compare the two. Takes minutes;
        needs Keras.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_demo import show_demo
    from mien.jobs.demo import run_demo

    with TerminalProgress() as progress:
        made = run_demo(folder, with_classic=with_classic, progress=progress)
    show_demo(made)


def train(
    folder: DataPath,
    /,
    *,
    preset: Preset = "fast",
    out: OutPath | None = None,
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
    prediction: Annotated[PredictConfig, Predicting] = PredictConfig(),
    labels: Annotated[LabelConfig, Labelling] = LabelConfig(),
    engine: Annotated[EngineConfig, Machines] = EngineConfig(),
) -> None:
    """Train a classifier on labelled images, and measure how good it is. Your images are not changed.

    Example: mien train data, or: mien train data --preset classic --epochs 30

    Parameters
    ----------
    folder
        A folder with one subfolder per class, such as data/happy and data/sad; or with train, val and test
        folders that hold these; a folder with a table of labels, or the table; a zip or tar archive; or an
        address such as s3://bucket/data.
    preset
        Settings to start from. fast (seconds): a linear classifier on the features of a pretrained network, and
        of faces if there are any. best (minutes): that, or the fine-tuned network if it is better. classic: the
        tutorial's small network, without files under 10 KB.
    out
        Run folder to create. By default, the first free name of runs/train, runs/train2, ...
    resume
        Resume an interrupted run: the one in --out, or the latest in runs/.
    config
        Start from the settings of an earlier run: its config.json.
    save_h5
        Also write model.h5, if the classifier is a Keras network (presets classic and best).
    cache_dir
        Folder for cached image features, which make the next run faster. By default, the system's cache folder.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_run import show_run
    from mien.core.engines import using
    from mien.jobs.train import train as train_folder

    settings = TrainConfig(preset, scan, clean, split, backbone, fit, augment, prediction, labels)
    with TerminalProgress() as progress, using(engine, progress):
        cache_dir = cache_dir or cache_dir_of_user(progress)
        run = train_folder(
            folder, settings, out=out, resume=resume, save_h5=save_h5, cache_dir=cache_dir, progress=progress
        )
    show_run(run)


def report(run: RunPath, /, *, open: Flag = False) -> None:
    """Write the report of a run again: one page on what the classifier can do and how you know.

    mien train writes the report for you. It is a single HTML file without scripts, and works offline. Its pictures
    are made from your photos, if they have not moved.

    Example: mien report runs/train --open

    Parameters
    ----------
    run
        A run folder, such as runs/train.
    open
        Open the report in your browser.
    """
    import webbrowser

    from mien.cli.progress_bars import TerminalProgress
    from mien.core.terminal import ERR, OUT, printable
    from mien.runs.report import report as write_report

    with TerminalProgress() as progress:
        path = write_report(run, progress=progress)
    OUT.print(printable(str(path)))
    if open and not webbrowser.open(path.resolve().as_uri()):
        ERR.print("could not open a browser")


def evaluate(
    run: RunPath,
    folder: DataPath | None = None,
    /,
    *,
    only_known: Flag = False,
    leave_out_seen: Flag = False,
    stress: Flag = False,
    fail_under: float = 0.0,
    csv: CsvPath | None = None,
    report: HtmlPath | None = None,
    json: Flag = False,
    max_pixels: MaxPixels = ScanConfig.max_pixels,
    labels: Annotated[LabelConfig, Labelling] = LabelConfig(),
) -> None:
    """Score a run again, on its test split or on other labelled images.

    Images that the run was trained on, and copies of them, are refused with exit code 3, since they would inflate
    the scores.

    Example: mien evaluate runs/train other-photos --report other.html

    Parameters
    ----------
    run
        A run folder, such as runs/train.
    folder
        Labelled images, in any form that mien train takes, of some or all classes of the run. By default, the
        test split of the run.
    only_known
        Skip images of classes that the run does not know.
    leave_out_seen
        Skip images that the run was trained on, and score the rest.
    stress
        Also score changed copies of the images: grey, darker, blurred, mirrored, cropped and so on, except for
        what --may-matter named in training.
    fail_under
        Exit with 3 if the accuracy of the first line is below this, e.g. 0.9. Without DATA, that is the one in
        cross-validation, if the run has it.
    csv
        Also write the prediction for each image to this CSV file. An existing file is replaced.
    report
        Also write a page about these images, with the mistakes, to this HTML file. An existing file is
        replaced.
    json
        Print one JSON document.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_run import show_mistakes, show_scores
    from mien.core.files import write_text
    from mien.core.terminal import OUT, printable, show_json, show_prose
    from mien.jobs.evaluate import evaluate_run, refuse_below, write_evaluation
    from mien.runs.predictions import predictions_text

    _refuse_mixed_up(run, folder, (csv, report))
    expect(0 <= fail_under <= 1, "--fail-under", fail_under, "0 to 1, e.g. 0.9")
    if report and folder is None:
        raise SettingsError("--report is for other images. The report of the run itself is its report.html")
    with TerminalProgress() as progress:
        evaluated = evaluate_run(
            run,
            folder,
            labels,
            only_known=only_known,
            leave_out_seen=leave_out_seen,
            stress=stress,
            max_pixels=max_pixels,
            progress=progress,
        )
    # Before printing, which a closed pipe can cut short.
    if csv:
        write_text(csv, predictions_text(evaluated.dataset, evaluated.predictions))
    if report:
        write_evaluation(evaluated, report)
    if json:
        show_json(evaluated.to_dict())
    else:
        show_scores(evaluated.scores, evaluated.findings, every_change=stress)
        show_mistakes(evaluated.scores.test, evaluated.dataset, evaluated.predictions)
        for path in filter(None, (csv, report)):
            OUT.print(f"\nwritten: {printable(str(path))}")
        if not report and len(evaluated.predictions.mistakes()):
            given = ["--only-known"] * only_known + ["--leave-out-seen"] * leave_out_seen
            show_prose(f"\nNext: {_to_see_mistakes(run, folder, given, labels)}")
    refuse_below(evaluated, fail_under)


def _refuse_mixed_up(run: Path, folder: str | Path | None, outputs: Iterable[Path | None]) -> None:
    """Refuse a run in the place of the images, and an output in a folder that does not exist."""
    if folder is not None and not (run / "model.onnx").exists() and Path(folder, "model.onnx").is_file():
        typed = as_typed("mien", "evaluate", Path(folder), run)
        raise SettingsError(f"{str(run)!r} is not a run, but {str(folder)!r} is. Did you mean: {typed}")
    for path in outputs:
        if path and not path.absolute().parent.is_dir():
            raise SettingsError(f"cannot write {path.name!r}: there is no folder {str(path.parent)!r}")


def _to_see_mistakes(run: Path, folder: str | Path | None, given: Sequence[str], labels: LabelConfig) -> str:
    """Say what shows the mistakes: the report of the run, or the same command with a report."""
    if folder is None:
        return as_typed("open", run / "report.html")
    typed = as_typed("mien", "evaluate", run, folder, *given, "--report", "mistakes.html")
    return f"see the mistakes: {typed}{as_flags(labels)}"


def compare(first: RunPath, second: Annotated[Path, Parameter(name="OTHER")], /, *, json: Flag = False) -> None:
    """Compare two runs on the same images: is one better, or could the difference be chance?

    Only images held out by both runs count: those of the test split, or of the cross-validation.

    Example: mien compare runs/train runs/train2

    Parameters
    ----------
    first
        A run folder, such as runs/train.
    second
        Another run, with the same classes.
    json
        Print one JSON document.
    """
    from mien.cli.show_run import show_comparison
    from mien.core.terminal import show_json
    from mien.jobs.compare import compare as compare_runs

    comparison = compare_runs(first, second)
    if json:
        show_json(comparison.to_dict())
    else:
        show_comparison(comparison)
