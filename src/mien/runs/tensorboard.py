"""TensorBoard event files of a run, written synchronously, so that a full disk is noticed."""

import io
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.config import TrainConfig
from mien.core import files
from mien.core.extras import needing
from mien.runs.figures import plot_confusion, plot_reliability
from mien.runs.folder import RunFolder
from mien.scoring.model_card import escaped
from mien.scoring.results import Evaluation, Scores

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

_FORMAT = "brain.Event:2"


class EventFile:
    """A new event file in a folder; both are created with the first event.

    TensorBoard's own writers load TensorFlow, and work in a thread, where errors get lost.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.mien"

    def add(self, summaries: Iterable["Summary"], *, step: int = 0) -> None:
        """Write the summaries of a step, each as its own event.

        Raises:
            OutputError: The disk is full.
            MissingExtraError: The package tensorboard is not installed.
        """
        with needing("keras"):
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.summary.writer.record_writer import RecordWriter
        now = time.time()
        with files.writing(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab") as file:
                events = (Event(summary=summary, wall_time=now, step=step) for summary in summaries)
                first = [] if file.tell() else [Event(wall_time=now, file_version=_FORMAT)]
                writer = RecordWriter(file)
                for event in chain(first, events):
                    writer.write(event.SerializeToString())


def log_run(run_folder: RunFolder, config: TrainConfig, scores: Scores) -> None:
    """Log the samples, settings and scores of a run for TensorBoard, as charts and numbers.

    Settings and scores also appear in the HParams tab, where runs can be compared.

    Args:
        run_folder: The run folder, which has samples.png.
        config: The settings.
        scores: The scores.

    Raises:
        OutputError: The disk is full.
    """
    # A run that was interrupted here writes them again.
    with files.writing(run_folder.logs_path):
        for earlier in run_folder.logs_path.glob("events.out.tfevents.*"):
            earlier.unlink()
    EventFile(run_folder.logs_path).add(_summaries(run_folder, config, scores))


def _summaries(run_folder: RunFolder, config: TrainConfig, scores: Scores) -> Iterator["Summary"]:
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.plugins.text.summary_v2 import text_pb

    settings = config.flat()
    plain = {name: value if isinstance(value, bool | int | float) else _utf8(value) for name, value in settings.items()}
    yield hparams_pb(plain, trial_id=_utf8(run_folder.path))
    for source, evaluation in scores.by_source.items():
        for name, value in _numbers(evaluation).items():
            yield scalar_pb(f"{source}/{name}", value)
    yield text_pb("settings", _settings_table(settings))
    yield text_pb(
        "scores", "\n\n".join(_scores_table(source, evaluation) for source, evaluation in scores.by_source.items())
    )
    yield _image("samples", (run_folder.path / "samples.png").read_bytes())
    for draw in (plot_confusion, plot_reliability):
        yield _image(draw.__name__.removeprefix("plot_"), draw(scores.judged).png())


def _numbers(evaluation: Evaluation) -> dict[str, float]:
    accuracy, error = evaluation.accuracy, evaluation.calibration.error
    found = {"accuracy": accuracy.value, "accuracy_low": accuracy.low, "accuracy_high": accuracy.high}
    found |= {"loss": evaluation.loss, "calibration_error": error.value}
    return {name: value for name, value in found.items() if value is not None}


def _image(name: str, png: bytes) -> "Summary":
    """Return a PNG file as a TensorBoard summary."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.image.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    with Image.open(io.BytesIO(png)) as image:
        width, height = image.size
    content = np.array([str(width).encode(), str(height).encode(), png], object)
    metadata = create_summary_metadata(display_name=None, description="")
    value = Summary.Value(tag=name, metadata=metadata, tensor=make_tensor_proto(content))
    return Summary(value=[value])


def _settings_table(settings: Mapping[str, Any]) -> str:
    rows = [f"| {escaped(name)} | {escaped(str(value))} |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])


def _scores_table(source: str, evaluation: Evaluation) -> str:
    rows = [f"| accuracy | {evaluation.accuracy} |"]
    rows.append(f"| always guessing {escaped(evaluation.baseline_label)} | {evaluation.baseline} |")
    rows.append(f"| calibration error | {evaluation.calibration.error} |")
    for item in evaluation.classes:
        for name, score in (("precision", item.precision), ("recall", item.recall), ("F1", item.f1)):
            rows.append(f"| {name} of {escaped(item.label)} | {score} |")
    return "\n".join([f"| {escaped(source)} | |", "| --- | --- |", *rows])


def _utf8(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
