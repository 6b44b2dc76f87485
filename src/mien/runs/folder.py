"""The run folder: the files of a run, how a new folder is chosen, and how an unfinished run is found."""

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
from mien.fetching.stored_folders import address_of, how_to_finish, place_of

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
        """Every setting, the folder of the images, and package versions."""
        return self.path / "config.json"

    @property
    def decisions_path(self) -> Path:
        """The label decisions that the run was trained with, if any."""
        return self.path / "relabel.csv"

    @property
    def journal_path(self) -> Path:
        """The label decisions made since then in mien review."""
        return self.path / "decisions.csv"

    @property
    def manifest_path(self) -> Path:
        """Every file of the Dataset, with its problems and its split."""
        return self.path / "manifest.csv"

    @property
    def looks_path(self) -> Path:
        """A tiny version of each image, used to recognise copies."""
        return self.path / "looks.npy"

    @property
    def history_path(self) -> Path:
        """Loss and accuracy of each epoch."""
        return self.path / "history.csv"

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint of an unfinished training; deleted when the run is finished."""
        return self.path / "checkpoint.npz"

    def fold_path(self, number: int) -> Path:
        """The predictions of one fold of an unfinished cross-validation; deleted when the run is finished."""
        return self.path / f"fold{number}.npz"

    @property
    def logs_path(self) -> Path:
        """TensorBoard logs."""
        return self.path / "logs"

    @property
    def metrics_path(self) -> Path:
        """The scores; written last, so that a run with scores is complete."""
        return self.path / "metrics.json"

    @property
    def model_path(self) -> Path:
        """The Classifier, as an ONNX file."""
        return self.path / "model.onnx"

    def save_config(self, config: TrainConfig, data_dir: Path, versions: dict[str, str]) -> None:
        """Write config.json, which refers to the label decisions by their copy in this folder and its hash.

        Raises:
            OutputError: The file cannot be written.
        """
        document = {**to_json(config), "data": address_of(data_dir), "versions": versions}
        if config.labels.relabel:
            document["labels"] = {"relabel": self.decisions_path.name}
            document["relabel_sha256"] = files.sha256_of(self.decisions_path)
        self.save_json(self.config_path, document)

    def save_json(self, path: Path, document: dict[str, Any]) -> None:
        """Write a JSON document.

        Raises:
            OutputError: The file cannot be written.
        """
        files.write_text(path, json.dumps(document, indent=2) + "\n")

    def tidy(self) -> None:
        """Delete the files that only an unfinished run needs, and temporary files of killed runs."""
        for leftover in (self.checkpoint_path, *self.path.glob("fold*.npz"), *self.path.glob(".*.tmp.*")):
            leftover.unlink(missing_ok=True)

    def config_of(self, document: Any) -> TrainConfig:
        """Return the settings of a config.json, with the label decisions of this folder.

        Raises:
            SettingsError: A setting is unknown or has an invalid value.
        """
        config = from_json(document)
        if not config.labels.relabel:
            return config
        return replace(config, labels=replace(config.labels, relabel=str(self.path / config.labels.relabel)))

    def check_finished(self) -> None:
        """Make sure that this is a finished run.

        Raises:
            SourceNotFoundError: There is no run, or it is not finished.
        """
        if not self.path.is_dir():
            raise SourceNotFoundError(f"{str(self.path)!r} is not a run folder. Name one, e.g. runs/train")
        if not self.metrics_path.is_file():
            if not self.config_path.is_file():
                raise SourceNotFoundError(
                    f"{str(self.path)!r} does not contain a run. Name a run folder, e.g. runs/train"
                )
            raise SourceNotFoundError(f"the run in {str(self.path)!r} is not finished. {how_to_finish(self.path)}")

    def data_dir(self) -> Path:
        """Return the folder of the training images; for an object store, the local copy.

        Raises:
            SourceNotFoundError: config.json is missing or damaged.
        """
        document = read_json(self.config_path)
        if not isinstance(document, dict) or not isinstance(document.get("data"), str):
            raise SourceNotFoundError(f"{str(self.config_path)!r} does not name the image folder. Name it yourself")
        return place_of(document["data"])


def run_of(path: Path) -> RunFolder:
    """Return the run that a path refers to: a run folder, or its model.onnx."""
    run = RunFolder(path.parent)
    return run if path == run.model_path and run.manifest_path.is_file() else RunFolder(path)


def load_config(path: Path) -> TrainConfig:
    """Read the settings of a config.json, with the label decisions in its folder.

    Raises:
        SourceNotFoundError: The file is missing or not JSON.
        SettingsError: A setting is unknown or has an invalid value, or the label decisions have changed since.
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
            f"{str(decisions_path)!r} is missing or has changed since {str(path)!r} was written. Restore it, or pass a "
            "copy with --relabel"
        )
    return config


@contextmanager
def new_run(out: Path | None, data_dir: Path) -> Iterator[RunFolder]:
    """Create a run folder, and delete it again if the block fails while it is still empty.

    Args:
        out: The folder. Default: the first free one of runs/train, runs/train2, ...
        data_dir: The folder of the images, which must not contain the run.

    Raises:
        OutputError: The folder cannot be created, is not empty, or is inside the image folder.
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
    """Return the run to resume: the given one, or the newest unfinished one in runs/.

    Raises:
        SourceNotFoundError: There is no unfinished run.
        OutputError: The given run is already finished.
    """
    if out is None:
        found = [RunFolder(path.parent) for path in RUNS_DIR.glob("*/config.json")]
        found = [run for run in found if not run.metrics_path.exists()]
        if not found:
            raise SourceNotFoundError(f"there is no unfinished run in {str(RUNS_DIR)!r}. Omit --resume to start one")
        return max(found, key=lambda run: run.config_path.stat().st_mtime)
    run = RunFolder(out)
    if run.metrics_path.exists():
        raise OutputError(f"the run in {str(out)!r} is already finished. Omit --resume and choose another --out")
    if not run.config_path.exists():
        raise SourceNotFoundError(f"there is no run to resume in {str(out)!r}. Omit --resume to start one")
    return run


def _made(path: Path) -> Path:
    with files.writing(path):
        path.mkdir(parents=True, exist_ok=True)
        if any(entry.name != files.LOCK_NAME for entry in path.iterdir()):
            raise OutputError(_what_is_there(RunFolder(path)))
        # Better to find out now than after the training that the folder is not writable.
        (probe := path / ".probe").touch()
        probe.unlink()
    return path


def _what_is_there(run: RunFolder) -> str:
    """Describe the content of a folder that is not empty, and what to do."""
    if run.metrics_path.exists():
        told = f"{str(run.path)!r} holds a finished run"
        return f"{told}. Leave --out away, and the run gets a folder of its own, or choose another"
    if run.config_path.exists():
        return f"{str(run.path)!r} holds an unfinished run. To finish it, add --resume. Otherwise choose another --out"
    return f"the folder {str(run.path)!r} is not empty. Choose another --out"


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
