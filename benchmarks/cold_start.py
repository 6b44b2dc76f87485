"""How long a cold start takes: the help, and one prediction beside a script that loads model.keras with Keras.

    python benchmarks/cold_start.py RUN PHOTO

Whole processes, by turns, after a warm-up of each; prints the median of each in seconds, and the ratio.
"""

import argparse
import statistics
import subprocess
import sys
import time

WITH_KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
model = keras.models.load_model(sys.argv[1] + "/model.keras")
height, width = model.input_shape[1:3]
image = keras.utils.img_to_array(keras.utils.load_img(sys.argv[2], target_size=(height, width)), dtype="uint8")
print(model.predict(image[None], verbose=0))
"""


def seconds_for(command: list[str]) -> float:
    """Run a command to its end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Time both, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("photo", help="a picture file")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed")
    given = parser.parse_args()
    commands = {
        "mien --help": [sys.executable, "-m", "mien", "--help"],
        "mien check --help": [sys.executable, "-m", "mien", "check", "--help"],
        "mien predict": [sys.executable, "-m", "mien", "predict", given.run, given.photo],
        "Keras script": [sys.executable, "-c", WITH_KERAS, given.run, given.photo],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(given.rounds + 1):
        for name, command in commands.items():
            took = seconds_for(command)
            if number:
                seconds[name].append(took)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s (from {min(seconds[name]):.2f} to {max(seconds[name]):.2f})")
    print(f"a prediction, Keras / mien: {medians['Keras script'] / medians['mien predict']:.1f}")


if __name__ == "__main__":
    main()
