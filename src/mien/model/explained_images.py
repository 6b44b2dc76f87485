"""Explained images: sources -> a PNG file for each, showing where the classifier looked."""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from mien.config import FetchLimits, ScanConfig
from mien.core import files, images
from mien.core.fonts import load_font
from mien.core.formats import EXTENSIONS
from mien.core.progress import SILENCE, Progress
from mien.core.text import folded, safe_name, safe_stem, shorten, visible
from mien.errors import FetchError, ImageError, OutputError
from mien.fetching import sources as intake
from mien.fetching.stores import is_address
from mien.model.classifier import MODEL_NAME, Classifier
from mien.model.explanation import COOL, WARM, FaceEvidence, HeatMap, check_label, explain_inputs, fair_size, overlay
from mien.model.prediction import Prediction, predict_image

# The maximum width of a label at font size 13, so that two fit below the narrowest image.
_MOST_LABEL_WIDTH = 135
# Marks files made by mien explain. Other files are never overwritten.
_MAKER = ("Software", "mien explain")
_SOURCE = "mien source"
_GAP = 16
# The maximum number of characters of a label, so that two fit below the narrowest image.
_MOST_LETTERS = 20


@dataclass(frozen=True)
class Explained:
    """The explanation of one image.

    Attributes:
        prediction: The prediction; `error` is set if the image could not be read.
        label: The class that is explained; None after an error.
        method: How it was explained; None after an error.
        png: The PNG file with the map; None after an error.
        faces: The evidence of each face, if the classifier uses faces.
    """

    prediction: Prediction
    label: str | None = None
    method: str | None = None
    png: Path | None = None
    faces: tuple[FaceEvidence, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        shown = {"explained": self.label, "method": self.method, "png": str(self.png) if self.png else None}
        return self.prediction.to_dict() | shown | {"faces": [asdict(face) for face in self.faces]}


def explain_sources(
    classifier: Classifier,
    sources: Iterable[str | Path],
    out: Path,
    *,
    label: str | None = None,
    max_pixels: int = ScanConfig.max_pixels,
    limits: FetchLimits = FetchLimits(),
    progress: Progress = SILENCE,
) -> Iterator[Explained]:
    """Write a PNG file for each image that shows where a classifier looked, and return its predictions, in order.

    Args:
        classifier: What `load` returned.
        sources: Image files, folders (searched recursively, except for files made here), http(s) URLs, or "-" for
            standard input.
        out: A folder, which is created if needed and gets the subfolders of each source folder; or a .png file for a
            single image. It must not be inside the image folder, unless it is explained/ of a run.
        label: The class to explain. Default: the most likely class of each image.
        max_pixels: Reject larger images.
        limits: Limits for downloads.
        progress: Receives progress updates.

    Yields:
        Explained(prediction, label, method, png, faces).

    Raises:
        SourceNotFoundError: A path does not exist. Raised before any image is read.
        SettingsError: The class does not exist. Raised before any image is read.
        OutputError: A PNG file cannot be written, would overwrite a file not made here, or would be inside the image
            folder.
    """
    check_label(classifier, label)
    asked_for = [os.fspath(source) for source in ([sources] if isinstance(sources, str | Path) else sources)]
    config = classifier.facts.scan_config(max_pixels)
    found = intake.expand(asked_for, progress)
    names = _not_ours(found, frozenset(asked_for))
    folders = [source for source in asked_for if is_address(source) or os.path.isdir(source)]
    stems = [_stem(name, folders) for name in names]
    _refuse_among(out, asked_for, found, stems)
    pngs = _targets(names, stems, out)

    def explain_one(place: int, content: Callable[[], bytes]) -> Explained:
        return _explained(classifier, names[place], content, pngs[place], label, config)

    for done, explained in enumerate(intake.read_each(names, explain_one, limits), start=1):
        progress.step("Images", done, len(names))
        yield explained


def draw_explanation(image: NDArray[np.uint8], heat_map: HeatMap, title: str) -> Image.Image:
    """Draw an image, the same image with its map, and a legend.

    Args:
        image: The whole image, uint8 (H, W, 3).
        heat_map: What `explain` returned for it.
        title: The title.
    """
    height, width = image.shape[:2]
    across = max(2 * width, 480) + 3 * _GAP
    # A wide drawing is displayed smaller, so its text is proportionally larger.
    letters = max(15, across // 45)
    line = 2 * letters
    paper = Image.new("RGB", (across, height + 2 * _GAP + 2 * line), "white")
    paper.paste(Image.fromarray(image), (_GAP, _GAP + line))
    paper.paste(Image.fromarray(overlay(image, heat_map)), (2 * _GAP + width, _GAP + line))
    pen = ImageDraw.Draw(paper)
    pen.text((_GAP, _GAP), title, "black", load_font(letters))
    _draw_legend(paper, (_GAP, height + line + 3 * _GAP // 2), _short(heat_map.label), letters * 13 // 15)
    return paper


def _draw_legend(paper: Image.Image, corner: tuple[int, int], label: str, letters: int) -> None:
    """Draw a colour scale from "against" to "for", with text of a given height in pixels at both ends."""
    (left, top), pen, font = corner, ImageDraw.Draw(paper), load_font(letters)
    share = np.linspace(-1, 1, 9 * letters)[None, :, None]
    colours = np.where(share > 0, np.array(WARM), np.array(COOL))
    strip = 235 + np.abs(share) * (colours - 235)
    against = f"against {label}"
    pen.text((left, top), against, COOL, font)
    left += round(pen.textlength(against, font)) + 8
    paper.paste(
        Image.fromarray(np.repeat(strip, 3 * letters // 4, axis=0).astype(np.uint8)), (left, top + letters // 3)
    )
    pen.text((left + 9 * letters + 8, top), f"for {label}", WARM, font)


def _explained(
    classifier: Classifier, name: str, content: Callable[[], bytes], png: Path, label: str | None, config: ScanConfig
) -> Explained:
    try:
        image = images.decode(content(), config)
    except (ImageError, FetchError) as error:
        return Explained(Prediction(name, None, {}, error.reason if isinstance(error, FetchError) else str(error)))
    inputs = classifier.inputs_of(image.rgb)
    prediction = predict_image(classifier, inputs, source=name, hidden=image.hidden_by(config))
    heat_map = explain_inputs(classifier, inputs, image.rgb.size, label=label)
    shown = fair_size(image.rgb)
    # Rounded down, like the predictions.
    percent = math.floor(100 * prediction.probs[heat_map.label] + 1e-9)
    faces = "; frames: what a face adds" if heat_map.faces else ""
    title = f"{_short(heat_map.label)}: {percent}%   ({heat_map.method}{faces})"
    _save(draw_explanation(shown, heat_map, title), png, name)
    return Explained(prediction, heat_map.label, heat_map.method, png, heat_map.faces)


def _refuse_among(out: Path, sources: list[str], names: list[str], stems: list[str]) -> None:
    """Make sure that no map is written into an image folder, where it would be mistaken for an image."""
    if out.name == "explained" and (out.parent / MODEL_NAME).is_file():
        return
    place = out.resolve()
    for folder in map(Path, filter(os.path.isdir, sources)):
        files.refuse_among(out, folder, "--out")
        if folder.resolve().is_relative_to(place):
            raise OutputError(f"{str(out)!r} contains the images of {str(folder)!r}. Choose another --out")
    places = {place, *(place.joinpath(stem).parent for stem in stems)}
    for folder in {Path(name).parent for name in names if name != "-"}:
        if folder.resolve() in places:
            raise OutputError(f"the output folder {str(out)!r} contains the images. Choose another --out")


def _not_ours(names: list[str], asked_for: frozenset[str]) -> list[str]:
    """Skip files made by mien explain, unless they were named explicitly."""
    return [name for name in names if name in asked_for or not (name.lower().endswith(".png") and _is_ours(Path(name)))]


def _stem(name: str, folders: list[str]) -> str:
    """Return the path of an image below its source folder, or its own name; without the extension."""
    below = next((path for folder in folders if (path := _below(name, folder))), None)
    if below:
        return "/".join(map(safe_name, (*below.parts[:-1], below.stem)))
    if os.path.exists(name):
        return safe_name(Path(name).stem)
    return "standard-input" if name == "-" else safe_stem(name)


def _below(name: str, folder: str) -> PurePosixPath | None:
    """Return the path of an image relative to a folder or address, or None if it is elsewhere."""
    if is_address(folder):
        start = f"{folder.rstrip('/')}/"
        return PurePosixPath(name.removeprefix(start)) if name.startswith(start) else None
    return PurePosixPath(Path(name).relative_to(folder).as_posix()) if Path(name).is_relative_to(folder) else None


def _targets(names: list[str], stems: list[str], out: Path) -> list[Path]:
    """Return the path of the PNG file for each image, never one of a file that was not made here."""
    is_folder, suffix = out.is_dir(), out.suffix.lower()
    if suffix in EXTENSIONS and suffix != ".png" and not is_folder:
        raise OutputError(f"{str(out)!r} does not end in .png. Name a .png file or a folder")
    if suffix == ".png" and not is_folder:
        if len(names) > 1:
            raise OutputError(f"{str(out)!r} is one file, but there are {len(names)} images. Set --out to a folder")
        if not _may_write(out):
            raise OutputError(f"{str(out)!r} already exists and was not made by mien explain. Choose another --out")
        return [out] * len(names)
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    for below in {Path(stem).parent for stem in stems}:
        if out.joinpath(below).resolve() != out.resolve() / below:
            raise OutputError(f"{str(out / below)!r} is or contains a link. Choose another --out")
    taken: set[str] = set()
    first: dict[str, int] = {}
    return [_free(out, stem, name, taken, first) for name, stem in zip(names, stems, strict=True)]


def _free(folder: Path, stem: str, name: str, taken: set[str], first: dict[str, int]) -> Path:
    """Return the first path of stem.png, stem-2.png, ... that is free or has the map of this image, and reserve it.

    Args:
        folder: Where the maps go.
        stem: The path below it, without its extension.
        name: The image.
        taken: The paths of this command so far.
        first: For each stem, a number below which all are taken; so that not all are tried for each image.
    """

    def numbered(number: int) -> str:
        return f"{stem}.png" if number == 1 else f"{stem}-{number}.png"

    number = next(n for n in count(first.get(folded(stem), 1)) if folded(numbered(n)) not in taken)
    first[folded(stem)] = number
    while folded(numbered(number)) in taken or not _may_write(path := folder / numbered(number), of=name):
        number += 1
    taken.add(folded(numbered(number)))
    return path


def _save(drawn: Image.Image, path: Path, name: str) -> None:
    """Write a PNG file atomically, marked as made by mien explain of this image."""
    facts = PngInfo()
    facts.add_text(*_MAKER)
    facts.add_text(_SOURCE, _mark_of(name))
    with files.writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        drawn.save(temporary, "PNG", pnginfo=facts)


def _mark_of(name: str) -> str:
    """Return a mark that tells images of the same name apart, without naming their folders."""
    place = os.path.abspath(name) if os.path.exists(name) else name
    return hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()


def _may_write(path: Path, *, of: str = "") -> bool:
    return not os.path.lexists(path) or (not path.is_symlink() and _is_ours(path, of=of))


def _is_ours(path: Path, *, of: str = "") -> bool:
    """Return whether a file was made here and, if an image is given, is not known to be of another one."""
    try:
        with files.open_regular(path) as file, Image.open(file, formats=["PNG"]) as image:
            is_of = not of or image.info.get(_SOURCE, _mark_of(of)) == _mark_of(of)
            return is_of and image.info.get(_MAKER[0]) == _MAKER[1]
    except Exception:  # Pillow can raise anything on hostile files.
        return False


def _short(label: str) -> str:
    for num_letters in range(_MOST_LETTERS, 0, -1):
        shown = shorten(visible(label), num_letters)
        if load_font(13).getlength(shown) <= _MOST_LABEL_WIDTH:
            break
    return shown
