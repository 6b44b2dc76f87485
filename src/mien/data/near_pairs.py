"""Near pairs: find the 128-bit hashes, among very many, that are connected by chains of similar ones.

Not all pairs are compared. The bits are divided into a few chunks. Hashes that differ in few bits differ in very few
bits of at least one chunk, so candidates are found by looking up all similar keys of a chunk in a table.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, groupby
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from mien.core.parallel import in_threads

Indexes = NDArray[np.intp]
Words = NDArray[np.uint64]
# The order in which chunks take bits: neighbouring bits, which are often equal, go to different chunks.
_SPREAD = [79 * place % 128 for place in range(128)]
_MAX_CHUNKS = 16
# Hashes or pairs per batch; a hash with at least _LONG candidates is a batch of its own.
_BLOCK = 2**16
_LONG = 2**11
# Cost in nanoseconds of looking up a key, comparing a candidate pair, and comparing a pair within a long batch.
_LOOKUP, _PAIR, _PAIR_IN_ROW = 3.0, 15.0, 1.2


class UnionFind:
    """A union-find structure for the numbers below a size, which all start in their own groups.

    Thread-safe.

    Source:
        B. Galler, M. Fischer, An Improved Equivalence Algorithm, Communications of the ACM, 1964.
    """

    def __init__(self, size: int) -> None:
        self._parents = np.arange(size)
        self._lock = Lock()

    def join(self, first: Indexes, second: Indexes) -> None:
        """Join the groups of the two members of each pair."""
        with self._lock:
            while len(first):
                first, second = self._roots(first), self._roots(second)
                apart = first != second
                first, second = first[apart], second[apart]
                # Each root moves under its smallest partner; remaining pairs are joined in the next round.
                higher = np.maximum(first, second)
                np.minimum.at(self._parents, higher, np.minimum(first, second))
                self._roots(higher)

    def labels(self) -> Indexes:
        """Return the smallest member of each number's group."""
        with self._lock:
            return self._roots(np.arange(len(self._parents)))

    def _roots(self, items: Indexes) -> Indexes:
        """Return the roots of some numbers, and compress their paths."""
        while True:
            parents = self._parents[items]
            above = self._parents[parents]
            if np.array_equal(parents, above):
                return parents
            self._parents[items] = above


def near_labels(words: Words, near_bits: int) -> Indexes:
    """Return, for each hash, the smallest index that it is connected to by a chain of similar pairs.

    Args:
        words: Shape (2, number of hashes): the two halves of each hash. All hashes are distinct.
        near_bits: Maximum number of differing bits for two hashes to be similar.

    Source:
        M. Norouzi, A. Punjani, D. Fleet, Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012.
    """
    groups = UnionFind(words.shape[1])
    if near_bits == 0:
        return groups.labels()
    _join_neighbours(words, near_bits, groups)
    for chunk in _plan(words, near_bits):
        index = _Index(words, groups.labels(), chunk)
        for _ in in_threads(partial(_search, index, near_bits, groups), index.blocks()):
            pass
    return groups.labels()


@dataclass(frozen=True)
class _Chunk:
    """Some bits of a hash, and how many of them may differ for two hashes to be compared."""

    bits: list[int]
    radius: int

    def keys(self, words: Words) -> Indexes:
        """Return the bits of each hash as one number."""
        keys = np.zeros(words.shape[1], np.intp)
        for bit in self.bits:
            keys = keys << 1 | (words[bit // 64] >> np.uint64(bit % 64) & np.uint64(1)).astype(np.intp)
        return keys

    def masks(self) -> list[int]:
        """Return the allowed differences between two keys, in ascending order."""
        places = range(len(self.bits))
        chosen = [some for weight in range(self.radius + 1) for some in combinations(places, weight)]
        return sorted(sum(1 << place for place in some) for some in chosen)

    def cost(self, num_hashes: int, differences: Words) -> float:
        """Estimate the cost of a search, in nanoseconds, from a sample of differences, shape (2, number of pairs)."""
        num_masks = sum(math.comb(len(self.bits), weight) for weight in range(self.radius + 1))
        mask = np.zeros((2, 1), np.uint64)
        for bit in self.bits:
            mask[bit // 64] |= np.uint64(1 << bit % 64)
        close = np.sum(_weights(differences & mask) <= self.radius) / differences.shape[1]
        return num_hashes * (num_masks * _LOOKUP + num_hashes / 2 * float(close) * _PAIR)


class _Index:
    """The hashes sorted by key, so that equal keys form a bucket.

    Within a bucket, hashes already known to be in one group are adjacent, and the largest group is last.
    """

    def __init__(self, words: Words, labels: Indexes, chunk: _Chunk) -> None:
        keys = chunk.keys(words)
        order = np.lexsort((labels, np.bincount(labels)[labels], keys))
        self.keys, self.words, self.labels = keys[order], words.take(order, axis=1), labels[order]
        self.masks = chunk.masks()
        self.offsets = np.zeros(2 ** len(chunk.bits) + 1, np.intp)
        np.cumsum(np.bincount(keys, minlength=len(self.offsets) - 1), out=self.offsets[1:])
        changes = np.flatnonzero(np.diff(self.labels)) + 1
        self.run_starts = np.zeros(len(keys), np.intp)
        self.run_starts[changes] = changes
        np.maximum.accumulate(self.run_starts, out=self.run_starts)

    def blocks(self) -> list[slice]:
        """Return slices to search one at a time, smaller ones if all hashes share one bucket."""
        step = _BLOCK if len(self.offsets) > 2 else _BLOCK // 32
        return [slice(start, start + step) for start in range(0, len(self.keys), step)]

    def partners(self, block: slice) -> Iterator[tuple[Indexes, Indexes, Indexes]]:
        """Yield indexes in a block with the range of indexes that each must be compared with.

        Each candidate pair is yielded once, from its lower index. Pairs within the group at the end of a bucket are
        skipped, so that known large groups cost almost nothing.
        """
        for num_bits, masks in groupby(self.masks, int.bit_length):
            # The lower of two keys lacks the highest bit of the mask.
            lower = np.flatnonzero(self.keys[block] & (1 << num_bits >> 1) == 0) + block.start
            lower_keys = self.keys[lower]
            for mask in masks:
                partners = lower_keys ^ mask
                starts, ends = self.offsets[partners] if mask else lower + 1, self.offsets[partners + 1]
                some = np.flatnonzero(starts < ends)
                places, starts, ends = lower[some], starts[some], ends[some]
                known = self.labels[ends - 1] == self.labels[places]
                ends[known] = self.run_starts[ends[known] - 1]
                some = np.flatnonzero(starts < ends)
                yield places[some], starts[some], ends[some]


def _join_neighbours(words: Words, near_bits: int, groups: UnionFind) -> None:
    """Join similar hashes that are neighbours in sorted order; in a crowd of near-duplicates this finds almost all."""
    for half in words:
        order = np.argsort(half)
        for step in (1, 2, 4, 8):
            first, second = order[:-step], order[step:]
            near = _near(words.take(first, axis=1), words.take(second, axis=1), near_bits)
            groups.join(first[near], second[near])


def _plan(words: Words, near_bits: int) -> list[_Chunk]:
    """Return the cheapest set of chunks to search by; one chunk without bits means comparing all pairs.

    The cost is estimated from a sample, without similar pairs: most of them are in known groups by then.
    """
    size = words.shape[1]
    best, least = [_Chunk([], 0)], size * size / 2 * _PAIR_IN_ROW
    if size < _LONG:
        return best
    sample = words.take(np.linspace(0, size - 1, 256).astype(np.intp), axis=1)
    first, second = np.triu_indices(256, 1)
    differences = sample.take(first, axis=1) ^ sample.take(second, axis=1)
    differences[:, _weights(differences) <= near_bits] = ~np.uint64(0)
    for num_chunks in range(1, min(near_bits + 1, _MAX_CHUNKS) + 1):
        chunks = _chunks(num_chunks, min(128 // num_chunks, size.bit_length() + 1), near_bits)
        cost = sum(chunk.cost(size, differences) for chunk in chunks)
        if cost < least:
            best, least = chunks, cost
    return best


def _chunks(num_chunks: int, width: int, near_bits: int) -> list[_Chunk]:
    """Return chunks such that similar hashes are within the radius of at least one chunk.

    The radii and the number of chunks add up to near_bits + 1, so hashes beyond every radius differ in more bits.
    """
    starts = range(0, num_chunks * width, width)
    radii = [(near_bits + 1 + number) // num_chunks - 1 for number in range(num_chunks)]
    return [_Chunk(_SPREAD[start : start + width], radius) for start, radius in zip(starts, radii, strict=True)]


def _search(index: _Index, near_bits: int, groups: UnionFind, block: slice) -> None:
    """Join the similar pairs whose lower index is in a block."""
    for places, starts, ends in index.partners(block):
        long = ends - starts >= _LONG
        for place, start, end in zip(places[long].tolist(), starts[long].tolist(), ends[long].tolist(), strict=True):
            near = _near(index.words[:, place, None], index.words[:, start:end], near_bits) + start
            groups.join(index.labels[np.full(len(near), place)], index.labels[near])
        for first, second in _pairs(places[~long], starts[~long], ends[~long]):
            near = _near(index.words.take(first, axis=1), index.words.take(second, axis=1), near_bits)
            groups.join(index.labels[first[near]], index.labels[second[near]])


def _pairs(places: Indexes, starts: Indexes, ends: Indexes) -> Iterator[tuple[Indexes, Indexes]]:
    """Yield the pairs of each index with its range, about one block of pairs at a time."""
    counts = ends - starts
    totals = np.cumsum(counts)
    begin, before = 0, 0
    while begin < len(places):
        some = slice(begin, int(np.searchsorted(totals, before + _BLOCK)) + 1)
        first = np.repeat(places[some], counts[some])
        shifts = starts[some] - (totals[some] - counts[some] - before)
        second = np.arange(len(first)) + np.repeat(shifts, counts[some])
        yield first, second
        begin, before = some.stop, before + len(first)


def _near(first: Words, second: Words, near_bits: int) -> Indexes:
    """Return where the first and second hashes are similar."""
    return np.flatnonzero(_weights(first ^ second) <= near_bits)


def _weights(words: Words) -> NDArray[np.uint8]:
    """Return the number of set bits of each hash."""
    weights: NDArray[np.uint8] = np.bitwise_count(words[0]) + np.bitwise_count(words[1])
    return weights
