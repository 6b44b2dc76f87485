"""Exporting: a run -> a file for another runtime, which is kept only if it classifies all images as the run does."""

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core import files, images
from mien.core.inputs import Inputs
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress, Steps
from mien.core.scores import Score
from mien.data.dataset import Dataset
from mien.errors import ExportMismatchError, ImageError, OutputError, SettingsError, SourceNotFoundError
from mien.exports.formats import FORMATS, Answering, Format, FormatName
from mien.jobs.refit import linear_settings
from mien.jobs.train import train
from mien.model.agreement import Agreement, compare_answers
from mien.model.classifier import EXPORTED_KEY, Classifier
from mien.runs.run import Run, load_run

Array = NDArray[np.float32]

# The time per image is the median of this many.
_NUM_TIMED = 50


@dataclass(frozen=True)
class Exported:
    """A classifier exported for another runtime.

    Attributes:
        path: The file to open.
        beside: Names of the other files, in the same folder. The last one is the description.
        title: Name of the format.
        agreement: How closely it agrees with the classifier on all images of the run.
        accuracy: Accuracy of the exported classifier by cross-validation, or on the test split without one.
        accuracy_with_faces: Accuracy of the run's classifier, if that looks at faces and the exported one only at whole
            images. Otherwise None.
        milliseconds: Time per image on one core, without decoding.
        milliseconds_of_onnx: The same with ONNX Runtime.
        num_bytes: Size of its files, without the description.
        num_bytes_of_onnx: Size of the same network as ONNX.
    """

    path: Path
    beside: tuple[str, ...]
    title: str
    agreement: Agreement
    accuracy: Score
    accuracy_with_faces: Score | None
    milliseconds: float
    milliseconds_of_onnx: float
    num_bytes: int
    num_bytes_of_onnx: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "path": str(self.path)}


def export(
    run: Run | str | Path,
    to: FormatName,
    *,
    out: str | Path | None = None,
    cache_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Exported:
    """Export the classifier of a run for another runtime, and check that it gives the same predictions.

    Both classify all images of the run. If any label differs, or any probability by more than 0.001, nothing is
    written. The file takes `images`, uint8 (1, H, W, 3), and returns `probs`, float32 (1, C). A JSON file with the same
    name plus ".json" holds what else a program needs to know. A classifier that looks at faces is retrained on whole
    images, because such files cannot detect faces.

    Args:
        run: A run, or its folder. Its images must still exist.
        to: "onnx", "litert" or "openvino".
        out: The file to write. Default: exported/model.* in the run folder.
        cache_dir: Cache folder for image features, if the classifier is retrained.
        progress: Receives progress.

    Raises:
        MissingExtraError: A package is not installed.
        SettingsError: There is no such format, or `out` has the wrong extension.
        SourceNotFoundError: An image of the run is missing or has changed.
        ExportMismatchError: The predictions would differ. Nothing is written.
        GateError: The network cannot be written in the format.
        OutputError: The file cannot be written, or is something other than an earlier export.

    Example:
        >>> import mien
        >>> exported = mien.export("runs/train2", "onnx")
        >>> exported.agreement.num_images, exported.agreement.num_changed
        (24, 0)
    """
    if to not in FORMATS:
        raise SettingsError(f"unknown format {to!r}. Use {', '.join(FORMATS)}; mien.write_web_page makes a web page")
    form = FORMATS[to]
    form.require()
    run = run if isinstance(run, Run) else load_run(run)
    path = Path(out) if out else run.path / "exported" / f"model{form.endings[0]}"
    _refuse_place(path, form, run)
    whole = _on_whole_images(run, cache_dir, progress) if run.classifier.looks_at_faces else run
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder, "model").with_suffix(ending) for ending in form.endings]
        progress.say(f"writing {form.title}")
        network = _network(whole.classifier)
        with files.writing(parts[0]):
            form.write(network, parts[0])
        answering = form.open(parts[0])
        agreement = compare_answers(*_answers(whole, answering, progress))
        if not agreement.holds:
            raise ExportMismatchError(
                f"{form.title} would give different predictions than model.onnx: {agreement}. Nothing was written"
            )
        pixels = _pixels(whole.dataset, whole.dataset.indexes()[0])
        exported = Exported(
            path=path,
            beside=(*(path.with_suffix(ending).name for ending in form.endings[1:]), _description_path(path).name),
            title=form.title,
            agreement=agreement,
            accuracy=whole.scores.judged.accuracy,
            accuracy_with_faces=run.scores.judged.accuracy if whole is not run else None,
            milliseconds=_milliseconds(answering, pixels),
            milliseconds_of_onnx=_milliseconds(_asking(whole.classifier), pixels),
            num_bytes=sum(part.stat().st_size for part in parts),
            num_bytes_of_onnx=len(network),
        )
        _put(parts, _description(whole.classifier, exported), path)
    return exported


def _refuse_place(path: Path, form: Format, run: Run) -> None:
    """Refuse to overwrite anything but an earlier export."""
    if path.suffix != form.endings[0]:
        raise SettingsError(f"{str(path)!r} must end in {form.endings[0]}, as it will be {form.title}. Change --out")
    files.refuse_among(path, run.dataset.root, "--out")
    with files.writing(_description_path(path)):
        is_described = _description_path(path).is_file()
    if path.exists() and not is_described:
        raise OutputError(f"{str(path)!r} already exists and was not written by mien export. Choose another --out")


def _description_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _on_whole_images(run: Run, cache_dir: Path | None, progress: Progress) -> Run:
    """Train again on the same images and splits, without faces."""
    progress.say("exported files cannot detect faces, so training a classifier on whole images only")
    config = linear_settings(run).changed(faces="off")
    with tempfile.TemporaryDirectory() as folder:
        whole = train(run.dataset.root, config, out=Path(folder, "run"), cache_dir=cache_dir, progress=Steps(progress))
    whole.dataset.refuse_changes(run.path / "manifest.csv")
    return whole


def _network(classifier: Classifier) -> bytes:
    """Return only the part of the graph from images to probabilities."""
    import onnx
    from onnx.utils import Extractor

    model = Extractor(onnx.load_from_string(classifier.content)).extract_model(["images"], ["probs"])
    model.metadata_props.add(key=EXPORTED_KEY, value=classifier.sha256)
    return bytes(model.SerializeToString())


def _answers(run: Run, answering: Answering, progress: Progress) -> tuple[Iterable[Array], Iterable[Array]]:
    """Return the predictions of the classifier and of the file for each image of a run, lazily."""
    places = run.dataset.indexes()

    def shown() -> Iterator[NDArray[np.uint8]]:
        for done, pixels in enumerate(in_threads(lambda place: _pixels(run.dataset, place), places), start=1):
            yield pixels
            progress.step("Comparing predictions", done, len(places))

    for_one, for_other = tee(shown())
    return map(_asking(run.classifier), for_one), map(answering, for_other)


def _asking(classifier: Classifier) -> Answering:
    return lambda pixels: classifier.probs(Inputs.of(pixels))


def _pixels(dataset: Dataset, place: int) -> NDArray[np.uint8]:
    """Return the network input for an image."""
    try:
        return images.to_array(dataset.content(place), dataset.config)[np.newaxis]
    except ImageError as error:
        path = str(dataset.root / dataset.records[place].path)
        raise SourceNotFoundError(
            f"{path!r}: {error}. The export is checked on the images of the run. Put the image back, or train again"
        ) from error


def _milliseconds(answering: Answering, pixels: NDArray[np.uint8]) -> float:
    """Return the median time per image."""

    def seconds() -> float:
        started = time.perf_counter()
        answering(pixels)
        return time.perf_counter() - started

    return 1000 * statistics.median(seconds() for _ in range(_NUM_TIMED))


def _description(classifier: Classifier, exported: Exported) -> dict[str, Any]:
    """Return what a program needs to know about a file that the file itself does not say."""
    facts = classifier.facts
    return {
        "format": exported.title,
        "class_names": list(facts.class_names),
        "image_size": list(facts.image_size),
        "resize_mode": facts.resize_mode,
        "ground": facts.ground,
        "levels": facts.levels,
        "threshold": facts.threshold,
        "input": {"name": "images", "shape": [1, *facts.image_size, 3], "dtype": "uint8"},
        "output": {"name": "probs", "shape": [1, len(facts.class_names)], "dtype": "float32"},
        "model_sha256": classifier.sha256,
        "mien_version": facts.mien_version,
        "proof": exported.to_dict(),
    }


def _put(parts: Sequence[Path], description: dict[str, Any], path: Path) -> None:
    """Move the files to their place, the description last."""
    with files.writing(path):
        path.parent.mkdir(exist_ok=True)
    # Write everything before replacing anything, the description last.
    with ExitStack() as stack:
        text = f"{json.dumps(description, indent=2)}\n"
        stack.enter_context(files.replacing(_description_path(path))).write_text(text, "utf-8")
        for part in parts:
            shutil.copyfile(part, stack.enter_context(files.replacing(path.with_suffix(part.suffix))))
