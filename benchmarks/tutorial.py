"""The well-known happy/sad tutorial as one script, for train.py to time: Keras on TensorFlow, two classes.

    python benchmarks/tutorial.py DATA

Drops bad files, loads, scales, splits by batches, trains, evaluates, saves, loads, predicts one image: the same steps
and settings as the tutorial. Its plots, which change nothing, are left out. DATA is not changed: the good files are
copied to a temporary folder, and the time that takes is printed, so that it can be taken off. Prints one JSON document.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FORMATS = {"JPEG", "PNG", "BMP"}
MIN_BYTES = 10 * 1024
EPOCHS = 20
BATCH_SIZE = 32


def is_good(path: Path) -> bool:
    """Say whether a file is a whole image of a known type, and not tiny."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image.format in FORMATS and path.stat().st_size >= MIN_BYTES
    except Exception:
        return False


def copy_files(files: list[Path], data_dir: Path, copy_dir: Path) -> None:
    """Copy files to the same places under another folder."""
    for path in files:
        copy = copy_dir / path.relative_to(data_dir)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def build() -> Any:
    """Build and compile the network."""
    from keras import Sequential, layers

    model = Sequential([layers.Input((256, 256, 3))])
    for filters in (16, 32, 16):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(256, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def split(data: Any) -> tuple[Any, Any, Any]:
    """Split by batches, 70/20/10; what rounding leaves goes to the test batches."""
    num_train, num_val = int(len(data) * 0.7), max(1, int(len(data) * 0.2))
    return data.take(num_train), data.skip(num_train).take(num_val), data.skip(num_train + num_val)


def evaluate(model: Any, batches: Any) -> dict[str, float]:
    """Score the network on batches."""
    from keras.metrics import BinaryAccuracy, Precision, Recall

    scores = {"precision": Precision(), "recall": Recall(), "accuracy": BinaryAccuracy()}
    for images, labels in batches.as_numpy_iterator():
        predictions = model.predict(images, verbose=0)
        for score in scores.values():
            score.update_state(labels[:, None], predictions)
    return {name: float(score.result()) for name, score in scores.items()}


def follow(data_dir: Path, work_dir: Path, photo: Path) -> dict[str, float]:
    """Follow the tutorial from loading to the prediction; return its scores, and on how many images it trained."""
    import keras

    data = keras.utils.image_dataset_from_directory(data_dir, batch_size=BATCH_SIZE, verbose=False)
    data = data.map(lambda x, y: (x / 255, y))
    train, val, test = split(data)
    model = build()
    tensorboard = keras.callbacks.TensorBoard(work_dir / "logs")
    model.fit(train, epochs=EPOCHS, validation_data=val, callbacks=[tensorboard], verbose=0)
    scores = evaluate(model, test)
    model.save(work_dir / "model.keras")
    model = keras.models.load_model(work_dir / "model.keras")
    image = keras.utils.img_to_array(keras.utils.load_img(photo, target_size=(256, 256)))
    model.predict(image[None] / 255, verbose=0)
    return {**scores, "num_train": len(train) * BATCH_SIZE}


def main() -> None:
    """Follow the tutorial, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder of two class folders")
    data_dir = parser.parse_args().data
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    good = [path for path in sorted(data_dir.glob("*/*")) if is_good(path)]
    class_names = sorted({path.parent.name for path in good})
    if len(class_names) != 2:
        sys.exit(f"the tutorial needs two classes; {str(data_dir)!r} has good images of {class_names}")
    with tempfile.TemporaryDirectory() as work_dir:
        started = time.perf_counter()
        copy_files(good, data_dir, Path(work_dir, "data"))
        copying_s = time.perf_counter() - started
        scores = follow(Path(work_dir, "data"), Path(work_dir), good[0])
    print(json.dumps({"copying_s": copying_s, **scores}))


if __name__ == "__main__":
    main()
