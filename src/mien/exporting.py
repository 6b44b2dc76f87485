"""Exporting: what was trained -> one ONNX file, proved to give the same answers."""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien import __version__, files
from mien.backbone import Backbone
from mien.classifier import Classifier, ModelFacts, with_facts
from mien.dataset import Dataset
from mien.errors import ExportMismatchError
from mien.heads import Head

if TYPE_CHECKING:
    import keras
    import onnx

MAX_DIFFERENCE = 1e-3
_WRITE_ONNX = """
import sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1], compile=False)
model(np.zeros((1, *model.input_shape[1:]), np.uint8))
model.export(sys.argv[2], format="onnx", verbose=False)
"""
# Two classes this near to one another are as probable: which of them is the label is rounding.
_TIE = 1e-5


def facts_of(dataset: Dataset) -> ModelFacts:
    """Return what a classifier trained on a split Dataset is to say about itself."""
    trained_on = np.bincount(dataset.labels(dataset.indexes("train")), minlength=len(dataset.class_names))
    return ModelFacts(
        class_names=dataset.class_names,
        image_size=dataset.config.image_size,
        fit_rule=dataset.config.fit_rule,
        max_pixels=dataset.config.max_pixels,
        largest_class=dataset.class_names[int(trained_on.argmax())],
        data_fingerprint=dataset.fingerprint(),
        mien_version=__version__,
    )


def join(backbone: Backbone, head: Head, facts: ModelFacts) -> Classifier:
    """Put a linear head on a backbone: a Classifier, one ONNX file, from uint8 pictures to probabilities.

    Args:
        backbone: Gives D features.
        head: Takes D features.
        facts: What the file is to say about itself.
    """
    import onnx

    model = onnx.load_from_string(backbone.content)
    graph = model.graph
    graph.initializer.append(onnx.numpy_helper.from_array(head.weights, "head_weights"))
    graph.initializer.append(onnx.numpy_helper.from_array(head.bias, "head_bias"))
    graph.node.append(onnx.helper.make_node("Gemm", ["features", "head_weights", "head_bias"], ["logits"]))
    graph.node.append(onnx.helper.make_node("Softmax", ["logits"], ["probs"], axis=1))
    shape = ["N", len(head.bias)]
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info("probs", onnx.TensorProto.FLOAT, shape))
    return Classifier(with_facts(model.SerializeToString(), facts))


def export(model: "keras.Model", facts: ModelFacts) -> Classifier:
    """Turn a Keras network into a Classifier: one ONNX file, from uint8 pictures to probabilities.

    Args:
        model: Takes uint8 (N, H, W, 3); gives a probability for each class, float32 (N, C).
        facts: What the file is to say about itself.
    """
    import onnx

    model(np.zeros((1, *model.input_shape[1:]), np.uint8))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The converter speaks to its own developers.
        warnings.simplefilter("ignore")
        path = Path(folder, "model.onnx")
        _write_onnx(model, path)
        graph = onnx.load(path)
    _name_ends(graph.graph)
    onnx.checker.check_model(graph)
    return Classifier(with_facts(graph.SerializeToString(), facts))


def _write_onnx(model: "keras.Model", path: Path) -> None:
    """Let Keras write an ONNX file. Its way there is TensorFlow: with another backend, in a process of its own."""
    import keras

    if keras.backend.backend() == "tensorflow":
        model.export(path, format="onnx", verbose=False)
        return
    saved = path.with_suffix(".keras")
    model.save(saved)
    settings = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", _WRITE_ONNX, str(saved), str(path)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportMismatchError(f"the network cannot be written as ONNX: {done.stderr.strip()[-2000:]}")


def prove_equal(expected: Iterable[NDArray[np.float32]], given: Iterable[NDArray[np.float32]]) -> float:
    """Return the largest difference between the probabilities of what was trained and of its Classifier.

    Args:
        expected: What was trained says: batches, each float32 (N, C).
        given: What the Classifier says of the same pictures.

    Raises:
        ExportMismatchError: A probability differs by more than 1e-3, or a label does.
    """
    difference, num_changed = 0.0, 0
    for wanted, found in zip(expected, given, strict=True):
        difference = max(difference, float(np.abs(wanted - found).max()))
        num_changed += int((wanted.max(axis=1) - wanted[np.arange(len(wanted)), found.argmax(axis=1)] > _TIE).sum())
    if difference > MAX_DIFFERENCE or num_changed:
        raise ExportMismatchError(
            f"model.onnx does not answer as what was trained does: probabilities differ by up to {difference:.1e} "
            f"(at most {MAX_DIFFERENCE:.0e} is allowed), and {num_changed} labels change"
        )
    return difference


def _name_ends(graph: "onnx.GraphProto") -> None:
    """Call the input "images" and the output "probs", and their first axis "N"."""
    new_names = {graph.input[0].name: "images", graph.output[0].name: "probs"}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new_names.get(name, name) for name in names]
    for end in (graph.input[0], graph.output[0]):
        end.name = new_names[end.name]
        end.type.tensor_type.shape.dim[0].dim_param = "N"


def save_keras(model: "keras.Model", folder: Path, *, save_h5: bool = False) -> None:
    """Write model.keras, and model.h5 where asked for: both load in plain Keras.

    Raises:
        OutputError: A file cannot be written.
    """
    for suffix in (".keras", ".h5") if save_h5 else (".keras",):
        with files.replacing(folder / f"model{suffix}") as temporary, warnings.catch_warnings():
            # Keras calls HDF5 a legacy format; the user asked for it.
            warnings.simplefilter("ignore")
            model.save(temporary)
