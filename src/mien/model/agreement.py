"""Agreement: how much the predictions of two forms of a classifier differ."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.text import counted

# Computing in a different order changes the rounding. A larger difference means a different network.
MAX_DIFFERENCE = 1e-3
# Classes this close in probability are tied; rounding decides between them.
_TIE = 1e-5


@dataclass(frozen=True)
class Agreement:
    """How much two sets of predictions for the same images differ.

    Attributes:
        num_images: Number of images.
        max_difference: Largest difference in the probability of a class.
        num_changed: Number of images with a different label.
    """

    num_images: int
    max_difference: float
    num_changed: int

    def __str__(self) -> str:
        return (
            f"for {counted(self.num_images, 'image')}, probabilities differ by up to {self.max_difference:.1e} "
            f"(allowed: {MAX_DIFFERENCE:.0e}), and {counted(self.num_changed, 'label')} would change"
        )

    @property
    def holds(self) -> bool:
        """Whether both are the same classifier: equal labels, and probabilities equal up to rounding."""
        return self.max_difference <= MAX_DIFFERENCE and not self.num_changed


def compare_answers(expected: Iterable[NDArray[np.float32]], given: Iterable[NDArray[np.float32]]) -> Agreement:
    """Compare the probabilities of two forms of a classifier.

    Args:
        expected: Probabilities of the first: batches of float32 (N, C).
        given: Probabilities of the second for the same images.
    """
    num_images, difference, num_changed = 0, 0.0, 0
    for wanted, found in zip(expected, given, strict=True):
        num_images += len(wanted)
        # NaN counts as different from everything.
        apart = np.nan_to_num(np.abs(wanted - found), nan=np.inf)
        difference = max(difference, float(apart.max()))
        num_changed += int((wanted.max(axis=1) - wanted[np.arange(len(wanted)), found.argmax(axis=1)] > _TIE).sum())
    return Agreement(num_images, difference, num_changed)
