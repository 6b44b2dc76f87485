"""Near copies: pictures -> 128-bit hashes -> groups."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 32
_BLOCK = 256


def _cosines(num_rows: int, side: int) -> NDArray[np.float32]:
    """Return the first rows of the DCT-II matrix, shape (num_rows, side)."""
    row, column = np.arange(num_rows)[:, None], np.arange(side)[None, :]
    return np.cos(np.pi * row * (2 * column + 1) / (2 * side)).astype(np.float32)


_DCT = _cosines(8, _SIDE)


def perceptual_hash(rgb: Image.Image) -> str:
    """Return 128 bits as 32 hex digits: pHash, then dHash, each of 64 bits.

    Two pictures that differ by recompression, size or small edits differ in few of the bits.

    Args:
        rgb: A picture of any size, mode RGB.

    Source:
        C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010 (pHash); N. Krawetz,
        Kind of Like That, hackerfactor.com, 2013 (dHash).
    """
    grey = rgb.convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0), np.float32)
    waves = _DCT @ small @ _DCT.T
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.BILINEAR, reducing_gap=2.0))
    bits = np.concatenate([(waves > np.median(waves)).ravel(), (steps[:, 1:] > steps[:, :-1]).ravel()])
    return np.packbits(bits).tobytes().hex()


def group_near_copies(hashes: Sequence[str], near_bits: int) -> list[int | None]:
    """Number the groups of near copies from 0, in the order of their first member; None for a picture without a copy.

    A group holds everything that a chain of near copies connects.

    Args:
        hashes: What `perceptual_hash` returned.
        near_bits: Two hashes that differ in at most this many bits are near.
    """
    # The same hash again is near its first; only those that differ are compared.
    firsts: dict[str, int] = {}
    parents = [firsts.setdefault(hash_, place) for place, hash_ in enumerate(hashes)]
    distinct = list(firsts.values())

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    for first, second in _near_pairs(list(firsts), near_bits):
        low, high = sorted((root(distinct[first]), root(distinct[second])))
        parents[high] = low
    roots = [root(item) for item in range(len(hashes))]
    sizes = Counter(roots)
    numbers = {item: number for number, item in enumerate(sorted(item for item in sizes if sizes[item] > 1))}
    return [numbers.get(item) for item in roots]


def _near_pairs(hashes: Sequence[str], near_bits: int) -> Iterator[tuple[int, int]]:
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(len(hashes), 2)
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        differing = np.zeros((len(block), len(words) - start), np.uint8)
        for half in range(2):
            differing += np.bitwise_count(block[:, None, half] ^ words[None, start:, half])
        for row, column in np.argwhere(differing <= near_bits).tolist():
            if row < column:
                yield start + row, start + column
