"""Small ONNX networks, such as users bring, made without training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mien.model.classifier import Classifier, ModelFacts, Provenance, with_facts

FACTS = ModelFacts(
    class_names=("happy", "sad"),
    image_size=(32, 48),
    resize_mode="pad",
    largest_class="sad",
    data_fingerprint="abc",
    mien_version="0.1.0",
)
COLOUR_FACTS = ModelFacts(("dark", "red", "green"), (32, 48), "stretch", "dark", "abc", "0.1.0")
PROVENANCE = Provenance(
    made_on="2026-01-31",
    preset="fast",
    method="linear",
    settings={"min_side": 64},
    seed=42,
    split={"happy": {"train": 7, "val": 2, "test": 1}, "sad": {"train": 6, "val": 2, "test": 1}},
    split_fingerprint="abc",
    left_out={"near_duplicate": 3},
    smallest_side=100,
    versions={"python": "3.11.7"},
    limits=("Judging people.",),
)


def pooling_network(
    *,
    input_name: str = "pixel_values",
    kind: Any = np.float32,
    channels_first: bool = True,
    shape: Sequence[int | str] | None = None,
    output: str = "row",
    opset: int = 15,
) -> bytes:
    """Return a network whose features are the mean of each channel.

    Args:
        input_name: Name of its input.
        kind: Type of its input.
        channels_first: Whether the input is (N, 3, H, W), not (N, H, W, 3).
        shape: Of the input; by default 8 x 8 pixels.
        output: "row" for (N, 3), "map" for the channels as they are, "tokens" for (N, 64, 3), "number" for a scalar.
        opset: Version of the operators.
    """
    shape = shape or (["N", 3, 8, 8] if channels_first else ["N", 8, 8, 3])
    nodes = [helper.make_node("Cast", [input_name], ["floats"], to=TensorProto.FLOAT)]
    if not channels_first:
        nodes.append(helper.make_node("Transpose", ["floats"], ["first"], perm=[0, 3, 1, 2]))
    first = "floats" if channels_first else "first"
    if output == "row":
        nodes.append(helper.make_node("GlobalAveragePool", [first], ["pooled"]))
        nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    elif output == "map":
        nodes.append(helper.make_node("Identity", ["floats"], ["features"]))
    elif output == "tokens":
        nodes.append(helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([0, 3, -1]))))
        nodes.append(helper.make_node("Reshape", [first, "shape"], ["channels"]))
        nodes.append(helper.make_node("Transpose", ["channels"], ["features"], perm=[0, 2, 1]))
    else:
        nodes.append(helper.make_node("ReduceMean", ["floats"], ["features"], keepdims=0))
    ends = (
        [helper.make_tensor_value_info(input_name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(nodes, "pooling", *ends)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def two_input_network() -> bytes:
    """Return a network of the kind of CLIP, that takes text beside images."""
    model = onnx.load_from_string(pooling_network())
    model.graph.input.append(helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", 77]))
    content: bytes = model.SerializeToString()
    return content


def make_graph(input_name: str = "images", output_name: str = "probs") -> bytes:
    """Return an ONNX file that calls everything the first class."""
    images = helper.make_tensor_value_info(input_name, TensorProto.UINT8, ["N", 32, 48, 3])
    probs = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["N", 2])
    nodes = [
        helper.make_node("Cast", [input_name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["means", "zeros"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "axis"], ["column"]),
        helper.make_node("Add", ["column", "row"], [output_name]),
    ]
    constants = [
        helper.make_tensor("zeros", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("row", TensorProto.FLOAT, [1, 2], [0.75, 0.25]),
    ]
    graph = helper.make_graph(nodes, "fake", [images], [probs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return bytes(model.SerializeToString())


def colour_classifier(
    facts: ModelFacts = COLOUR_FACTS, *, heat: NDArray[np.float64] | str | None = "map"
) -> Classifier:
    """Return a classifier whose logits are 0 and the mean red and green of an image, with a map or something else."""
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights[1, 0] = weights[2, 1] = 1 / 32
    arrays = {
        "weights": weights,
        "claimed": np.asarray(0 if heat is None or isinstance(heat, str) else heat, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "weights"], ["logit_map"]),
        helper.make_node("ReduceMean", ["logit_map"], ["logits"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["logits"], ["probs"]),
        helper.make_node("Identity", ["logit_map" if isinstance(heat, str) else "claimed"], ["heat"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *facts.image_size, 3])
    outputs = [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", 3])]
    outputs += [] if heat is None else [helper.make_tensor_value_info("heat", TensorProto.FLOAT, None)]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes[: 5 + (heat is not None)], "colours", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return Classifier(with_facts(model.SerializeToString(), facts))
