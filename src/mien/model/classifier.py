"""The Classifier: one self-contained ONNX file, run by ONNX Runtime."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import Faces, Ground, PredictConfig, ResizeMode, ScanConfig
from mien.core import files, images
from mien.core.faces import MAX_FACES
from mien.core.inference import Graph
from mien.core.inputs import Inputs, inputs_of, refuse_images
from mien.core.kinds import kinds_of, rarity
from mien.core.levels import in_words
from mien.core.text import first_few
from mien.errors import ModelFileError, SourceNotFoundError
from mien.fetching.stored_folders import how_to_finish
from mien.schema import built

# The output with class activation maps.
HEAT = "heat"
# The output with what each face adds to the logits.
FACE_EVIDENCE = "face_evidence"
FORMAT_VERSION = 4
MODEL_NAME = "model.onnx"
_METADATA_KEY = "mien"
# In an ONNX file for programs without mien: the classifier it was exported from.
EXPORTED_KEY = "mien_export_of"
# Why an image is unlike the training images, if no simple fact explains it.
_FAR = "it looks unlike all of them"
# No real network has logits this large, and larger ones would overflow.
_MOST_HEAT = 1e6


@dataclass(frozen=True)
class Provenance:
    """What a classifier was trained on, and how.

    Attributes:
        made_on: The date in UTC, such as "2026-01-31".
        preset: The preset.
        method: The training method.
        settings: Settings changed from the preset, by name, as JSON values.
        seed: Random seed of the split.
        split: Number of images by class, then by split.
        split_fingerprint: Hash of the images with the split of each (see `mien.data.dataset.split_fingerprint`).
        left_out: Number of skipped files, by problem code.
        smallest_side: The shortest side of all used images, in pixels.
        versions: Versions of Python and of every package that the predictions may depend on.
        limits: What it must not be used for, as sentences.
    """

    made_on: str
    preset: str
    method: str
    settings: dict[str, Any]
    seed: int
    split: dict[str, dict[str, int]]
    split_fingerprint: str
    left_out: dict[str, int]
    smallest_side: int
    versions: dict[str, str]
    limits: tuple[str, ...]


@dataclass(frozen=True)
class ModelFacts:
    """What a model file says about its classifier.

    Attributes:
        class_names: The classes, in the order of the probabilities.
        image_size: (height, width), in pixels.
        resize_mode: How an image with another aspect ratio is resized.
        faces: "on" if it uses faces besides the whole image; "unused" if faces did not help in training, whose images
            were still decoded at the size for faces.
        levels: The values that become black and white in images with more than 8 bits per channel; None if there were
            none in training, in which case each image's own values decide.
        ground: The background for transparent images; "auto" if there were none, in which case each image decides.
        largest_class: The class with the most training images, which the baseline always guesses.
        data_fingerprint: Hash of the content of the images.
        threshold: If the top probability is below this, the label is "unsure".
        max_distance: Images further away than this are unlike the training images; None if the file has no distances.
        kinds: Number of training images (of up to 2,000) of each kind, by description (see `mien.core.kinds`); empty if
            unknown.
        scores: Scores on the test split and in cross-validation, as JSON values.
        mien_version: The version that wrote the file.
        provenance: What it was trained on, and how; None if it was made without a run.
        format_version: Format version of these facts; others are rejected.
    """

    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize_mode: ResizeMode
    largest_class: str
    data_fingerprint: str
    mien_version: str
    faces: Literal["on", "off", "unused"] = "off"
    levels: tuple[float, float] | None = None
    ground: Ground = "auto"
    threshold: float = 0.0
    max_distance: float | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    provenance: Provenance | None = None
    format_version: int = FORMAT_VERSION

    @property
    def rules(self) -> tuple[str, ...]:
        """Rules for decoding special images, as sentences."""
        rules = []
        if self.levels:
            black, white = map(in_words, self.levels)
            rules.append(f"In images with more than 8 bits per channel, {black} is black and {white} is white.")
        if self.ground != "auto":
            rules.append(f"Transparent images get a {self.ground} background.")
        return tuple(rules)

    def scan_config(self, max_pixels: int = ScanConfig.max_pixels) -> ScanConfig:
        """Return the settings for decoding images as in training.

        Args:
            max_pixels: Reject larger images.
        """
        faces: Faces = "off" if self.faces == "off" else "on"
        return ScanConfig(
            levels=self.levels,
            ground=self.ground,
            max_pixels=max_pixels,
            image_size=self.image_size,
            resize_mode=self.resize_mode,
            faces=faces,
        )


class Classifier:
    """Predicts the probability of each class for images.

    Attributes:
        facts: What the model file says about it.
    """

    def __init__(self, content: bytes) -> None:
        """Load the content of an ONNX file. It cannot run code: it is a graph of known operators.

        Raises:
            ModelFileError: The file is not a classifier that this version of mien can read.
        """
        self._content = content
        self._graph = Graph(content)
        self.facts = _facts(self._graph)

    def __repr__(self) -> str:
        names, (height, width) = ", ".join(first_few(self.class_names, 3)), self.facts.image_size
        return f"Classifier({len(self.class_names)} classes: {names}; {height} x {width})"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.facts.class_names

    @property
    def content(self) -> bytes:
        """The content of the ONNX file."""
        return self._content

    @property
    def sha256(self) -> str:
        """Hash of the ONNX file, which identifies the classifier."""
        return hashlib.sha256(self._content).hexdigest()

    @property
    def looks_at_faces(self) -> bool:
        """Whether its predictions use faces, besides the whole image."""
        return self.facts.faces == "on"

    @property
    def tells_what_is_unlike(self) -> bool:
        """Whether it can tell that an image is unlike the training images."""
        return self.facts.max_distance is not None or bool(self.facts.kinds)

    def prepare(self, content: bytes, *, max_pixels: int = ScanConfig.max_pixels) -> Inputs:
        """Decode an image file as in training, and find faces if they are used.

        Args:
            content: The content of the file.
            max_pixels: Reject larger images.

        Returns:
            Inputs of length 1.

        Raises:
            ImageError: The file is not a usable image.
        """
        return self.inputs_of(images.decode(content, self.facts.scan_config(max_pixels)).rgb)

    def inputs_of(self, rgb: Image.Image) -> Inputs:
        """Return the network inputs for a decoded RGB image of any size: Inputs of length 1."""
        config = self.facts.scan_config()
        return inputs_of(rgb, config if self.looks_at_faces else replace(config, faces="off"))

    def probs(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return the probability of every class.

        Args:
            inputs: What `prepare` returned, or several joined. `Inputs.of` makes them from arrays of the right size.

        Returns:
            float32 (N, C); each row sums to 1.

        Raises:
            SettingsError: It is something else, such as an image. `mien.predict` takes images.
        """
        refuse_images(inputs)
        return self._checked(self._graph.run(["probs"], inputs.by_name())[0])

    def predict(self, inputs: Inputs) -> tuple[NDArray[np.float32], list[str]]:
        """Return the probability of every class, and how each image differs from the training images.

        Args:
            inputs: As for `probs`.

        Returns:
            float32 (N, C), and N reasons: "" for an image like the training images.
        """
        refuse_images(inputs)
        reasons = [rarity(kinds, self.facts.kinds) for kinds in kinds_of(inputs, faces=self.looks_at_faces)]
        if self.facts.max_distance is None:
            return self.probs(inputs), reasons
        probs, distances = self._graph.run(["probs", "distance"], inputs.by_name())
        is_far = distances.reshape(len(inputs), -1)[:, 0] > self.facts.max_distance
        # A reason in words says more than a distance.
        return self._checked(probs), [
            reason or (_FAR if far else "") for reason, far in zip(reasons, is_far, strict=True)
        ]

    def heat(self, inputs: Inputs) -> NDArray[np.float32] | None:
        """Return the logit of every class at every position of the network's last feature map.

        Their mean is the logit of the image (without its faces, if faces are used).

        Args:
            inputs: Inputs of length 1.

        Returns:
            float32 (C, h, w); None if the file has no such maps.

        Raises:
            ModelFileError: The file returns something that is not a map.
        """
        if HEAT not in self._graph.ends:
            return None
        heat = self._graph.run([HEAT], inputs.by_name())[0]
        most = (1, len(self.class_names), *inputs.images.shape[1:3])
        shape = heat.shape
        if len(shape) != 4 or shape[:2] != most[:2] or not all(0 < n <= m for n, m in zip(shape, most, strict=True)):
            raise ModelFileError(f"it is damaged: its map has the shape {shape}; expected at most {most}")
        if heat.dtype != np.float32 or not (np.abs(heat) <= _MOST_HEAT).all():
            raise ModelFileError(f"it is damaged: its map has values that are not numbers up to {_MOST_HEAT:g}")
        return cast(NDArray[np.float32], heat[0])

    def face_evidence(self, inputs: Inputs) -> NDArray[np.float32] | None:
        """Return what each face adds to the logit of every class.

        Args:
            inputs: Inputs of length 1.

        Returns:
            float32 (3, C), with 0 for missing faces; None if faces are not used.

        Raises:
            ModelFileError: The file returns something else.
        """
        if not self.looks_at_faces:
            return None
        evidence = self._graph.run([FACE_EVIDENCE], inputs.by_name())[0]
        shape = (1, MAX_FACES, len(self.class_names))
        if evidence.dtype != np.float32 or evidence.shape != shape or not (np.abs(evidence) <= _MOST_HEAT).all():
            raise ModelFileError("it is damaged: its face evidence is not one number per face and class")
        return cast(NDArray[np.float32], evidence[0])

    def _checked(self, probs: NDArray[np.float32]) -> NDArray[np.float32]:
        if probs.shape[1:] != (len(self.class_names),):
            raise ModelFileError(f"the network returns the shape {probs.shape} for {len(self.class_names)} classes")
        return probs

    def telling(self, **facts: Any) -> "Classifier":
        """Return this classifier with some facts replaced, such as its scores."""
        told = object.__new__(Classifier)
        told.__dict__ |= self.__dict__
        # The facts as they will be read back from the file. The network is kept, and stays loaded.
        told.facts = _checked_facts(json.loads(_facts_text(replace(self.facts, **facts))))
        told._content = with_facts(self._content, told.facts)
        return told

    def save(self, path: str | Path) -> None:
        """Write the ONNX file atomically.

        Raises:
            OutputError: The file cannot be written.
        """
        with files.replacing(Path(path)) as temporary:
            temporary.write_bytes(self._content)


def load(path: str | Path) -> Classifier:
    """Load a classifier.

    Args:
        path: A run folder, or a model.onnx.

    Raises:
        SourceNotFoundError: There is no classifier.
        ModelFileError: The file is not a classifier that this version of mien can read.

    Example:
        >>> import mien
        >>> mien.load("runs/train").class_names
        ('happy', 'sad')
    """
    path = Path(path)
    if path.is_dir():
        if not (path / MODEL_NAME).is_file():
            told = f"the folder {str(path)!r} has no {MODEL_NAME}. Name a run, e.g. runs/train"
            if (path / "manifest.csv").is_file() and (path / "config.json").is_file():
                told = f"the run in {str(path)!r} is not finished: it has no {MODEL_NAME}. {how_to_finish(path)}"
            raise SourceNotFoundError(told)
        path = path / MODEL_NAME
    elif not path.exists():
        raise SourceNotFoundError(
            f"there is no classifier at {str(path)!r}. Name a run folder, e.g. runs/train. To make one: mien train data"
        )
    try:
        return Classifier(files.read_regular(path, max_bytes=2 * 1024**3))
    except OSError as error:
        raise ModelFileError(f"cannot load {str(path)!r}: {files.reason_of(error)}") from error
    except ModelFileError as error:
        raise ModelFileError(f"cannot load {str(path)!r}: {error}") from error


def with_facts(content: bytes, facts: ModelFacts) -> bytes:
    """Return an ONNX file with the facts in its metadata, in the place of earlier ones."""
    import onnx

    model = onnx.load_from_string(content)
    others = [item for item in model.metadata_props if item.key != _METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    model.metadata_props.add(key=_METADATA_KEY, value=_facts_text(facts))
    return cast(bytes, model.SerializeToString())


def _facts_text(facts: ModelFacts) -> str:
    return json.dumps(asdict(facts), sort_keys=True)


def _facts(graph: Graph) -> ModelFacts:
    text = graph.metadata.get(_METADATA_KEY)
    if text is None or not {"images", "probs"} <= graph.ends:
        raise ModelFileError(
            "it was written by mien export for programs without mien. Name the run or its model.onnx instead"
            if EXPORTED_KEY in graph.metadata
            else "it is an ONNX file, but not a mien classifier"
        )
    try:
        facts = _checked_facts(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"its description is damaged: {error}") from error
    if "faces" in graph.ends and not {"face_weights", FACE_EVIDENCE} <= graph.ends:
        raise ModelFileError(f"it is damaged: it uses faces, but has no 'face_weights' or no {FACE_EVIDENCE!r}")
    if ("faces" in graph.ends) != (facts.faces == "on"):
        raise ModelFileError(f"it is damaged: its metadata says faces={facts.faces!r}, but its inputs do not match")
    if facts.max_distance is not None and "distance" not in graph.ends:
        raise ModelFileError("it is damaged: it has no output 'distance'")
    return facts


def _checked_facts(document: dict[str, Any]) -> ModelFacts:
    found = document["format_version"]
    if found > FORMAT_VERSION:
        raise ModelFileError(f"its format {found} is too new for this version. Run: pip install --upgrade mien")
    if found < FORMAT_VERSION:
        raise ModelFileError(f"its format {found} is too old for this version. Train it again")
    facts = built(ModelFacts, document)
    class_names = facts.class_names
    if len(set(class_names)) != len(class_names) or len(class_names) < 2 or facts.largest_class not in class_names:
        raise ValueError(f"impossible classes {class_names} with the largest class {facts.largest_class!r}")
    if any(count < 0 for count in facts.kinds.values()):
        raise ValueError("a kind of training images has a negative count")
    # These check their own limits.
    facts.scan_config()
    PredictConfig(facts.threshold)
    return facts
