"""Activation maps: the mean of the output "heat" is the logit, exactly, in every network that can have it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from mien.config import BackboneConfig
from mien.core.inference import Graph
from mien.core.inputs import Inputs
from mien.core.probabilities import softmax
from mien.learning.activation_maps import add_heat
from mien.learning.backbone import Backbone, load_backbone
from mien.learning.exporting import _name_ends, _write_onnx, join
from mien.learning.heads import Head
from mien.learning.out_of_distribution import Distribution
from mien.model.classifier import Classifier, ModelFacts
from onnx_models import pooling_network
from tiers import Lazy

if TYPE_CHECKING:
    from mien.learning import networks
else:
    networks = Lazy("mien.learning.networks")

pytestmark = pytest.mark.medium

LITE0 = load_backbone(BackboneConfig(), (224, 224))


def random_head(num_features: int, num_classes: int) -> Head:
    rng = np.random.default_rng(num_classes)
    weights = 3 * rng.normal(size=(num_features, num_classes)) / np.sqrt(num_features)
    return Head(weights.astype(np.float32), rng.normal(size=num_classes).astype(np.float32), 1.0, 1.0)


def joined(backbone: Backbone, num_classes: int) -> Classifier:
    names = tuple(f"class {number}" for number in range(num_classes))
    facts = ModelFacts(names, backbone.image_size, "stretch", names[0], "abc", "0.1.0")
    directions = np.eye(backbone.num_features, 1, dtype=np.float32)
    distribution = Distribution(np.zeros(backbone.num_features, np.float32), directions, 1.0)
    return join(backbone, random_head(backbone.num_features, num_classes), distribution, facts)


def noise(size: tuple[int, int], num_images: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (num_images, *size, 3), dtype=np.uint8)


def exported(num_classes: int, folder: Path, *, flip: bool) -> onnx.ModelProto:
    """Return the built-in network with a random head, as Keras writes it."""
    network = networks.with_head(networks.build_lite0(LITE0), num_classes)
    networks.set_head(network, random_head(1984, num_classes))
    whole = networks.with_all_probs(network, flip=flip)
    whole(np.zeros((1, 224, 224, 3), np.uint8))
    _write_onnx(whole, folder / "model.onnx")
    model = onnx.load(folder / "model.onnx")
    _name_ends(model.graph)
    return model


@pytest.mark.parametrize("num_classes", [2, 5])
def test_the_mean_of_the_map_is_the_logit(num_classes: int) -> None:
    classifier = joined(LITE0, num_classes)
    for image in noise((224, 224)):
        heat = classifier.heat(Inputs.of(image[None]))
        assert heat is not None and heat.shape == (num_classes, 14, 14)
        np.testing.assert_allclose(
            softmax(heat.mean(axis=(1, 2))[None]), classifier.probs(Inputs.of(image[None])), atol=1e-5
        )
        assert heat.std(axis=(1, 2)).min() > 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_mean_of_the_map_is_the_logit_in_keras_networks_too(num_classes: int, tmp_path: Path) -> None:
    model = exported(num_classes, tmp_path, flip=False)
    assert add_heat(model)
    onnx.checker.check_model(model)
    heat, probs = Graph(model.SerializeToString()).run(["heat", "probs"], {"images": noise((224, 224))})
    np.testing.assert_allclose(softmax(heat.mean(axis=(2, 3))), probs, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_network_that_asks_about_the_mirror_image_has_the_map_of_both(tmp_path: Path) -> None:
    one_way, both_ways = (exported(2, tmp_path, flip=flip) for flip in (False, True))
    assert add_heat(one_way) and add_heat(both_ways)
    images = noise((224, 224))
    plain, both = (Graph(model.SerializeToString()) for model in (one_way, both_ways))
    there, back = (
        plain.run(["heat"], {"images": some})[0] for some in (images, np.ascontiguousarray(images[:, :, ::-1]))
    )
    np.testing.assert_allclose(both.run(["heat"], {"images": images})[0], (there + back[..., ::-1]) / 2, atol=1e-3)


@pytest.mark.parametrize(("output", "has_map"), [("row", True), ("map", True), ("tokens", False)])
def test_a_backbone_of_the_users_own_has_a_map_where_its_graph_allows(
    tmp_path: Path, output: str, has_map: bool
) -> None:
    (tmp_path / "own.onnx").write_bytes(pooling_network(shape=["N", 3, 32, 32], output=output))
    classifier = joined(load_backbone(BackboneConfig(str(tmp_path / "own.onnx")), (32, 32)), 3)
    (image,) = noise((32, 32), 1)
    heat = classifier.heat(Inputs.of(image[None]))
    assert (heat is not None) == has_map
    if heat is not None:
        assert heat.shape == (3, 32, 32)
        np.testing.assert_allclose(
            softmax(heat.mean(axis=(1, 2))[None]), classifier.probs(Inputs.of(image[None])), atol=1e-5
        )


@pytest.mark.parametrize(
    ("kind", "inputs"), [("Relu", ["features"]), ("Mul", ["features", "features"]), ("Div", ["one", "features"])]
)
def test_a_network_that_is_not_linear_after_the_mean_stays_as_it_is(kind: str, inputs: list[str]) -> None:
    own = onnx.load_from_string(pooling_network(input_name="images", kind=np.uint8, channels_first=False))
    own.graph.initializer.extend(
        onnx.numpy_helper.from_array(values, name)
        for name, values in (("one", np.ones(1, np.float32)), ("weights", random_head(3, 2).weights))
    )
    nodes = ((kind, inputs, "bent"), ("MatMul", ["bent", "weights"], "logits"), ("Softmax", ["logits"], "probs"))
    own.graph.node.extend(onnx.helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes)
    own.graph.output[0].name = "probs"
    before = own.SerializeToString()
    assert not add_heat(own)
    assert own.SerializeToString() == before
    bent = next(node for node in own.graph.node if "bent" in node.output)
    bent.CopyFrom(onnx.helper.make_node("Identity", ["features"], ["bent"]))
    assert add_heat(own)


def test_very_many_classes_have_no_map_that_would_make_predicting_slower() -> None:
    (image,) = noise((224, 224), 1)
    assert joined(LITE0, 64).heat(Inputs.of(image[None])) is not None
    assert joined(LITE0, 65).heat(Inputs.of(image[None])) is None
