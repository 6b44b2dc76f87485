"""Face features: what a network that reads expressions, which is built in, finds in the faces of an image."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files as package_files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.core.extras import needing
from mien.core.faces import CROP_SIDE, MAX_FACES
from mien.learning.backbone import Backbone
from mien.model.classifier import FACE_EVIDENCE

if TYPE_CHECKING:
    import onnx

# A logit for angry, disgusted, afraid, happy, sad, surprised and neutral; and whether there is a face.
NUM_FACE_FEATURES = 8
_NUM_EXPRESSIONS = NUM_FACE_FEATURES - 1
# From this version of ONNX's operators on, those that are used here are written in one way.
_LEAST_OPSET = 13
_EXPRESSIONS, _SHARES, _ROW_OF_SHARES, _FLAG = "face/expressions", "face/shares", "face/row_of_shares", "face/flag"


def takes_faces(backbone: Backbone) -> bool:
    """Say whether a network that reads expressions can be joined to a backbone."""
    with needing("train"):
        import onnx
    imports = onnx.load_from_string(backbone.content).opset_import
    return all(item.version >= _LEAST_OPSET for item in imports if item.domain in ("", "ai.onnx"))


def with_faces(backbone: Backbone) -> Backbone:
    """Return a backbone that gives features of faces too, behind those of the whole image.

    These are seven logits, each the mean over the faces by their weights, and 1; for an image without a face all are 0.

    Args:
        backbone: One that `takes_faces`.

    Returns:
        Also takes the inputs `faces`, uint8 (N, 3, 64, 64), and `face_weights`, float32 (N, 3).
    """
    import onnx

    model = onnx.load_from_string(backbone.content)
    graph = model.graph
    _add_expressions(graph)
    _add(graph, "MatMul", [_ROW_OF_SHARES, _EXPRESSIONS], "face/mean")
    _reshape(graph, "face/mean", [-1, _NUM_EXPRESSIONS], "face/mean_row")
    _add(graph, "Concat", ["face/mean_row", _FLAG], "face_features", axis=1)
    graph.output.append(_end("face_features", "FLOAT", [NUM_FACE_FEATURES]))
    content = model.SerializeToString()
    return replace(backbone, content=content, num_face_features=NUM_FACE_FEATURES)


def add_face_logits(model: "onnx.ModelProto", weights: NDArray[np.float32]) -> None:
    """Let a classifier's graph look at faces: what they say is added to its logits.

    It gets the inputs `faces` and `face_weights`, and the output `face_evidence`, float32 (N, 3, C): what each face
    adds to each logit.

    Args:
        model: From `images` to `probs`, which one softmax makes of logits.
        weights: Of the layer on the face features, float32 (8, C).
    """
    graph = model.graph
    softmax = next(node for node in graph.node if "probs" in node.output)
    graph.node.remove(softmax)
    _add_expressions(graph)
    _constant(graph, "face/head_weights", weights[:-1])
    _constant(graph, "face/head_bias", weights[-1])
    _add(graph, "MatMul", [_EXPRESSIONS, "face/head_weights"], "face/by_expression")
    _add(graph, "Add", ["face/by_expression", "face/head_bias"], "face/by_face")
    _add(graph, "Mul", ["face/by_face", _SHARES], FACE_EVIDENCE)
    _add(graph, "MatMul", [_ROW_OF_SHARES, "face/by_face"], "face/by_all")
    _reshape(graph, "face/by_all", [-1, weights.shape[1]], "face/logits")
    _add(graph, "Add", [softmax.input[0], "face/logits"], "logits_with_faces")
    softmax.input[0] = "logits_with_faces"
    graph.node.append(softmax)
    graph.output.append(_end(FACE_EVIDENCE, "FLOAT", [MAX_FACES, weights.shape[1]]))


def _add_expressions(graph: "onnx.GraphProto") -> None:
    """Add the inputs, and what is found in every face: logits (N, 3, 7), shares (N, 3, 1) and (N, 1, 3), flag (N, 1).

    The network runs on the faces that are there, and always on the first: on no row at all it cannot.
    """
    import onnx

    graph.input.append(_end("faces", "UINT8", [MAX_FACES, CROP_SIDE, CROP_SIDE]))
    graph.input.append(_end("face_weights", "FLOAT", [MAX_FACES]))
    rows = _reshape(graph, "faces", [-1, CROP_SIDE, CROP_SIDE], "face/rows")
    weights = _reshape(graph, "face_weights", [-1], "face/weights")
    there = _add(graph, "Greater", [weights, _constant(graph, "face/nothing", np.float32(0))], "face/there")
    bounds = [_constant(graph, f"face/{name}", np.array([value])) for name, value in (("one", 1), ("end", 2**31))]
    others = _add(graph, "Slice", [there, *bounds], "face/others_there")
    asked = _add(graph, "Concat", [_constant(graph, "face/first", np.array([True])), others], "face/asked", axis=0)
    network = onnx.load_from_string(package_files("mien.learning").joinpath("face_expression.onnx").read_bytes())
    network = onnx.compose.add_prefix(network, "face/network/")
    graph.initializer.extend(network.graph.initializer)
    _add(graph, "Compress", [rows, asked], network.graph.input[0].name, axis=0)
    graph.node.extend(network.graph.node)
    places = _add(graph, "Transpose", [_add(graph, "NonZero", [asked], "face/asked_row")], "face/places")
    column = _reshape(graph, weights, [-1, 1], "face/column")
    none = _constant(graph, "face/none", np.zeros((1, _NUM_EXPRESSIONS), np.float32))
    zeros = _add(graph, "MatMul", [column, none], "face/zeros")
    found = _add(graph, "ScatterND", [zeros, places, network.graph.output[0].name], "face/found")
    _reshape(graph, found, [-1, MAX_FACES, _NUM_EXPRESSIONS], _EXPRESSIONS)
    total = _add(
        graph,
        "MatMul",
        ["face_weights", _constant(graph, "face/ones", np.ones((MAX_FACES, 1), np.float32))],
        "face/total",
    )
    divisor = _add(graph, "Max", [total, _constant(graph, "face/least", np.float32(1e-9))], "face/divisor")
    _add(graph, "Div", [total, divisor], _FLAG)
    shares = _add(graph, "Div", ["face_weights", divisor], "face/all_shares")
    _reshape(graph, shares, [-1, MAX_FACES, 1], _SHARES)
    _reshape(graph, shares, [-1, 1, MAX_FACES], _ROW_OF_SHARES)


def _end(name: str, kind: str, shape: Sequence[int]) -> "onnx.ValueInfoProto":
    import onnx

    return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), ["N", *shape])


def _add(graph: "onnx.GraphProto", kind: str, inputs: Sequence[str], output: str, **options: int) -> str:
    import onnx

    graph.node.append(onnx.helper.make_node(kind, inputs, [output], output, **options))
    return output


def _reshape(graph: "onnx.GraphProto", name: str, shape: list[int], output: str) -> str:
    return _add(graph, "Reshape", [name, _constant(graph, f"{output}_shape", np.array(shape))], output)


def _constant(graph: "onnx.GraphProto", name: str, value: "NDArray[np.generic] | np.generic") -> str:
    import onnx

    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return name
