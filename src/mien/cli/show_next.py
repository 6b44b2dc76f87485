"""Printing the images to label next."""

from collections.abc import Sequence
from pathlib import Path

from mien.core.csv_tables import table_text
from mien.core.files import write_text
from mien.core.terminal import ERR, OUT, printable, show_json, show_prose
from mien.core.text import as_typed, counted
from mien.jobs.next_images import NextImages
from mien.model.prediction import prediction_rows

# Reasons are aligned after names of up to this many characters.
_MAX_NAME = 40


def show_next(found: NextImages, *, asked: Sequence[str], json: bool, csv_path: Path | None) -> int:
    """Print the images to label as a list or as JSON lines, or write them to a CSV file. List unreadable files.

    Args:
        found: What `next_images` returned.
        asked: The run and the sources, as typed.
        json: Print JSON lines with all details.
        csv_path: The CSV file to write, with all details.

    Returns:
        The exit code: 1 if a file could not be read, or there were no files.

    Raises:
        OutputError: The CSV file cannot be written.
    """
    if csv_path:
        write_text(csv_path, _csv(found))
        ERR.print(f"{printable(str(csv_path))}: {counted(len(found.images), 'image')}")
    if json:
        for image in (*found.images, *found.unreadable):
            show_json(image.to_dict())
    elif not csv_path:
        _show_list(found, asked)
    for image in found.unreadable:
        ERR.print(f"cannot read {printable(f'{image.prediction.source}: {image.prediction.error}')}")
    if not found.num_files:
        ERR.print("no images found")
    return int(bool(found.unreadable) or not found.num_files)


def _show_list(found: NextImages, asked: Sequence[str]) -> None:
    """Print a line for each image, and what to do next."""
    names = [printable(image.prediction.source) for image in found.images]
    width = min(max(map(len, names), default=0), _MAX_NAME)
    for image, name in zip(found.images, names, strict=True):
        OUT.print(f"{image.rank:>4}  {name:<{width}}  {printable(image.reason)}")
    if not found.images:
        OUT.print("Nothing to label: the run already knows all usable images here.")
        return
    data, (run, *sources) = as_typed(found.data_dir), asked
    review = as_typed("mien", "review", run, *(word for source in sources for word in ("--next", source)))
    train = as_typed("mien", "train", found.data_dir)
    if found.relabelled_by:
        train += f" --relabel {as_typed(found.relabelled_by)}"
    OUT.print(f"\n{len(found.images)} of {counted(found.num_ranked, 'image')} that the run does not know yet.")
    show_prose(printable(f"Next: label them and retrain in the browser: {review}"))
    show_prose(
        printable(
            f"Or move each image to its class folder in {data} (or add it to your table of labels) and retrain: {train}"
        )
    )
    OUT.print("Then run mien next again with the new run.")


def _csv(found: NextImages) -> str:
    """Return the table of `mien predict`, with the rank in front and the reason at the end."""
    images = (*found.images, *found.unreadable)
    head, *rows = prediction_rows((image.prediction for image in images), found.class_names)
    ranked = ([image.rank, *row, image.reason] for image, row in zip(images, rows, strict=True))
    return table_text([["rank", *head, "reason"], *ranked])
