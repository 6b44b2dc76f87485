"""ONNX graphs: adding nodes, constants and outputs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import onnx


def made_node(kind: str, inputs: Sequence[str], output: str, **options: object) -> "onnx.NodeProto":
    """Return a node with one output; options are as for `write_node`."""
    import onnx

    node = onnx.helper.make_node(kind, inputs, [output])
    node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in sorted(options.items()))
    return node


def write_node(graph: "onnx.GraphProto", kind: str, inputs: Sequence[str], output: str, **options: object) -> str:
    """Append a node with one output, and return the name of the output.

    Args:
        graph: The graph.
        kind: The operator, such as "MatMul".
        inputs: Names of the input tensors.
        output: Name of the output, and of the node.
        options: Attributes of the node.
    """
    node = made_node(kind, inputs, output, **options)
    node.name = output
    graph.node.append(node)
    return output


def write_constant(graph: "onnx.GraphProto", name: str, value: ArrayLike) -> str:
    """Append a constant, and return its name."""
    import onnx

    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return name


def write_output(graph: "onnx.GraphProto", name: str, shape: Sequence[str | int] | None = None) -> None:
    """Make a float32 tensor an output, with any shape if none is given."""
    import onnx

    graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
