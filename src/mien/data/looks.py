"""Looks: what is kept of an image, a kilobyte, and what is compared of two such.

They are made small, so that size and compression hardly matter, and are large enough to tell one image from another.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core import files
from mien.data.dataset import ImageRecord
from mien.errors import SourceNotFoundError

_SIDE, _CELLS = 32, 8
_NUM_LEVELS = _SIDE**2
_NUM_BYTES = _NUM_LEVELS + 2 * _CELLS**2
# The square around a pixel whose mean is taken away: what is left are edges and textures, whatever the light.
_AROUND = 9
# Correlations of what is left of two images without their local means; see benchmarks/domains.py for what they do.
_ALIKE, _ALIKE_BLURRED, _ALIKE_STRICT = 0.92, 0.95, 0.995
# Where the shorter sides differ by more, one of the two is blurred beside the other.
_SAME_SIZE = 1.5
# By how much a copy may be brighter or darker, in grey levels, and of stronger or weaker contrast.
_MAX_LEVELS, MAX_GAIN = 55.0, 1.43
# What may be left of the difference of two that are the same: as a share of the contrast, or in grey levels where there
# is little contrast.
_MAX_REST_SHARE, _MAX_REST = 0.03, 0.75
# By how much the colours of a copy may differ, in levels, or as a share of their strength; those of the same image; and
# under how many levels an image is grey, as a copy may be.
_MAX_COLOURS, _MAX_COLOUR_SHARE, _MAX_COLOURS_SAME, _GREY = 10.0, 0.35, 4.0, 2.0
# A difference stands out nowhere by fewer levels.
_NO_PEAK = 3.0
_MANY = 4096
_DOWN, _RIGHT = {"upside down", "turned by 180 degrees"}, {"mirrored", "turned by 180 degrees"}
_FLAT = 1e-3
Levels = NDArray[np.floating]
Mask = NDArray[np.bool_]


def look_of(image: Image.Image) -> bytes:
    """Return what is kept of an RGB image to prove copies by: 32 x 32 grey levels, and 2 x 8 x 8 of its colours."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0).convert("YCbCr")
    grey, *colours = (np.asarray(band) for band in small.split())
    cells = [band.reshape(_CELLS, _SIDE // _CELLS, _CELLS, -1).mean(axis=(1, 3)) for band in colours]
    return grey.tobytes() + np.stack(cells).round().astype(np.uint8).tobytes()


def save_looks(path: Path, records: Sequence[ImageRecord]) -> None:
    """Write the looks of records, uint8 (N, 1152), with a suffix .npy; zeros where there is none.

    Raises:
        OutputError: It cannot be written.
    """
    with files.replacing(path) as temporary:
        np.save(temporary, _looks(records))


def with_looks(path: Path, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return records with the looks that `save_looks` wrote of them.

    Raises:
        SourceNotFoundError: The file is missing or damaged, or has another number of looks.
    """
    try:
        looks = np.load(path, mmap_mode="r", allow_pickle=False)
        if looks.shape != (len(records), _NUM_BYTES) or looks.dtype != np.uint8:
            raise ValueError(f"{looks.dtype} {looks.shape} instead of looks of {len(records)} files")
    except (OSError, ValueError, EOFError) as error:
        reason = files.reason_of(error) if isinstance(error, OSError) else "damaged, or of another version"
        raise SourceNotFoundError(
            f"cannot read {str(path)!r}, which says what was trained on looks like: {reason}. Train again."
        ) from error
    return [replace(record, look=look.tobytes()) for record, look in zip(records, looks, strict=True)]


def _looks(records: Sequence[ImageRecord]) -> NDArray[np.uint8]:
    """Return the looks of records, uint8 (N, 1152); of those that have none zeros, so that their hashes tell."""
    joined = b"".join(record.look.ljust(_NUM_BYTES, b"\0") for record in records)
    return np.frombuffer(joined, np.uint8).reshape(-1, _NUM_BYTES)


def levels_of(records: Sequence[ImageRecord]) -> NDArray[np.float32]:
    """Return the grey levels of the looks of records, float32 (N, 32, 32)."""
    return _looks(records)[:, :_NUM_LEVELS].reshape(-1, _SIDE, _SIDE).astype(np.float32)


class Looks:
    """The looks of images, and what is compared of them.

    Attributes:
        levels: float32 (N, 32, 32).
        means: (N,), in grey levels; likewise `contrasts`, the standard deviations.
        fine: float32 (N, 1024), of length 1 or 0: the levels without their local means.
        coarse: float32 (N, 256), likewise at half the size: for images that are blurred.
        colours: float32 (N, 2, 8, 8), how blue and how red each part is, 0 for grey.
        sides: Logarithms of the shorter sides of the images themselves, (N,).
    """

    def __init__(self, levels: NDArray[np.float32], colours: NDArray[np.float32], sides: NDArray[np.float64]) -> None:
        self.levels, self.colours, self.sides = levels, colours, sides
        self.means, self.contrasts = levels.mean(axis=(1, 2)), levels.std(axis=(1, 2))
        self.fine = _units(levels)
        self.coarse = _units(levels.reshape(-1, _SIDE // 2, 2, _SIDE // 2, 2).mean(axis=(2, 4)))

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "Looks":
        """Return the looks of records."""
        colours = _looks(records)[:, _NUM_LEVELS:].reshape(-1, 2, _CELLS, _CELLS).astype(np.float32) - 128
        sides = np.log([max(min(record.width, record.height), 1) for record in records])
        return cls(levels_of(records), colours, sides)

    def flipped(self, flip: str) -> "Looks":
        """Return those of the same images, flipped."""
        return Looks(flipped(self.levels, flip), flipped(self.colours, flip), self.sides) if flip else self

    def alike(self, others: "Looks") -> Mask:
        """Return which of them (rows) look like which of the others (columns), perhaps saved again or re-lit."""
        fine = self.fine @ others.fine.T
        same_size = np.abs(self.sides[:, None] - others.sides) < np.log(_SAME_SIZE)
        similar = (fine > _ALIKE) | ~same_size & (self.coarse @ others.coarse.T > _ALIKE_BLURRED)
        gains = np.abs(np.log(np.maximum(self.contrasts, _FLAT)[:, None] / np.maximum(others.contrasts, _FLAT)))
        lit = (np.abs(self.means[:, None] - others.means) < _MAX_LEVELS) & (gains < np.log(MAX_GAIN))
        found: Mask = (similar & lit & self.of_like_colours(others)) | self.same(others)
        return found

    def of_like_colours(self, others: "Looks") -> Mask:
        """Return which of them (rows) have the colours of which of the others (columns), or none at all."""
        apart, own, other = self._colours_apart(others)
        allowed = np.maximum(_MAX_COLOURS, _MAX_COLOUR_SHARE * np.maximum(own[:, None], other))
        found: Mask = (apart < allowed) | (own < _GREY)[:, None] | (other < _GREY)
        return found

    def _colours_apart(self, others: "Looks") -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return how far the colours are apart, (N, M), and how strong they are, (N,) and (M,), in levels."""
        rows, columns = (looks.colours.reshape(len(looks.colours), -1) for looks in (self, others))
        own, other = (rows**2).mean(axis=1), (columns**2).mean(axis=1)
        squares = own[:, None] + other - 2 * rows @ columns.T / rows.shape[1]
        return np.sqrt(np.maximum(squares, 0)), np.sqrt(own), np.sqrt(other)

    def same(self, others: "Looks") -> Mask:
        """Return which of them (rows) are the same as which of the others (columns), to within the noise of saving."""
        fine = self.fine @ others.fine.T
        flat = (self.contrasts < _MAX_REST)[:, None] & (others.contrasts < _MAX_REST)
        rows, columns = (looks.levels.reshape(len(looks.levels), -1) for looks in (self, others))
        squares = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1) - 2 * rows @ columns.T
        rest = np.sqrt(np.maximum(squares, 0) / _SIDE**2)
        allowed = np.maximum(_MAX_REST, _MAX_REST_SHARE * np.minimum(self.contrasts[:, None], others.contrasts))
        coloured = self._colours_apart(others)[0] < _MAX_COLOURS_SAME
        found: Mask = ((fine > _ALIKE_STRICT) | flat) & (rest < allowed) & coloured
        return found


def without_local_means(images: Levels, inside: Mask) -> Levels:
    """Return images less the mean around each pixel, of what is inside; the rest is 0.

    Args:
        images: (P, S, S).
        inside: Which pixels count, (P, S, S) or (S, S).
    """
    counts = np.maximum(_sums(inside.astype(float)), 1)
    rest: Levels = (images - _sums(images * inside) / counts) * inside
    rest -= (rest.sum(axis=(-2, -1)) / np.maximum(inside.sum(axis=(-2, -1)), 1))[..., None, None] * inside
    return rest


def _sums(images: Levels) -> Levels:
    """Return the sums of images (..., S, S) over squares around each pixel."""
    edges, corner = [(0, 0)] * (images.ndim - 2), [(1, 0)] * 2
    padded = np.pad(images, [*edges, *[(_AROUND // 2,) * 2] * 2], mode="reflect")
    sums = np.pad(padded.cumsum(axis=-2).cumsum(axis=-1), [*edges, *corner])
    found: Levels = sums[..., _AROUND:, _AROUND:] - sums[..., :-_AROUND, _AROUND:] - sums[..., _AROUND:, :-_AROUND]
    found += sums[..., :-_AROUND, :-_AROUND]
    return found


def flipped(levels: NDArray[np.float32], flip: str) -> NDArray[np.float32]:
    """Return images, (..., S, S), flipped.

    Args:
        levels: The images.
        flip: One of `mien.data.near_copies.FLIPS`; "" for none.
    """
    down, right = (slice(None, None, -1 if flip in ways else None) for ways in (_DOWN, _RIGHT))
    return levels[..., down, right]


def _units(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images (N, S, S) without their local means, as rows of length 1, (N, S * S); flat ones as zeros."""
    rest = without_local_means(levels.astype(np.float64), np.ones(levels.shape[1:], bool))
    rows = rest.reshape(len(levels), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float32] = np.where(lengths > _FLAT, rows / np.maximum(lengths, _FLAT), 0).astype(np.float32)
    return units


def without_peaks(mask: Mask, first: Looks, second: Looks, most: float) -> Mask:
    """Return a mask of pairs without those whose difference stands out in one place.

    Args:
        mask: Which of the first (rows) are paired with which of the second (columns).
        first: N looks.
        second: M looks.
        most: As `has_peak` takes it.
    """
    found = mask.copy()
    rows, columns = np.nonzero(mask)
    for start in range(0, len(rows), _MANY):
        some = slice(start, start + _MANY)
        rest = _lit_alike(first.levels[rows[some]], second.levels[columns[some]])
        found[rows[some], columns[some]] = ~has_peak(rest, most)
    return found


def _lit_alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what is left of images (P, S, S) less others, after these got the same mean and contrast."""
    first, second = (levels - levels.mean(axis=(1, 2), keepdims=True) for levels in (first, second))
    gains = (first * second).sum(axis=(1, 2)) / np.maximum((second**2).sum(axis=(1, 2)), _FLAT)
    rest: NDArray[np.float32] = first - gains[:, None, None] * second
    return rest


def has_peak(rest: NDArray[np.floating], most: float) -> Mask:
    """Say of differences whether one place stands out.

    Args:
        rest: (P, S, S).
        most: By how many of its standard deviations a place may differ.
    """
    peaks = np.abs(rest).max(axis=(1, 2))
    found: Mask = (peaks > _NO_PEAK) & (peaks > most * np.maximum(rest.std(axis=(1, 2)), _FLAT))
    return found
