"""Exporting: a trained model -> one ONNX file, proved to give the same predictions."""

import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.core import files
from mien.core.inference import Graph
from mien.core.inputs import Inputs
from mien.core.kinds import count_kinds, kinds_of
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.tensorflow_process import run_with_tensorflow
from mien.data.dataset import Dataset
from mien.errors import ExportMismatchError, ModelFileError
from mien.learning.activation_maps import MAX_CLASSES, add_heat, is_mean_of_heat, noise, with_heat
from mien.learning.backbone import Backbone
from mien.learning.face_features import add_face_logits
from mien.learning.heads import Head
from mien.learning.methods import Fitted, places_seen
from mien.learning.onnx_graphs import write_constant, write_node, write_output
from mien.learning.out_of_distribution import Distribution, fit_distribution
from mien.model.agreement import compare_answers
from mien.model.classifier import Classifier, ModelFacts, with_facts
from mien.runs.figures import plot_history
from mien.runs.folder import RunFolder
from mien.version import __version__

if TYPE_CHECKING:
    import keras
    import onnx

_WRITE_ONNX = """
import sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1], compile=False)
model(np.zeros((1, *model.input_shape[1:]), np.uint8))
model.export(sys.argv[2], format="onnx", verbose=False)
"""
# Maximum number of images for learning the distribution of the training images.
_MAX_FEATURES = 1000
# Maximum number of images whose kinds are counted.
_MAX_KINDS = 2000


def facts_of(dataset: Dataset) -> ModelFacts:
    """Return the facts to store in a classifier trained on a split Dataset."""
    seen = places_seen(dataset)
    # Sorted by content, so that the choice does not depend on their order.
    some = sorted(seen.tolist(), key=lambda place: dataset.records[place].sha256)[:_MAX_KINDS]
    faces = dataset.config.faces == "on"
    kinds = in_threads(lambda place: kinds_of(dataset.inputs(np.array([place])), faces=faces)[0], some)
    trained_on = np.bincount(dataset.labels(dataset.indexes("train")), minlength=len(dataset.class_names))
    return ModelFacts(
        class_names=dataset.class_names,
        image_size=dataset.config.image_size,
        resize_mode=dataset.config.resize_mode,
        levels=dataset.config.levels,
        ground=dataset.config.ground,
        faces="unused" if dataset.config.faces == "on" else "off",
        largest_class=dataset.class_names[int(trained_on.argmax())],
        data_fingerprint=dataset.fingerprint(),
        kinds=count_kinds(list(kinds)),
        mien_version=__version__,
    )


def join(backbone: Backbone, head: Head, distribution: Distribution, facts: ModelFacts) -> Classifier:
    """Join a backbone and a linear head into a Classifier: one ONNX file, from uint8 images to probabilities.

    It uses faces if the head gives weight to their features.

    Args:
        backbone: The backbone, which returns D features.
        head: The head, which takes D features, optionally followed by F face features.
        distribution: The distribution of the training images.
        facts: The facts to store in the file.
    """
    import onnx

    model = onnx.load_from_string(backbone.content)
    graph = model.graph
    of_images, of_faces = np.split(head.weights, [backbone.num_features])
    write_constant(graph, "head_weights", of_images)
    write_constant(graph, "head_bias", head.bias)
    write_node(graph, "Gemm", ["features", "head_weights", "head_bias"], "logits")
    write_node(graph, "Softmax", ["logits"], "probs", axis=1)
    del graph.output[:]
    write_output(graph, "probs", ["N", len(head.bias)])
    longer = with_heat(model) if len(head.bias) <= MAX_CLASSES else None
    if of_faces.any():
        facts = replace(facts, faces="on")
        for made in (model, longer):
            if made is not None:
                add_face_logits(made, of_faces)
    if longer is not None:
        # Wrong shapes in a user's own graph show up when it is loaded or run.
        with suppress(ModelFileError, ValueError):
            classifier = _with_distance(longer, "features", distribution, facts)
            if _is_proved(classifier, backbone, of_images, head.bias):
                return classifier
    return _with_distance(model, "features", distribution, facts)


def _is_proved(
    classifier: Classifier, backbone: Backbone, weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> bool:
    """Return whether the means of a classifier's maps are the logits of the head."""
    inputs = Inputs.of(noise(backbone.image_size))
    ones = (inputs[place : place + 1] for place in range(len(inputs)))
    heat = np.stack([maps for one in ones if (maps := classifier.heat(one)) is not None])
    return is_mean_of_heat(heat, backbone.features(inputs) @ weights + bias)


def export(network: "keras.Model", dataset: Dataset) -> Classifier:
    """Convert a Keras network into a Classifier: one ONNX file, from uint8 images to probabilities.

    Args:
        network: The network, from uint8 (N, H, W, 3) to probabilities, float32 (N, C).
        dataset: The Dataset it was trained on. Its validation split shows how far away new images are.
    """
    import onnx

    network(np.zeros((1, *network.input_shape[1:]), np.uint8))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The converter's warnings are for its own developers.
        warnings.simplefilter("ignore")
        path = Path(folder, "model.onnx")
        _write_onnx(network, path)
        model = onnx.load(path)
    _name_ends(model.graph)
    onnx.checker.check_model(model)
    features = _features_name(model.graph)
    seen, unseen = (_features(model, features, dataset, split) for split in ("train", "val"))
    groups = dataset.group_numbers(dataset.indexes("train")[: len(seen)])
    distribution = fit_distribution(seen, groups=groups, held_out=unseen)
    add_heat(model)
    return _with_distance(model, features, distribution, facts_of(dataset))


def _features_name(graph: "onnx.GraphProto") -> str:
    """Return the input of the last layer that has weights."""
    makers = {output: node for node in graph.node for output in node.output}
    weights = {item.name for item in graph.initializer}
    waiting = ["probs"]
    while waiting:
        node = makers[waiting.pop(0)]
        inputs = [name for name in node.input if name in makers]
        if node.op_type in ("MatMul", "Gemm") and weights & set(node.input):
            return str(inputs[0])
        waiting += inputs
    raise ExportMismatchError("cannot find the features of the network: it has no layer with weights")


def _features(model: "onnx.ModelProto", name: str, dataset: Dataset, split: str) -> NDArray[np.float32]:
    """Return the values of a tensor for the images of a split, or as many as are needed, (N, D)."""
    import onnx

    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    write_output(asked.graph, name)
    graph = Graph(asked.SerializeToString())
    places = dataset.indexes(split)[:_MAX_FEATURES]
    batches = (dataset.pixels(places[i : i + 32]) for i in range(0, len(places), 32))
    rows = [graph.run([name], {"images": pixels})[0] for pixels in batches]
    return np.concatenate(rows)


def _with_distance(
    model: "onnx.ModelProto", features: str, distribution: Distribution, facts: ModelFacts
) -> Classifier:
    """Add the output "distance", float32 (N, 1): how far images are from the training images."""
    arrays = {
        "plane_mean": distribution.mean,
        "plane_directions": distribution.directions,
        "plane_ones": np.ones((len(distribution.mean), 1), np.float32),
        "plane_ones_few": np.ones((distribution.directions.shape[1], 1), np.float32),
    }
    nodes: tuple[tuple[str, list[str], str, dict[str, int]], ...] = (
        ("LpNormalization", [features], "plane_units", {"axis": 1, "p": 2}),
        ("Sub", ["plane_units", "plane_mean"], "plane_rows", {}),
        ("MatMul", ["plane_rows", "plane_directions"], "plane_parts", {}),
        ("Mul", ["plane_rows", "plane_rows"], "plane_rows_squared", {}),
        ("Mul", ["plane_parts", "plane_parts"], "plane_parts_squared", {}),
        ("MatMul", ["plane_rows_squared", "plane_ones"], "plane_whole", {}),
        ("MatMul", ["plane_parts_squared", "plane_ones_few"], "plane_part", {}),
        ("Sub", ["plane_whole", "plane_part"], "plane_rest", {}),
        ("Relu", ["plane_rest"], "plane_rest_squared", {}),
        ("Sqrt", ["plane_rest_squared"], "distance", {}),
    )
    graph = model.graph
    for name, array in arrays.items():
        write_constant(graph, name, array)
    for kind, inputs, output, options in nodes:
        write_node(graph, kind, inputs, output, **options)
    write_output(graph, "distance", ["N", 1])
    facts = replace(facts, max_distance=distribution.limit)
    return Classifier(with_facts(model.SerializeToString(), facts))


def _write_onnx(model: "keras.Model", path: Path) -> None:
    """Let Keras write an ONNX file. This needs TensorFlow, so other backends use a separate process."""
    import keras

    if keras.backend.backend() == "tensorflow":
        model.export(path, format="onnx", verbose=False)
        return
    saved = path.with_suffix(".keras")
    model.save(saved)
    if error := run_with_tensorflow(_WRITE_ONNX, saved, path):
        raise ExportMismatchError(f"cannot convert the network to ONNX: {error}")


def prove_equal(expected: Iterable[NDArray[np.float32]], given: Iterable[NDArray[np.float32]]) -> float:
    """Return the largest difference in a probability between a trained model and its Classifier.

    Args:
        expected: Probabilities of the trained model: batches of float32 (N, C).
        given: Probabilities of the Classifier for the same images.

    Raises:
        ExportMismatchError: A probability differs by more than 1e-3, or a label differs.
    """
    agreement = compare_answers(expected, given)
    if not agreement.holds:
        raise ExportMismatchError(f"model.onnx does not match the trained model: {agreement}")
    return agreement.max_difference


def _name_ends(graph: "onnx.GraphProto") -> None:
    """Name the input "images", the output "probs", and their first dimension "N"."""
    new_names = {graph.input[0].name: "images", graph.output[0].name: "probs"}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new_names.get(name, name) for name in names]
    for end in (graph.input[0], graph.output[0]):
        end.name = new_names[end.name]
        end.type.tensor_type.shape.dim[0].dim_param = "N"


def save_keras(model: "keras.Model", folder: Path, *, save_h5: bool = False) -> None:
    """Write model.keras, and model.h5 if requested. Both load in plain Keras.

    Raises:
        OutputError: A file cannot be written.
    """
    for suffix in (".keras", ".h5") if save_h5 else (".keras",):
        with files.replacing(folder / f"model{suffix}") as temporary, warnings.catch_warnings():
            # Keras warns that HDF5 is a legacy format, but the user asked for it.
            warnings.simplefilter("ignore")
            model.save(temporary)


def save_training(run_folder: RunFolder, fitted: Fitted, *, save_h5: bool, progress: Progress = SILENCE) -> None:
    """For a Keras network, write curves.svg, model.keras and, if requested, model.h5; otherwise nothing.

    Raises:
        OutputError: A file cannot be written.
    """
    if fitted.history:
        plot_history(fitted.history).savefig(run_folder.path / "curves.svg")
    if fitted.model is not None:
        save_keras(fitted.model, run_folder.path, save_h5=save_h5)
    elif save_h5:
        progress.say("model.h5 was not written, because the linear head was kept instead of the Keras network")
