"""ONNX graphs: nodes, constants and outputs, written into one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import onnx


def write_node(graph: "onnx.GraphProto", kind: str, inputs: Sequence[str], output: str, **options: object) -> str:
    """Append a node with one output, and return the name of that.

    Args:
        graph: What it is written into.
        kind: Its operator, such as "MatMul".
        inputs: Names of tensors.
        output: Name of what it makes, and its own.
        options: Its attributes.
    """
    import onnx

    graph.node.append(onnx.helper.make_node(kind, inputs, [output], output, **options))
    return output


def write_constant(graph: "onnx.GraphProto", name: str, value: ArrayLike) -> str:
    """Append a constant, and return its name."""
    import onnx

    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return name


def write_output(graph: "onnx.GraphProto", name: str, shape: Sequence[str | int] | None = None) -> None:
    """Make an output of a tensor of float32; of any shape, where none is given."""
    import onnx

    graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
