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
    refuse_image,
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
    """Say which images without labels to label next: those first that would teach the classifier most.

    These are images of which it is unsure, and that are unlike those that it was trained on and unlike one another.
    Left out are images that the run knows, copies of these and of one another, and what mien train would leave out.
    Label the first ones, by mien review with --next or by moving them into the class folders; train again, and ask
    again. Nothing is moved by itself. Exit code 1 where a file could not be read.

    Example: mien next runs/train unlabelled/, or: mien next runs/train unlabelled/ --top 20 --csv next.csv

    Parameters
    ----------
    run
        A run folder, such as runs/train, by any preset.
    sources
        Folders of images (every image below), image files, or patterns. A path that does not exist ends the command
        before anything is read.
    csv
        Write the list to this CSV file instead.
    json
        Print one JSON document per image, a line each; first the images to label, then the files that could not be
        read, whose rank is null.
    cache_dir
        Where the features of images are kept, so that the next time need not make them again; by default in the folder
        that this system has for caches.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_next import show_next
    from mien.jobs.next_images import next_images

    refuse_image(run, sources, "next")
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
    """Put labels right on a page of this machine, by keys, and see at once what that changes.

    The page shows first the images whose label is doubtful. A key says which class each belongs to, or leaves it out.
    Every decision is written to a file before it is shown, which mien train --relabel takes; images are never changed.
    A button trains again in seconds, and says whether the classifier got better or whether that may be chance. Images
    of the test are not shown: they judge it.

    Example: mien review runs/train, or before any training: mien review data

    Parameters
    ----------
    path
        A run folder, such as runs/train, or a folder of labelled images.
    unlabelled
        A folder of images without labels: the page asks first about those that mien next would name. What gets a class
        is trained on from where it lies. May be repeated.
    port
        The port of this machine to listen on; 0 takes a free one. Nobody else can reach it.
    cache_dir
        Where the features of images are kept, so that they need not be made again; by default in the folder that this
        system has for caches.
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
    """Put images into class folders by the answer of a classifier: copies of them, or links to them.

    Originals stay as they are. Images of which no class is probable enough, and images unlike those that it was trained
    on, go to the folder unsure. Run it again, and it goes on: what it has put there once it does not put there again,
    also where you have moved it to another class since. A journal says where each is from, and what was answered:
    --undo removes them again, also after a kill. Exit code 1 where an image could not be read.

    Look through the folders before you train on them: a classifier that learns from its own answers learns its own
    mistakes.

    Example: mien sort runs/train holiday/ --to sorted --threshold 0.8, and away with it: mien sort --undo sorted

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    sources
        Folders of images (every image below), image files, or patterns. A path that does not exist ends the command
        before anything is read.
    to
        The folder for the class folders, outside of the folders of images: new, empty, or one that mien sort filled.
    dry_run
        Only say what would be done.
    undo
        Remove what mien sort put into this folder. What was changed since, or is a copy whose original is gone, is
        left and named, and the exit code is 1.
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
        raise SettingsError("name RUN, SOURCE and --to FOLDER, or --undo FOLDER alone")
    refuse_image(run, sources, "sort")
    with TerminalProgress() as progress:
        found = sort_images(
            run, sources, to=to, config=config, dry_run=dry_run, max_pixels=max_pixels, progress=progress
        )
    return show_sorted(found, link=config.link, dry_run=dry_run, json=json)
