"""The backbone: a pretrained network that turns images into features, as one ONNX file."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from mien.config import BUILT_IN_BACKBONE, BackboneConfig
from mien.core import files
from mien.core.inference import Graph
from mien.core.inputs import Inputs
from mien.errors import BackboneError, ModelFileError
from mien.learning.onnx_graphs import made_node

if TYPE_CHECKING:
    import onnx

_MAX_BYTES = 2 * 1024**3
_MAX_SIDE = 2048
# The lowest opset version that supports the operators of `mien.learning.face_features`.
_LEAST_OPSET_OF_FACES = 13


@dataclass(frozen=True)
class Backbone:
    """A feature extractor.

    Attributes:
        name: "lite0", or the path of its file.
        image_size: (height, width) of its input images, in pixels.
        num_features: Number of features of the whole image, D.
        content: ONNX: `images` uint8 (N, H, W, 3) -> `features` float32 (N, D).
        num_face_features: Number of face features after those, F; 0 without faces (see
            `mien.learning.face_features`).
    """

    name: str
    image_size: tuple[int, int]
    num_features: int
    content: bytes
    num_face_features: int = 0

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that the features depend on."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def takes_faces(self) -> bool:
        """Whether the network that reads expressions can be joined to it: its operators are new enough."""
        import onnx

        imports = onnx.load_from_string(self.content).opset_import
        return all(item.version >= _LEAST_OPSET_OF_FACES for item in imports if item.domain in ("", "ai.onnx"))

    @cached_property
    def graph(self) -> Graph:
        """The loaded network."""
        return Graph(self.content)

    def features(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return the features of images, float32 (N, D + F)."""
        outputs = ["features", "face_features"] if self.num_face_features else ["features"]
        return np.hstack(self.graph.run(outputs, inputs.by_name()))


def load_backbone(config: BackboneConfig, image_size: tuple[int, int]) -> Backbone:
    """Load the backbone of the settings.

    Args:
        config: The built-in backbone or an ONNX file, and the pixel scaling for the latter.
        image_size: (height, width) to use if the file does not specify it.

    Raises:
        BackboneError: The file is missing, or not a network from images to features.
    """
    if config.backbone == BUILT_IN_BACKBONE:
        content = package_files("mien.learning").joinpath("lite0.onnx").read_bytes()
        return Backbone(BUILT_IN_BACKBONE, (224, 224), 1984, content)
    try:
        return _adapted(_read(Path(config.backbone)), config, image_size)
    except ModelFileError as error:
        raise BackboneError(f"cannot use {config.backbone!r} as a backbone: {error}") from error


def is_file_name(name: str) -> bool:
    """Return whether a setting names an ONNX file rather than a known network."""
    return name.lower().endswith(".onnx")


def _read(path: Path) -> "onnx.ModelProto":
    import onnx

    try:
        content = files.read_regular(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise ModelFileError(f"cannot open it: {files.reason_of(error)}") from error
    try:
        model = onnx.load_from_string(content)
        # Large networks keep their weights in separate files in the same folder; onnx rejects files elsewhere.
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # Protobuf and onnx can raise anything on a damaged file.
        raise ModelFileError("it is not a complete ONNX file") from error
    if not model.graph.node:
        raise ModelFileError("it is not a complete ONNX file")
    return model


def _adapted(model: "onnx.ModelProto", config: BackboneConfig, image_size: tuple[int, int]) -> Backbone:
    """Wrap a network to take unscaled images and return one row of features for each."""
    from onnx import TensorProto, compose, helper

    # A prefix keeps its names apart from those added here.
    model = compose.add_prefix(model, "own/")
    graph = model.graph
    weights = {weight.name for weight in graph.initializer}
    inputs = [item for item in graph.input if item.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(repr(item.name.removeprefix("own/")) for item in inputs)
        raise ModelFileError(f"it has {len(inputs)} inputs ({names}); expected one, for images. Export only that part")
    given = inputs[0]
    channels_first, size = _layout(given, image_size)
    before = _scaling(given, config, channels_first)
    num_features, after = _pooling(model, given, channels_first, size)
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.remove(given)
    graph.input.insert(0, helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *size, 3]))
    graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", num_features]))
    del graph.value_info[:]
    backbone = Backbone(config.backbone, size, num_features, _serialised(model))
    _try(backbone)
    return backbone


def _serialised(model: "onnx.ModelProto") -> bytes:
    try:
        return cast(bytes, model.SerializeToString())
    except Exception as error:  # Protobuf's own errors.
        raise ModelFileError("it is larger than 2 GiB, including its weights") from error


def _layout(given: "onnx.ValueInfoProto", image_size: tuple[int, int]) -> tuple[bool, tuple[int, int]]:
    """Return whether channels come first, and the (height, width) of the images."""
    dims = given.type.tensor_type.shape.dim
    if len(dims) != 4:
        raise ModelFileError(f"its input has {len(dims)} dimensions; images need 4")
    sizes = [dim.dim_value for dim in dims]
    if 3 not in (sizes[1], sizes[3]) and 0 not in (sizes[1], sizes[3]):
        raise ModelFileError(f"its input has the shape {sizes}; expected 3 channels, first or last")
    channels_first = sizes[3] != 3 or sizes[1] == 3
    height, width = sizes[2:4] if channels_first else sizes[1:3]
    if max(height, width) > _MAX_SIDE:
        raise ModelFileError(f"it takes images of {height} x {width} pixels; the limit is {_MAX_SIDE} x {_MAX_SIDE}")
    return channels_first, (height or image_size[0], width or image_size[1])


def _scaling(given: "onnx.ValueInfoProto", config: BackboneConfig, channels_first: bool) -> "list[onnx.NodeProto]":
    """Return the nodes between `images` and the network's own input."""
    from onnx import TensorProto, numpy_helper

    kind, value = given.type.tensor_type.elem_type, "images"
    nodes: list[onnx.NodeProto] = []

    def add(op: str, *inputs: str, **attributes: object) -> str:
        nodes.append(made_node(op, inputs, f"added_{len(nodes)}", **attributes))
        return f"added_{len(nodes) - 1}"

    if kind != TensorProto.UINT8:
        mean, std = (255 * np.array(values, np.float32) for values in (config.pixel_mean, config.pixel_std))
        value = add("Cast", value, to=TensorProto.FLOAT)
        value = add("Sub", value, add("Constant", value=numpy_helper.from_array(mean)))
        value = add("Div", value, add("Constant", value=numpy_helper.from_array(std)))
    if channels_first:
        value = add("Transpose", value, perm=[0, 3, 1, 2])
    if kind not in (TensorProto.UINT8, TensorProto.FLOAT):
        value = add("Cast", value, to=kind)
    nodes.append(made_node("Identity", [value], given.name))
    return nodes


def _pooling(
    model: "onnx.ModelProto", given: "onnx.ValueInfoProto", channels_first: bool, size: tuple[int, int]
) -> "tuple[int, list[onnx.NodeProto]]":
    """Return the number of features, and the nodes between the network's output and `features`.

    A row per image is used unchanged, a feature map is averaged over its positions, and from a row of tokens the first
    is used, which is the class token of vision transformers.
    """
    from onnx import TensorProto, numpy_helper

    name, shape = _chosen_output(_output_shapes(model, given, channels_first, size))
    nodes: list[onnx.NodeProto] = []

    def add(op: str, output: str, *inputs: str, **attributes: object) -> str:
        nodes.append(made_node(op, inputs, output, **attributes))
        return output

    if len(shape) == 3:
        first = add("Constant", "first", value=numpy_helper.from_array(np.array(0, np.int64)))
        name = add("Gather", "pooled", name, first, axis=1)
    elif len(shape) == 4:
        turned = name if channels_first else add("Transpose", "turned", name, perm=[0, 3, 1, 2])
        name = add("GlobalAveragePool", "pooled", turned)
    add("Cast", "features", add("Flatten", "flat", name), to=TensorProto.FLOAT)
    return shape[1] if len(shape) == 4 and channels_first else shape[-1], nodes


def _chosen_output(shapes: dict[str, tuple[int, ...]]) -> tuple[str, tuple[int, ...]]:
    """Return the first output that is a row per image, otherwise a feature map, otherwise tokens."""
    for rank in (2, 4, 3):
        for name, shape in shapes.items():
            if len(shape) == rank and min(shape) > 0:
                return name, shape
    found = ", ".join(str(list(shape)) for shape in shapes.values())
    raise ModelFileError(f"its outputs for one image have the shapes {found}; expected a row of features")


def _output_shapes(
    model: "onnx.ModelProto", given: "onnx.ValueInfoProto", channels_first: bool, size: tuple[int, int]
) -> dict[str, tuple[int, ...]]:
    """Return the output shapes for one image by running the network, because files often leave them open."""
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    image = np.zeros((1, 3, *size) if channels_first else (1, *size, 3), dtype)
    return Graph(_serialised(model)).output_shapes({given.name: image})


def _try(backbone: Backbone) -> None:
    """Make sure that a wrapped network gives finite features."""
    image = np.full((1, *backbone.image_size, 3), 200, np.uint8)
    backbone.graph.output_shapes({"images": image})
    if not np.isfinite(backbone.features(Inputs.of(image))).all():
        raise ModelFileError("its features are not finite. Do --pixel-mean and --pixel-std match its training?")
