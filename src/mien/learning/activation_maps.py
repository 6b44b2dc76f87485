"""Activation maps: the evidence for each class at each position of an image, as an extra output of a network."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.core.inference import Graph
from mien.errors import ModelFileError
from mien.learning.onnx_graphs import write_constant, write_node, write_output
from mien.model.classifier import HEAT

if TYPE_CHECKING:
    import onnx

_ACTIVATIONS = {"Softmax", "Sigmoid"}
# Operators allowed between the pooling and the last activation. The proof catches uses of them that are not linear.
_LINEAR = {
    *("Add", "BatchNormalization", "Cast", "Div", "Dropout", "Flatten", "Gemm", "Identity", "MatMul"),
    *("Mul", "Reshape", "Squeeze", "Sub", "Unsqueeze"),
}
_TOLERANCE = 1e-3
# ONNX Runtime computes every output, requested or not. For this many classes, that costs 1% of the built-in network.
MAX_CLASSES = 64
_LEFTMOST = np.iinfo(np.int64).min


@dataclass(frozen=True)
class _Branch:
    """The path from a feature map to probabilities; a network that also sees the mirror image has two.

    Attributes:
        pool: The node that averages the map over its positions.
        layers: The nodes from there to the logits, in order.
        activation: The node that turns logits into probabilities.
        mirrored: Whether it sees the mirror image.
    """

    pool: "onnx.NodeProto"
    layers: "list[onnx.NodeProto]"
    activation: "onnx.NodeProto"
    mirrored: bool


def add_heat(model: "onnx.ModelProto") -> bool:
    """Add the output "heat", float32 (N, C, h, w): the logit of each class at each position of the last feature map.

    This works if the features are the mean of a map and only linear layers follow, which are then applied to every
    position separately. The mean of "heat" over the positions is the logit of the class, including the bias (for a
    sigmoid unit, the logit of the first class is 0). If a network also averages over the mirror image, "heat" is the
    mean of both maps, the second mirrored back.

    Args:
        model: From `images` uint8 (N, H, W, 3) to `probs` float32 (N, C). It is unchanged if "heat" is impossible, or
            would slow down prediction (more than 64 classes).

    Returns:
        Whether it has the output now, proved against the logits.

    Source:
        B. Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016 (class activation mapping).
    """
    longer = with_heat(model)
    if longer is None or not _is_proved(longer, _logits(model.graph)):
        return False
    model.CopyFrom(longer)
    return True


def with_heat(model: "onnx.ModelProto") -> "onnx.ModelProto | None":
    """Return a copy of a network with the output "heat", not yet proved against the logits.

    Returns:
        None if the network does not end in the mean of a map followed by linear layers.
    """
    import onnx

    branches = _branches(model.graph)
    if [branch.mirrored for branch in branches] not in ([False], [False, True], [True, False]):
        return None
    longer = onnx.ModelProto()
    longer.CopyFrom(model)
    maps = [_write_map(longer.graph, branch, f"{HEAT}{number}/") for number, branch in enumerate(branches)]
    write_node(longer.graph, "Mean", maps, HEAT)
    write_output(longer.graph, HEAT, ["N", "C", "h", "w"])
    return longer


def is_mean_of_heat(heat: NDArray[np.float32], logits: NDArray[np.float32]) -> bool:
    """Return whether logits, (N, C) or (N, 1) for two classes, are the means of the maps (N, C, h, w)."""
    if heat.ndim != 4 or heat.shape[1] > MAX_CLASSES:
        return False
    found = heat.mean(axis=(2, 3))
    wanted = np.hstack([0 * logits, logits]) if logits.shape[1:] == (1,) else logits
    return wanted.shape == found.shape and np.allclose(found, wanted, _TOLERANCE, _TOLERANCE)


def noise(image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return two symmetric noise images, uint8 (2, H, W, 3), for proving a map."""
    images = np.random.default_rng(0).integers(0, 256, (2, *image_size, 3), dtype=np.uint8)
    return np.maximum(images, images[:, :, ::-1])


def _logits(graph: "onnx.GraphProto") -> list[str]:
    """Return the input tensors of the last activations."""
    return list(dict.fromkeys(branch.activation.input[0] for branch in _branches(graph)))


def _branches(graph: "onnx.GraphProto") -> list[_Branch]:
    """Return the paths from maps to probabilities; none if one of them is not linear."""
    makers = {output: node for node in graph.node for output in node.output}
    constant = {item.name for item in graph.initializer} | {""}
    for node in graph.node:
        if constant.issuperset(node.input):
            constant.update(node.output)
    branches = []
    for activation in _activations(makers):
        chain = _chain(activation.input[0], makers, constant)
        if not chain or _pooled_shape(chain[0]) is None:
            return []
        branches.append(_Branch(chain[0], chain[1:], activation, _is_mirrored(chain[0], makers)))
    return branches


def _activations(makers: "dict[str, onnx.NodeProto]") -> "list[onnx.NodeProto]":
    """Return the last activations before the probabilities."""
    found, seen, waiting = [], set(), ["probs"]
    while waiting:
        name = waiting.pop(0)
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in _ACTIVATIONS:
            found.append(node)
        else:
            waiting += node.input
    return found


def _chain(name: str, makers: "dict[str, onnx.NodeProto]", constant: set[str]) -> "list[onnx.NodeProto]":
    """Return the chain of linear nodes that leads to a tensor, preceded by the first non-linear node."""
    chain: list[onnx.NodeProto] = []
    while name in makers:
        chain.insert(0, makers[name])
        if makers[name].op_type not in _LINEAR:
            return chain
        inputs = [item for item in makers[name].input if item not in constant]
        if len(inputs) != 1:
            break
        (name,) = inputs
    return []


def _pooled_shape(node: "onnx.NodeProto") -> list[int] | None:
    """Return the output shape of a pooling node, with 0 for the batch size; None for other nodes."""
    options = {item.name: list(item.ints) or item.i for item in node.attribute}
    if node.op_type == "GlobalAveragePool":
        return [0, -1, 1, 1]
    if node.op_type != "ReduceMean" or options.get("axes") not in ([1, 2], [2, 3], [-2, -1]):
        return None
    if not options.get("keepdims", 1):
        return [0, -1]
    return [0, 1, 1, -1] if options["axes"] == [1, 2] else [0, -1, 1, 1]


def _channels_first(node: "onnx.NodeProto") -> bool:
    return not any(item.name == "axes" and list(item.ints) == [1, 2] for item in node.attribute)


def _is_mirrored(node: "onnx.NodeProto", makers: "dict[str, onnx.NodeProto]") -> bool:
    """Return whether images are mirrored on the way to a node (`keras.ops.flip` in ONNX)."""
    seen: set[str] = set()
    waiting = list(node.input)
    while waiting:
        name = waiting.pop()
        if name in makers and name not in seen:
            seen.add(name)
            if makers[name].op_type == "ReverseSequence":
                return True
            waiting += makers[name].input
    return False


def _write_map(graph: "onnx.GraphProto", branch: _Branch, prefix: str) -> str:
    """Apply the layers of a branch to every position of its map; return the name of the logits, (N, C, h, w)."""
    places = branch.pool.input[0]
    if _channels_first(branch.pool):
        places = write_node(graph, "Transpose", [places], f"{prefix}places", perm=[0, 2, 3, 1])
    rows = write_node(graph, "Flatten", [places], f"{prefix}rows", axis=3)
    pooled = write_constant(graph, f"{prefix}pooled_shape", _pooled_shape(branch.pool) or [])
    names = {branch.pool.output[0]: write_node(graph, "Reshape", [rows, pooled], f"{prefix}pooled")}
    for node in branch.layers:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [names.get(name, name) for name in node.input]
        copy.output[:] = [name and f"{prefix}own/{name}" for name in node.output]
        copy.name = copy.output[0]
        names |= dict(zip(node.output, copy.output, strict=True))
    return _write_layout(graph, branch, prefix, places, names[branch.activation.input[0]])


def _write_layout(graph: "onnx.GraphProto", branch: _Branch, prefix: str, places: str, logits: str) -> str:
    """Reshape logits with a row per position into a map; return its name, (N, C, h, w)."""
    ends = [
        write_constant(graph, f"{prefix}{name}", [value]) for name, value in (("first", 0), ("fourth", 3), ("rest", -1))
    ]
    shape = write_node(graph, "Shape", [places], f"{prefix}places_shape")
    shape = write_node(graph, "Slice", [shape, *ends[:2]], f"{prefix}grid")
    shape = write_node(graph, "Concat", [shape, ends[2]], f"{prefix}grid_shape", axis=0)
    logits = write_node(graph, "Reshape", [logits, shape], f"{prefix}grid_logits")
    logits = write_node(graph, "Transpose", [logits], f"{prefix}logits", perm=[0, 3, 1, 2])
    if branch.activation.op_type == "Sigmoid":
        nothing = write_node(graph, "Sub", [logits, logits], f"{prefix}nothing")
        logits = write_node(graph, "Concat", [nothing, logits], f"{prefix}both", axis=1)
    if branch.mirrored:
        turn = (("begin", -1), ("end", _LEFTMOST), ("across", 3), ("backwards", -1))
        turning = [write_constant(graph, f"{prefix}{name}", [value]) for name, value in turn]
        logits = write_node(graph, "Slice", [logits, *turning], f"{prefix}turned")
    return logits


def _is_proved(longer: "onnx.ModelProto", logits: list[str]) -> bool:
    """Return whether the mean of the map is the input of each activation."""
    import onnx

    asked = onnx.ModelProto()
    asked.CopyFrom(longer)
    for name in logits:
        write_output(asked.graph, name)
    height, width = (item.dim_value for item in longer.graph.input[0].type.tensor_type.shape.dim[1:3])
    try:
        heat, *found = Graph(asked.SerializeToString()).run([HEAT, *logits], {"images": noise((height, width))})
    except (ModelFileError, ValueError):
        # Another operator version, or the shapes are not those of a map.
        return False
    return all(is_mean_of_heat(heat, rows) for rows in found)
