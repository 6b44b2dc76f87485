"""How long predictions take, and how much memory they need.

    python benchmarks/predict.py PHOTOS [--run RUN | --preset PRESET] [--rounds 7] [--parts cold batched memory]

Cold: whole processes, `mien predict` of one image beside a script that loads model.keras with Keras; and the help.
Batched: images/s of `mien.predict` on the folder, beside what bounds it: ONNX Runtime alone on decoded images, in
batches; decoding, resizing and finding faces alone, in as many threads; and both when they share the cores. And Keras
on decoded images. Memory: the peak of whole processes that predict few and many images.

All by turns, after a warm-up of each; prints medians and ratios. Without --run, one is trained first. What needs Keras
is left out where the run has no model.keras.
"""

import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timing import (
    MIEN,
    arguments,
    by_turns,
    readable,
    run,
    run_with_usage,
    seconds_for,
    show_rates,
    show_ratio,
    show_seconds,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.core.inputs import Inputs
    from mien.model.classifier import Classifier

PARTS = ("cold", "batched", "memory")
MIEN_PREDICT, MODEL, KERAS = "mien.predict", "ONNX Runtime alone", "Keras alone"
DECODING = "decoding and finding faces alone"
BATCH_SIZE = 32
FEW, MANY = 300, 3000
WITH_KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
model = keras.models.load_model(sys.argv[1] + "/model.keras")
height, width = model.input_shape[1:3]
image = keras.utils.img_to_array(keras.utils.load_img(sys.argv[2], target_size=(height, width)), dtype="uint8")
print(model.predict(image[None], verbose=0))
"""


def whole_process(*words: str | Path) -> Callable[[], float]:
    """Return a call that runs a command and returns its seconds."""
    return lambda: run(words).seconds


def time_cold_starts(run_dir: Path, photo: str, rounds: int) -> None:
    """Time the help, and one prediction beside Keras."""
    tasks = {
        "mien --help": whole_process(*MIEN, "--help"),
        "mien check --help": whole_process(*MIEN, "check", "--help"),
        "mien predict": whole_process(*MIEN, "predict", run_dir, photo),
    }
    if has_keras(run_dir):
        tasks["Keras script"] = whole_process(MIEN[0], "-c", WITH_KERAS, run_dir, photo)
    medians = show_seconds(by_turns(tasks, rounds))
    if has_keras(run_dir):
        show_ratio("one cold prediction, Keras / mien", medians["Keras script"] / medians["mien predict"])


def has_keras(run_dir: Path) -> bool:
    """Say whether a run holds its network for Keras too."""
    return (run_dir / "model.keras").is_file()


def time_batches(run_dir: Path, photos: list[str], rounds: int) -> None:
    """Time predictions for many images beside what bounds them."""
    import mien
    from mien.core.inputs import joined
    from mien.core.parallel import in_threads

    classifier = mien.load(run_dir)
    contents = [Path(photo).read_bytes() for photo in photos]
    decoded = joined(list(in_threads(classifier.prepare, contents)), classifier.facts.scan_config())
    actions: dict[str, Callable[[], object]] = {
        MIEN_PREDICT: lambda: list(mien.predict(classifier, photos)),
        MODEL: onnx_runtime_alone(run_dir / "model.onnx", decoded),
        DECODING: partial(decode_alone, classifier, contents),
    }
    if has_keras(run_dir):
        actions[KERAS] = keras_alone(run_dir, decoded.images)
    rates = show_rates(by_turns({name: partial(seconds_for, do) for name, do in actions.items()}, rounds), len(photos))
    show_bounds(rates)


def onnx_runtime_alone(model_path: Path, decoded: "Inputs") -> Callable[[], object]:
    """Return a call that runs the model file on decoded images, as it comes: every setting is the default."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    starts = range(0, len(decoded), BATCH_SIZE)
    names = {item.name for item in session.get_inputs()}
    arrays = {name: array for name, array in decoded.by_name().items() if name in names}
    return lambda: [
        session.run(["probs"], {name: array[i : i + BATCH_SIZE] for name, array in arrays.items()}) for i in starts
    ]


def decode_alone(classifier: "Classifier", contents: list[bytes]) -> None:
    """Decode, resize and find faces, in as many threads as mien does, and keep nothing."""
    from mien.core.parallel import in_threads

    for _ in in_threads(classifier.prepare, contents):
        pass


def keras_alone(run_dir: Path, decoded: "NDArray[np.uint8]") -> Callable[[], object]:
    """Return a call that asks Keras about decoded images."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    model: Any = keras.models.load_model(run_dir / "model.keras")
    return lambda: model.predict(decoded, batch_size=BATCH_SIZE, verbose=0)


def show_bounds(rates: dict[str, float]) -> None:
    """Print mien beside its bounds."""
    mien_rate, model, decoder = rates[MIEN_PREDICT], rates[MODEL], rates[DECODING]
    shared = 1 / (1 / model + 1 / decoder)
    print(f"both on the same cores, 1 / (1 / ONNX Runtime + 1 / decoding): {shared:.0f} images/s")
    show_ratio("mien / the slower of ONNX Runtime and decoding", mien_rate / min(model, decoder))
    show_ratio("mien / both on the same cores", mien_rate / shared)
    if KERAS in rates:
        show_ratio("mien, with decoding / Keras, without", mien_rate / rates[KERAS])


def measure_memory(run_dir: Path, photos: list[str], rounds: int) -> None:
    """Measure the peak memory of processes that predict few and many images."""
    peaks: dict[int, list[float]] = {FEW: [], MANY: []}
    with tempfile.TemporaryDirectory() as work_dir:
        folders = {number: repeat(photos, number, Path(work_dir, str(number))) for number in peaks}
        for _ in range(rounds):
            for number, folder in folders.items():
                peaks[number].append(run_with_usage([*MIEN, "predict", run_dir, folder, "--json"]).peak_mb)
    medians = {number: statistics.median(values) for number, values in peaks.items()}
    for number, values in peaks.items():
        print(f"peak memory, {number} images: {medians[number]:.0f} MiB (from {min(values):.0f} to {max(values):.0f})")
    show_ratio(f"peak memory, {MANY} / {FEW} images", medians[MANY] / medians[FEW])


def repeat(photos: list[str], number: int, folder: Path) -> Path:
    """Fill a folder with links to images, again and again."""
    folder.mkdir()
    for place in range(number):
        photo = Path(photos[place % len(photos)]).resolve()
        (folder / f"{place:06}{photo.suffix}").symlink_to(photo)
    return folder


def main() -> None:
    """Measure every part, and print what came out."""
    parser = arguments(__doc__, rounds=7)
    parser.add_argument("--run", type=Path, help="a run folder; by default one is trained on PHOTOS")
    parser.add_argument("--preset", help="train that run with this preset of mien")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured (default: all)")
    given = parser.parse_args()
    photos = readable(given.photos)
    with tempfile.TemporaryDirectory() as work_dir:
        run_dir = given.run or Path(work_dir, "run")
        if not given.run:
            preset = ["--preset", given.preset] if given.preset else []
            run([*MIEN, "train", given.photos, "--out", run_dir, *preset])
        if "cold" in given.parts:
            time_cold_starts(run_dir, photos[0], given.rounds)
        if "memory" in given.parts:
            measure_memory(run_dir, photos, given.rounds)
        if "batched" in given.parts:
            time_batches(run_dir, photos, given.rounds)


if __name__ == "__main__":
    main()
