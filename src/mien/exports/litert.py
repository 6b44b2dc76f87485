"""Writing LiteRT, in a process of its own: python -m mien.exports.litert MODEL.onnx MODEL.tflite."""

import sys

import keras
import onnx

from mien.errors import MienError
from mien.exports.keras_graph import keras_network

if __name__ == "__main__":
    try:
        network = keras_network(onnx.load(sys.argv[1]))
    except MienError as error:
        sys.exit(str(error))
    # Without a name for it, programs would have to ask for output_0.
    named = keras.Model(network.inputs, {"probs": network.output})
    named.export(sys.argv[2], format="litert", verbose=False)
