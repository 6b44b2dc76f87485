"""The least that a training with the features of a backbone can take: each image decoded and shown to it once.

    python benchmarks/floor.py PHOTOS

Starts Python, loads ONNX Runtime, decodes every image that Pillow can, in a thread for each core, and runs the
backbone of `fast` once on each. Prints how many there were. `train.py` times it.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def main() -> None:
    """Do that, and nothing else."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a folder of class folders")
    photos = parser.parse_args().photos
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    network = (files("mien.learning") / "lite0.onnx").read_bytes()
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    (images,) = session.get_inputs()

    def show(path: Path) -> bool:
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB").resize((224, 224)))
        except Exception:  # Any file may be no image.
            return False
        session.run(None, {images.name: pixels[None]})
        return True

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        print(sum(pool.map(show, (path for path in photos.rglob("*") if path.is_file()))))


if __name__ == "__main__":
    main()
