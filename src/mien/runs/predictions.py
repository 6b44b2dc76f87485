"""Reading and writing predictions.csv and out_of_fold.csv of a run."""

from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core import files
from mien.core.csv_tables import prob_cells, read_records, table_text
from mien.data.dataset import Dataset
from mien.scoring.results import Predictions, Source

# The file for each source, and the splits that it covers.
_FILES: dict[Source, tuple[str, tuple[str, ...]]] = {
    "test": ("predictions.csv", ("test",)),
    "out_of_fold": ("out_of_fold.csv", ("train", "val")),
}


def write_predictions(folder: Path, dataset: Dataset, predictions: Predictions, source: Source) -> None:
    """Write the predictions of a run as a CSV file.

    Raises:
        OutputError: The file cannot be written.
    """
    files.write_text(folder / _FILES[source][0], predictions_text(dataset, predictions))


def predictions_text(dataset: Dataset, predictions: Predictions) -> str:
    """Return CSV with a row per image: path, label, predicted class, and the probability of every class."""
    names = predictions.class_names
    rows = [["path", "label", "predicted", *(f"prob_{name}" for name in names)]]
    for index, probs in zip(predictions.indexes, predictions.probs, strict=True):
        record = dataset.records[index]
        row = [record.path, record.label, names[int(probs.argmax())]]
        rows.append([*row, *prob_cells(probs.tolist())])
    return table_text(rows)


def read_predictions(folder: Path, dataset: Dataset, source: Source, *, num_folds: int = 0) -> Predictions | None:
    """Read back what `write_predictions` wrote; None if the file is missing.

    Args:
        folder: The run folder.
        dataset: The Dataset of the run, with its split.
        source: Which of the two files to read.
        num_folds: Folds of the cross-validation.

    Raises:
        ValueError: The file is damaged, or covers other images or classes.
    """
    name, splits = _FILES[source]
    if not (folder / name).exists():
        return None
    places = {record.path: place for place, record in enumerate(dataset.records) if record.split in splits}
    numbers = {label: number for number, label in enumerate(dataset.class_names)}
    probs_of = itemgetter(*(f"prob_{label}" for label in dataset.class_names))
    indexes, predicted = list[int](), list[int]()
    probs: list[NDArray[np.float32]] = []
    try:
        with files.open_text(folder / name, errors="surrogateescape") as file:
            for row in read_records(file):
                path, label = row["path"], row["label"]
                if path not in places or label != dataset.records[places[path]].label:
                    raise ValueError(f"the manifest has no image {path!r} labelled {label!r} in {' or '.join(splits)}")
                indexes.append(places[path])
                predicted.append(numbers.get(row["predicted"], -1))
                probs.append(np.array(probs_of(row), np.float32))
        table = np.stack(probs) if probs else np.zeros((0, len(dataset.class_names)), np.float32)
        paths = [dataset.records[place].path for place in indexes]
        outside = ~((table >= 0) & (table <= 1)).all(axis=1)
        if outside.any():
            raise ValueError(f"the probabilities of {paths[int(outside.argmax())]!r} are not between 0 and 1")
        _let_win(table, np.array(predicted, np.int64), paths)
        if sorted(indexes) != sorted(places.values()):
            raise ValueError(f"{len(indexes)} rows cover {len(set(indexes))} images; expected {len(places)}")
    except KeyError as error:
        raise ValueError(f"{name}: missing column {error}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: {files.reason_of(error)}") from error
    found = np.array(indexes, np.int64)
    return Predictions(
        found,
        dataset.labels(found),
        table,
        num_folds=num_folds,
        groups=dataset.subject_numbers(found),
        class_names=dataset.class_names,
    )


def _let_win(probs: NDArray[np.float32], predicted: NDArray[np.int64], paths: list[str]) -> None:
    """Make the probability of each predicted class the highest in its row, breaking ties."""
    rows = np.arange(len(probs))
    of_predicted = probs[rows, predicted]
    wrong = (predicted < 0) | (of_predicted < probs.max(axis=1))
    if wrong.any():
        raise ValueError(f"the class predicted for {paths[int(wrong.argmax())]!r} is not the most likely one")
    tied = probs.argmax(axis=1) != predicted
    probs[rows[tied], predicted[tied]] = np.nextafter(of_predicted[tied], np.float32(2))
