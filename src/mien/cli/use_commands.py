"""The commands that use a classifier: arguments -> one public call -> print."""

from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from mien.cli.flags import (
    CsvPath,
    Fetching,
    Flag,
    Machines,
    MaxPixels,
    OutPath,
    RunPath,
    SourceName,
    expect_run_and_sources,
    section,
)
from mien.config import EngineConfig, FetchLimits, ScanConfig, ServeConfig, ShardConfig, expect


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
    """Show where the classifier looked: one PNG file per image.

    Each file shows the image next to a heat map. Orange areas speak for the class and blue areas against it;
    stronger colours count more. Presets fast and best give exact maps (class activation). For other models, parts
    of the image are hidden one by one to see how the answer changes (occlusion). A map shows what an answer is
    based on, not whether that is a good reason: an orange watermark is worth knowing about.

    Exits with 1 if any image could not be read.

    Example: mien explain runs/train photo.jpg, or: mien explain runs/train holiday/ --class sad --out maps

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    sources
        Image files, folders (searched recursively, except for earlier heat maps), http(s) URLs, addresses such
        as s3://bucket/photos, or - to read an image from standard input.
    out
        Folder for the PNG files, which get the subfolders and names of the images; for a single image, it can be
        a file name ending in .png. By default, explained/ in the run folder. Must not be inside the folder of
        images. Only earlier files of the same image are overwritten.
    label
        Class to explain. By default, the most probable one for each image.
    json
        Print one line of JSON per image.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_run import show_explanations
    from mien.model.classifier import load
    from mien.model.explained_images import explain_sources

    expect_run_and_sources(run, sources, "explain")
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
    """Classify images.

    Exits with 1 if any image could not be read.

    Example: mien predict runs/train photo.jpg holiday/ https://example.org/face.png

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    sources
        Image files, folders (searched recursively), http(s) URLs, addresses such as s3://bucket/photos, or - to
        read an image from standard input. If a path does not exist, nothing is read.
    json
        Print one line of JSON per image.
    csv
        Write the predictions to this CSV file instead of printing them. An existing file is replaced.
    to
        Write the predictions in shards to this folder or address, for very many images. If interrupted, run the
        same command again to resume.
    threshold
        Answer "unsure" if no class has at least this probability; 0: always name a class. By default, the
        threshold of the run.
    top
        Number of classes to print for each image, the most probable first. JSON and CSV always have all of
        them.
    about
        Describe the classifier instead: scores, training data, intended use and limits. Takes no SOURCE.
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
    expect_run_and_sources(run, sources, "predict")
    expect(top >= 1, "top", top, "1 or more")
    expect(to != "", "to", repr(to), "a folder, or an address in a store")
    expect(to is None or csv is None, "csv", csv, "--to with --shard-format csv instead")
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
    """Serve a classifier on this machine: a web page at /, an HTTP API documented at /docs.

    Example: mien serve runs/train

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    """
    from mien.model.classifier import load
    from mien.serving.hosting import host

    host(load(run), config)
