"""A network of ONNX as one of Keras: every operator computes what ONNX Runtime does."""

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import parser

from mien.core.inference import Graph
from mien.errors import SettingsError
from tiers import Lazy

if TYPE_CHECKING:
    from mien.exports import keras_graph
else:
    keras_graph = Lazy("mien.exports.keras_graph")

# Keras takes seconds to load.
pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(5)
FIRST = "floats = Cast<to = 1>(images) centred = Sub(floats, middle) x = Transpose<perm = [0, 3, 1, 2]>(centred)"
POOLED = "pooled = GlobalAveragePool(y) probs = Flatten(pooled)"
FLAT = "probs = Flatten(y)"
# Text between `x`, (1, 3, 9, 12), and `y`.
NETWORKS = {
    "convolution": f"y = Conv<pads = [1, 1, 1, 1]>(x, k334, b4) {POOLED}",
    "strided": f"y = Conv<pads = [0, 0, 1, 1], strides = [2, 2]>(x, k334) {FLAT}",
    "dilated": f"y = Conv<dilations = [2, 2]>(x, k334) {FLAT}",
    "uneven": f"y = Conv<pads = [2, 0, 0, 1], strides = [2, 1]>(x, k334) {FLAT}",
    "same": f'y = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, k334, b4) {FLAT}',
    "depthwise": f"y = Conv<group = 3, pads = [1, 1, 1, 1]>(x, k316, b6) {FLAT}",
    "grouped": f"z = Conv(x, k334) y = Conv<group = 2>(z, k2of4) {FLAT}",
    "relu6": f"z = Conv(x, k334) y = Clip(z, zero, six) {FLAT}",
    "clip": f"y = Clip(x, zero) {FLAT}",
    "pools": f"z = MaxPool<kernel_shape = [3, 3], pads = [0, 0, 1, 1], strides = [2, 2]>(x) "
    f"y = AveragePool<kernel_shape = [2, 2]>(z) {FLAT}",
    "mean within": f'y = AveragePool<auto_pad = "SAME_UPPER", kernel_shape = [3, 3], strides = [2, 2]>(x) {FLAT}',
    "mean beyond": f"y = AveragePool<count_include_pad = 1, kernel_shape = [3, 3], pads = [2, 1, 0, 1]>(x) {FLAT}",
    "normalised": f"y = BatchNormalization(x, b3, b3, b3, positive) {FLAT}",
    "attention": "m = ReduceMean<axes = [2, 3]>(x) s = Sigmoid(m) h = HardSigmoid<alpha = 0.1>(m) t = Tanh(h) "
    f"z = Mul(x, s) y = Add(z, t) {FLAT}",
    "mean without axes": "y = ReduceMean<axes = [2, 3], keepdims = 0>(x) probs = Identity(y)",
    "turned": f"t = Transpose<perm = [0, 2, 3, 1]>(x) m = Mul(t, b3) u = Transpose<perm = [0, 3, 1, 2]>(m) "
    f"y = Concat<axis = 1>(u, x) {FLAT}",
    "of two orders": f"t = Transpose<perm = [0, 2, 1, 3]>(x) r = Reshape(t, as_before) y = Div(x, r) {FLAT}",
    "larger": f'n = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">'
    f"(x, nothing, twice) y = Relu(n) {FLAT}",
    "padded": f"y = Pad(x, around, six) {FLAT}",
    "sliced": f"y = Slice(x, ones, ends, axes) {FLAT}",
    "shapes": "s = Shape(x) n = Gather<axis = 0>(s, at_start) one = Unsqueeze(n, at_axis) shape = "
    "Concat<axis = 0>(one, rest) probs = Reshape(x, shape)",
    "layers": "z = Conv<pads = [1, 1, 1, 1]>(x, k334) g = GlobalAveragePool(z) q = Squeeze(g, behind) "
    "n = Neg(q) m = MatMul(n, w45) l = Gemm<transB = 1, alpha = 0.5>(m, w35, b3) probs = Softmax<axis = 1>(l)",
    "tokens": "r = Reshape(x, as_rows) t = Transpose<perm = [0, 2, 1]>(r) n = Gather<axis = 1>(t, at_start) "
    "y = Div(n, far) e = Erf(y) q = Sqrt(nine) z = Pow(e, two) f = Exp(z) probs = Mul(f, q)",
}


def whole(*values: int) -> Any:
    return np.array(values, np.int64)


ARRAYS: dict[str, Any] = {
    "middle": np.array([120, 100, 140], np.float32),
    "k334": RANDOM.normal(0, 0.1, (4, 3, 3, 3)),
    "k316": RANDOM.normal(0, 0.1, (6, 1, 3, 3)),
    "k2of4": RANDOM.normal(0, 0.1, (4, 2, 3, 3)),
    "w45": RANDOM.normal(0, 0.1, (4, 5)),
    "w35": RANDOM.normal(0, 0.1, (3, 5)),
    **{f"b{size}": RANDOM.normal(0, 1, size) for size in (3, 4, 6)},
    "positive": RANDOM.uniform(1, 2, 3),
    **{
        "zero": np.float32(0),
        "six": np.float32(6),
        "nine": np.float32(9),
        "two": np.float32(2),
        "far": np.float32(300),
    },
    "nothing": np.zeros(0, np.float32),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "around": whole(0, 0, 1, 2, 0, 0, 0, 3),
    **{"ones": whole(1, 0), "ends": whole(2**62, -1), "axes": whole(2, 1)},
    **{"at_start": whole(0)[0], "at_axis": whole(0), "rest": whole(-1), "behind": whole(2, 3)},
    **{"as_before": whole(1, 3, 9, 12), "as_rows": whole(0, 3, -1)},
}


def network(text: str) -> onnx.ModelProto:
    """Return a network with what `text` says between its ends."""
    graph = parser.parse_graph(f"network (uint8[N, 9, 12, 3] images) => (float[N, C] probs) {{ {FIRST} {text} }}")
    for name, array in ARRAYS.items():
        if any(name in node.input for node in graph.node):
            kept = array if array.dtype == np.int64 else array.astype(np.float32)
            graph.initializer.append(onnx.numpy_helper.from_array(kept, name))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_operator_computes_what_it_does_in_onnx_runtime(name: str) -> None:
    model = network(NETWORKS[name])
    pixels = RANDOM.integers(0, 256, (1, 9, 12, 3), np.uint8)
    (expected,) = Graph(model.SerializeToString()).run(["probs"], {"images": pixels})
    found = np.asarray(keras_graph.keras_network(model)(pixels)["probs"])
    assert found.shape == expected.shape and np.ptp(expected) > 0.001
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"y = Selu(x) {FLAT}", "the operator Selu"),
        (f'y = Conv<auto_pad = "SAME_LOWER">(x, k334) {FLAT}', "SAME_LOWER padding"),
        (f'y = Pad<mode = "edge">(x, around) {FLAT}', "padding that is not constant"),
        (f'y = Resize<mode = "linear">(x, nothing, twice) {FLAT}', "an unsupported kind of resizing"),
        (
            f"y = AveragePool<count_include_pad = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x) {FLAT}",
            "average pooling over padding",
        ),
    ],
)
def test_what_it_does_not_know_it_names(text: str, what: str) -> None:
    with pytest.raises(SettingsError, match=f"uses {what}, which this format does not support"):
        keras_graph.keras_network(network(text))
