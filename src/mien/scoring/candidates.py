"""Candidates: several classifiers for the same job, compared on images that none of them had seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.probabilities import cross_entropies

# What candidates are called on screen and in the report.
WORDS = {
    "fast": "the head of the preset fast",
    "finetuned": "the network trained on",
    "cnn": "the network of the preset classic",
}


@dataclass(frozen=True)
class Selection:
    """Which of several candidates is kept, and why.

    Attributes:
        kept: Its name.
        losses: Mean cross-entropy of each, in nats, by name; that of the simplest comes first.
        accuracies: Share of the images that each gets right.
        standard_errors: Of the difference of each loss from that of the first.
        num_images: How many images these are of.
    """

    kept: str
    losses: dict[str, float]
    accuracies: dict[str, float]
    standard_errors: dict[str, float]
    num_images: int

    def __post_init__(self) -> None:
        names = set(self.losses)
        if not names == set(self.accuracies) == set(self.standard_errors) or not {self.kept} <= names <= set(WORDS):
            raise ValueError(f"the candidates are {sorted(self.losses)}, and what is kept is {self.kept!r}")

    @property
    def sentence(self) -> str:
        """Which candidate is kept, and why, in words; "" where there was only one."""
        first, *others = self.losses
        if not others:
            return ""
        told = "; ".join(
            f"{WORDS[name]}: loss {loss:.3f}, accuracy {self.accuracies[name]:.0%}"
            for name, loss in self.losses.items()
        )
        why = (
            f"no other is better by more than a standard error ({max(self.standard_errors.values()):.3f})"
            if self.kept == first
            else f"it is better by {self.losses[first] - self.losses[self.kept]:.3f}, more than a standard error "
            f"({self.standard_errors[self.kept]:.3f})"
        )
        return f"{told} (on {self.num_images} images left out). Kept: {WORDS[self.kept]}; {why}"


def select_candidate(
    probs: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64], groups: Sequence[int]
) -> Selection:
    """Choose the candidate with the lowest loss; the first, unless another is lower by more than its standard error.

    Args:
        probs: What each candidate says of images that it had not seen, (N, C), by name; the simplest comes first.
        labels: True class numbers, (N,).
        groups: A number for each image, (N,), which copies and images of one subject share: they count as one in the
            standard error.

    Source:
        L. Breiman, J. Friedman, R. Olshen, C. Stone, Classification and Regression Trees, 1984 (one standard error).
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    losses = {name: cross_entropies(given, labels) for name, given in probs.items()}
    first = next(iter(losses.values()))
    # Of each group one number, whose mean over the groups is that over the images.
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
    """Return that of a mean; of one value alone it is not known, and taken to be as large as the value."""
    if len(values) < 2:
        return float(np.abs(values).max())
    return float(values.std(ddof=1) / np.sqrt(len(values)))
