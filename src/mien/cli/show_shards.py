"""Printing what was written in shards."""

from mien.cli.show_run import failures_of
from mien.core.terminal import OUT, printable, show_json
from mien.core.text import counted
from mien.jobs.shards import Shards


def show_shards(made: Shards, *, json: bool) -> int:
    """Print how many shards were written.

    Args:
        made: What was written, and what was already there.
        json: Print one JSON document.

    Returns:
        The exit code: 1 if an image could not be read, or there were no images.
    """
    show_json(made.to_dict()) if json else _show(made)
    return int(failures_of(made.num_errors, made.num_images) > 0)


def _show(made: Shards) -> None:
    place, there = printable(made.place), counted(made.num_there, "shard")
    if made.num_there and not made.num_written:
        OUT.print(f"nothing to do: {place} already has {there}")
        return
    if made.num_there:
        OUT.print(f"wrote {counted(made.num_written, 'shard')} to {place}; {there} already there")
        return
    OUT.print(f"wrote {counted(made.num_written, 'shard')} with {counted(made.num_images, 'image')} to {place}")
