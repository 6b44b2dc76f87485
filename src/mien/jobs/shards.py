"""Shards: predictions for very many images, in files of some thousand each, which can be resumed."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from mien.config import ScanConfig, ShardConfig
from mien.core import files
from mien.core.csv_tables import table_text
from mien.core.extras import needing, require
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted, visible
from mien.errors import OutputError, SettingsError
from mien.fetching import stores
from mien.fetching.sources import expand_in_turn
from mien.fetching.stores import is_address
from mien.model.classifier import MODEL_NAME, load
from mien.model.prediction import Prediction, predict_each, prediction_rows, threshold_in_force

ABOUT_NAME = "predictions.json"
_MAX_ABOUT_BYTES = 16 * 1024**2
# What users call the settings that are not flags.
_AS_USERS_SAY = {"model_sha256": "classifier", "sources": "sources"}


@dataclass(frozen=True)
class Shards:
    """What was written, and what was already there.

    Attributes:
        place: The output folder or address.
        num_written: Number of shards that this call wrote.
        num_there: Number of shards that were already there.
        num_images: Number of images in all these shards.
        num_errors: Number of those that could not be read.
    """

    place: str
    num_written: int = 0
    num_there: int = 0
    num_images: int = 0
    num_errors: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def with_another(self, num_images: int, num_errors: int, *, was_there: bool) -> "Shards":
        """Return a copy that counts one more shard."""
        return Shards(
            self.place,
            self.num_written + (not was_there),
            self.num_there + was_there,
            self.num_images + num_images,
            self.num_errors + num_errors,
        )


@dataclass
class _Record:
    """What predictions.json records.

    Attributes:
        place: The output folder or address.
        about: How the predictions were made.
        errors: Number of images that could not be read, by the name of each shard that has any.
        num_images: Number of images, once no shard is missing.
    """

    place: str
    about: dict[str, Any]
    errors: dict[str, int] = field(default_factory=dict)
    num_images: int | None = None

    def write(self) -> None:
        whole = {} if self.num_images is None else {"whole": True, "num_images": self.num_images}
        text = json.dumps({**self.about, "errors": self.errors, **whole}, indent=2) + "\n"
        _write(self.place, ABOUT_NAME, text.encode())


def predict_shards(
    run_dir: str | Path,
    sources: Sequence[str | Path],
    *,
    to: str | Path,
    config: ShardConfig = ShardConfig(),
    progress: Progress = SILENCE,
    **settings: Any,
) -> Shards:
    """Classify images and write the predictions in shards. Call it again to resume after an interruption.

    The images are in the order of `mien.predict`. The name of each shard contains a hash of the names of its images, so
    that a shard that already exists is not made again. Sources are listed only as far as the next shard needs.
    `predictions.json` records how the predictions were made, how many images of each shard could not be read and, at
    the end, that they are complete.

    Args:
        run_dir: A run folder, or a model.onnx.
        sources: Files, folders, URLs and addresses, as `mien.predict` takes them.
        to: A folder, or an address in an object store: new, empty, or with shards of an earlier call.
        config: Size and format of the shards.
        progress: Receives progress updates.
        settings: As for `mien.predict`: `threshold`, `max_pixels` and `limits`.

    Raises:
        SourceNotFoundError: A path does not exist, or an object store denies access or cannot be reached. Shards
            already written are kept.
        SettingsError: There are shards made with another classifier, other settings or other images.
        OutputError: The output cannot be written, or contains something else.
        MissingExtraError: pyarrow (for Parquet) or the library of an object store is not installed.
    """
    if config.shard_format == "parquet":
        require("tables", "pyarrow")
    classifier = load(run_dir)
    settings["threshold"] = threshold_in_force(classifier, settings.get("threshold"))
    names, place, made = expand_in_turn(sources, progress), str(to), Shards(str(to))
    about = _about(Path(run_dir), sources, config, settings)
    with _claimed(place, sources):
        waiting, record = _begun(place, about)
        for name, images in _shared_out(names, config):
            if name in waiting:
                waiting.remove(name)
                made = made.with_another(len(images), record.errors.get(name, 0), was_there=True)
                continue
            _refuse_others(waiting, name, place)
            if record.num_images is not None:
                if made.num_images + len(images) > record.num_images:
                    raise SettingsError(f"images were added since {place!r} was written. Choose a new --to")
                # A shard was removed.
                record.num_images = None
                record.write()
            found = []
            with _resumable(made):
                for prediction in predict_each(classifier, images, **settings):
                    found.append(prediction)
                    progress.step("Predicting", made.num_images + len(found), None)
            num_errors = sum(prediction.error is not None for prediction in found)
            if num_errors:
                # First, so that no shard is there without its number.
                record.errors[name] = num_errors
                record.write()
            _write(place, name, _content(found, classifier.class_names, config))
            made = made.with_another(len(found), num_errors, was_there=False)
        progress.step("Predicting", 1, 1)
        _refuse_others(waiting, "part-", place)
        record.num_images = made.num_images
        record.write()
    return made


@contextmanager
def _resumable(made: Shards) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        kept = counted(made.num_written + made.num_there, "shard")
        raise KeyboardInterrupt(f"{kept} in {visible(made.place)}. To resume, run the same command again") from None


def _shared_out(names: Iterator[str], config: ShardConfig) -> Iterator[tuple[str, list[str]]]:
    """Yield for each shard its name and the names of its images."""
    for number in count():
        images = list(islice(names, config.images_per_shard))
        if not images:
            return
        told = "\0".join(images).encode("utf-8", "surrogateescape")
        yield f"part-{number:06}-{hashlib.sha256(told).hexdigest()[:16]}.{config.shard_format}", images


def _about(
    run_dir: Path, sources: Sequence[str | Path], config: ShardConfig, settings: Mapping[str, Any]
) -> dict[str, Any]:
    model = run_dir / MODEL_NAME if run_dir.is_dir() else run_dir
    return {
        "model_sha256": files.sha256_of(model),
        "sources": [visible(str(source)) for source in sources],
        "threshold": settings["threshold"],
        "max_pixels": settings.get("max_pixels", ScanConfig.max_pixels),
        **asdict(config),
    }


def _begun(place: str, about: dict[str, Any]) -> tuple[set[str], _Record]:
    """Return the names of the existing shards, and what predictions.json records. If there are none, write it first.

    Raises:
        SettingsError: They were made with other settings.
        OutputError: The place contains something else.
    """
    record = _Record(place, about)
    there = {name for name in _names_in(place) if not name.startswith(".")}
    if ABOUT_NAME not in there:
        if there:
            raise OutputError(f"{place!r} is not empty and contains no predictions. Choose another --to")
        record.write()
        return set(), record
    try:
        begun = json.loads(_read(place, ABOUT_NAME))
        changed = [name for name, value in about.items() if begun.get(name) != value]
        record.errors = {name: int(number) for name, number in begun.get("errors", {}).items()}
        record.num_images = int(begun.get("num_images", sys.maxsize)) if begun.get("whole") else None
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise OutputError(f"{ABOUT_NAME} in {place!r} is damaged. Choose another --to") from error
    if changed:
        others = ", ".join(_AS_USERS_SAY.get(name, f"--{name.replace('_', '-')}") for name in changed)
        raise SettingsError(
            f"{place!r} has predictions made with other settings: {others}. Use the same to resume, or choose a new "
            "--to"
        )
    return {name for name in there if name.startswith("part-")}, record


def _refuse_others(waiting: Iterable[str], name: str, place: str) -> None:
    """Make sure that no shard has this name with another hash, which would mean that the images have changed."""
    start = name.rpartition("-")[0]
    other = next((name for name in sorted(waiting) if name.startswith(start)), None)
    if other:
        raise SettingsError(
            f"the images have changed since {other!r} in {place!r} was written: some were added, removed or renamed. "
            "Choose a new --to"
        )


def _content(found: Sequence[Prediction], class_names: Sequence[str], config: ShardConfig) -> bytes:
    if config.shard_format == "csv":
        return table_text(prediction_rows(found, class_names)).encode("utf-8", "surrogateescape")
    with needing("tables"):
        import pyarrow
        from pyarrow import parquet
    text, answered = pyarrow.string(), [prediction.probs or dict.fromkeys(class_names) for prediction in found]
    probs = {name: pyarrow.array([each[name] for each in answered], "float32") for name in class_names}
    columns = {
        "source": pyarrow.array([visible(prediction.source) for prediction in found], text),
        "label": pyarrow.array([prediction.label and visible(prediction.label) for prediction in found], text),
        **{f"prob_{visible(name)}": column for name, column in probs.items()},
        "out_of_distribution": pyarrow.array([prediction.out_of_distribution for prediction in found], "bool"),
        "error": pyarrow.array([prediction.error and visible(prediction.error) for prediction in found], text),
    }
    written = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), written)
    content: bytes = written.getvalue().to_pybytes()
    return content


def _claimed(place: str, sources: Sequence[str | Path]) -> AbstractContextManager[None]:
    """Lock a folder against other processes for the block; an object store cannot be locked."""
    if is_address(place):
        return nullcontext()
    for source in sources:
        if Path(source).is_dir():
            files.refuse_among(Path(place), Path(source), "--to")
    with files.writing(Path(place)):
        Path(place).mkdir(parents=True, exist_ok=True)
    return files.claimed(Path(place))


def _names_in(place: str) -> set[str]:
    return stores.names_in(place) if is_address(place) else {path.name for path in Path(place).iterdir()}


def _read(place: str, name: str) -> bytes:
    if is_address(place):
        return stores.read(f"{place.rstrip('/')}/{name}")
    return files.read_bytes(Path(place, name), max_bytes=_MAX_ABOUT_BYTES)


def _write(place: str, name: str, content: bytes) -> None:
    if is_address(place):
        stores.write(f"{place.rstrip('/')}/{name}", content)
        return
    with files.replacing(Path(place, name)) as temporary:
        temporary.write_bytes(content)
