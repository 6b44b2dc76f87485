"""Face features: the output of a built-in expression network for the faces in an image."""

from dataclasses import replace
from importlib.resources import files as package_files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.core.faces import CROP_SIDE, MAX_FACES
from mien.learning.backbone import Backbone
from mien.learning.onnx_graphs import write_constant, write_node, write_output
from mien.model.classifier import FACE_EVIDENCE

if TYPE_CHECKING:
    import onnx

# Logits for angry, disgusted, afraid, happy, sad, surprised and neutral, and whether there is a face.
NUM_FACE_FEATURES = 8
_NUM_EXPRESSIONS = NUM_FACE_FEATURES - 1
_EXPRESSIONS, _SHARES, _ROW_OF_SHARES, _FLAG = "face/expressions", "face/shares", "face/row_of_shares", "face/flag"


def with_faces(backbone: Backbone) -> Backbone:
    """Return a backbone that also returns face features, after those of the whole image.

    These are seven logits, averaged over the faces by weight, and a 1. Without a face, all are 0.

    Args:
        backbone: A backbone that `takes_faces`.

    Returns:
        A backbone with the additional inputs `faces`, uint8 (N, 3, 64, 64), and `face_weights`, float32 (N, 3).
    """
    import onnx

    model = onnx.load_from_string(backbone.content)
    graph = model.graph
    _add_expressions(graph)
    write_node(graph, "MatMul", [_ROW_OF_SHARES, _EXPRESSIONS], "face/mean")
    _reshape(graph, "face/mean", [-1, _NUM_EXPRESSIONS], "face/mean_row")
    write_node(graph, "Concat", ["face/mean_row", _FLAG], "face_features", axis=1)
    write_output(graph, "face_features", ["N", NUM_FACE_FEATURES])
    content = model.SerializeToString()
    return replace(backbone, content=content, num_face_features=NUM_FACE_FEATURES)


def add_face_logits(model: "onnx.ModelProto", weights: NDArray[np.float32]) -> None:
    """Make a classifier's graph use faces, by adding their evidence to its logits.

    It gets the inputs `faces` and `face_weights`, and the output `face_evidence`, float32 (N, 3, C): what each face
    adds to each logit.

    Args:
        model: From `images` to `probs`, ending in one softmax.
        weights: Weights of the layer on the face features, float32 (8, C).
    """
    graph = model.graph
    softmax = next(node for node in graph.node if "probs" in node.output)
    graph.node.remove(softmax)
    _add_expressions(graph)
    write_constant(graph, "face/head_weights", weights[:-1])
    write_constant(graph, "face/head_bias", weights[-1])
    write_node(graph, "MatMul", [_EXPRESSIONS, "face/head_weights"], "face/by_expression")
    write_node(graph, "Add", ["face/by_expression", "face/head_bias"], "face/by_face")
    write_node(graph, "Mul", ["face/by_face", _SHARES], FACE_EVIDENCE)
    write_node(graph, "MatMul", [_ROW_OF_SHARES, "face/by_face"], "face/by_all")
    _reshape(graph, "face/by_all", [-1, weights.shape[1]], "face/logits")
    write_node(graph, "Add", [softmax.input[0], "face/logits"], "logits_with_faces")
    softmax.input[0] = "logits_with_faces"
    graph.node.append(softmax)
    write_output(graph, FACE_EVIDENCE, ["N", MAX_FACES, weights.shape[1]])


def _add_expressions(graph: "onnx.GraphProto") -> None:
    """Add the inputs and the results for each face: logits (N, 3, 7), shares (N, 3, 1) and (N, 1, 3), flag (N, 1).

    The network runs on the faces that exist, and always on the first one, because it cannot run on zero rows.
    """
    import onnx

    ends: dict[str, tuple[int, list[str | int]]] = {
        "faces": (onnx.TensorProto.UINT8, ["N", MAX_FACES, CROP_SIDE, CROP_SIDE]),
        "face_weights": (onnx.TensorProto.FLOAT, ["N", MAX_FACES]),
    }
    graph.input.extend(onnx.helper.make_tensor_value_info(name, *end) for name, end in ends.items())
    rows = _reshape(graph, "faces", [-1, CROP_SIDE, CROP_SIDE], "face/rows")
    weights = _reshape(graph, "face_weights", [-1], "face/weights")
    there = write_node(graph, "Greater", [weights, write_constant(graph, "face/nothing", np.float32(0))], "face/there")
    bounds = [write_constant(graph, f"face/{name}", np.array([value])) for name, value in (("one", 1), ("end", 2**31))]
    others = write_node(graph, "Slice", [there, *bounds], "face/others_there")
    asked = write_node(
        graph, "Concat", [write_constant(graph, "face/first", np.array([True])), others], "face/asked", axis=0
    )
    network = onnx.load_from_string(package_files("mien.learning").joinpath("face_expression.onnx").read_bytes())
    network = onnx.compose.add_prefix(network, "face/network/")
    graph.initializer.extend(network.graph.initializer)
    write_node(graph, "Compress", [rows, asked], network.graph.input[0].name, axis=0)
    graph.node.extend(network.graph.node)
    places = write_node(graph, "Transpose", [write_node(graph, "NonZero", [asked], "face/asked_row")], "face/places")
    column = _reshape(graph, weights, [-1, 1], "face/column")
    none = write_constant(graph, "face/none", np.zeros((1, _NUM_EXPRESSIONS), np.float32))
    zeros = write_node(graph, "MatMul", [column, none], "face/zeros")
    found = write_node(graph, "ScatterND", [zeros, places, network.graph.output[0].name], "face/found")
    _reshape(graph, found, [-1, MAX_FACES, _NUM_EXPRESSIONS], _EXPRESSIONS)
    total = write_node(
        graph,
        "MatMul",
        ["face_weights", write_constant(graph, "face/ones", np.ones((MAX_FACES, 1), np.float32))],
        "face/total",
    )
    divisor = write_node(graph, "Max", [total, write_constant(graph, "face/least", np.float32(1e-9))], "face/divisor")
    write_node(graph, "Div", [total, divisor], _FLAG)
    shares = write_node(graph, "Div", ["face_weights", divisor], "face/all_shares")
    _reshape(graph, shares, [-1, MAX_FACES, 1], _SHARES)
    _reshape(graph, shares, [-1, 1, MAX_FACES], _ROW_OF_SHARES)


def _reshape(graph: "onnx.GraphProto", name: str, shape: list[int], output: str) -> str:
    return write_node(graph, "Reshape", [name, write_constant(graph, f"{output}_shape", np.array(shape))], output)
