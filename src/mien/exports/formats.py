"""The export formats, each with the code that writes it and the runtime that runs it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from mien.core.extras import require
from mien.core.inference import Graph
from mien.core.tensorflow_process import run_with_tensorflow
from mien.errors import GateError

# Runs one image: uint8 (1, H, W, 3) -> probabilities, float32 (1, C).
Answering = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
FormatName = Literal["onnx", "litert", "openvino"]


@dataclass(frozen=True)
class Format:
    """A file format for networks.

    Attributes:
        title: Its official name.
        endings: Extensions of its files, starting with the one to open.
        packages: Packages that write and run it.
        write: Writes the network of an ONNX file to a path, and any further files beside it.
        open: Loads that path for inference in one thread.
    """

    title: str
    endings: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[bytes, Path], object]
    open: Callable[[Path], Answering]

    def require(self) -> None:
        """Check that the format can be written and run.

        Raises:
            MissingExtraError: A package is not installed.
        """
        require("export", *self.packages)


def _open_onnx(path: Path) -> Answering:
    graph = Graph(path.read_bytes())
    return lambda pixels: graph.run(["probs"], {"images": pixels})[0]


def _write_litert(content: bytes, path: Path) -> None:
    source = path.with_suffix(".onnx")
    source.write_bytes(content)
    error = run_with_tensorflow("from mien.exports import litert; litert.main()", source, path)
    source.unlink()
    if error:
        raise GateError(f"cannot write the network as LiteRT: {error}")


def _open_litert(path: Path) -> Answering:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=path.read_bytes(), num_threads=1).get_signature_runner()
    return lambda pixels: runner(images=pixels)["probs"]


def _openvino() -> Any:
    """Import the package without its optional telemetry."""
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
    import openvino

    return openvino


def _write_openvino(content: bytes, path: Path) -> None:
    openvino = _openvino()
    network = openvino.Core().read_model(content)
    try:
        openvino.save_model(network, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write the network: {error}") from error


def _open_openvino(path: Path) -> Answering:
    openvino = _openvino()
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    network = openvino.Core().compile_model(path, "CPU", settings)
    return lambda pixels: np.array(network({"images": pixels})["probs"])


FORMATS: dict[FormatName, Format] = {
    "onnx": Format("ONNX", (".onnx",), ("onnx",), lambda content, path: path.write_bytes(content), _open_onnx),
    "litert": Format(
        "LiteRT", (".tflite",), ("onnx", "keras", "tensorflow", "ai_edge_litert"), _write_litert, _open_litert
    ),
    "openvino": Format("OpenVINO", (".xml", ".bin"), ("onnx", "openvino"), _write_openvino, _open_openvino),
}
