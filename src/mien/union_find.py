"""Union-find: what belongs together, for whole arrays of pairs at a time."""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

Indexes = NDArray[np.intp]


class UnionFind:
    """Groups of the numbers below a size; at first each is alone. A forest, with a tree for each group.

    Many threads may join pairs at a time.

    Source:
        B. Galler, M. Fischer, An Improved Equivalence Algorithm, Communications of the ACM, 1964.
    """

    def __init__(self, size: int) -> None:
        self._parents = np.arange(size)
        self._lock = Lock()

    def join(self, first: Indexes, second: Indexes) -> None:
        """Make one group of the groups of the first and the second of each pair."""
        with self._lock:
            while len(first):
                first, second = self._roots(first), self._roots(second)
                apart = first != second
                first, second = first[apart], second[apart]
                # A root that is in many pairs goes under the least other; what that leaves apart is joined next time.
                higher = np.maximum(first, second)
                np.minimum.at(self._parents, higher, np.minimum(first, second))
                self._roots(higher)

    def labels(self) -> Indexes:
        """Return for each number the least of its group."""
        with self._lock:
            return self._roots(np.arange(len(self._parents)))

    def _roots(self, items: Indexes) -> Indexes:
        """Return the roots of some numbers, and put these right under them."""
        while True:
            parents = self._parents[items]
            above = self._parents[parents]
            if np.array_equal(parents, above):
                return parents
            self._parents[items] = above
