"""Candidates: several classifiers for the same job, compared on held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.probabilities import cross_entropies
from mien.core.text import counted

# Names of the candidates on screen and in the report.
WORDS = {
    "fast": "the linear head (preset fast)",
    "finetuned": "the fine-tuned network",
    "cnn": "the small network (preset classic)",
}


@dataclass(frozen=True)
class Selection:
    """Which of several candidates is kept, and why.

    Attributes:
        kept: Name of the candidate that is kept.
        losses: Mean cross-entropy in nats, by name, the simplest candidate first.
        accuracies: Share of correct predictions, by name.
        standard_errors: Standard error of each loss difference from the first candidate.
        num_images: Number of held-out images.
    """

    kept: str
    losses: dict[str, float]
    accuracies: dict[str, float]
    standard_errors: dict[str, float]
    num_images: int

    def __post_init__(self) -> None:
        names = set(self.losses)
        if not names == set(self.accuracies) == set(self.standard_errors) or not {self.kept} <= names <= set(WORDS):
            raise ValueError(f"the candidates are {sorted(self.losses)}, but {self.kept!r} is kept")

    @property
    def sentence(self) -> str:
        """Which candidate is kept and why; "" if there was only one."""
        first, *others = self.losses
        if not others:
            return ""
        told = "; ".join(
            f"{WORDS[name]}: loss {loss:.3f}, accuracy {self.accuracies[name]:.0%}"
            for name, loss in self.losses.items()
        )
        why = (
            f"no other loss is lower by more than one standard error ({max(self.standard_errors.values()):.3f})"
            if self.kept == first
            else f"its loss is lower by {self.losses[first] - self.losses[self.kept]:.3f}, more than one standard "
            f"error ({self.standard_errors[self.kept]:.3f})"
        )
        return f"Kept {WORDS[self.kept]}: {why}. On {counted(self.num_images, 'held-out image')}: {told}"


def select_candidate(
    probs: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64], groups: Sequence[int]
) -> Selection:
    """Choose the simplest candidate unless the loss of another is lower by more than one standard error.

    Args:
        probs: Predictions of each candidate for held-out images, (N, C), by name, the simplest candidate first.
        labels: True class numbers, (N,).
        groups: Group number of each image, (N,): copies and images of one subject count as one in the standard error.

    Source:
        L. Breiman, J. Friedman, R. Olshen, C. Stone, Classification and Regression Trees, 1984 (one standard error).
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    losses = {name: cross_entropies(given, labels) for name, given in probs.items()}
    first = next(iter(losses.values()))
    # One number per group, scaled so that their mean over groups equals the mean over images.
    scale = (numbers.max() + 1) / len(labels)
    gains = {name: scale * np.bincount(numbers, first - loss) for name, loss in losses.items()}
    errors = {name: _standard_error(gain) for name, gain in gains.items()}
    clear = [name for name, gain in gains.items() if gain.mean() > errors[name]]
    return Selection(
        kept=max(clear, key=lambda name: gains[name].mean()) if clear else next(iter(losses)),
        losses={name: float(loss.mean()) for name, loss in losses.items()},
        accuracies={name: float((given.argmax(axis=1) == labels).mean()) for name, given in probs.items()},
        standard_errors=errors,
        num_images=len(labels),
    )


def _standard_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of the mean; for a single value, which has none, the value itself."""
    if len(values) < 2:
        return float(np.abs(values).max())
    return float(values.std(ddof=1) / np.sqrt(len(values)))
