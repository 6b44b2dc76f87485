"""Near copies: pictures -> 128-bit hashes -> groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.near_pairs import near_labels

_SIDE = 32


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
    if not hashes:
        return []
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 2).T
    order = np.lexsort(words)
    words = words.take(order, axis=1)
    # The same hash again is near its first; only those that differ are searched.
    fresh = np.append(True, (words[:, 1:] != words[:, :-1]).any(axis=0))
    labels = np.empty(len(hashes), np.intp)
    labels[order] = near_labels(words.compress(fresh, axis=1), near_bits)[np.cumsum(fresh) - 1]
    _, firsts, places, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    copied = np.flatnonzero(sizes > 1)
    numbers = {place: number for number, place in enumerate(copied[np.argsort(firsts[copied])].tolist())}
    return [numbers.get(place) for place in places.tolist()]
