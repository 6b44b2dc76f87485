"""Writes LiteRT in a separate process: python -m mien.exports.litert MODEL.onnx MODEL.tflite."""

import sys

import onnx

from mien.errors import MienError
from mien.exports.keras_graph import keras_network

if __name__ == "__main__":
    try:
        network = keras_network(onnx.load(sys.argv[1]))
    except MienError as error:
        sys.exit(str(error))
    network.export(sys.argv[2], format="litert", verbose=False)
