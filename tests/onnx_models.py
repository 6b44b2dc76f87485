"""Small ONNX networks, such as users bring, made without training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


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
    """Return a network of the kind of CLIP, that takes text beside pictures."""
    model = onnx.load_from_string(pooling_network())
    model.graph.input.append(helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", 77]))
    content: bytes = model.SerializeToString()
    return content
