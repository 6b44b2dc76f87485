"""The network in NumPy that a notebook explains: its gradients are right, it is the tutorial's, and it learns."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import from_scratch as scratch
from tiers import Lazy

if TYPE_CHECKING:
    import keras
    import tensorflow

    from mien.learning import networks
else:
    keras, networks, tensorflow = Lazy("keras"), Lazy("mien.learning.networks"), Lazy("tensorflow")

# The smallest images of which three convolutions and pools leave something.
SIDE = 22


def drawn(*shape: int, seed: int = 1) -> scratch.Array:
    return np.random.default_rng(seed).normal(size=shape)


def images_and_labels(num_images: int) -> tuple[scratch.Array, scratch.Array]:
    """Return images that can be told apart by their brightness."""
    labels = np.arange(num_images).reshape(-1, 1) % 2
    noise = np.random.default_rng(1).uniform(0, 0.7, (num_images, SIDE, SIDE, 3))
    return (noise + 0.3 * labels[:, :, None, None]).astype(np.float32), labels.astype(np.float32)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (scratch.convolution, [drawn(2, 5, 6, 3), drawn(3, 3, 3, 4), drawn(4)]),
        (scratch.relu, [drawn(4, 5)]),
        (scratch.max_pool, [drawn(2, 5, 6, 3)]),
        (scratch.flatten, [drawn(2, 3, 4, 2)]),
        (scratch.dense, [drawn(4, 3), drawn(3, 2), drawn(2)]),
        (lambda logits: scratch.cross_entropy(logits, np.array([[0], [1], [1]])), [drawn(3, 1)]),
    ],
    ids=["convolution", "relu", "max_pool", "flatten", "dense", "cross_entropy"],
)
def test_the_way_back_of_a_layer_is_its_gradient(layer: Callable[..., Any], inputs: list[scratch.Array]) -> None:
    assert scratch.gradient_error(layer, *inputs) < 1e-6


def test_the_way_back_of_the_whole_network_is_its_gradient() -> None:
    images = images_and_labels(2)[0].astype(np.float64)
    weights = [weight.astype(np.float64) for weight in scratch.initial_weights(SIDE, seed=1)]

    def network_of_biases(*biases: scratch.Array) -> tuple[scratch.Array, scratch.WayBack]:
        pairs = zip(weights[::2], biases, strict=True)
        logits, way_back = scratch.network(images, [array for pair in pairs for array in pair])
        return logits, lambda gradient: way_back(gradient)[1::2]

    assert scratch.gradient_error(network_of_biases, *weights[1::2]) < 1e-6


def test_a_wrong_way_back_is_found() -> None:
    def wrong(values: scratch.Array) -> tuple[scratch.Array, scratch.WayBack]:
        return values**2, lambda gradient: (gradient * values,)

    assert scratch.gradient_error(wrong, drawn(3)) > 0.1


@pytest.mark.medium
def test_the_network_learns() -> None:
    images, labels = images_and_labels(16)
    weights = scratch.initial_weights(SIDE, seed=1)
    adam = scratch.Adam(weights, learning_rate=0.003)
    losses = [scratch.learn(images, labels, weights, adam) for _ in range(30)]
    assert losses[0] > 0.5 and losses[-1] < 0.1
    assert scratch.accuracy(scratch.network(images, weights)[0], labels).value == 1.0


def test_logits_that_are_very_sure_overflow_nothing() -> None:
    logits, labels = np.array([[-1000.0], [1000.0]]), np.array([[1.0], [1.0]])
    loss, way_back = scratch.cross_entropy(logits, labels)
    assert loss == 500
    assert way_back(np.ones(()))[0].tolist() == [[-0.5], [0.0]]


@pytest.mark.slow
def test_the_network_is_that_of_keras() -> None:
    images, labels = images_and_labels(8)
    pixels = (255 * images).astype(np.uint8)
    weights = scratch.initial_weights(SIDE, seed=1)
    model = networks.build_cnn((SIDE, SIDE), 2)
    model.set_weights(weights)
    with tensorflow.GradientTape() as tape:
        probs = model(pixels)
        loss = keras.ops.mean(keras.losses.binary_crossentropy(labels, probs))

    logits, back_to_weights = scratch.network((pixels / 255).astype(np.float32), weights)
    own_loss, back_to_logits = scratch.cross_entropy(logits, labels)
    assert np.abs(scratch.sigmoid(logits) - np.asarray(probs)).max() < 1e-4
    assert abs(float(own_loss) - float(loss)) < 1e-4
    gradients = back_to_weights(*back_to_logits(np.ones_like(own_loss)))
    for own, other in zip(gradients, tape.gradient(loss, model.trainable_weights), strict=True):
        assert np.abs(own - np.asarray(other)).max() < 1e-4 * np.abs(own).max()


@pytest.mark.slow
def test_adam_is_that_of_keras() -> None:
    (weight,) = weights = [drawn(5, 4).astype(np.float32)]
    variable = keras.Variable(weight)
    adam, optimizer = scratch.Adam(weights), keras.optimizers.Adam(0.001)
    for seed in range(6):
        gradient = drawn(5, 4, seed=seed).astype(np.float32)
        adam.step(weights, [gradient])
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    assert np.abs(weight - np.asarray(variable)).max() < 1e-6
