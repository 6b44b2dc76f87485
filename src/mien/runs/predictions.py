"""predictions.csv and out_of_fold.csv of a run: written and read here alone."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core import files
from mien.core.csv_tables import read_records, table_text
from mien.data.dataset import Dataset
from mien.scoring.results import Predictions, Source

# The file of each source, and the splits whose images it holds.
_FILES: dict[Source, tuple[str, tuple[str, ...]]] = {
    "test": ("predictions.csv", ("test",)),
    "out_of_fold": ("out_of_fold.csv", ("train", "val")),
}


def write_predictions(folder: Path, dataset: Dataset, predictions: Predictions, source: Source) -> None:
    """Write one row per image: path, label, predicted class, and the probability of every class.

    Raises:
        OutputError: The file cannot be written.
    """
    names = predictions.class_names
    rows = [["path", "label", "predicted", *(f"prob_{name}" for name in names)]]
    for index, probs in zip(predictions.indexes, predictions.probs, strict=True):
        record = dataset.records[index]
        row = [record.path, record.label, names[int(probs.argmax())]]
        rows.append([*row, *(f"{prob:.6f}" for prob in probs.tolist())])
    files.write_text(folder / _FILES[source][0], table_text(rows))


def read_predictions(folder: Path, dataset: Dataset, source: Source, *, num_folds: int = 0) -> Predictions | None:
    """Read back what `write_predictions` wrote; None where the file is missing.

    Args:
        folder: That of the run.
        dataset: What the run was made from, with its split.
        source: Which of the two files.
        num_folds: Of the cross-validation that made them.

    Raises:
        ValueError: The file is damaged, or is about other images or classes.
    """
    name, splits = _FILES[source]
    if not (folder / name).exists():
        return None
    places = {record.path: place for place, record in enumerate(dataset.records) if record.split in splits}
    numbers = {label: number for number, label in enumerate(dataset.class_names)}
    columns = [f"prob_{label}" for label in dataset.class_names]
    indexes: list[int] = []
    probs: list[NDArray[np.float32]] = []
    try:
        with files.open_text(folder / name, errors="surrogateescape") as file:
            for row in read_records(file):
                path, label = row["path"], row["label"]
                if path not in places or label != dataset.records[places[path]].label:
                    raise ValueError(f"the manifest has no image {path!r} of class {label!r} in {' or '.join(splits)}")
                values = np.array([row[column] for column in columns], np.float32)
                if not ((values >= 0) & (values <= 1)).all():
                    raise ValueError(f"the probabilities of {path!r} are not from 0 to 1")
                indexes.append(places[path])
                probs.append(_with_winner(values, numbers.get(row["predicted"], -1), path))
        if sorted(indexes) != sorted(places.values()):
            raise ValueError(f"it is about {len(set(indexes))} images in {len(indexes)} rows; expected {len(places)}")
    except KeyError as error:
        raise ValueError(f"{name}: it has no column {error}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: {files.reason_of(error)}") from error
    found = np.array(indexes, np.int64)
    table = np.stack(probs) if probs else np.zeros((0, len(dataset.class_names)), np.float32)
    return Predictions(found, dataset.labels(found), table, num_folds=num_folds, class_names=dataset.class_names)


def _with_winner(probs: NDArray[np.float32], number: int, path: str) -> NDArray[np.float32]:
    """Return probabilities, (C,), of which that of the predicted class is the highest, also among equals."""
    if number < 0 or probs[number] < probs.max():
        raise ValueError(f"the class predicted for {path!r} is not the most probable one")
    if int(probs.argmax()) != number:
        probs[number] = np.nextafter(probs[number], np.float32(2))
    return probs
