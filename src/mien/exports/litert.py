"""Writes LiteRT, in a separate process with TensorFlow."""

import sys

import onnx

from mien.errors import MienError
from mien.exports.keras_graph import keras_network


def main() -> None:
    """Convert the ONNX file that is the first argument to the LiteRT file that is the second."""
    try:
        network = keras_network(onnx.load(sys.argv[1]))
    except MienError as error:
        sys.exit(str(error))
    network.export(sys.argv[2], format="litert", verbose=False)
