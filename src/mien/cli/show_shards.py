"""What is printed of predictions that are written in shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.cli.progress_bars import TerminalProgress
from mien.cli.show_run import failures_of
from mien.config import ShardConfig
from mien.core.terminal import OUT, printable, show_json
from mien.core.text import counted
from mien.errors import SettingsError
from mien.jobs.shards import Shards, predict_shards


def write_shards(
    run: Path, sources: Sequence[str], to: str, config: ShardConfig, *, json: bool, **settings: Any
) -> int:
    """Write predictions in shards, and print how many there are.

    Args:
        run: A run folder, or a model.onnx.
        sources: Of the images.
        to: A folder, or an address in a store.
        config: How large shards are, and of what kind.
        json: Print one JSON document.
        settings: As `predict_shards` takes them.

    Returns:
        The exit code: 1 where an image could not be read, or there is none.
    """
    if not to:
        raise SettingsError("--to is empty: name a folder, or an address in a store")
    with TerminalProgress() as progress:
        made = predict_shards(run, sources, to=to, config=config, progress=progress, **settings)
    show_json(made.to_dict()) if json else _show(made)
    if made.num_there and not made.num_errors:
        return 0
    return int(failures_of(made.num_errors, made.num_images) > 0)


def _show(made: Shards) -> None:
    place, there = printable(made.place), counted(made.num_there, "shard")
    if made.num_there and not made.num_written:
        OUT.print(f"nothing is left to do: {there} had been written to {place} before")
        return
    before = f"; {there} had been written before" if made.num_there else ""
    OUT.print(
        f"written to {place}: {counted(made.num_written, 'shard')} with {counted(made.num_images, 'image')}{before}"
    )
