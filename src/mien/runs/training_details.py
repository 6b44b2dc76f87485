"""The details of a training: how it went, as metrics.json has it and the report tells it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mien.core.progress import Epoch
from mien.scoring.candidates import Selection

_CANDIDATES = {
    "frozen": "the pretrained backbone with a linear head",
    "half-way": "the network half-way between pretrained and fine-tuned",
    "finetuned": "the fine-tuned network",
}


@dataclass(frozen=True)
class TrainingDetails:
    """How a training went; what its method has no use for is None.

    Attributes:
        selection: Which of several candidates was kept, and how they did on images left out.
        backbone: The pretrained network that the features are from.
        best_epoch: The epoch whose weights were kept, from 1.
        epochs: Number of epochs.
        interrupted: Whether it was stopped by hand.
        precision: What the network was trained in: "float32" or "bfloat16".
        kept: Which weights were kept of a fine-tuned network: "frozen", "half-way" or "finetuned".
        val_images: Number of validation images that this was chosen by.
        val_loss: Cross-entropy of each of these weights on them, in nats.
        val_accuracy: Share of them that each gets right.
        strength: Inverse of the penalty on the weights of a linear head.
        temperature: What the logits are divided by.
        flip: Whether the classifier is asked about the mirrored image too.
        onnx_max_difference: Largest difference between a probability of model.onnx and of what was trained.
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
            raise ValueError(f"the weights that were compared are {sorted(compared)}")
        if compared and self.kept not in compared:
            raise ValueError(f"the weights that were kept are {self.kept!r}")

    @property
    def choice(self) -> str:
        """Which weights of a fine-tuned network were kept, and how the others compare, in words; else ""."""
        if self.kept is None or self.val_loss is None or self.val_accuracy is None:
            return ""
        scores = {
            name: f"loss {loss:.3f}, accuracy {self.val_accuracy[name]:.0%}" for name, loss in self.val_loss.items()
        }
        others = "; ".join(f"{_CANDIDATES[name]}: {scores[name]}" for name in scores if name != self.kept)
        why = f"kept, for the lowest loss on {self.val_images} validation images"
        return f"{why}: {_CANDIDATES[self.kept]} ({scores[self.kept]}); {others}"

    def kept_epochs(self, history: Sequence[Epoch]) -> Sequence[Epoch]:
        """Return the epochs of a training if the classifier has the weights of one of them; otherwise none."""
        return history if self.kept in (None, "finetuned") else ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without what is None."""
        return {name: value for name, value in asdict(self).items() if value is not None}
