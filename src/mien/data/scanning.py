"""Scanning: a folder of class folders -> a Dataset, with one read and one decode per file."""

import hashlib
import os
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image

from mien.config import ScanConfig
from mien.core import files, images
from mien.core.faces import find_faces
from mien.core.formats import EXTENSIONS
from mien.core.inputs import Inputs, inputs_of, room_for
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.looks import look_of
from mien.data.near_copies import perceptual_hash
from mien.errors import ImageError, NotADatasetError, SourceNotFoundError

# What compression makes of one colour.
_BLANK_LEVELS, _LOOKED_AT = 4, 1024
# Whether a folder is one of faces, so many images tell. Among images without any, one in a hundred seems to show a face
# as surely as this, by `benchmarks/faces.py`; at the least score of all it can be one in five.
_NUM_TRIED, _LEAST_WITH_FACE, _SURE = 64, 5, 0.7
_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}


def scan(
    folder: str | Path,
    config: ScanConfig = ScanConfig(),
    *,
    keep_images: bool = False,
    progress: Progress = SILENCE,
) -> Dataset:
    """Read every file of a folder of class folders once, and say what each one is.

    Files that are no images are recorded with their problem; nothing in the folder is changed.

    Args:
        folder: One sub-folder per class; images may lie deeper.
        config: How files become arrays. Whether faces are looked for is decided here where it says "auto"; the
            Dataset's own `config` says "on" or "off".
        keep_images: Keep what a network is shown of the images as `Dataset.kept`, so that nothing is decoded again.
        progress: Told how far it is.

    Raises:
        SourceNotFoundError: The folder, or one below it, does not exist or may not be read.
        NotADatasetError: It has fewer than two class folders.

    Example:
        >>> dataset = scan("data")
        >>> dataset.counts()
        {'happy': 12, 'sad': 12}
    """
    root = Path(folder)
    class_names = find_class_names(root)
    paths = [path for name in class_names for path in files.walk(root / name)]
    config = replace(config, faces=_decided(config, root, paths, progress))
    kept = room_for(len(paths), config) if keep_images else None

    def scan_one(item: tuple[int, Path]) -> ImageRecord:
        place, path = item
        return scan_file(path, root, config, None if kept is None else kept[place : place + 1])

    records = []
    for record in in_threads(scan_one, enumerate(paths)):
        records.append(record)
        progress.step("Reading", len(records), len(paths))
    return Dataset(root, class_names, tuple(records), config, kept)


def find_class_names(root: Path) -> tuple[str, ...]:
    """Return the names of the class folders, sorted.

    Raises:
        SourceNotFoundError: The folder does not exist or may not be read.
        NotADatasetError: It has fewer than two class folders, or they are splits.
    """
    layout = "expected one sub-folder per class, such as happy and sad"
    try:
        entries = [entry for entry in os.scandir(root) if not entry.name.startswith(".")]
    except NotADirectoryError as error:
        raise NotADatasetError(f"{str(root)!r} is a file; {layout}, in one folder") from error
    except OSError as error:
        raise SourceNotFoundError(f"cannot read the folder {str(root)!r}: {error.strerror}") from error
    # Not `entry.is_dir()`: it raises for a link to itself.
    names = tuple(sorted(entry.name for entry in entries if os.path.isdir(entry.path)))
    if len(names) < 2:
        found = f"only the class folder {names[0]!r}" if names else "no class folders"
        loose = sum(Path(entry.name).suffix.lower() in EXTENSIONS for entry in entries)
        hint = f". Move its {loose} images into such folders" if loose else ""
        raise NotADatasetError(f"{str(root)!r} has {found}; {layout}{hint}")
    if {name.lower() for name in names} <= _SPLIT_NAMES:
        raise NotADatasetError(
            f"{str(root)!r} is already split into {', '.join(names)}; {layout}. "
            "Put all images of a class into one folder: mien splits them so that no copy stands on two sides."
        )
    return names


def scan_file(path: Path, root: Path, config: ScanConfig, kept: Inputs | None = None) -> ImageRecord:
    """Read one file below a folder, and say what it is.

    Args:
        path: The file.
        root: The folder of class folders.
        config: How it becomes an array.
        kept: Where to put that, of length 1; by default nowhere.
    """
    relative = PurePosixPath(path.relative_to(root))
    record = ImageRecord(str(relative), relative.parts[0])
    try:
        content = images.read(path)
        record = replace(record, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        image = images.decode(content, config)
    except ImageError as error:
        return replace(record, problems=(Problem(error.problem, str(error)),), used=False)
    if kept is not None:
        kept.put(inputs_of(image.rgb, config))
    brightness, colour = images.shades(image.rgb)
    look, grey = look_of(image.rgb), image.rgb.convert("L")
    return replace(
        record,
        brightness=brightness,
        colour=colour,
        phash=perceptual_hash(grey),
        look=look,
        format=image.format,
        width=image.width,
        height=image.height,
        problems=(*_extension_problem(path, image.format), *_blank_problem(image.rgb, look)),
    )


def _decided(config: ScanConfig, root: Path, paths: list[Path], progress: Progress) -> Literal["on", "off"]:
    """Say whether faces are looked for: where it is to be found out, in some images of every class."""
    if config.faces != "auto":
        return config.faces
    some = _spread(root, paths, _NUM_TRIED)
    num_with_face = 0
    for num_tried, shows_face in enumerate(in_threads(lambda path: _shows_face(path, config), some), start=1):
        num_with_face += shows_face
        progress.step("Looking for faces", num_tried, len(some))
        if num_with_face == _LEAST_WITH_FACE:
            progress.step("Looking for faces", len(some), len(some))
            progress.say(
                f"{num_with_face} of {num_tried} images tried show a face: faces are looked for in all (--faces)"
            )
            return "on"
    return "off"


def _spread(root: Path, paths: list[Path], num_wanted: int) -> list[Path]:
    """Return some files from all over the folder, of every class as many, as far as there are."""
    by_class: dict[str, list[Path]] = {}
    for place in np.random.default_rng(0).permutation(len(paths)):
        by_class.setdefault(paths[place].relative_to(root).parts[0], []).append(paths[place])
    return [path for round_ in zip_longest(*by_class.values()) for path in round_ if path is not None][:num_wanted]


def _shows_face(path: Path, config: ScanConfig) -> bool:
    try:
        rgb = images.decode(images.read(path), replace(config, faces="on")).rgb
    except ImageError:
        return False
    return any(face.score >= _SURE for face in find_faces(rgb))


def _blank_problem(rgb: Image.Image, look: bytes) -> tuple[Problem, ...]:
    # What varies when it is small varies; else every pixel is looked at.
    if max(look[:_LOOKED_AT]) - min(look[:_LOOKED_AT]) > _BLANK_LEVELS:
        return ()
    ranges = rgb.getextrema()
    if any(high - low > _BLANK_LEVELS for low, high in ranges):  # type: ignore[misc]
        return ()
    levels = ", ".join(str(low) for low, _ in ranges)  # type: ignore[misc]
    return (Problem("blank", f"all of it is of one colour: {levels} of 255 in red, green and blue"),)


def _extension_problem(path: Path, format_: str) -> tuple[Problem, ...]:
    extension = path.suffix.lower()
    if EXTENSIONS.get(extension) == format_:
        return ()
    named = f"named {extension}" if extension else "without extension"
    return (Problem("wrong_extension", f"{named}, but {format_} by its content"),)
