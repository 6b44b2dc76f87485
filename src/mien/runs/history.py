"""What a training writes to its run folder after every epoch: history.csv, TensorBoard logs, and a checkpoint."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core import files
from mien.core.csv_tables import read_records, table_text
from mien.core.extras import needing
from mien.core.progress import Epoch
from mien.errors import SourceNotFoundError
from mien.runs.folder import RunFolder
from mien.runs.tensorboard import EventFile

_MAX_EPOCHS = 10**9
_COLUMNS = [field.name for field in fields(Epoch)]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a training needs to resume after a kill as if nothing had happened.

    Keras' BackupAndRestore saves neither the dropout state nor the best weights, and a kill can leave its two files out
    of step.

    Attributes:
        history: The epochs so far, at least one.
        state: Every variable of the network and its optimizer, in order.
        best_weights: The weights of the epoch with the lowest validation loss, in order.
    """

    history: tuple[Epoch, ...]
    state: Sequence[NDArray[Any]]
    best_weights: Sequence[NDArray[Any]]


class Recorder:
    """Records each epoch in a run folder, the checkpoint last, so that it never refers to missing files."""

    def __init__(self, run_folder: RunFolder) -> None:
        self._run_folder = run_folder
        self._logs = {name: EventFile(run_folder.logs_path / name) for name in ("train", "validation")}

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of an interrupted training, if there is one.

        Raises:
            SourceNotFoundError: The checkpoint cannot be read.
        """
        path = self._run_folder.checkpoint_path
        return _load(path) if path.exists() else None

    def record(self, checkpoint: Checkpoint) -> None:
        """Record the state of a training after an epoch.

        Raises:
            OutputError: The disk is full.
        """
        epoch = checkpoint.history[-1]
        self._log("train", epoch.epoch, loss=epoch.loss, accuracy=epoch.accuracy)
        self._log("validation", epoch.epoch, loss=epoch.val_loss, accuracy=epoch.val_accuracy)
        files.write_text(self._run_folder.history_path, table_text([_COLUMNS, *map(astuple, checkpoint.history)]))
        _save(checkpoint, self._run_folder.checkpoint_path)

    def _log(self, name: str, epoch: int, *, loss: float, accuracy: float) -> None:
        with needing("keras"):
            from tensorboard.plugins.scalar.summary_v2 import scalar_pb
        # The tags of Keras' own callback, so that runs of both appear in one chart.
        self._logs[name].add([scalar_pb("epoch_loss", loss), scalar_pb("epoch_accuracy", accuracy)], step=epoch)


def load_history(path: Path) -> tuple[Epoch, ...]:
    """Read history.csv.

    Raises:
        SourceNotFoundError: The file is missing or damaged.
    """
    try:
        with files.open_text(path) as file:
            return tuple(map(_epoch, read_records(file)))
    except (OSError, ValueError, KeyError) as error:
        raise SourceNotFoundError(f"cannot read the history {str(path)!r}: {error}") from error


def _epoch(row: dict[str, str]) -> Epoch:
    number = int(row["epoch"])
    if not 0 < number <= _MAX_EPOCHS:
        raise ValueError(f"impossible epoch {row['epoch'][:20]!r}")
    return Epoch(number, *(float(row[name]) for name in _COLUMNS[1:]))


def _save(checkpoint: Checkpoint, path: Path) -> None:
    arrays = {f"state{i}": array for i, array in enumerate(checkpoint.state)}
    arrays |= {f"best{i}": array for i, array in enumerate(checkpoint.best_weights)}
    history = np.array(json.dumps([asdict(epoch) for epoch in checkpoint.history]))
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, history=history, **arrays)


def _load(path: Path) -> Checkpoint:
    try:
        with files.open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            history = tuple(Epoch(**epoch) for epoch in json.loads(str(arrays["history"])))
            return Checkpoint(history, _numbered(arrays, "state"), _numbered(arrays, "best"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise SourceNotFoundError(
            f"cannot read the checkpoint {str(path)!r}: {error}. Delete it to restart this training."
        ) from error


def _numbered(arrays: Any, prefix: str) -> list[NDArray[Any]]:
    count = sum(name.startswith(prefix) for name in arrays.files)
    return [arrays[f"{prefix}{number}"] for number in range(count)]
