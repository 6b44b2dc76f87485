"""Scanning: turn a folder of images into a Dataset, reading and decoding each file once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

import numpy as np

from mien.config import LabelConfig, ScanConfig
from mien.core import images
from mien.core.engines import spread
from mien.core.faces import find_faces
from mien.core.formats import EXTENSIONS
from mien.core.images import Traits
from mien.core.inputs import Inputs, fits_in_memory, inputs_of, room_for
from mien.core.levels import in_words
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.looks import in_file, look_of
from mien.data.near_copies import perceptual_hash
from mien.errors import ImageError
from mien.fetching.stored_folders import brought
from mien.fetching.unpacking import unpacked
from mien.layouts.layout import Entry
from mien.layouts.reading import read_layout

# Compression noise in an image of one colour.
_BLANK_LEVELS, _LOOKED_AT = 4, 1024
# As dark as 12-bit data read as 16-bit.
_NEARLY_BLACK = 16
# How many images to try, and how many must show a face, before faces are detected in all. In sets without faces, 1% of
# images reach this score (`benchmarks/faces.py`); at the detector's minimum score it can be 20%.
_NUM_TRIED, _LEAST_WITH_FACE, _SURE = 64, 5, 0.7
# Looks of so many images go to a file together.
_IN_MEMORY = 2**15


def scan(
    folder: str | Path,
    config: ScanConfig = ScanConfig(),
    labels: LabelConfig = LabelConfig(),
    *,
    known: Sequence[str] = (),
    elsewhere: Mapping[str, str] = MappingProxyType({}),
    keep_images: bool = False,
    progress: Progress = SILENCE,
) -> Dataset:
    """Scan a folder: determine the class of each file, and read each file once.

    Files that are not images are recorded with their problem. The folder is not changed.

    Args:
        folder: Class folders, optionally inside split folders; a folder with a table of labels, or such a table; a zip
            or tar archive of these; or the address of one of these in an object store, e.g. s3://bucket/photos.
        config: How to decode files. If `faces` is "auto", the scan decides; the Dataset's `config` then says "on" or
            "off".
        labels: Where to find the labels; detected by default.
        known: The classes of an existing classifier. Images of a single class are then enough, and decoding options
            that its training left open stay open.
        elsewhere: Images in other folders to add: their classes by absolute path. Images inside `folder` are ignored.
        keep_images: Keep the network inputs as `Dataset.kept`, so that nothing needs decoding again, unless they take
            more memory than `config.max_memory_mb`.
        progress: Receives progress updates.

    Raises:
        SourceNotFoundError: The folder, or a folder in it, does not exist or cannot be read.
        NotADatasetError: The classes cannot be determined, or there are fewer than two.

    Example:
        >>> dataset = scan("data")
        >>> dataset.counts()
        {'happy': 12, 'sad': 12}
    """
    root, layout = read_layout(unpacked(brought(folder, progress=progress), progress=progress), labels, known)
    for told in layout.told:
        progress.say(told)
    added = {path: label for path, label in elsewhere.items() if not Path(path).is_relative_to(root.resolve())}
    entries = (*layout.entries, *(Entry(path, label) for path, label in added.items()))
    config = replace(config, faces=_decided(config, root, entries, progress))
    keep_images = keep_images and fits_in_memory(len(entries), config)
    kept = room_for(len(entries), config) if keep_images else None

    records: list[ImageRecord] = []
    found: dict[int, Traits] = {}
    for record, traits, inputs in spread(partial(_scanned, root, config, keep_images), entries, folder=root):
        if traits is not None:
            found[len(records)] = traits
        _keep(inputs, kept, len(records))
        records.append(record)
        if len(records) % _IN_MEMORY == 0:
            records[-_IN_MEMORY:] = in_file(records[-_IN_MEMORY:])
        progress.step("Reading", len(records), len(entries))
    # So far each image was decoded by its own rule.
    asked, config = config, config if known else images.settled(config, found.values())
    others = [place for place, traits in found.items() if config != asked and not traits.fit(config)]
    again = spread(partial(_scanned, root, config, keep_images), (entries[place] for place in others), folder=root)
    for done, (place, (record, _, inputs)) in enumerate(zip(others, again, strict=True), start=1):
        records[place] = record
        _keep(inputs, kept, place)
        progress.step("Reading again", done, len(others))
    for told in _describe_rules(config, {entries[place].path: traits for place, traits in found.items()}):
        progress.say(told)
    return Dataset(root, layout.class_names, tuple(records), config, kept, layout)


def scan_file(root: Path, entry: Entry, config: ScanConfig, kept: Inputs | None = None) -> ImageRecord:
    """Scan one file.

    Args:
        root: The folder.
        entry: The file and its label.
        config: How to decode it.
        kept: Space for one image, filled with its network inputs.
    """
    record, _, inputs = _scanned(root, config, kept is not None, entry)
    _keep(inputs, kept, 0)
    return record


def _keep(inputs: Inputs | None, kept: Inputs | None, place: int) -> None:
    if kept is not None and inputs is not None:
        kept[place : place + 1].put(inputs)


def _scanned(
    root: Path, config: ScanConfig, is_kept: bool, entry: Entry
) -> tuple[ImageRecord, Traits | None, Inputs | None]:
    """Scan one file, and return its record, its decoding traits, and its network inputs if they are kept."""
    path = root / entry.path
    record = ImageRecord(entry.path, entry.label, given=entry.split)
    try:
        content = images.read(path)
        record = replace(record, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        image = images.decode(content, config)
    except ImageError as error:
        return replace(record, problems=(Problem(error.problem, str(error)),), used=False), None, None
    inputs = inputs_of(image.rgb, config) if is_kept else None
    brightness, colour = images.shades(image.rgb)
    look, grey = look_of(image.rgb), image.rgb.convert("L")
    record = replace(
        record,
        brightness=brightness,
        colour=colour,
        phash=perceptual_hash(grey),
        look=look,
        format=image.format,
        width=image.width,
        height=image.height,
        problems=(*_file_problems(path, image), *_pixel_problems(image, look, config)),
    )
    return record, image.traits, inputs


def _decided(config: ScanConfig, root: Path, entries: Sequence[Entry], progress: Progress) -> Literal["on", "off"]:
    """Decide whether to detect faces. With "auto", try some images of every class."""
    if config.faces != "auto":
        return config.faces
    some = _spread(entries, _NUM_TRIED)
    num_with_face = 0
    for num_tried, shows_face in enumerate(in_threads(lambda path: _shows_face(root / path, config), some), start=1):
        num_with_face += shows_face
        progress.step("Looking for faces", num_tried, len(some))
        if num_with_face == _LEAST_WITH_FACE:
            progress.step("Looking for faces", len(some), len(some))
            progress.say(
                f"{num_with_face} of {num_tried} images tried show a face; detecting faces in all images (--faces)"
            )
            return "on"
    return "off"


def _spread(entries: Sequence[Entry], num_wanted: int) -> list[str]:
    """Return the paths of some files from all over the folder, balanced between the classes."""
    by_class: dict[str, list[str]] = {}
    for place in np.random.default_rng(0).permutation(len(entries)):
        by_class.setdefault(entries[place].label, []).append(entries[place].path)
    return [path for round_ in zip_longest(*by_class.values()) for path in round_ if path is not None][:num_wanted]


def _shows_face(path: Path, config: ScanConfig) -> bool:
    try:
        rgb = images.decode(images.read(path), replace(config, faces="on")).rgb
    except ImageError:
        return False
    return any(face.score >= _SURE for face in find_faces(rgb))


def _describe_rules(config: ScanConfig, found: Mapping[str, Traits]) -> list[str]:
    """Describe decoding rules that were chosen automatically and affect the images.

    Args:
        config: The rules.
        found: Traits of the images that call for a rule, by path.
    """
    every, lines = list(found.values()), []
    num_deep = sum(traits.extent is not None for traits in every)
    if num_deep and config.levels:
        black, white = config.levels
        became = f"{in_words(black)} becomes black and {in_words(white)} becomes white"
        lines.append(f"{counted(num_deep, 'image')} with more than 8 bits a channel: {became} (--levels)")
    num_lost = sum("white" in (traits.lost_on or ()) for traits in every)
    if num_lost and config.ground not in ("auto", "white"):
        lines.append(
            f"background for transparent images: {config.ground}, because {num_lost} would be nearly invisible on "
            "white (--ground)"
        )
    hidden = [f"{path}: {why}" for path, traits in found.items() if (why := traits.hidden_by(config))]
    if hidden:
        lines.append(f"{counted(len(hidden), 'image')} nearly invisible, e.g. {hidden[0]}")
    return lines


def _pixel_problems(image: images.DecodedImage, look: bytes, config: ScanConfig) -> tuple[Problem, ...]:
    """Find images of one colour and nearly black ones."""
    levels = look[:_LOOKED_AT]
    lowest, highest = min(levels), max(levels)
    # Contrast and brightness in the thumbnail are enough to clear an image; otherwise check every pixel.
    if highest - lowest > _BLANK_LEVELS and highest > _NEARLY_BLACK:
        return ()
    ranges = cast(tuple[tuple[int, int], ...], image.rgb.getextrema())
    hidden = image.hidden_by(config)
    why = f"; {hidden}" if hidden else ""
    if all(high - low <= _BLANK_LEVELS for low, high in ranges):
        told = ", ".join(str(low) for low, _ in ranges)
        return (Problem("blank", f"one single colour: {told} of 255 in red, green and blue{why}"),)
    brightest = max(high for _, high in ranges)
    if brightest <= _NEARLY_BLACK:
        return (Problem("nearly_black", f"its brightest level is {brightest} of 255{why}"),)
    return ()


def _file_problems(path: Path, image: images.DecodedImage) -> tuple[Problem, ...]:
    """Find problems of a file that do not keep it from being used."""
    cut = (Problem("lacks_end", "its end marker is missing, but all pixels are there"),) if image.lacks_end else ()
    extension = path.suffix.lower()
    if EXTENSIONS.get(extension) == image.format:
        return cut
    named = f"named {extension}" if extension else "no extension"
    return (Problem("wrong_extension", f"{named}, but the content is {image.format}"), *cut)
