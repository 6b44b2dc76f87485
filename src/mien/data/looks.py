"""Looks: one-kilobyte thumbnails of images, and how to compare them.

They are small enough that size and compression hardly matter, and large enough to tell images apart.
"""

from collections.abc import Sequence
from dataclasses import replace
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core import files
from mien.data.dataset import ImageRecord
from mien.errors import OutputError, SourceNotFoundError

_SIDE, _CELLS = 32, 8
_NUM_LEVELS = _SIDE**2
_NUM_BYTES = _NUM_LEVELS + 2 * _CELLS**2
# Side of the square whose local mean is subtracted: what remains are edges and textures, independent of lighting.
_AROUND = 9
# Correlation thresholds after subtracting local means; see benchmarks/domains.py for their effect.
_ALIKE, _ALIKE_BLURRED, _ALIKE_STRICT = 0.92, 0.95, 0.995
# If the shorter sides differ by more than this factor, one image is blurred compared with the other.
_SAME_SIZE = 1.5
# Maximum change of brightness (in grey levels) and of contrast for a copy.
_MAX_LEVELS, MAX_GAIN = 55.0, 1.43
# Maximum remaining difference between identical images, as a share of the contrast, or in grey levels at low contrast.
_MAX_REST_SHARE, _MAX_REST = 0.03, 0.75
# Maximum colour difference for copies (in levels, and as a share of the colour strength) and for identical images.
# Below the last value an image is grey, which a copy may be.
_MAX_COLOURS, _MAX_COLOUR_SHARE, _MAX_COLOURS_SAME, _GREY = 10.0, 0.35, 4.0, 2.0
# Smaller differences than this are never peaks.
_NO_PEAK = 3.0
_MANY = 4096
_DOWN, _RIGHT = {"upside down", "turned by 180 degrees"}, {"mirrored", "turned by 180 degrees"}
_FLAT = 1e-3
Levels = NDArray[np.floating]
Mask = NDArray[np.bool_]


def look_of(image: Image.Image) -> bytes:
    """Return the thumbnail of an RGB image for comparing copies: 32 x 32 grey levels, and 2 x 8 x 8 colours."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0).convert("YCbCr")
    grey, *colours = (np.asarray(band) for band in small.split())
    cells = [band.reshape(_CELLS, _SIDE // _CELLS, _CELLS, -1).mean(axis=(1, 3)) for band in colours]
    return grey.tobytes() + np.stack(cells).round().astype(np.uint8).tobytes()


def save_looks(path: Path, records: Sequence[ImageRecord]) -> None:
    """Save the looks of records to a .npy file, uint8 (N, 1152), with zeros for missing ones.

    Raises:
        OutputError: It cannot be written.
    """
    with files.replacing(path) as temporary:
        np.save(temporary, _looks(records))


def with_looks(path: Path, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return the records with their looks from a file written by `save_looks`.

    Raises:
        SourceNotFoundError: The file is missing or damaged, or does not match the records.
    """
    try:
        looks = np.load(path, mmap_mode="r", allow_pickle=False)
        if looks.shape != (len(records), _NUM_BYTES) or looks.dtype != np.uint8:
            raise ValueError(f"{looks.dtype} {looks.shape} instead of looks of {len(records)} files")
    except (OSError, ValueError, EOFError) as error:
        reason = files.reason_of(error) if isinstance(error, OSError) else "damaged, or from another version"
        raise SourceNotFoundError(
            f"cannot read {str(path)!r}, which holds thumbnails of the training images: {reason}. Train again."
        ) from error
    return [replace(record, look=look.tobytes()) for record, look in zip(records, looks, strict=True)]


def in_file(records: Sequence[ImageRecord]) -> Sequence[ImageRecord]:
    """Return the records with their looks in a temporary file, which the system reads when needed.

    The file has no name, and is gone with the records. Without room for it, the looks stay in memory.
    """
    content = _looks(records)
    try:
        with files.temporary_file(content.nbytes) as file:
            file.write(content.data)
            file.flush()
            stored = mmap(file.fileno(), content.nbytes, access=ACCESS_READ)
    except OutputError:
        return records
    return [replace(record, look=_Stored(stored, number * _NUM_BYTES)) for number, record in enumerate(records)]


class _Stored:
    """A look in a file; a copy, or one that is sent to another process, is in memory again."""

    __slots__ = ("_file", "_start")

    def __init__(self, file: mmap, start: int) -> None:
        self._file, self._start = file, start

    def __bytes__(self) -> bytes:
        return self._file[self._start : self._start + _NUM_BYTES]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes | _Stored) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        return bytes, (bytes(self),)


def _looks(records: Sequence[ImageRecord]) -> NDArray[np.uint8]:
    """Return the looks of records, uint8 (N, 1152), with zeros for missing ones, so that their hashes decide."""
    joined = b"".join(bytes(record.look).ljust(_NUM_BYTES, b"\0") for record in records)
    return np.frombuffer(joined, np.uint8).reshape(-1, _NUM_BYTES)


def levels_of(records: Sequence[ImageRecord]) -> NDArray[np.float32]:
    """Return the grey levels from the looks of records, float32 (N, 32, 32)."""
    return _looks(records)[:, :_NUM_LEVELS].reshape(-1, _SIDE, _SIDE).astype(np.float32)


class Looks:
    """The looks of images, ready for comparison.

    Attributes:
        levels: float32 (N, 32, 32).
        means: (N,), in grey levels.
        contrasts: (N,), the standard deviations.
        fine: float32 (N, 1024), of length 1 or 0: the levels after subtracting local means.
        coarse: float32 (N, 256), the same at half the size, for blurred images.
        colours: float32 (N, 2, 8, 8), how blue and how red each part is; 0 for grey.
        sides: Logarithms of the shorter sides of the original images, (N,).
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
        """Return the looks of the flipped images."""
        return Looks(flipped(self.levels, flip), flipped(self.colours, flip), self.sides) if flip else self

    def alike(self, others: "Looks") -> Mask:
        """Return which images (rows) look like which others (columns), possibly re-saved or re-lit."""
        fine = self.fine @ others.fine.T
        same_size = np.abs(self.sides[:, None] - others.sides) < np.log(_SAME_SIZE)
        similar = (fine > _ALIKE) | ~same_size & (self.coarse @ others.coarse.T > _ALIKE_BLURRED)
        gains = np.abs(np.log(np.maximum(self.contrasts, _FLAT)[:, None] / np.maximum(others.contrasts, _FLAT)))
        lit = (np.abs(self.means[:, None] - others.means) < _MAX_LEVELS) & (gains < np.log(MAX_GAIN))
        found: Mask = (similar & lit & self.of_like_colours(others)) | self.same(others)
        return found

    def of_like_colours(self, others: "Looks") -> Mask:
        """Return which images (rows) have colours similar to which others (columns); grey images match any."""
        apart, own, other = self._colours_apart(others)
        allowed = np.maximum(_MAX_COLOURS, _MAX_COLOUR_SHARE * np.maximum(own[:, None], other))
        found: Mask = (apart < allowed) | (own < _GREY)[:, None] | (other < _GREY)
        return found

    def _colours_apart(self, others: "Looks") -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return the colour differences, (N, M), and the colour strengths, (N,) and (M,), in levels."""
        rows, columns = (looks.colours.reshape(len(looks.colours), -1) for looks in (self, others))
        own, other = (rows**2).mean(axis=1), (columns**2).mean(axis=1)
        squares = own[:, None] + other - 2 * rows @ columns.T / rows.shape[1]
        return np.sqrt(np.maximum(squares, 0)), np.sqrt(own), np.sqrt(other)

    def same(self, others: "Looks") -> Mask:
        """Return which images (rows) are identical to which others (columns), except for compression noise."""
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
    """Subtract from each pixel the mean of its valid neighbourhood; invalid pixels become 0.

    Args:
        images: (P, S, S).
        inside: The valid pixels, (P, S, S) or (S, S).
    """
    counts = np.maximum(_sums(inside.astype(float)), 1)
    rest: Levels = (images - _sums(images * inside) / counts) * inside
    rest -= (rest.sum(axis=(-2, -1)) / np.maximum(inside.sum(axis=(-2, -1)), 1))[..., None, None] * inside
    return rest


def _sums(images: Levels) -> Levels:
    """Return the sums of images (..., S, S) over a square around each pixel."""
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
    """Return images (N, S, S) after subtracting local means, as unit rows, (N, S * S); flat images as zeros."""
    rest = without_local_means(levels.astype(np.float64), np.ones(levels.shape[1:], bool))
    rows = rest.reshape(len(levels), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float32] = np.where(lengths > _FLAT, rows / np.maximum(lengths, _FLAT), 0).astype(np.float32)
    return units


def without_peaks(mask: Mask, first: Looks, second: Looks, most: float) -> Mask:
    """Remove pairs from a mask whose difference is concentrated in one place.

    Args:
        mask: The pairs of first (rows) and second (columns).
        first: N looks.
        second: M looks.
        most: As for `has_peak`.
    """
    found = mask.copy()
    rows, columns = np.nonzero(mask)
    for start in range(0, len(rows), _MANY):
        some = slice(start, start + _MANY)
        rest = _lit_alike(first.levels[rows[some]], second.levels[columns[some]])
        found[rows[some], columns[some]] = ~has_peak(rest, most)
    return found


def _lit_alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the differences of images (P, S, S) after matching mean and contrast."""
    first, second = (levels - levels.mean(axis=(1, 2), keepdims=True) for levels in (first, second))
    gains = (first * second).sum(axis=(1, 2)) / np.maximum((second**2).sum(axis=(1, 2)), _FLAT)
    rest: NDArray[np.float32] = first - gains[:, None, None] * second
    return rest


def has_peak(rest: NDArray[np.floating], most: float) -> Mask:
    """Return for each difference whether one place stands out.

    Args:
        rest: (P, S, S).
        most: Maximum deviation of a place, in standard deviations.
    """
    peaks = np.abs(rest).max(axis=(1, 2))
    found: Mask = (peaks > _NO_PEAK) & (peaks > most * np.maximum(rest.std(axis=(1, 2)), _FLAT))
    return found
