"""The details of a training, as stored in metrics.json and shown in the report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mien.core.progress import Epoch
from mien.core.text import counted
from mien.scoring.candidates import Selection

_CANDIDATES = {
    "frozen": "the pretrained backbone with a linear head",
    "half-way": "the network halfway between pretrained and fine-tuned",
    "finetuned": "the fine-tuned network",
}


@dataclass(frozen=True)
class TrainingDetails:
    """The details of a training; None for what does not apply to the method.

    Attributes:
        selection: Which of several candidates was kept, and how they did on held-out images.
        backbone: The pretrained network that made the features.
        best_epoch: The epoch whose weights were kept, from 1.
        epochs: Number of epochs.
        interrupted: Whether the user stopped it.
        precision: Numeric precision of the training: "float32" or "bfloat16".
        kept: Which weights of a fine-tuned network were kept: "frozen", "half-way" or "finetuned".
        val_images: Number of validation images used for that choice.
        val_loss: Cross-entropy of each set of weights on them, in nats.
        val_accuracy: Accuracy of each set of weights on them.
        strength: Inverse regularisation strength of a linear head.
        temperature: Calibration temperature, which divides the logits.
        flip: Whether the classifier averages the image and its mirror image.
        onnx_max_difference: Largest difference in a probability between model.onnx and the trained model.
    """

    selection: Selection | None = None
    backbone: str | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    interrupted: bool | None = None
    precision: str | None = None
    kept: str | None = None
    val_images: int | None = None
    val_loss: dict[str, float] | None = None
    val_accuracy: dict[str, float] | None = None
    strength: float | None = None
    temperature: float | None = None
    flip: bool | None = None
    onnx_max_difference: float | None = None

    def __post_init__(self) -> None:
        compared = set(self.val_loss or {})
        if compared != set(self.val_accuracy or {}) or not compared <= set(_CANDIDATES):
            raise ValueError(f"impossible set of compared weights: {sorted(compared)}")
        if compared and self.kept not in compared:
            raise ValueError(f"the kept weights {self.kept!r} were not compared")

    @property
    def choice(self) -> str:
        """Which weights of a fine-tuned network were kept, and how the others compare; otherwise ""."""
        if self.kept is None or self.val_loss is None or self.val_accuracy is None:
            return ""
        scores = {
            name: f"loss {loss:.3f}, accuracy {self.val_accuracy[name]:.0%}" for name, loss in self.val_loss.items()
        }
        others = "; ".join(f"{_CANDIDATES[name]}: {scores[name]}" for name in scores if name != self.kept)
        why = f"for the lowest loss on {counted(self.val_images or 0, 'validation image')}"
        return f"kept {_CANDIDATES[self.kept]}, {why} ({scores[self.kept]}); {others}"

    def kept_epochs(self, history: Sequence[Epoch]) -> Sequence[Epoch]:
        """Return the epochs, if the classifier has the weights of one of them; otherwise none."""
        return history if self.kept in (None, "finetuned") else ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without None."""
        return {name: value for name, value in asdict(self).items() if value is not None}
