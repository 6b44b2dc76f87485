"""Alignment: register images of the same picture that were slightly cropped or rotated."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.looks import Levels, without_local_means

# Image sides for the steps, from coarse to fine.
_SIDES = (16, 16, 16, 16, 16, 32, 32, 32, 32)
# Maximum shift, stretch or rotation per step, as a share of the side.
_MAX_STEP = 0.15
# Residuals beyond this many standard deviations count less, so that a caption does not pull the image.
_ROBUST = 1.5
# Copies are only slightly cropped, framed or rotated: the limits for stretch, rotation, shear and shift. Images that
# are not square were resized to one, so rotation shears them a little.
_MAX_STRETCH, _MAX_TURN, _MAX_SHEAR, _MAX_SHIFT = 0.2, 0.15, 0.1, 0.1
# A smaller overlap proves nothing.
_MIN_SHARE = 0.55


@dataclass(frozen=True)
class Rest:
    """The remaining difference between aligned images, (P,) each.

    Attributes:
        correlations: Correlation of the overlap after removing local means; 0 if it is too small or shifted too far.
        differences: Root mean squared difference as a share of the contrast (standard deviation).
        gains: Ratio of the contrasts.
        rest: The differences themselves, after removing local means, (P, S, S).
    """

    correlations: NDArray[np.floating]
    differences: NDArray[np.floating]
    gains: NDArray[np.floating]
    rest: NDArray[np.floating]


def aligned(fixed: NDArray[np.float32], moved: NDArray[np.float32]) -> Rest:
    """Shift, stretch and rotate images to match others as well as possible, and return the remaining difference.

    Args:
        fixed: float32 (P, 32, 32), grey levels.
        moved: Same shape; the image to move onto each fixed one.

    Source:
        B. Lucas, T. Kanade, An Iterative Image Registration Technique with an Application to Stereo Vision, IJCAI 1981.
    """
    maps = np.tile(np.eye(3), (len(fixed), 1, 1))
    for side in _SIDES:
        target, source = (_reduced(images, side) for images in (fixed, moved))
        maps = maps @ _step(target, *_warped(source, maps))
    found, inside = _warped(moved, maps)
    # Interpolation blurs, and edges may be mixed with a frame.
    fixed, found = _blurred(fixed), _blurred(found)
    inside[:, [0, -1]] = inside[:, :, [0, -1]] = False
    counts = inside.sum(axis=(1, 2))
    share = counts / inside[0].size
    differences = np.sqrt((((fixed - found) * inside) ** 2).sum(axis=(1, 2)) / np.maximum(counts, 1))
    differences /= np.maximum(fixed.std(axis=(1, 2)), 1e-3)
    first, second = (without_local_means(images, inside) for images in (fixed, found))
    products, lengths = (first * second).sum(axis=(1, 2)), (second**2).sum(axis=(1, 2))
    correlations = products / np.sqrt(np.maximum((first**2).sum(axis=(1, 2)) * lengths, 1e-6))
    gains = np.clip(products / (lengths + 1e-6), 1e-3, None)
    rest = first - gains[:, None, None] * second
    stretch = np.abs(maps[:, [0, 1], [0, 1]] - 1).max(axis=1)
    turns = maps[:, [0, 1], [1, 0]]
    slight = (stretch < _MAX_STRETCH) & (np.abs(turns).max(axis=1) < _MAX_TURN)
    slight &= (np.abs(turns.sum(axis=1)) < _MAX_SHEAR) & (np.abs(maps[:, :2, 2]).max(axis=1) < _MAX_SHIFT)
    return Rest(np.where(slight & (share >= _MIN_SHARE), correlations, 0), differences, gains, rest)


def _step(target: Levels, found: Levels, inside: NDArray[np.bool_]) -> Levels:
    """Return the affine maps, (P, 3, 3), that bring images closer to their targets: one Gauss-Newton step."""
    num_pairs, side = found.shape[:2]
    x, y = _coordinates(side)
    down, right = np.gradient(found, axis=(1, 2))
    columns = (right * x, right * y, right, down * x, down * y, down)
    ways = np.stack([*(column * side for column in columns), found, np.ones_like(found)], axis=-1)
    ways = ways.reshape(num_pairs, -1, 8)
    errors, weights = (target - found).reshape(num_pairs, -1), inside.reshape(num_pairs, -1).astype(float)
    for _ in range(2):
        weighted = ways * weights[..., None]
        squares = weighted.transpose(0, 2, 1) @ ways
        # A tiny regulariser that only matters for flat images.
        squares += 1e-6 * np.maximum(np.trace(squares, axis1=1, axis2=2), 1)[:, None, None] * np.eye(8)
        changes = np.linalg.solve(squares, weighted.transpose(0, 2, 1) @ errors[..., None])
        rests = np.abs(errors - (ways @ changes)[..., 0])
        spread = 1.4826 * np.median(rests, axis=1, keepdims=True) + 1e-3
        weights = inside.reshape(num_pairs, -1) / np.maximum(1, rests / (_ROBUST * spread))
    gains = np.maximum(1 + changes[:, 6, 0], 0.2)
    step = np.tile(np.eye(3), (num_pairs, 1, 1))
    step[:, :2] += np.clip(changes[:, :6, 0].reshape(-1, 2, 3) / gains[:, None, None], -_MAX_STEP, _MAX_STEP)
    return step


def _warped(images: Levels, maps: Levels) -> tuple[Levels, NDArray[np.bool_]]:
    """Return images (P, S, S) warped by affine maps (P, 3, 3), and the mask of valid pixels."""
    num_pairs, side = images.shape[:2]
    x, y = _coordinates(side)
    places = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    across, down = np.moveaxis((maps[:, :2] @ places + 0.5) * side - 0.5, 1, 0).reshape(2, num_pairs, side, side)
    inside = (across >= 0) & (across <= side - 1) & (down >= 0) & (down <= side - 1)
    across, down = (np.clip(np.nan_to_num(values), 0, side - 1.001) for values in (across, down))
    left, top = across.astype(int), down.astype(int)
    across, down, pair = across - left, down - top, np.arange(num_pairs)[:, None, None]
    upper = images[pair, top, left] * (1 - across) + images[pair, top, left + 1] * across
    lower = images[pair, top + 1, left] * (1 - across) + images[pair, top + 1, left + 1] * across
    return upper * (1 - down) + lower * down, inside


def _coordinates(side: int) -> tuple[Levels, Levels]:
    """Return each pixel's distance from the centre, right and down, as shares of the side."""
    steps = (np.arange(side) + 0.5) / side - 0.5
    return np.tile(steps, (side, 1)), np.tile(steps[:, None], (1, side))


def _reduced(images: Levels, side: int) -> Levels:
    step = images.shape[1] // side
    reduced: Levels = images.reshape(-1, side, step, side, step).mean(axis=(2, 4))
    return reduced


def _blurred(images: Levels) -> Levels:
    """Return images (P, S, S) after a small blur."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] / 4 + padded[:, 1:-1] / 2 + padded[:, 2:] / 4
    blurred: Levels = rows[:, :, :-2] / 4 + rows[:, :, 1:-1] / 2 + rows[:, :, 2:] / 4
    return blurred
