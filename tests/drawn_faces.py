"""Faces made by a formula, and the images that reference values of the shipped networks are of.

tools/convert_faces.py makes those values of them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def drawn_face(side: int, smile: float) -> NDArray[np.float64]:
    """Return a face, float64 (side, side), 0 to 255: shaded, with eyes, brows, nose and mouth.

    Args:
        side: Pixels on each side.
        smile: How far the corners of the mouth are up, -1 to 1.
    """
    down, across = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1

    def spot(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
        return np.asarray(np.clip(4 - 4 * (((across - x) / width) ** 2 + ((down - y) / height) ** 2), 0, 1))

    levels = 90 + 40 * down
    levels = levels + (40 - levels) * spot(0, -0.15, 0.62, 0.78)
    levels = levels + (205 - 50 * np.abs(across) - levels) * spot(0, 0, 0.52, 0.68)
    for eye in (-0.21, 0.21):
        levels = levels + (70 - levels) * spot(eye, -0.27, 0.15, 0.035)
        levels = levels + (235 - levels) * spot(eye, -0.13, 0.11, 0.06)
        levels = levels + (25 - levels) * spot(eye, -0.13, 0.055, 0.06)
    levels = levels + (130 - levels) * spot(0, 0.12, 0.09, 0.05)
    mouth = 0.34 - smile * (across**2 * 2 - 0.06)
    lips = np.clip(4 - 4 * ((across / 0.25) ** 2 + ((down - mouth) / 0.06) ** 2), 0, 1)
    return np.asarray(levels + (80 - levels) * lips)


def portrait(side: int = 256) -> Image.Image:
    """Return a smiling face in mode RGB; its eyes are at about 0.395 and 0.605 across and 0.435 down."""
    return Image.fromarray(np.stack([drawn_face(side, 1) * tint for tint in (1, 0.8, 0.7)], -1).astype(np.uint8))


def reference_images() -> NDArray[np.uint8]:
    """Return three images, uint8 (3, 256, 256, 3): waves, squares, and a face."""
    rows, columns = np.mgrid[:256, :256]
    waves = [127.5 + 127.5 * np.sin(rows / (7 + 5 * channel) + columns / 11) for channel in range(3)]
    squares = [255.0 * ((rows // (16 + 8 * channel) + columns // 32) % 2) for channel in range(3)]
    drawn = [np.stack(image, -1).astype(np.uint8) for image in (waves, squares)]
    return np.stack([*drawn, np.asarray(portrait())])


def reference_crops() -> NDArray[np.uint8]:
    """Return four crops, uint8 (4, 64, 64): waves, squares, a smile, and the contrary."""
    rows, columns = np.mgrid[:64, :64]
    waves = 127.5 + 127.5 * np.sin(rows / 7 + columns / 11)
    squares = 255.0 * ((rows // 16 + columns // 8) % 2)
    return np.stack([waves, squares, drawn_face(64, 1), drawn_face(64, -1)]).astype(np.uint8)


def make_portraits(folder: Path, num_images: int) -> Path:
    """Save portraits that smile, or do the contrary, somewhere on noise: only the face tells the classes apart."""
    rng = np.random.default_rng(5)
    for label, smile in (("happy", 1), ("sad", -1)):
        (folder / label).mkdir(parents=True)
        for number in range(num_images):
            paper = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize(
                (300, 260), Image.Resampling.BICUBIC
            )
            face = np.stack([drawn_face(200, smile) * tint for tint in rng.uniform(0.6, 1, 3)], -1).astype(np.uint8)
            paper.paste(Image.fromarray(face), (int(rng.integers(0, 100)), int(rng.integers(0, 60))))
            paper.save(folder / label / f"{number}.jpg", quality=95)
    return folder
