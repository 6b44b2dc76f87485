"""The network of `from_scratch.ipynb`, in NumPy alone: each layer is a function that also gives the way back.

A layer takes its input and its weights. It returns its output, and a function: that takes the gradient of the loss
with respect to the output, and returns the gradients with respect to the input and to each of the weights.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mien import Score
from mien.core.scores import wilson_score

Array = NDArray[np.floating[Any]]
WayBack = Callable[[Array], tuple[Array, ...]]


def convolution(images: Array, kernel: Array, bias: Array) -> tuple[Array, WayBack]:
    """Look at every 3 by 3 window of images with the same filters.

    Args:
        images: (N, H, W, C).
        kernel: The filters, (3, 3, C, F).
        bias: A number for each filter, (F,).

    Returns:
        (N, H - 2, W - 2, F), and the way back.
    """
    windows = sliding_window_view(images, (3, 3), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    size, filters = windows.shape[:3], kernel.reshape(-1, kernel.shape[-1])
    rows = windows.reshape(-1, len(filters))

    def way_back(gradient: Array) -> tuple[Array, ...]:
        gradient = gradient.reshape(len(rows), -1)
        of_windows = (gradient @ filters.T).reshape(windows.shape)
        of_images = np.zeros_like(images)
        for down, across in np.ndindex(3, 3):
            shifted = of_images[:, down : down + size[1], across : across + size[2]]
            shifted += of_windows[:, :, :, down, across]
        return of_images, (rows.T @ gradient).reshape(kernel.shape), gradient.sum(axis=0)

    return (rows @ filters + bias).reshape(*size, -1), way_back


def relu(values: Array) -> tuple[Array, WayBack]:
    """Put zero in the place of what is negative."""
    return np.maximum(values, 0), lambda gradient: (gradient * (values > 0),)


def max_pool(images: Array) -> tuple[Array, WayBack]:
    """Keep the largest of every 2 by 2 values; a last odd row or column is dropped.

    Args:
        images: (N, H, W, C).

    Returns:
        (N, H // 2, W // 2, C), and the way back.
    """
    num_images, height, width, channels = images.shape
    height, width = height // 2, width // 2
    whole = images[:, : 2 * height, : 2 * width]
    pairs = whole.reshape(num_images, height, 2, width, 2, channels)
    blocks = pairs.transpose(0, 1, 3, 5, 2, 4)
    fours = blocks.reshape(num_images, height, width, channels, 4)
    largest = fours.argmax(axis=-1, keepdims=True)

    def way_back(gradient: Array) -> tuple[Array, ...]:
        of_fours = np.zeros_like(fours)
        np.put_along_axis(of_fours, largest, gradient[..., np.newaxis], axis=-1)
        of_images = np.zeros_like(images)
        of_blocks = of_fours.reshape(blocks.shape).transpose(0, 1, 4, 2, 5, 3)
        of_images[:, : 2 * height, : 2 * width] = of_blocks.reshape(whole.shape)
        return (of_images,)

    return np.take_along_axis(fours, largest, axis=-1)[..., 0], way_back


def flatten(images: Array) -> tuple[Array, WayBack]:
    """Lay the values of each image out in a row: (N, H, W, C) becomes (N, H * W * C)."""
    rows = images.reshape(len(images), -1)
    return rows, lambda gradient: (gradient.reshape(images.shape),)


def dense(rows: Array, weights: Array, bias: Array) -> tuple[Array, WayBack]:
    """Weigh up all values of a row, for each unit in its own way.

    Args:
        rows: (N, D).
        weights: (D, U).
        bias: (U,).

    Returns:
        (N, U), and the way back.
    """

    def way_back(gradient: Array) -> tuple[Array, ...]:
        return gradient @ weights.T, rows.T @ gradient, gradient.sum(axis=0)

    return rows @ weights + bias, way_back


LAYERS: list[Callable[..., tuple[Array, WayBack]]] = [
    *(convolution, relu, max_pool) * 3,
    flatten,
    *(dense, relu, dense),
]


def network(images: Array, weights: Sequence[Array]) -> tuple[Array, WayBack]:
    """Send images through all layers.

    Args:
        images: (N, H, W, 3), from 0 to 1.
        weights: What `initial_weights` returned, or what became of them.

    Returns:
        A logit for each image, (N, 1), and the way back, to all the weights.
    """
    values, left, ways_back = images, iter(weights), []
    for layer in LAYERS:
        own = (next(left), next(left)) if layer in (convolution, dense) else ()
        values, way_back = layer(values, *own)
        ways_back.append(way_back)

    def whole_way_back(gradient: Array) -> tuple[Array, ...]:
        gradients: list[Array] = []
        for way_back in reversed(ways_back):
            gradient, *own = way_back(gradient)
            gradients = [*own, *gradients]
        return tuple(gradients)

    return values, whole_way_back


def sigmoid(logits: Array) -> Array:
    """Return the probability that each logit stands for."""
    return (1 + np.tanh(logits / 2)) / 2


def cross_entropy(logits: Array, labels: Array) -> tuple[Array, WayBack]:
    """Say how wrong the probabilities of logits are: the binary cross-entropy.

    Args:
        logits: (N, 1).
        labels: The classes, 0 or 1, (N, 1).

    Returns:
        The loss, (), and the way back.
    """
    losses = np.logaddexp(0, logits) - labels * logits
    mistakes = sigmoid(logits) - labels
    return losses.mean(), lambda gradient: (gradient * mistakes / len(logits),)


def initial_weights(side: int, seed: int) -> list[Array]:
    """Draw the weights to begin with, as Glorot and Bengio advise (2010); every bias is zero.

    Args:
        side: Height and width of the images, in pixels.
        seed: Decides what is drawn.

    Returns:
        For each convolution and each dense layer what it multiplies by, then its bias: float32.
    """
    for _ in range(3):
        side = (side - 2) // 2
    rng, weights = np.random.default_rng(seed), list[Array]()
    for shape in [(3, 3, 3, 16), (3, 3, 16, 32), (3, 3, 32, 16), (side**2 * 16, 256), (256, 1)]:
        limit = np.sqrt(6 / (np.prod(shape[:-2]) * sum(shape[-2:])))
        weights.append(rng.uniform(-limit, limit, shape).astype(np.float32))
        weights.append(np.zeros(shape[-1], np.float32))
    return weights


class Adam:
    """Adam, of Kingma and Ba (2015): steps that remember those before.

    Args:
        weights: What it is going to change.
        learning_rate: How far it goes in one step, about.
    """

    def __init__(self, weights: Sequence[Array], learning_rate: float = 0.001) -> None:
        self.learning_rate = learning_rate
        self.num_steps = 0
        self.means = [np.zeros_like(weight) for weight in weights]
        self.squares = [np.zeros_like(weight) for weight in weights]

    def step(self, weights: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Change weights, in their place, after their gradients."""
        self.num_steps += 1
        corrected = (1 - 0.999**self.num_steps) ** 0.5 / (1 - 0.9**self.num_steps)
        rate = self.learning_rate * corrected
        of_each = zip(weights, gradients, self.means, self.squares, strict=True)
        for weight, gradient, mean, square in of_each:
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            weight -= rate * mean / (np.sqrt(square) + 1e-7)


def learn(images: Array, labels: Array, weights: Sequence[Array], adam: Adam) -> float:
    """Take one step of training, and return the loss before it."""
    logits, back_to_weights = network(images, weights)
    loss, back_to_logits = cross_entropy(logits, labels)
    adam.step(weights, back_to_weights(*back_to_logits(np.ones_like(loss))))
    return float(loss)


def numerical_gradient(function: Callable[[Array], float], values: Array) -> Array:
    """Work out a gradient without any rule: go to both sides of each value, and look.

    Args:
        function: Gives a number for values.
        values: Where to take the gradient, float64.
    """
    step = 1e-6
    gradient = np.zeros_like(values)
    for place in np.ndindex(values.shape):
        shift = np.zeros_like(values)
        shift[place] = step
        gradient[place] = (function(values + shift) - function(values - shift)) / (2 * step)
    return gradient


def gradient_error(layer: Callable[..., tuple[Array, WayBack]], *inputs: Array) -> float:
    """Compare the way back of a layer with numerical gradients.

    Args:
        layer: Any function that returns an output and a way back.
        inputs: What it takes, float64.

    Returns:
        The largest relative error of its gradients, of which there is one for each input.
    """
    output, way_back = layer(*inputs)
    # Any loss will do: here it is a sum of the outputs, each with a part of its own.
    parts = np.random.default_rng(0).normal(size=output.shape)

    def error(number: int, gradient: Array) -> float:
        def loss(values: Array) -> float:
            return float((layer(*inputs[:number], values, *inputs[number + 1 :])[0] * parts).sum())

        numerical = numerical_gradient(loss, inputs[number])
        return float(np.linalg.norm(gradient - numerical) / np.linalg.norm(numerical))

    return max(error(number, gradient) for number, gradient in enumerate(way_back(parts)))


def accuracy(logits: Array, labels: Array) -> Score:
    """Return the share of images that are called what they are, with its 95% interval."""
    return wilson_score(int(((logits > 0) == labels).sum()), len(labels))
