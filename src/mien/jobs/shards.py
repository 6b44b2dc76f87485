"""Shards: predictions of very many images, in parts of some thousand, none of which is made a second time."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from mien.config import ScanConfig, ShardConfig
from mien.core import files
from mien.core.csv_tables import table_text
from mien.core.extras import needing, require
from mien.core.progress import SILENCE, Progress
from mien.core.text import visible
from mien.errors import OutputError, SettingsError
from mien.fetching import stores
from mien.fetching.sources import expand_in_turn
from mien.fetching.stores import is_address
from mien.model.classifier import MODEL_NAME, load
from mien.model.prediction import Prediction, predict_each, prediction_rows, threshold_in_force

ABOUT_NAME = "predictions.json"
_MAX_ABOUT_BYTES = 16 * 1024**2


@dataclass(frozen=True)
class Shards:
    """What was written, and what was there.

    Attributes:
        place: The folder, or its address.
        num_written: Shards that this call wrote.
        num_there: Shards that were there.
        num_images: Images in the shards that this call wrote.
        num_errors: Those of them that could not be read.
    """

    place: str
    num_written: int = 0
    num_there: int = 0
    num_images: int = 0
    num_errors: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return asdict(self)

    def with_another(self, found: Sequence[Prediction]) -> "Shards":
        """Return the same with one more shard that this call wrote."""
        num_errors = self.num_errors + sum(prediction.error is not None for prediction in found)
        num_images = self.num_images + len(found)
        return replace(self, num_written=self.num_written + 1, num_images=num_images, num_errors=num_errors)


def predict_shards(
    run_dir: str | Path,
    sources: Sequence[str | Path],
    *,
    to: str | Path,
    config: ShardConfig = ShardConfig(),
    progress: Progress = SILENCE,
    **settings: Any,
) -> Shards:
    """Say which class each image belongs to, and write that in shards. Called again, it goes on where it was cut off.

    The images are taken in the order of `mien.predict`; each shard has the next of them, and a hash of their names in
    its own: where it is there already, it is not made again. Sources are looked through only as far as the next shard
    needs. `predictions.json` says what the answers were made with, and at the end that they are whole.

    Args:
        run_dir: A run folder, or a model.onnx.
        sources: Files, folders, URLs and addresses, as `mien.predict` takes them.
        to: A folder, or an address in a store: new, empty, or one that an earlier call has begun to fill.
        config: How large shards are, and of what kind.
        progress: Told how far it is.
        settings: As `mien.predict` takes them: `threshold`, `max_pixels` and `limits`.

    Raises:
        SourceNotFoundError: A path does not exist, or a store refuses or cannot be reached. What is written stays.
        SettingsError: There are answers of another classifier, by other settings or of other images.
        OutputError: The place cannot be written to, or holds something else.
        MissingExtraError: pyarrow is needed for Parquet, or the library of a store.
    """
    if config.shard_format == "parquet":
        require("tables", "pyarrow")
    classifier = load(run_dir)
    settings["threshold"] = threshold_in_force(classifier, settings.get("threshold"))
    names, place, made = expand_in_turn(sources, progress), str(to), Shards(str(to))
    about = _about(Path(run_dir), sources, config, settings)
    with _claimed(place, sources):
        waiting = _begun(place, about)
        for name, images in _shared_out(names, config):
            if name in waiting:
                waiting.remove(name)
                made = replace(made, num_there=made.num_there + 1)
                continue
            _refuse_others(waiting, name, place)
            found = []
            for prediction in predict_each(classifier, images, **settings):
                found.append(prediction)
                num_done = made.num_images + len(found)
                progress.step("Predicting", num_done, num_done + 1)
            _write(place, name, _content(found, classifier.class_names, config))
            made = made.with_another(found)
        progress.step("Predicting", 1, 1)
        _refuse_others(waiting, "part-", place)
        _write(place, ABOUT_NAME, _as_json(about | {"whole": True}))
    return made


def _shared_out(names: Iterator[str], config: ShardConfig) -> Iterator[tuple[str, list[str]]]:
    """Yield for each shard its name and those of its images."""
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


def _begun(place: str, about: dict[str, Any]) -> set[str]:
    """Return the names of the shards that are in a place; an empty one is told what will be.

    Raises:
        SettingsError: They were made with something else.
        OutputError: It holds something else.
    """
    there = {name for name in _names_in(place) if not name.startswith(".")}
    if ABOUT_NAME not in there:
        if there:
            raise OutputError(f"{place!r} is not empty, and holds no predictions: name another --to")
        _write(place, ABOUT_NAME, _as_json(about))
        return set()
    try:
        begun = json.loads(_read(place, ABOUT_NAME))
        changed = [name for name, value in about.items() if begun.get(name) != value]
    except (ValueError, AttributeError) as error:
        raise OutputError(f"{ABOUT_NAME} in {place!r} is damaged: name another --to") from error
    if changed:
        raise SettingsError(
            f"{place!r} has predictions that were made with another {', '.join(changed)}: name another --to, or say "
            "the same as then"
        )
    return {name for name in there if name.startswith("part-")}


def _refuse_others(waiting: Iterable[str], name: str, place: str) -> None:
    """Make sure that no shard has the name but for its hash: it would be of other images than there are now."""
    start = name.rpartition("-")[0]
    other = next((name for name in sorted(waiting) if name.startswith(start)), None)
    if other:
        raise SettingsError(
            f"{other!r} in {place!r} is of other images than there are now: some were added, removed or renamed. Name "
            "another --to"
        )


def _content(found: Sequence[Prediction], class_names: Sequence[str], config: ShardConfig) -> bytes:
    if config.shard_format == "csv":
        return table_text(prediction_rows(found, class_names)).encode("utf-8", "surrogateescape")
    with needing("tables"):
        import pyarrow
        from pyarrow import parquet
    text, answered = pyarrow.string(), [prediction.probs or dict.fromkeys(class_names) for prediction in found]
    columns = {
        "source": pyarrow.array([visible(prediction.source) for prediction in found], text),
        "label": pyarrow.array([prediction.label for prediction in found], text),
        **{f"prob_{name}": pyarrow.array([probs[name] for probs in answered], "float32") for name in class_names},
        "out_of_distribution": pyarrow.array([prediction.out_of_distribution for prediction in found], "bool"),
        "error": pyarrow.array([prediction.error and visible(prediction.error) for prediction in found], text),
    }
    written = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), written)
    content: bytes = written.getvalue().to_pybytes()
    return content


def _claimed(place: str, sources: Sequence[str | Path]) -> AbstractContextManager[None]:
    """Keep other processes out of a folder for the block; of a store nobody can be kept out."""
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


def _as_json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
