"""The commands that help to label: arguments -> one public call -> print."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mien.cli.flags import (
    CsvPath,
    Flag,
    Labelling,
    MaxPixels,
    OutPath,
    RunPath,
    SourceName,
    cache_dir_of_user,
    expect_run_and_sources,
    section,
)
from mien.config import LabelConfig, NextConfig, ScanConfig, SortConfig
from mien.errors import SettingsError


def next_(
    run: RunPath,
    /,
    *sources: SourceName,
    csv: CsvPath | None = None,
    json: Flag = False,
    cache_dir: Path | None = None,
    max_pixels: MaxPixels = ScanConfig.max_pixels,
    config: Annotated[NextConfig, section("Choosing")] = NextConfig(),
) -> int:
    """List the unlabelled images that are most worth labelling next.

    These are images that the classifier is unsure about and that differ from the training images and from each
    other. Copies, images that the run already knows, and images that mien train would skip are left out. Label the
    first ones (mien review with --next, or move them into the class folders), train again, and repeat. No file is
    moved. Exits with 1 if any file could not be read.

    Example: mien next runs/train unlabelled/, or: mien next runs/train unlabelled/ --top 20 --csv next.csv

    Parameters
    ----------
    run
        A run folder, such as runs/train.
    sources
        Folders of images (searched recursively), image files, or patterns. If a path does not exist, nothing is
        read.
    csv
        Write the list to this CSV file instead of printing it. An existing file is replaced.
    json
        Print one line of JSON per image: first the images to label, then the files that could not be read,
        whose rank is null.
    cache_dir
        Folder for cached image features, which make the next run faster. By default, the system's cache folder.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_next import show_next
    from mien.jobs.next_images import next_images

    expect_run_and_sources(run, sources, "next")
    with TerminalProgress() as progress:
        cache_dir = cache_dir or cache_dir_of_user(progress)
        found = next_images(run, sources, config, max_pixels=max_pixels, cache_dir=cache_dir, progress=progress)
    return show_next(found, asked=[str(run), *sources], json=json, csv_path=csv)


def review(
    path: RunPath,
    /,
    *,
    unlabelled: Annotated[tuple[Path, ...], Parameter(name="--next", negative_iterable="", show_default=False)] = (),
    port: int = 8001,
    cache_dir: Path | None = None,
    labels: Annotated[LabelConfig, Labelling] = LabelConfig(),
) -> None:
    """Correct labels in your browser with a few keys, and see at once what that changes.

    Images with doubtful labels come first. A key sets the class of an image, or leaves it out. Each decision is
    saved immediately to a file for mien train --relabel; your images are never changed. A button trains again in
    seconds, and says whether the classifier got better or the difference could be chance. Test images are not
    shown, because they are the measure.

    Example: mien review runs/train, or before any training: mien review data

    Parameters
    ----------
    path
        A run folder, such as runs/train, or a folder of labelled images.
    unlabelled
        Folder of unlabelled images: those that mien next would list come first. Images that you label are
        trained on where they are. Can be repeated.
    port
        Port to listen on; 0 picks a free one. Only this machine can reach it.
    cache_dir
        Folder for cached image features, which make the next run faster. By default, the system's cache folder.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.core.extras import needing

    with needing("serve"):
        from mien.labelling.hosting import host_review
    from mien.labelling.opening import review_of

    with TerminalProgress() as progress:
        cache_dir = cache_dir or cache_dir_of_user(progress)
        found = review_of(path, labels, unlabelled=unlabelled, cache_dir=cache_dir, progress=progress)
    host_review(found, port)


def sort(
    run: RunPath | None = None,
    /,
    *sources: SourceName,
    to: OutPath | None = None,
    dry_run: Flag = False,
    undo: OutPath | None = None,
    json: Flag = False,
    max_pixels: MaxPixels = ScanConfig.max_pixels,
    config: Annotated[SortConfig, section("Sorting")] = SortConfig(),
) -> int:
    """Sort images into class folders by prediction, as copies or links.

    Originals are not touched. Images that the classifier is unsure about, or that are unlike its training images,
    go to the folder unsure. Run it again to resume: what was sorted once is not sorted again, even if you have
    moved it to another class since. A journal records every file, so --undo can remove them all, even after a
    crash. Exits with 1 if any image could not be read.

    Look through the folders before you train on them: a classifier that learns from its own answers learns its own
    mistakes.

    Example: mien sort runs/train holiday/ --to sorted --threshold 0.8, or: mien sort --undo sorted

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    sources
        Folders of images (searched recursively), image files, or patterns. If a path does not exist, nothing is
        read.
    to
        Folder for the class folders, outside the folders of images: new, empty, or filled by mien sort before.
    dry_run
        Only show what would be done.
    undo
        Remove what mien sort put into this folder. Files that have changed since, or whose original is gone,
        stay and are listed, and the exit code is 1.
    json
        Print one JSON document.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_sort import show_sorted, show_undone
    from mien.data.sorted_folder import undo_sort
    from mien.jobs.sort import sort_images

    if undo and not (run or to or dry_run):
        return show_undone(undo_sort(undo), json=json)
    if not (run and to) or undo:
        raise SettingsError("expected RUN, SOURCE and --to FOLDER, or --undo FOLDER only")
    expect_run_and_sources(run, sources, "sort")
    with TerminalProgress() as progress:
        found = sort_images(
            run, sources, to=to, config=config, dry_run=dry_run, max_pixels=max_pixels, progress=progress
        )
    return show_sorted(found, link=config.link, dry_run=dry_run, json=json)
