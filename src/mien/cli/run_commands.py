"""The commands that make runs and use them: arguments -> one public call -> print."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mien.cli.flags import (
    Augmentation,
    Cleaning,
    CsvPath,
    DataPath,
    Fetching,
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
    SourceName,
    Splitting,
    Training,
    cache_dir_of_user,
    refuse_image,
    section,
)
from mien.config import (
    AugmentConfig,
    BackboneConfig,
    CleanConfig,
    EngineConfig,
    FetchLimits,
    FitConfig,
    LabelConfig,
    PredictConfig,
    ScanConfig,
    ServeConfig,
    ShardConfig,
    SplitConfig,
    TrainConfig,
    expect,
)
from mien.errors import SettingsError


def demo(*, folder: Path = Path("mien-demo"), with_classic: Annotated[Flag, Parameter(name="--all")] = False) -> None:
    """Draw happy and sad people, train on them, and judge images drawn apart. Needs no photos.

    Example: mien demo, or: mien demo --all

    Parameters
    ----------
    folder
        Where everything is put; a second run uses what is there.
    with_classic
        Train the network of a well-known tutorial too (the preset classic), and compare the two. Takes minutes, and
        needs Keras.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_run import show_demo
    from mien.jobs.demo import run_demo

    with TerminalProgress() as progress:
        made = run_demo(folder, with_classic=with_classic, progress=progress)
    show_demo(made)


def train(
    folder: DataPath,
    /,
    *,
    preset: str = TrainConfig.preset,
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
    """Train a classifier on labelled images, and measure it honestly.

    Example: mien train data, or: mien train data --preset classic --epochs 30 --augment

    Parameters
    ----------
    folder
        Class folders such as data/happy and data/sad, alone or within those of splits; a folder with a table of labels,
        or such a table; a zip or tar archive of these; or an address such as s3://bucket/data. Nothing is changed.
    preset
        Settings to begin with. fast: a linear head on the features of a pretrained network, and of faces where
        there are some; seconds. best: that, or the network trained on, whichever is better; minutes. classic: the
        tutorial's network; leaves out files under 10240 bytes.
    out
        The run folder; by default the first free one of runs/train, runs/train2, ...
    resume
        Go on with a run that was cut off: the one in --out, or the newest unfinished one in runs/.
    config
        Begin with the settings of an earlier run: its config.json.
    save_h5
        Write model.h5 too, where a network of Keras is kept (presets classic and best).
    cache_dir
        Where the features of images are kept, so that a second training need not make them again; by default in
        the folder that this system has for caches.
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
    """Write the report of a run anew: what it can do, and how that is known, on one page that opens in any browser.

    mien train writes it by itself. It is one file without script, and needs no network. The images in it are made
    from the photos, if these are still where they were.

    Example: mien report runs/train --open

    Parameters
    ----------
    run
        A run folder, such as runs/train.
    open
        Show it in the browser.
    """
    import webbrowser

    from mien.cli.progress_bars import TerminalProgress
    from mien.core.terminal import ERR, OUT, printable
    from mien.runs.report import report as write_report

    with TerminalProgress() as progress:
        path = write_report(run, progress=progress)
    OUT.print(printable(str(path)))
    if open and not webbrowser.open(path.resolve().as_uri()):
        ERR.print("no browser could be opened here")


def evaluate(
    run: RunPath,
    folder: DataPath | None = None,
    /,
    *,
    only_known: Flag = False,
    leave_out_seen: Flag = False,
    stress: Flag = False,
    csv: CsvPath | None = None,
    report: HtmlPath | None = None,
    json: Flag = False,
    max_pixels: MaxPixels = ScanConfig.max_pixels,
    labels: Annotated[LabelConfig, Labelling] = LabelConfig(),
) -> None:
    """Score a run again: on its own test split, or on another folder. Exit code 3 where it was trained on that.

    Example: mien evaluate runs/train other-photos

    Parameters
    ----------
    run
        A run folder, such as runs/train.
    folder
        Labelled images, as mien train takes them, of some classes of the run or of all; refused where the run was
        trained on some of them, or on near copies. By default the test split of the run.
    only_known
        Leave out images of classes that the run does not know.
    leave_out_seen
        Leave out what the run was trained on, and score the others.
    stress
        Score it on changed copies of the images too: grey, darker, blurred, mirrored, cut to their middle or to a face,
        and so on; not in what --may-matter named for the training.
    csv
        Write what it says of each image to this CSV file, too.
    report
        Write a page on this folder, with its mistakes, to this HTML file, too.
    json
        Print one JSON document.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_run import show_mistakes, show_scores
    from mien.core.files import write_text
    from mien.core.terminal import OUT, printable, show_json
    from mien.jobs.evaluate import evaluate_run, write_evaluation
    from mien.runs.predictions import predictions_text

    if folder is not None and not (run / "model.onnx").exists() and Path(folder, "model.onnx").is_file():
        typed = shlex.join(["mien", "evaluate", str(folder), str(run)])
        raise SettingsError(f"{str(run)!r} is no run, and {str(folder)!r} is one: did you mean: {typed}")
    for path in (csv, report):
        if path and not path.absolute().parent.is_dir():
            raise SettingsError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into")
    if report and folder is None:
        raise SettingsError("--report is for a folder of other images: the run has its own, report.html")
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
    # Before anything is printed: whoever reads that may have enough of it.
    if csv:
        write_text(csv, predictions_text(evaluated.dataset, evaluated.predictions))
    if report:
        write_evaluation(evaluated, report)
    if json:
        show_json(evaluated.to_dict())
    else:
        show_scores(evaluated.scores, evaluated.findings)
        show_mistakes(evaluated.scores.test, evaluated.dataset, evaluated.predictions)
        for path in filter(None, (csv, report)):
            OUT.print(f"\nwritten: {printable(str(path))}")


def compare(first: RunPath, second: Annotated[Path, Parameter(name="OTHER")], /, *, json: Flag = False) -> None:
    """Say whether one of two runs is better on the same images, or whether that may be chance.

    Only images that both runs held out count: of the test split, or answered by cross-validation (--folds).

    Example: mien compare runs/train runs/train2

    Parameters
    ----------
    first
        A run folder, such as runs/train.
    second
        Another, with the same classes.
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


def explain(
    run: RunPath,
    /,
    *sources: SourceName,
    out: OutPath | None = None,
    label: Annotated[str | None, Parameter(name="--class")] = None,
    json: Flag = False,
    max_pixels: MaxPixels = ScanConfig.max_pixels,
    limits: Annotated[FetchLimits, Fetching] = FetchLimits(),
) -> int:
    """Show where the classifier looked: a PNG file for each image. Exit code 1 where one could not be read.

    Beside the image stands the same with a map on it: orange parts speak for the class, blue ones against it, and so
    for another class; the stronger the colour, the more. Presets fast and best give exact maps (class activation);
    for others, parts of the image are hidden in turn, to see how much that changes the answer (occlusion). The map
    says what the answer comes from, not whether that is a good reason: a watermark in orange is worth knowing.

    Example: mien explain runs/train photo.jpg, or: mien explain runs/train holiday/ --class sad --out maps

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    sources
        Image files, folders (every image below, but for those that mien explain made), http(s) URLs, addresses in a
        store such as s3://bucket/photos, or - for an image on standard input.
    out
        The folder for the PNG files, or for a single image a file that ends in .png; by default explained/ in the
        run folder. It must not be among the images. Only files that mien explain made are written over.
    label
        The class to explain; by default, for each image, the one that is most probable.
    json
        Print one JSON document per image, a line each.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_run import show_explanations
    from mien.model.classifier import load
    from mien.model.explained_images import explain_sources

    refuse_image(run, sources, "explain")
    classifier = load(run)
    out = out or (run if run.is_dir() else run.parent) / "explained"
    with TerminalProgress() as progress:
        found = explain_sources(
            classifier, sources, out, label=label, max_pixels=max_pixels, limits=limits, progress=progress
        )
        return 1 if show_explanations(found, classifier.class_names, json=json) else 0


def predict(
    run: RunPath,
    /,
    *sources: SourceName,
    json: Flag = False,
    csv: CsvPath | None = None,
    to: str | None = None,
    threshold: float | None = None,
    top: int = 1,
    about: Flag = False,
    max_pixels: MaxPixels = ScanConfig.max_pixels,
    limits: Annotated[FetchLimits, Fetching] = FetchLimits(),
    shards: Annotated[ShardConfig, section("Shards")] = ShardConfig(),
    engine: Annotated[EngineConfig, Machines] = EngineConfig(),
) -> int:
    """Say which class images belong to. Exit code 1 where one of them could not be read.

    Example: mien predict runs/train photo.jpg holiday/ https://example.org/face.png

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    sources
        Image files, folders (every image below), http(s) URLs, addresses in a store such as s3://bucket/photos, or -
        for an image on standard input. A path that does not exist ends the command before anything is read.
    json
        Print one JSON document per image, a line each.
    csv
        Write the predictions to this CSV file instead.
    to
        Write the predictions in shards to this folder or address; where it is cut off, the same command goes on.
    threshold
        Say "unsure" where no class is as probable as this; 0 always names one. By default that of the training.
    top
        How many classes to name for each image, the likeliest first. JSON and CSV always hold the probabilities of all.
    about
        Say what the classifier is, its scores, what it was made from, and what it is not for; takes no SOURCE.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_run import show_about, show_predictions
    from mien.cli.show_shards import show_shards
    from mien.core.engines import using
    from mien.core.terminal import show_json
    from mien.jobs.shards import predict_shards
    from mien.model.classifier import load
    from mien.model.prediction import predict as predict_sources

    if about:
        facts = load(run).facts
        show_json(asdict(facts)) if json else show_about(facts)
        return 0
    refuse_image(run, sources, "predict")
    expect(top >= 1, "top", top, "1 or more")
    expect(to != "", "to", repr(to), "a folder, or an address in a store")
    expect(to is None or csv is None, "csv", csv, "none beside --to, which --shard-format csv is for")
    progress = TerminalProgress()
    how: dict[str, Any] = {"threshold": threshold, "max_pixels": max_pixels, "limits": limits, "progress": progress}
    with using(engine, progress):
        if to is not None:
            with progress:
                made = predict_shards(run, sources, to=to, config=shards, **how)
            return show_shards(made, json=json)
        classifier = load(run)
        with progress:
            predictions = predict_sources(classifier, sources, **how)
        return 1 if show_predictions(predictions, classifier.class_names, json=json, csv_path=csv, top=top) else 0


def serve(run: RunPath, /, *, config: Annotated[ServeConfig, section("Serving")] = ServeConfig()) -> None:
    """Serve a classifier on this machine: a page for people at /, an HTTP API for programs, described at /docs.

    Example: mien serve runs/train

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    """
    from mien.model.classifier import load
    from mien.serving.hosting import host

    host(load(run), config)
