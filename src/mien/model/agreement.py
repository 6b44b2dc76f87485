"""Agreement: how far the answers of two forms of one classifier are apart."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.text import counted

# Networks that compute in another order round otherwise; anything beyond this is another network.
MAX_DIFFERENCE = 1e-3
# Two classes this near to one another are as probable: which of them is the label is rounding.
_TIE = 1e-5


@dataclass(frozen=True)
class Agreement:
    """How far two answers to the same images are apart.

    Attributes:
        num_images: How many both were asked about.
        max_difference: The largest difference between two probabilities of one class.
        num_changed: How many images get another label.
    """

    num_images: int
    max_difference: float
    num_changed: int

    def __str__(self) -> str:
        return (
            f"of {counted(self.num_images, 'image')}, probabilities differ by up to {self.max_difference:.1e} (at most "
            f"{MAX_DIFFERENCE:.0e} is allowed), and {counted(self.num_changed, 'label')} would be another"
        )

    @property
    def holds(self) -> bool:
        """Whether both are one classifier: no label is another one, and no probability by more than rounding."""
        return self.max_difference <= MAX_DIFFERENCE and not self.num_changed


def compare_answers(expected: Iterable[NDArray[np.float32]], given: Iterable[NDArray[np.float32]]) -> Agreement:
    """Compare the probabilities that two forms of a classifier give.

    Args:
        expected: What the first says: batches, each float32 (N, C).
        given: What the second says of the same images.
    """
    num_images, difference, num_changed = 0, 0.0, 0
    for wanted, found in zip(expected, given, strict=True):
        num_images += len(wanted)
        # A number that is none differs from every other.
        apart = np.nan_to_num(np.abs(wanted - found), nan=np.inf)
        difference = max(difference, float(apart.max()))
        num_changed += int((wanted.max(axis=1) - wanted[np.arange(len(wanted)), found.argmax(axis=1)] > _TIE).sum())
    return Agreement(num_images, difference, num_changed)
