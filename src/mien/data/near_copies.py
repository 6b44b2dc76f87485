"""Perceptual hashes of 128 bits, and groups of images that may be copies; `mien.data.copies` decides which are."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.data.near_pairs import Indexes, UnionFind, Words, near_labels

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
FLIPS = ("mirrored", "upside down", "turned by 180 degrees")
_SIDE = 32
_BYTES_BACKWARDS = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1).ravel()


def _cosines(num_rows: int, side: int) -> NDArray[np.float32]:
    """Return the first rows of the DCT-II matrix, shape (num_rows, side)."""
    row, column = np.arange(num_rows)[:, None], np.arange(side)[None, :]
    return np.cos(np.pi * row * (2 * column + 1) / (2 * side)).astype(np.float32)


_DCT = _cosines(8, _SIDE)


def perceptual_hash(image: Image.Image) -> str:
    """Return a 128-bit hash as 32 hex digits: pHash, then dHash, 64 bits each.

    Images that differ only by compression, size or small edits differ in few bits.

    Args:
        image: Any size, mode RGB or L.

    Source:
        C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010 (pHash); N. Krawetz,
        Kind of Like That, hackerfactor.com, 2013 (dHash).
    """
    grey = image.convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0), np.float32)
    waves = _DCT @ small @ _DCT.T
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.BILINEAR, reducing_gap=2.0))
    bits = np.concatenate([(waves > np.median(waves)).ravel(), (steps[:, 1:] > steps[:, :-1]).ravel()])
    return np.packbits(bits).tobytes().hex()


def flipped(hashes: Sequence[str], flip: str) -> list[str]:
    """Return the hashes of the flipped images, computed from the hashes alone and accurate to a few bits.

    Mirroring an image changes the sign of every second column of its cosine transform, and the direction of every
    left-to-right step. Errors come from steps between equal levels and from waves next to the median.

    Args:
        hashes: Results of `perceptual_hash`.
        flip: One of FLIPS.
    """
    return [row.tobytes().hex() for row in _flipped(_rows(_words(hashes)), flip)]


def bits_between(first: Sequence[str], second: Sequence[str], flip: str = "") -> NDArray[np.uint8]:
    """Return the number of differing bits between each first hash, flipped, and each second hash: uint8 (N, M).

    Args:
        first: N hashes.
        second: M hashes.
        flip: One of FLIPS, or "" for none.
    """
    rows, columns = _words(flipped(first, flip) if flip else first), _words(second)
    halves = [np.bitwise_count(row[:, None] ^ column) for row, column in zip(rows, columns, strict=True)]
    bits: NDArray[np.uint8] = halves[0] + halves[1]
    return bits


def group_near(
    hashes: Sequence[str], near_bits: int, *, class_names: Sequence[str] = (), flips: Sequence[str] = ()
) -> list[int | None]:
    """Group similar hashes, and number the groups from 0 in order of their first member; None for single images.

    A group contains everything connected by a chain of similar hashes.

    Args:
        hashes: Results of `perceptual_hash`.
        near_bits: Maximum number of differing bits for two hashes to be similar.
        class_names: The class of each image.
        flips: Also match flipped images within a class: some of FLIPS.
    """
    if not hashes:
        return []
    words = _words(hashes)
    labels = _labels(words, near_bits)
    if flips:
        labels = _joined_with_flipped(words, labels, class_names, near_bits, flips)
    _, firsts, places, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    copied = np.flatnonzero(sizes > 1)
    numbers = {place: number for number, place in enumerate(copied[np.argsort(firsts[copied])].tolist())}
    return [numbers.get(place) for place in places.tolist()]


def members_by_group(items: Iterable[Item], groups: Iterable[Key | None]) -> dict[Key, list[Item]]:
    """Return the members of each group in order, leaving out items without a group.

    Args:
        items: Images, or anything that represents them.
        groups: The group of each, e.g. from `group_near`.

    Example:
        >>> members_by_group(["a", "b", "c", "d"], [0, None, 1, 0])
        {0: ['a', 'd'], 1: ['c']}
    """
    members: dict[Key, list[Item]] = {}
    for item, group in zip(items, groups, strict=True):
        if group is not None:
            members.setdefault(group, []).append(item)
    return members


def _words(hashes: Sequence[str]) -> Words:
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 2).T


def _labels(words: Words, near_bits: int) -> Indexes:
    """Return a number for each hash, equal for hashes connected by a chain of similar pairs."""
    order = np.lexsort(words)
    words = words.take(order, axis=1)
    # Only distinct hashes are searched; repeated ones follow their first.
    fresh = np.append(True, (words[:, 1:] != words[:, :-1]).any(axis=0))
    labels = np.empty(words.shape[1], np.intp)
    labels[order] = near_labels(words.compress(fresh, axis=1), near_bits)[np.cumsum(fresh) - 1]
    return labels


def _joined_with_flipped(
    words: Words, labels: Indexes, class_names: Sequence[str], near_bits: int, flips: Sequence[str]
) -> Indexes:
    """Extend groups, given as labels, by images similar to a flipped image of the same class."""
    groups = UnionFind(words.shape[1])
    _join_equal(groups, np.arange(words.shape[1]), labels)
    for places in map(np.array, members_by_group(range(len(class_names)), class_names).values()):
        upright = words.take(places, axis=1)
        versions = [upright, *(_flipped(_rows(upright), flip).view(np.uint64).T for flip in flips)]
        found = _labels(np.concatenate(versions, axis=1), near_bits)
        _join_equal(groups, np.tile(places, len(versions)), found)
    return groups.labels()


def _join_equal(groups: UnionFind, places: Indexes, labels: Indexes) -> None:
    """Join the indexes that have equal labels."""
    _, firsts, numbers = np.unique(labels, return_index=True, return_inverse=True)
    groups.join(places, places[firsts[numbers]])


def _rows(words: Words) -> NDArray[np.uint8]:
    """Return the bytes of each hash, shape (number of hashes, 16): each byte is a row of the image."""
    return words.T.copy().view(np.uint8).reshape(-1, 16)


def _flipped(rows: NDArray[np.uint8], flip: str) -> NDArray[np.uint8]:
    """Return the bytes of the hashes of the flipped images, in the same shape."""
    if flip != "upside down":
        rows = np.concatenate([rows[:, :8] ^ 0b01010101, ~_BYTES_BACKWARDS[rows[:, 8:]]], axis=1)
    if flip != "mirrored":
        rows = rows.copy()
        rows[:, 1:8:2] ^= 0xFF
        rows[:, 8:] = rows[:, :7:-1].copy()
    return rows
