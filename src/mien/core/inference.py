"""Inference: run an ONNX graph on all cores with ONNX Runtime, from network inputs to rows of numbers."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from mien.core.parallel import in_threads
from mien.errors import ModelFileError

if TYPE_CHECKING:
    import onnxruntime


class Graph:
    """An ONNX graph whose inputs have one row for each image.

    Each image runs on its own in one thread, several at a time. The caches of a core then still hold the data that
    the next layer needs, which is 1.5 times as fast as batches shared by all cores. It also makes the result for an
    image independent of the images next to it.

    Attributes:
        metadata: Metadata stored in the file.
        ends: Names of its inputs and outputs.
    """

    def __init__(self, content: bytes) -> None:
        """Load an ONNX file. It cannot run code: it is a graph of known operators.

        Raises:
            ModelFileError: It is not a complete ONNX file.
        """
        self._content, self._session = content, _session(content)
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._inputs = {item.name for item in self._session.get_inputs()}
        self.ends = self._inputs | {item.name for item in self._session.get_outputs()}

    def __reduce__(self) -> tuple[type["Graph"], tuple[bytes]]:
        """Pickle the graph as the content of its file."""
        return Graph, (self._content,)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the graph on images and return, for each output, float32 with one row per image.

        Args:
            outputs: Names of outputs.
            inputs: An array for each input name, with at least one row and one row per image. Inputs that the graph
                does not have are ignored.

        Raises:
            ModelFileError: The graph cannot run on them, or an output is not an array.
        """

        def run_one(place: int) -> list[NDArray[np.float32]]:
            values = self._run(outputs, {name: array[place : place + 1] for name, array in taken.items()})
            for name, value in zip(outputs, values, strict=True):
                if not isinstance(value, np.ndarray):
                    raise ModelFileError(f"it is damaged: output {name!r} is not an array of numbers")
            return cast("list[NDArray[np.float32]]", values)

        taken = {name: array for name, array in inputs.items() if name in self._inputs}
        num_images = len(next(iter(taken.values())))
        if num_images == 1:
            return run_one(0)
        rows = list(in_threads(run_one, range(num_images)))
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def output_shapes(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
        """Return the shape of every output for some inputs.

        Raises:
            ModelFileError: The graph cannot run on them.
        """
        names = [item.name for item in self._session.get_outputs()]
        return {name: np.shape(value) for name, value in zip(names, self._run(names, inputs), strict=True)}

    def _run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        try:
            return cast("list[Any]", self._session.run(outputs, dict(inputs)))
        except Exception as error:  # As in _session.
            raise ModelFileError(f"the network failed to run: {_reason(error)}") from error


def _session(content: bytes) -> "onnxruntime.InferenceSession":
    # Official builds send telemetry to Microsoft unless this is set before loading. Nothing is sent anywhere.
    # https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        # Load from bytes, so that the file cannot refer to another file for its weights.
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common error class of its own.
        raise ModelFileError(f"it is not a complete ONNX file: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return ONNX Runtime's message on one line, without its developer prefix."""
    return " ".join(str(error).split()).removeprefix("[ONNXRuntimeError] : ")[:300]
