"""Converts an ONNX network to Keras, which can write TensorFlow formats.

We do this ourselves because onnx2tf silently mistakes channels last for channels first in some networks, and needs
2.6 GB of packages in pinned versions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx
from keras import ops
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from mien.errors import SettingsError

Array = NDArray[Any]
Axes = tuple[int, ...]
_CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class _Value:
    """A tensor with its axes in any order, as ONNX has channels first and Keras last.

    Attributes:
        tensor: Its axis i is axis `axes[i]` in ONNX.
        axes: Each ONNX axis once.
    """

    tensor: Any
    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in ONNX order."""
        return tuple(self.tensor.shape[self.axes.index(axis)] for axis in range(len(self.axes)))

    def arranged(self, axes: Axes) -> Any:
        """Return the tensor with its axes in this order."""
        order = [self.axes.index(axis) for axis in axes]
        return self.tensor if order == sorted(order) else ops.transpose(self.tensor, order)

    def axis(self, of_onnx: int) -> int:
        """Return the axis of the tensor for an ONNX axis, which may count from the end."""
        return self.axes.index(of_onnx % len(self.axes))


def keras_network(model: onnx.ModelProto) -> keras.Model:
    """Return a Keras network that computes the same as an ONNX graph for one image, with the same output name.

    Args:
        model: An ONNX model from `images` uint8 (N, H, W, 3) to `probs` float32 (N, C).

    Raises:
        SettingsError: The model uses an unsupported operator.
    """
    graph = model.graph
    given = next(item for item in graph.input if item.name == "images")
    size = [dim.dim_value for dim in given.type.tensor_type.shape.dim][1:]
    images = keras.Input(batch_shape=(1, *size), dtype="uint8", name=given.name)
    values: dict[str, _Value | Array] = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    values[given.name] = _natural(images)
    for node in graph.node:
        inputs = [values[name] if name else None for name in node.input]
        options = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Shape" and isinstance(inputs[0], _Value):
            values[node.output[0]] = np.array(inputs[0].shape, np.int64)
        elif any(isinstance(value, _Value) for value in inputs):
            values[node.output[0]] = _computed(node.op_type, inputs, options)
        else:
            values.update(zip(node.output, _folded(node, values, model), strict=True))
    return keras.Model(images, {"probs": ops.reshape(_arranged(values["probs"]), (1, -1))})


def _folded(node: onnx.NodeProto, values: Mapping[str, Any], model: onnx.ModelProto) -> list[Array]:
    """Return the outputs of a node whose inputs are constants."""
    alone = onnx.helper.make_graph(
        [node],
        "constants",
        [onnx.ValueInfoProto(name=name) for name in node.input if name],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    whole = onnx.helper.make_model(alone, opset_imports=model.opset_import)
    return list(ReferenceEvaluator(whole).run(None, {name: values[name] for name in node.input if name}))


def _computed(kind: str, inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    if kind in _OF_ONE:
        return _Value(_OF_ONE[kind](inputs[0].tensor), inputs[0].axes)
    if kind in _OF_TWO:
        return _of_two(_OF_TWO[kind], *inputs)
    if kind not in _OPERATORS:
        raise _unknown(f"the operator {kind}")
    return _OPERATORS[kind](inputs, options)


def _unknown(what: str) -> SettingsError:
    return SettingsError(f"the network uses {what}, which this format does not support. Try another format")


def _natural(tensor: Any) -> _Value:
    return _Value(tensor, tuple(range(len(tensor.shape))))


def _arranged(value: _Value | Array) -> Any:
    """Return a tensor in ONNX order."""
    return value.arranged(tuple(range(len(value.axes)))) if isinstance(value, _Value) else value


def _of_two(function: Callable[[Any, Any], Any], one: _Value | Array, other: _Value | Array) -> _Value:
    values = [value for value in (one, other) if isinstance(value, _Value)]
    rank = max(np.ndim(value.tensor if isinstance(value, _Value) else value) for value in (one, other))
    axes = values[0].axes if all(len(value.axes) == rank for value in values) else tuple(range(rank))

    def along(value: _Value | Array) -> Any:
        if isinstance(value, _Value):
            return value.arranged(axes) if len(value.axes) == rank else _arranged(value)
        return value.reshape((1,) * (rank - value.ndim) + value.shape).transpose(axes)

    return _Value(function(along(one), along(other)), axes)


def _cast(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(options["to"])
    return _Value(ops.cast(inputs[0].tensor, dtype.name), inputs[0].axes)


def _transpose(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    (value,) = inputs
    order = list(options.get("perm", reversed(range(len(value.axes)))))
    return _Value(value.tensor, tuple(order.index(axis) for axis in value.axes))


def _padding(value: _Value, window: Sequence[int], options: dict[str, Any]) -> tuple[str, list[tuple[int, int]]]:
    """Return the Keras padding mode, and the padding to add to the image first, by axis."""
    kind = options.get("auto_pad", b"NOTSET").decode()
    strides, dilations = options.get("strides", [1, 1]), options.get("dilations", [1, 1])
    if kind == "VALID":
        return "valid", [(0, 0), (0, 0)]
    if kind == "SAME_UPPER":
        return "same", [(0, 0), (0, 0)]
    if kind != "NOTSET":
        raise _unknown(f"{kind} padding")
    pads = options.get("pads", [0, 0, 0, 0])
    pairs = list(zip(pads[:2], pads[2:], strict=True))
    sizes, wanted = value.shape[2:], []
    for size, length, stride, dilation in zip(sizes, window, strides, dilations, strict=True):
        missing = max((-(-size // stride) - 1) * stride + dilation * (length - 1) + 1 - size, 0)
        wanted.append((missing // 2, missing - missing // 2))
    return ("same", [(0, 0), (0, 0)]) if pairs == wanted else ("valid", pairs)


def _padded(tensor: Any, pairs: Sequence[tuple[int, int]], filler: float = 0.0) -> Any:
    """Return an image, channels last, with padding."""
    around = [(0, 0), *pairs, (0, 0)]
    return ops.pad(tensor, around, constant_values=filler) if any(map(any, pairs)) else tensor


def _conv(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, kernel, *bias = inputs
    if len(value.axes) != 4 or isinstance(kernel, _Value):
        raise _unknown("a convolution that is not over images")
    padding, pairs = _padding(value, kernel.shape[2:], options)
    tensor = _padded(value.arranged(_CHANNELS_LAST), pairs)
    given: dict[str, Any] = {
        "strides": tuple(options.get("strides", (1, 1))),
        "padding": padding,
        "data_format": "channels_last",
        "dilation_rate": tuple(options.get("dilations", (1, 1))),
    }
    filters = kernel.transpose(2, 3, 1, 0)
    num_groups = options.get("group", 1)
    if num_groups == tensor.shape[-1] > 1:
        # (height, width, 1, channels * filters of each) -> (height, width, channels, filters of each)
        filters = filters.reshape(*filters.shape[:2], num_groups, -1)
        made = ops.depthwise_conv(tensor, filters, **given)
    elif num_groups > 1:
        groups = zip(ops.split(tensor, num_groups, axis=-1), np.split(filters, num_groups, axis=-1), strict=True)
        made = ops.concatenate([ops.conv(part, some, **given) for part, some in groups], axis=-1)
    else:
        made = ops.conv(tensor, filters, **given)
    return _Value(made + bias[0] if bias and bias[0] is not None else made, _CHANNELS_LAST)


def _max_pool(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    return _pooled(ops.max_pool, inputs[0], options, filler=float(np.finfo(np.float32).min))


def _average_pool(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    padding, _ = _padding(inputs[0], options["kernel_shape"], options)
    # Some averages include the padding, and others do not.
    if any(options.get("pads", ())) and (padding == "same") == bool(options.get("count_include_pad", 0)):
        raise _unknown("average pooling over padding")
    return _pooled(ops.average_pool, inputs[0], options, filler=0.0)


def _pooled(function: Callable[..., Any], value: _Value, options: dict[str, Any], *, filler: float) -> _Value:
    window = options["kernel_shape"]
    padding, pairs = _padding(value, window, options)
    tensor = _padded(value.arranged(_CHANNELS_LAST), pairs, filler)
    strides = tuple(options.get("strides", (1, 1)))
    return _Value(function(tensor, tuple(window), strides, padding, "channels_last"), _CHANNELS_LAST)


def _global_average_pool(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    (value,) = inputs
    return _Value(ops.mean(value.arranged(_CHANNELS_LAST), axis=(1, 2), keepdims=True), _CHANNELS_LAST)


def _reduce_mean(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, *given = inputs
    axes = [value.axis(int(axis)) for axis in (given[0] if given else options["axes"])]
    if options.get("keepdims", 1):
        return _Value(ops.mean(value.tensor, axis=axes, keepdims=True), value.axes)
    places = [value.axes[axis] for axis in range(len(value.axes)) if axis not in axes]
    return _Value(ops.mean(value.tensor, axis=axes), tuple(sorted(places).index(place) for place in places))


def _pad(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, pads, *filler = inputs
    if options.get("mode", b"constant") != b"constant":
        raise _unknown("padding that is not constant")
    pairs = [(int(before), int(after)) for before, after in zip(*np.split(pads, 2), strict=True)]
    around = [pairs[axis] for axis in value.axes]
    return _Value(ops.pad(value.tensor, around, constant_values=float(filler[0]) if filler else 0.0), value.axes)


def _slice(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, starts, ends, *more = inputs
    axes, steps = [*more, *[np.arange(len(starts)), np.ones_like(starts)][len(more) :]][:2]
    taken = [slice(None)] * len(value.axes)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        taken[value.axis(int(axis))] = slice(int(start), int(min(end, 2**31)), int(step))
    return _Value(value.tensor[tuple(taken)], value.axes)


def _clip(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, *limits = inputs
    low, high = [*limits, None, None][:2]
    low, high = (options.get(name, limit) for name, limit in (("min", low), ("max", high)))
    tensor = value.tensor
    if low is not None and high is not None and (float(low), float(high)) == (0.0, 6.0):
        # The formats have an operator for this, which they fuse with the convolution before it.
        return _Value(ops.relu6(tensor), value.axes)
    tensor = tensor if low is None else ops.maximum(tensor, float(low))
    return _Value(tensor if high is None else ops.minimum(tensor, float(high)), value.axes)


def _concat(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    first = next(value for value in inputs if isinstance(value, _Value))
    tensors = [
        value.arranged(first.axes) if isinstance(value, _Value) else value.transpose(first.axes) for value in inputs
    ]
    return _Value(ops.concatenate(tensors, axis=first.axis(options["axis"])), first.axes)


def _resize(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, _, scales, *_ = (*inputs, None)
    plain = options.get("mode", b"nearest"), options.get("coordinate_transformation_mode"), options.get("nearest_mode")
    is_whole = scales is not None and len(scales) == 4 and (scales == scales.round()).all() and (scales[:2] == 1).all()
    if plain != (b"nearest", b"asymmetric", b"floor") or not is_whole:
        raise _unknown("an unsupported kind of resizing")
    size = [length * int(times) for length, times in zip(value.shape[2:], scales[2:], strict=True)]
    tensor = value.arranged(_CHANNELS_LAST)
    return _Value(ops.image.resize(tensor, size, "nearest", data_format="channels_last"), _CHANNELS_LAST)


def _flatten(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    axis = options.get("axis", 1)
    rows = int(np.prod(inputs[0].shape[:axis], dtype=np.int64))
    return _natural(ops.reshape(_arranged(inputs[0]), (rows, -1)))


def _reshape(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, shape = inputs
    sizes = [value.shape[place] if size == 0 else int(size) for place, size in enumerate(shape)]
    return _natural(ops.reshape(_arranged(value), sizes))


def _without_axes(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, *given = inputs
    axes = given[0] if given else options.get("axes")
    return _natural(ops.squeeze(_arranged(value), None if axes is None else tuple(int(axis) for axis in axes)))


def _matmul(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    return _natural(ops.matmul(*map(_arranged, inputs)))


def _gemm(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    one, other, *bias = map(_arranged, inputs)
    one = ops.transpose(one) if options.get("transA", 0) else one
    other = other.T if options.get("transB", 0) else other
    made = options.get("alpha", 1.0) * ops.matmul(one, other)
    return _natural(made + options.get("beta", 1.0) * bias[0] if bias else made)


def _gather(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, places = inputs
    return _natural(ops.take(_arranged(value), places, axis=options.get("axis", 0)))


def _batch_normalization(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    value, scale, bias, mean, variance = inputs
    factor = scale / np.sqrt(variance + options.get("epsilon", 1e-5))
    tensor = value.arranged((0, *range(2, len(value.axes)), 1))
    return _Value(tensor * factor + (bias - mean * factor), (0, *range(2, len(value.axes)), 1))


def _softmax(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    (value,) = inputs
    return _Value(ops.softmax(value.tensor, axis=value.axis(options.get("axis", -1))), value.axes)


def _hard_sigmoid(inputs: Sequence[Any], options: dict[str, Any]) -> _Value:
    (value,) = inputs
    line = options.get("alpha", 0.2) * value.tensor + options.get("beta", 0.5)
    return _Value(ops.clip(line, 0.0, 1.0), value.axes)


_OF_ONE: dict[str, Callable[[Any], Any]] = {
    "Relu": ops.relu,
    "Sigmoid": ops.sigmoid,
    "Tanh": ops.tanh,
    "Sqrt": ops.sqrt,
    "Erf": ops.erf,
    "Exp": ops.exp,
    "Neg": ops.negative,
    "Identity": lambda tensor: tensor,
    "HardSwish": lambda tensor: tensor * ops.clip(tensor / 6 + 0.5, 0.0, 1.0),
}
_OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "Add": ops.add,
    "Sub": ops.subtract,
    "Mul": ops.multiply,
    "Div": ops.divide,
    "Pow": ops.power,
}
_OPERATORS: dict[str, Callable[[Sequence[Any], dict[str, Any]], _Value]] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "HardSigmoid": _hard_sigmoid,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "Squeeze": _without_axes,
    "Transpose": _transpose,
}
