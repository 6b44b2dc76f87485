"""The networks that mien trains, in Keras."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import onnx
from keras import KerasTensor, layers
from numpy.typing import NDArray

from mien.errors import BackboneError
from mien.learning.backbone import Backbone
from mien.learning.heads import Head


def build_cnn(image_size: tuple[int, int], num_classes: int, *, dropout: float = 0.0) -> keras.Model:
    """Build the tutorial's network: three convolutions, each with max-pooling, then two dense layers.

    Args:
        image_size: (height, width), in pixels.
        num_classes: Two classes give one sigmoid unit, more give a softmax.
        dropout: Dropout rate of the hidden layer.

    Returns:
        An uncompiled model. Input: uint8 (N, H, W, 3), scaled to 0..1 inside. Output: float32 (N, 1), the probability
        of the second class; or (N, num_classes).
    """
    images = keras.Input((*image_size, 3), dtype="uint8", name="images")
    features = layers.Rescaling(1 / 255, name="rescale")(images)
    for number, filters in enumerate((16, 32, 16), start=1):
        features = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")(features)
        features = layers.MaxPooling2D(2, name=f"pool{number}")(features)
    hidden = layers.Dense(256, activation="relu", name="hidden")(layers.Flatten(name="flatten")(features))
    return keras.Model(images, _classes(hidden, num_classes, dropout), name="classic")


def build_lite0(backbone: Backbone) -> keras.Model:
    """Build the built-in backbone in Keras from its ONNX file, layer by layer, with its weights.

    Batch normalisation is folded into the convolutions, so its statistics are frozen.

    Returns:
        An uncompiled model. Input: uint8 (N, 224, 224, 3). Output: features (N, 1984).
    """
    graph = onnx.load_from_string(backbone.content).graph
    weights = {item.name: onnx.numpy_helper.to_array(item).astype(np.float32) for item in graph.initializer}
    images = keras.Input((*backbone.image_size, 3), dtype="uint8", name="images")
    # (x - 127) / 128, as one layer instead of the first nodes of the file.
    values = {"channels_first": layers.Rescaling(1 / 128, -127 / 128, name="rescale")(images)}
    for node in graph.node:
        name = node.output[0]
        inputs = [values[source] for source in node.input if source in values]
        if node.op_type == "Conv":
            values[name] = _convolution(node, weights, inputs[0])
        elif inputs:
            values[name] = _LAYERS[node.op_type](name)(inputs if len(inputs) > 1 else inputs[0])
    return keras.Model(images, values["features"], name="lite0")


# Keras layers for the other nodes of the file; "features" is already flat after the pooling.
_LAYERS: dict[str, Callable[[str], layers.Layer]] = {
    "Clip": lambda name: layers.ReLU(6.0, name=name),
    "Add": lambda name: layers.Add(name=name),
    "Concat": lambda name: layers.Concatenate(name=name),
    "Resize": lambda name: layers.UpSampling2D(2, name=name),
    "GlobalAveragePool": lambda name: layers.GlobalAveragePooling2D(name=name),
    "Flatten": lambda name: layers.Flatten(name=name),
}


def _convolution(node: onnx.NodeProto, weights: dict[str, NDArray[np.float32]], values: KerasTensor) -> KerasTensor:
    options = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    kernel, bias = weights[f"{node.name}_kernel_half"], weights[f"{node.name}_bias_half"]
    shared = {"strides": options["strides"][0], "padding": "same", "name": node.name}
    if options["group"] > 1:
        layer, kernel = layers.DepthwiseConv2D(kernel.shape[2], **shared), kernel.transpose(2, 3, 0, 1)
    else:
        layer, kernel = layers.Conv2D(len(kernel), kernel.shape[2], **shared), kernel.transpose(2, 3, 1, 0)
    output: KerasTensor = layer(values)
    layer.set_weights([kernel, bias])
    return output


def build_application(name: str, image_size: tuple[int, int], weights: str = "imagenet") -> keras.Model:
    """Build a network from keras.applications as a backbone, with frozen batch normalisation statistics.

    Args:
        name: Such as "MobileNetV3Small".
        image_size: (height, width), in pixels.
        weights: "imagenet", which Keras downloads once; or a file.

    Returns:
        An uncompiled model. Input: uint8 (N, H, W, 3), scaled inside as the network expects. Output: features (N, D).

    Raises:
        BackboneError: The network does not exist, or its weights cannot be loaded.
    """
    builder = getattr(keras.applications, name, None)
    if not name[:1].isupper() or not callable(builder):
        known = ", ".join(sorted(item for item in dir(keras.applications) if item[:1].isupper()))
        raise BackboneError(f"unknown backbone {name!r}. Use lite0, or one of keras.applications: {known}")
    try:
        network = builder(include_top=False, pooling="avg", input_shape=(*image_size, 3), weights=weights)
    except Exception as error:  # Keras raises a bare Exception if a download fails, and many others for a file.
        reason = " ".join(str(error).split())
        advice = "Pass a file with --weights" if weights == "imagenet" else "Pass another file with --weights"
        raise BackboneError(
            f"cannot load the weights of {name} ({reason}). {advice}, or use the built-in --backbone lite0"
        ) from error
    for layer in network.layers:
        layer.trainable = layer.trainable and not isinstance(layer, layers.BatchNormalization)
    images = keras.Input((*image_size, 3), dtype="uint8", name="images")
    shares = layers.Rescaling(1 / 255, dtype="float32", name="rescale")(images)
    scaled = _scaling(sys.modules[builder.__module__].preprocess_input)(shares)
    return keras.Model(images, network(scaled), name=name.lower())


def _scaling(preprocess: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> layers.Layer:
    """Return a layer that does for colours from 0 to 1 what a network's own function does for colours from 0 to 255.

    Each of these functions is affine in the three colours, so its values for black and the pure colours define it.
    """
    black, *colours = [
        preprocess(np.array(colour, np.float32).reshape(1, 1, 1, 3)).ravel() for colour in [[0] * 3, *(255 * np.eye(3))]
    ]
    matrix = np.stack([colour - black for colour in colours])
    layer = layers.Conv2D(3, 1, trainable=False, dtype="float32", name="colours")
    layer.build((None, None, None, 3))
    layer.set_weights([matrix[None, None], black])
    return layer


def with_head(backbone: keras.Model, num_classes: int, *, dropout: float = 0.0) -> keras.Model:
    """Return a backbone with dropout and a dense layer for the classes.

    Returns:
        An uncompiled model. Output: float32 (N, 1), the probability of the second class; or (N, num_classes).
    """
    return keras.Model(backbone.input, _classes(backbone.output, num_classes, dropout), name=backbone.name)


def _classes(features: KerasTensor, num_classes: int, dropout: float) -> KerasTensor:
    if dropout:
        features = layers.Dropout(dropout, name="dropout")(features)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    classes: KerasTensor = layers.Dense(units, activation=activation, dtype="float32", name="classes")(features)
    return classes


def set_head(model: keras.Model, head: Head) -> None:
    """Copy the weights of a linear head to the last layer of a network."""
    kernel, bias = head.weights, head.bias
    if model.output_shape[-1] == 1:
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    model.get_layer("classes").set_weights([kernel, bias])


def cool(model: keras.Model, temperature: float) -> None:
    """Divide the logits of a network by a temperature."""
    layer = model.get_layer("classes")
    layer.set_weights([weights / temperature for weights in layer.get_weights()])


def with_all_probs(model: keras.Model, *, flip: bool = False) -> keras.Model:
    """Return the network with one probability per class, (N, C), even if it has a single sigmoid unit.

    Args:
        model: The trained network.
        flip: Average over each image and its mirror image.
    """
    images = keras.Input(model.input_shape[1:], dtype="uint8", name="images")
    probs = model(images)
    if flip:
        mirrored = model(keras.ops.flip(images, axis=2))
        probs = layers.Average(name="both_ways", dtype="float32")([probs, mirrored])
    if model.output_shape[-1] == 1:
        probs = layers.Concatenate(name="probs", dtype="float32")([1 - probs, probs])
    return keras.Model(images, probs)


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Build the networks in the block with "float32", or with "bfloat16" and float32 weights."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
