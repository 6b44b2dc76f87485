"""The Classifier: one ONNX file with everything in it, run by ONNX Runtime alone."""

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
from mien.core.inputs import Inputs, inputs_of
from mien.core.kinds import kinds_of, rarity
from mien.core.levels import in_words
from mien.errors import ModelFileError, SourceNotFoundError
from mien.schema import built

# The output with class activation maps.
HEAT = "heat"
# The output with what each face adds to the logits.
FACE_EVIDENCE = "face_evidence"
FORMAT_VERSION = 4
MODEL_NAME = "model.onnx"
_METADATA_KEY = "mien"
# In an ONNX file for programs without mien: of which classifier it is the network.
EXPORTED_KEY = "mien_export_of"
# Why an image is unlike those of the training, where no plain fact says it.
_FAR = "it looks unlike all of them"
# No network's logits are as large; with larger ones nothing could be reckoned.
_MOST_HEAT = 1e6


@dataclass(frozen=True)
class Provenance:
    """What a classifier was made from and how.

    Attributes:
        made_on: The day, in UTC, such as "2026-01-31".
        preset: The settings that its own began as.
        method: How it was fitted.
        settings: Those that differ from the preset's, by name, as JSON values.
        seed: Decided the split.
        split: Number of images by class, then by split.
        split_fingerprint: Hash of the images with the split of each (see `mien.data.dataset.split_fingerprint`).
        left_out: Number of files that were not used, by problem code.
        smallest_side: Of all images used, in pixels.
        versions: Of Python and of every package that the answers may depend on.
        limits: What must not be expected of it, in sentences.
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
    """What the file says about its classifier, beside the network.

    Attributes:
        class_names: The classes, in the order of the probabilities.
        image_size: (height, width), in pixels.
        resize_mode: How an image of another shape is brought to that size.
        faces: "on" where it looks at faces beside the whole image; "unused" where these told nothing in the training,
            whose images were decoded at the size for faces.
        levels: The values that become black and white in images of more than 8 bits a channel; None where there were
            none in the training, and each image's own values tell.
        ground: What transparent images are put on; "auto" where there were none, and each image itself tells.
        largest_class: The class with most training images: the baseline's answer.
        data_fingerprint: Hash of the content of the images that it was made from.
        threshold: Where the label is less probable than this, the answer is "unsure".
        max_distance: Images whose distance is greater are unlike those of the training; None where the file has
            no distances.
        kinds: How many of the training images, or of 2,000 of them, are of each kind, by what they are in words (see
            `mien.core.kinds`); empty where that is not known.
        scores: What it scored on the test split and in cross-validation, as JSON values.
        mien_version: The version that wrote it.
        provenance: What it was made from and how; None where it was made without a run.
        format_version: Of these facts; another one is refused.
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
        """How images are decoded that could be decoded otherwise, in sentences."""
        rules = []
        if self.levels:
            black, white = map(in_words, self.levels)
            rules.append(f"In images of more than 8 bits a channel, {black} is black and {white} is white.")
        if self.ground != "auto":
            rules.append(f"Transparent images are put on {self.ground}.")
        return tuple(rules)

    def scan_config(self, max_pixels: int = ScanConfig.max_pixels) -> ScanConfig:
        """Return the settings by which images were decoded for training.

        Args:
            max_pixels: Larger images are refused.
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
    """Says how probable each class is for images.

    Attributes:
        facts: What the file says about it.
    """

    def __init__(self, content: bytes) -> None:
        """Take the content of an ONNX file. No code in it can run: it is a graph of known operators.

        Raises:
            ModelFileError: It is not a classifier that this version of mien can read.
        """
        self._content = content
        self._graph = Graph(content)
        self.facts = _facts(self._graph)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.facts.class_names

    @property
    def content(self) -> bytes:
        """The ONNX file."""
        return self._content

    @property
    def sha256(self) -> str:
        """The hash of the ONNX file, by which two classifiers are told apart."""
        return hashlib.sha256(self._content).hexdigest()

    @property
    def looks_at_faces(self) -> bool:
        """Whether its answers depend on the faces in an image, beside the whole of it."""
        return self.facts.faces == "on"

    @property
    def tells_what_is_unlike(self) -> bool:
        """Whether it knows what the images of the training were like."""
        return self.facts.max_distance is not None or bool(self.facts.kinds)

    def prepare(self, content: bytes, *, max_pixels: int = ScanConfig.max_pixels) -> Inputs:
        """Decode an image file in the way of the training, and look for faces where they count.

        Args:
            content: The file, whole.
            max_pixels: Larger images are refused.

        Returns:
            Inputs of length 1.

        Raises:
            ImageError: It is not an image that can be used.
        """
        return self.inputs_of(images.decode(content, self.facts.scan_config(max_pixels)).rgb)

    def inputs_of(self, rgb: Image.Image) -> Inputs:
        """Return what the network is shown of a decoded image, mode RGB, of any size: Inputs of length 1."""
        config = self.facts.scan_config()
        return inputs_of(rgb, config if self.looks_at_faces else replace(config, faces="off"))

    def probs(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return the probability of every class.

        Args:
            inputs: What `prepare` returned, or many such; `Inputs.of` makes them of arrays of the size in `facts`.

        Returns:
            float32 (N, C); each row sums to 1.
        """
        return self._checked(self._graph.run(["probs"], inputs.by_name())[0])

    def predict(self, inputs: Inputs) -> tuple[NDArray[np.float32], list[str]]:
        """Return the probability of every class, and in what each image is unlike those of the training.

        Args:
            inputs: As for `probs`.

        Returns:
            float32 (N, C), and N reasons in words: "" for an image that is like them.
        """
        reasons = [rarity(kinds, self.facts.kinds) for kinds in kinds_of(inputs, faces=self.looks_at_faces)]
        if self.facts.max_distance is None:
            return self.probs(inputs), reasons
        probs, distances = self._graph.run(["probs", "distance"], inputs.by_name())
        is_far = distances.reshape(len(inputs), -1)[:, 0] > self.facts.max_distance
        # What can be said in words says more than a distance.
        return self._checked(probs), [
            reason or (_FAR if far else "") for reason, far in zip(reasons, is_far, strict=True)
        ]

    def heat(self, inputs: Inputs) -> NDArray[np.float32] | None:
        """Return the logit of every class at every place of the network's last map.

        Their mean is the logit of the image; where faces count, of the image without its faces.

        Args:
            inputs: Of length 1.

        Returns:
            float32 (C, h, w); None where the file has no such maps.

        Raises:
            ModelFileError: What the file gives is no map.
        """
        if HEAT not in self._graph.ends:
            return None
        heat = self._graph.run([HEAT], inputs.by_name())[0]
        most = (1, len(self.class_names), *inputs.images.shape[1:3])
        shape = heat.shape
        if len(shape) != 4 or shape[:2] != most[:2] or not all(0 < n <= m for n, m in zip(shape, most, strict=True)):
            raise ModelFileError(f"it is damaged: its map has the shape {shape}; expected {most} or coarser")
        if heat.dtype != np.float32 or not (np.abs(heat) <= _MOST_HEAT).all():
            raise ModelFileError(f"it is damaged: its map is not made of numbers up to {_MOST_HEAT:g}")
        values: NDArray[np.float32] = heat[0]
        return values

    def face_evidence(self, inputs: Inputs) -> NDArray[np.float32] | None:
        """Return what each face adds to the logit of every class.

        Args:
            inputs: Of length 1.

        Returns:
            float32 (3, C); 0 where there is no face. None where faces do not count.

        Raises:
            ModelFileError: What the file gives is not that.
        """
        if not self.looks_at_faces:
            return None
        evidence = self._graph.run([FACE_EVIDENCE], inputs.by_name())[0]
        shape = (1, MAX_FACES, len(self.class_names))
        if evidence.dtype != np.float32 or evidence.shape != shape or not (np.abs(evidence) <= _MOST_HEAT).all():
            raise ModelFileError("it is damaged: what it says of faces is not made of numbers, one for each class")
        values: NDArray[np.float32] = evidence[0]
        return values

    def _checked(self, probs: NDArray[np.float32]) -> NDArray[np.float32]:
        if probs.shape[1:] != (len(self.class_names),):
            raise ModelFileError(f"the network answers in the shape {probs.shape}, for {len(self.class_names)} classes")
        return probs

    def telling(self, **facts: Any) -> "Classifier":
        """Return the same classifier with some of its facts replaced, such as its scores."""
        told = object.__new__(Classifier)
        told.__dict__ |= self.__dict__
        # As they will come back from the file; the network stays as it is, and ready.
        told.facts = _checked_facts(json.loads(_facts_text(replace(self.facts, **facts))))
        told._content = with_facts(self._content, told.facts)
        return told

    def save(self, path: str | Path) -> None:
        """Write the ONNX file in one piece.

        Raises:
            OutputError: It cannot be written.
        """
        with files.replacing(Path(path)) as temporary:
            temporary.write_bytes(self._content)


def load(path: str | Path) -> Classifier:
    """Load a classifier.

    Args:
        path: Its ONNX file, or the folder of the run that made it.

    Raises:
        SourceNotFoundError: There is no classifier.
        ModelFileError: It is not a classifier that this version of mien can read.

    Example:
        >>> import mien
        >>> mien.load("runs/train").class_names
        ('happy', 'sad')
    """
    path = Path(path)
    if path.is_dir():
        if not (path / MODEL_NAME).is_file():
            begun = f"; it is not finished: mien train DATA --out {path} --resume goes on"
            raise SourceNotFoundError(
                f"the folder {str(path)!r} holds no {MODEL_NAME}: name a finished run, such as runs/train"
                + (begun if (path / "manifest.csv").is_file() else "")
            )
        path = path / MODEL_NAME
    elif not path.exists():
        raise SourceNotFoundError(
            f"no classifier at {str(path)!r}: name a run folder, such as runs/train, or its model; mien train DATA "
            "makes one"
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
            "it was written by mien export, for programs without mien: name the run, or its model.onnx"
            if EXPORTED_KEY in graph.metadata
            else "it is an ONNX file, but not one that mien made"
        )
    try:
        facts = _checked_facts(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"its description is damaged: {error}") from error
    if "faces" in graph.ends and not {"face_weights", FACE_EVIDENCE} <= graph.ends:
        raise ModelFileError(f"it is damaged: it takes faces, but not 'face_weights', or has no {FACE_EVIDENCE!r}")
    if ("faces" in graph.ends) != (facts.faces == "on"):
        raise ModelFileError(f"it is damaged: what it says of faces is {facts.faces!r}, and its inputs say otherwise")
    if facts.max_distance is not None and "distance" not in graph.ends:
        raise ModelFileError("it is damaged: it has no output 'distance'")
    return facts


def _checked_facts(document: dict[str, Any]) -> ModelFacts:
    found = document["format_version"]
    if found > FORMAT_VERSION:
        raise ModelFileError(f"it has format {found}, newer than this mien knows: pip install --upgrade mien")
    if found < FORMAT_VERSION:
        raise ModelFileError(f"it has format {found}, older than this mien reads: train again")
    facts = built(ModelFacts, document)
    class_names = facts.class_names
    if len(set(class_names)) != len(class_names) or len(class_names) < 2 or facts.largest_class not in class_names:
        raise ValueError(f"the classes are {class_names}, the largest {facts.largest_class!r}")
    if any(count < 0 for count in facts.kinds.values()):
        raise ValueError("the kinds of the training images are counted below 0")
    # Both have limits, which they check themselves.
    facts.scan_config()
    PredictConfig(facts.threshold)
    return facts
