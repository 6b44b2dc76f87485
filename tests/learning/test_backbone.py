"""The backbone: the built-in one is the original, and a user's own file is fitted in, or refused in words."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

import mien
from mien.config import BackboneConfig
from mien.core.inference import Graph
from mien.core.inputs import Inputs
from mien.errors import BackboneError
from mien.learning.backbone import Backbone, load_backbone
from onnx_models import pooling_network, two_input_network

MEAN, STD = BackboneConfig.pixel_mean, BackboneConfig.pixel_std
SHA256 = "adcef8291faf12ff220037e7dd08807f6dc893f0763fd2b16efac87657d6e576"


def reference_images() -> np.ndarray:
    """Return the images that the reference values are of; the same formula stands in tools/convert_lite0.py."""
    rows, columns = np.mgrid[:224, :224]
    waves = [127.5 + 127.5 * np.sin(rows / (7 + 5 * channel) + columns / 11) for channel in range(3)]
    squares = [255.0 * ((rows // (16 + 8 * channel) + columns // 32) % 2) for channel in range(3)]
    return np.stack([np.stack(waves, -1), np.stack(squares, -1)]).astype(np.uint8)


def load_file(content: bytes, tmp_path: Path, **settings: object) -> Backbone:
    path = tmp_path / "own.onnx"
    path.write_bytes(content)
    return load_backbone(BackboneConfig(str(path), **settings), (16, 24))  # type: ignore[arg-type]


def test_the_built_in_backbone_gives_the_features_of_the_original() -> None:
    expected = np.load(Path(__file__).with_name("lite0_reference.npz"))["features"]
    features = load_backbone(BackboneConfig(), (224, 224)).features(Inputs.of(reference_images()))
    assert features.shape == (2, 1984)
    assert features.dtype == np.float32
    assert np.abs(features[:, :1280] - expected).max() < 1e-2 * expected.max()


def test_the_built_in_features_are_the_means_of_five_depths() -> None:
    content = (Path(mien.__file__).parent / "learning" / "lite0.onnx").read_bytes()
    model = onnx.load_from_string(content)
    names = ["top_relu6", "block14_add", "block15_project", "block7_add", "block10_add"]
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    features, *maps = Graph(model.SerializeToString()).run(["features", *names], {"images": reference_images()})
    assert [found.shape[1:] for found in maps] == [
        (1280, 7, 7), (192, 7, 7), (320, 7, 7), (80, 14, 14), (112, 14, 14)
    ]  # fmt: skip
    means = np.concatenate([found.mean(axis=(2, 3)) for found in maps], axis=1)
    np.testing.assert_allclose(features, means, rtol=1e-3, atol=1e-4)


def test_the_built_in_backbone_is_the_file_that_the_notice_names() -> None:
    path = Path(mien.__file__).parent / "learning" / "lite0.onnx"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    assert SHA256 in (Path(__file__).parents[2] / "NOTICE").read_text("utf-8")
    assert path.stat().st_size < 10 * 1024**2


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.uint8])
@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize("output", ["row", "map"])
def test_a_file_of_any_layout_gets_images_as_it_wants_them(
    tmp_path: Path, kind: type, channels_first: bool, output: str
) -> None:
    backbone = load_file(pooling_network(kind=kind, channels_first=channels_first, output=output), tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    scaled = images if kind is np.uint8 else (images / 255 - MEAN) / STD
    assert (backbone.image_size, backbone.num_features) == ((8, 8), 3)
    np.testing.assert_allclose(backbone.features(Inputs.of(images)), scaled.mean(axis=(1, 2)), rtol=1e-2, atol=1e-3)


def test_of_tokens_the_first_is_taken(tmp_path: Path) -> None:
    backbone = load_file(pooling_network(output="tokens"), tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(backbone.features(Inputs.of(images))[0], (images[0, 0, 0] / 255 - MEAN) / STD, rtol=1e-3)


def test_the_scaling_can_be_set(tmp_path: Path) -> None:
    backbone = load_file(pooling_network(), tmp_path, pixel_mean=(0.0, 0.0, 0.5), pixel_std=(1.0, 0.5, 1.0))
    white = np.full((1, 8, 8, 3), 255, np.uint8)
    np.testing.assert_allclose(backbone.features(Inputs.of(white)), [[1, 2, 0.5]], rtol=1e-5)


@pytest.mark.parametrize("shape", [["N", 3, "H", "W"], ["batch_size", "num_channels", "height", "width"]])
def test_a_size_that_the_file_leaves_open_is_that_of_the_settings(tmp_path: Path, shape: list[int | str]) -> None:
    assert load_file(pooling_network(shape=shape), tmp_path).image_size == (16, 24)


def test_a_file_for_one_image_at_a_time_takes_more(tmp_path: Path) -> None:
    backbone = load_file(pooling_network(shape=[1, 3, 8, 8]), tmp_path)
    assert backbone.features(Inputs.of(np.zeros((5, 8, 8, 3), np.uint8))).shape == (5, 3)


@pytest.mark.parametrize("opset", [9, 13, 18, 21])
def test_files_of_old_and_new_operators_work(tmp_path: Path, opset: int) -> None:
    assert load_file(pooling_network(opset=opset), tmp_path).num_features == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a complete ONNX file"),
        (b"\x08\x08half", "not a complete ONNX file"),
        (two_input_network(), "2 inputs .*input_ids.*Export only that part"),
        (pooling_network(shape=["N", 1, 8, 8]), "expected 3 channels"),
        (pooling_network(shape=["N", 192]), "has 2 dimensions; images need 4"),
        (pooling_network(output="number"), "expected a row of features"),
        (pooling_network(shape=["N", 3, 10**6, 10**6]), "the limit is 2048 x 2048"),
    ],
)
def test_a_file_that_is_no_feature_extractor_is_refused_in_words(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BackboneError, match=f"own.onnx.*{message}"):
        load_file(content, tmp_path)


def test_features_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    content = pooling_network(kind=np.float16)
    with pytest.raises(BackboneError, match="not finite"):
        load_file(content, tmp_path, pixel_std=(1e-6, 1e-6, 1e-6))


def test_another_scaling_is_another_backbone(tmp_path: Path) -> None:
    first = load_file(pooling_network(), tmp_path)
    second = load_file(pooling_network(), tmp_path, pixel_mean=(0.5, 0.5, 0.5))
    assert first.fingerprint != second.fingerprint
