"""The run folder: where a run is written, how its place is chosen, and how an unfinished one is found again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.config import TrainConfig, from_json, to_json
from mien.core import files
from mien.core.files import read_json
from mien.errors import OutputError, SettingsError, SourceNotFoundError
from mien.fetching.stored_folders import address_of, place_of

RUNS_DIR = Path("runs")


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config_path(self) -> Path:
        """Every setting used, where the images lie, and the versions."""
        return self.path / "config.json"

    @property
    def decisions_path(self) -> Path:
        """The decisions on labels that the run was made with, where there were any."""
        return self.path / "relabel.csv"

    @property
    def journal_path(self) -> Path:
        """The decisions on labels that were made since, one by one, in mien review."""
        return self.path / "decisions.csv"

    @property
    def manifest_path(self) -> Path:
        """Every file of the Dataset, with its problem and its split."""
        return self.path / "manifest.csv"

    @property
    def looks_path(self) -> Path:
        """What each file of the Dataset looks like, made very small: copies of it are told by that."""
        return self.path / "looks.npy"

    @property
    def history_path(self) -> Path:
        """What each epoch of the training came to."""
        return self.path / "history.csv"

    @property
    def checkpoint_path(self) -> Path:
        """Where an unfinished training stands; gone when the run is whole."""
        return self.path / "checkpoint.npz"

    def fold_path(self, number: int) -> Path:
        """The answers of one fold of an unfinished cross-validation; gone when the run is whole."""
        return self.path / f"fold{number}.npz"

    @property
    def logs_path(self) -> Path:
        """What TensorBoard shows."""
        return self.path / "logs"

    @property
    def metrics_path(self) -> Path:
        """The scores; written last, so that a folder that has them is whole."""
        return self.path / "metrics.json"

    @property
    def model_path(self) -> Path:
        """The Classifier."""
        return self.path / "model.onnx"

    def save_config(self, config: TrainConfig, data_dir: Path, versions: dict[str, str]) -> None:
        """Write config.json, which names the decisions on labels by their copy in this folder, and by its hash.

        Raises:
            OutputError: It cannot be written.
        """
        document = {**to_json(config), "data": address_of(data_dir), "versions": versions}
        if config.labels.relabel:
            document["labels"] = {"relabel": self.decisions_path.name}
            document["relabel_sha256"] = files.sha256_of(self.decisions_path)
        self.save_json(self.config_path, document)

    def save_json(self, path: Path, document: dict[str, Any]) -> None:
        """Write one JSON document.

        Raises:
            OutputError: It cannot be written.
        """
        files.write_text(path, json.dumps(document, indent=2) + "\n")

    def tidy(self) -> None:
        """Remove what only an unfinished run needs, and the half-written files of runs that were killed."""
        for leftover in (self.checkpoint_path, *self.path.glob("fold*.npz"), *self.path.glob(".*.tmp.*")):
            leftover.unlink(missing_ok=True)

    def config_of(self, document: Any) -> TrainConfig:
        """Return the settings that a config.json holds; decisions on labels are those in this folder.

        Raises:
            SettingsError: A setting is unknown, or its value is wrong.
        """
        config = from_json(document)
        if not config.labels.relabel:
            return config
        return replace(config, labels=replace(config.labels, relabel=str(self.path / config.labels.relabel)))

    def check_finished(self) -> None:
        """Make sure that the run is there and whole.

        Raises:
            SourceNotFoundError: It is not.
        """
        if not self.path.is_dir():
            raise SourceNotFoundError(
                f"{str(self.path)!r} is no run folder: name one that mien train made, such as runs/train"
            )
        if not self.metrics_path.is_file():
            if not self.config_path.is_file():
                raise SourceNotFoundError(f"{str(self.path)!r} holds no run: name a folder that mien train made")
            raise SourceNotFoundError(
                f"{str(self.path)!r} holds no finished run: finish it by mien train DATA --out RUN --resume"
            )

    def data_dir(self) -> Path:
        """Return the folder of the images that the run was made from; of a store, the copy on this machine.

        Raises:
            SourceNotFoundError: config.json is missing or damaged.
        """
        document = read_json(self.config_path)
        if not isinstance(document, dict) or not isinstance(document.get("data"), str):
            raise SourceNotFoundError(f"{str(self.config_path)!r} does not say where the images lie: name their folder")
        return place_of(document["data"])


def run_of(path: Path) -> RunFolder:
    """Return the run that a path names: by its folder, or by the model.onnx that lies there."""
    run = RunFolder(path.parent)
    return run if path == run.model_path and run.manifest_path.is_file() else RunFolder(path)


def load_config(path: Path) -> TrainConfig:
    """Read the settings of a config.json; decisions on labels are those in its folder.

    Raises:
        SourceNotFoundError: It is missing, or no JSON.
        SettingsError: A setting is unknown, its value is wrong, or the decisions have changed since.
    """
    document = read_json(path)
    try:
        config = RunFolder(path.parent).config_of(document)
    except SettingsError as error:
        raise SettingsError(f"{str(path)!r}: {error}") from error
    if not config.labels.relabel:
        return config
    decisions_path = Path(config.labels.relabel)
    expected = document.get("relabel_sha256")
    if expected and files.sha256_of(decisions_path) != expected:
        raise SettingsError(
            f"{str(decisions_path)!r} is gone, or not as it was when {str(path)!r} was written: put it back, or copy "
            "it and name the copy with --relabel"
        )
    return config


@contextmanager
def new_run(out: Path | None, data_dir: Path) -> Iterator[RunFolder]:
    """Make a folder for a run, and take it away again where the block fails before anything is in it.

    Args:
        out: Where; None for the first free one of runs/train, runs/train2, ...
        data_dir: The folder of the images, in which nothing may be written.

    Raises:
        OutputError: It cannot be made, something is there already, or it would lie among the images.
    """
    files.refuse_among(out or RUNS_DIR / "train", data_dir, "--out")
    path = _made(out) if out is not None else _made_next()
    try:
        with files.claimed(path):
            yield RunFolder(path)
    except BaseException:
        with suppress(OSError):
            path.rmdir()
        raise


def find_unfinished(out: Path | None) -> RunFolder:
    """Return the run to go on with: the one named, or the newest unfinished one in runs/.

    Raises:
        SourceNotFoundError: There is none.
        OutputError: The one named is finished.
    """
    if out is None:
        found = [RunFolder(path.parent) for path in RUNS_DIR.glob("*/config.json")]
        found = [run for run in found if not run.metrics_path.exists()]
        if not found:
            raise SourceNotFoundError(f"no unfinished run in {str(RUNS_DIR)!r}: leave --resume out to start one")
        return max(found, key=lambda run: run.config_path.stat().st_mtime)
    run = RunFolder(out)
    if run.metrics_path.exists():
        raise OutputError(f"the run in {str(out)!r} is finished: leave --resume out, and name another --out")
    if not run.config_path.exists():
        raise SourceNotFoundError(f"{str(out)!r} holds no run that was begun: leave --resume out to start one")
    return run


def _made(path: Path) -> Path:
    with files.writing(path):
        path.mkdir(parents=True, exist_ok=True)
        if any(entry.name != files.LOCK_NAME for entry in path.iterdir()):
            raise OutputError(f"the folder {str(path)!r} is not empty: name another --out, or add --resume")
        # A folder that may not be written to is better known now than after the training.
        (probe := path / ".probe").touch()
        probe.unlink()
    return path


def _made_next() -> Path:
    with files.writing(RUNS_DIR):
        RUNS_DIR.mkdir(exist_ok=True)
    number = 1
    while True:
        path = RUNS_DIR / ("train" if number == 1 else f"train{number}")
        try:
            with files.writing(path):
                path.mkdir()
            return path
        except OutputError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            number += 1
