"""The networks that mien trains, in Keras."""

import math

import keras
from keras import layers


def build_cnn(image_size: tuple[int, int], num_classes: int, *, dropout: float = 0.0) -> keras.Model:
    """Build the tutorial's network: three convolutions, each with a max-pool, then two dense layers.

    Args:
        image_size: (height, width), in pixels.
        num_classes: Two give one sigmoid unit, more give a softmax.
        dropout: Share of the hidden dense layer that is switched off at random in training.

    Returns:
        A model, not compiled. Input: uint8 (N, H, W, 3), scaled to 0..1 inside. Output: float32 (N, 1), the
        probability of the second class; or (N, num_classes).
    """
    images = keras.Input((*image_size, 3), dtype="uint8", name="images")
    features = layers.Rescaling(1 / 255, name="rescale")(images)
    for number, filters in enumerate((16, 32, 16), start=1):
        features = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")(features)
        features = layers.MaxPooling2D(2, name=f"pool{number}")(features)
    hidden = layers.Dense(256, activation="relu", name="hidden")(layers.Flatten(name="flatten")(features))
    if dropout:
        hidden = layers.Dropout(dropout, name="dropout")(hidden)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    outputs = layers.Dense(units, activation=activation, dtype="float32", name="classes")(hidden)
    return keras.Model(images, outputs, name="classic")


def with_all_probs(model: keras.Model) -> keras.Model:
    """Return the same network with one probability per class, (N, C), also where it has a single sigmoid unit."""
    images = keras.Input(model.input_shape[1:], dtype="uint8", name="images")
    probs = model(images)
    if math.prod(model.output_shape[1:]) == 1:
        probs = layers.Concatenate(name="probs")([1 - probs, probs])
    return keras.Model(images, probs)
