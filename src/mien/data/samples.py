"""Sample data: draw happy and sad people under free licences, with some bad files planted among them."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageOps

from mien.config import expect
from mien.core.files import write_text, writing
from mien.core.parallel import in_threads
from mien.core.progress import SILENCE, Progress
from mien.data.sample_styles import COVERS_MOUTH, HELD_OUT, STYLES, TRAINING_STYLES
from mien.errors import OutputError

if TYPE_CHECKING:
    from dicebear import Style

CLASS_NAMES = ("happy", "sad")


@dataclass(frozen=True)
class PlantedFile:
    """A bad file placed among the drawn images for the check to find.

    Attributes:
        path: Its place under `data`.
        what: What it is, in words.
        problem: The code that the check assigns, or "" if the check ignores it.
        make: Creates its bytes from those of the original image.
        original: The class of the original; "new" if it is drawn for this file only; "" if there is none.
    """

    path: str
    what: str
    problem: str
    make: Callable[[bytes], bytes]
    original: str = ""


def _same(image: bytes) -> bytes:
    return image


def _broken_off(image: bytes) -> bytes:
    return image[: len(image) // 2]


def _png(image: bytes) -> bytes:
    return _saved(Image.open(BytesIO(image)), "PNG")


def _icon(image: bytes) -> bytes:
    return _saved(Image.open(BytesIO(image)).resize((16, 16)), "PNG")


def _halved(image: bytes) -> bytes:
    opened = Image.open(BytesIO(image))
    return _saved(opened.resize((opened.width // 2, opened.height // 2)), "JPEG")


_PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>No such photo.</body></html>\n"
# Copies sort after the drawn images, so that a check that keeps the first of equals keeps the original.
PLANTED = (
    PlantedFile("happy/holiday.jpg", "a text file named .jpg", "not_an_image", lambda _: b"Ask Ann for the photos!\n"),
    PlantedFile("sad/download.jpg", "a web page saved as .jpg", "not_an_image", lambda _: _PAGE),
    PlantedFile("sad/half-sent.jpg", "a truncated JPEG", "unreadable", _broken_off, "sad"),
    PlantedFile("happy/empty.jpg", "an empty file", "empty", lambda _: b""),
    PlantedFile("happy/screenshot.jpg", "a PNG named .jpg", "wrong_extension", _png, "new"),
    PlantedFile("happy/icon.png", "a 16 x 16 image", "too_few_pixels", _icon, "new"),
    PlantedFile("happy/weekend.jpg", "a copy of a happy image", "exact_duplicate", _same, "happy"),
    PlantedFile("happy/weekend (1).jpg", "a second copy of it", "exact_duplicate", _same, "happy"),
    PlantedFile("sad/yesterday.jpg", "a copy of a sad image", "exact_duplicate", _same, "sad"),
    PlantedFile("happy/weekend-small.jpg", "a happy image at half its size", "near_duplicate", _halved, "happy"),
    PlantedFile("sad/yesterday-small.jpg", "a sad image at half its size", "near_duplicate", _halved, "sad"),
    PlantedFile("happy/who-knows.jpg", "a copy of a sad image", "conflicting_labels", _same, "sad"),
    PlantedFile("sad/.DS_Store", "a hidden file", "", lambda _: b"\0\0\0\1Bud1"),
    PlantedFile("notes.txt", "a text file next to the class folders", "", lambda _: b"Collected on Sunday.\n"),
)


@dataclass(frozen=True)
class _Person:
    path: str
    style: str
    label: str
    seed: int


def draw(folder: str | Path, *, num_images: int = 600, seed: int = 7, progress: Progress = SILENCE) -> Path:
    """Draw happy and sad people as training images and as unseen images to try, and plant bad files among them.

    `folder` appears only when it is complete. Drawing again with the same settings gives the same bytes; a folder that
    already holds them is left alone.

        data/happy, data/sad      training images, and the `PLANTED` files
        unseen/happy, unseen/sad  new images: six of other people, six in a style that is not in `data`
        CREDITS.txt               the artists and licences of the parts

    Args:
        folder: Where to draw. It must not exist, or must hold the same drawings.
        num_images: Number of training images: an even number, half for each class.
        seed: Number that determines every drawing.
        progress: Receives the number of drawn images.

    Returns:
        The path of `folder/data`.

    Raises:
        SettingsError: `num_images` is odd, or too small to plant bad files among.
        OutputError: `folder` holds something else, or cannot be written.
    """
    is_even = num_images >= 20 and num_images % 2 == 0
    expect(is_even, "num_images", num_images, "an even number, 20 or more")
    data_dir = Path(folder) / "data"
    folder = Path(folder).resolve()
    heading = f"{num_images} images drawn by mien from seed {seed}"
    if not _is_drawn(folder, heading):
        with _whole(folder) as temporary:
            _draw_people(temporary, _people(num_images, seed), progress=progress)
            _plant(temporary / "data", seed)
            write_text(temporary / "CREDITS.txt", f"{heading}\n\n{_credits()}")
    return data_dir


def _is_drawn(folder: Path, heading: str) -> bool:
    if not folder.exists():
        return False
    credits_path = folder / "CREDITS.txt"
    with writing(folder):
        found = credits_path.read_text(encoding="utf-8", errors="replace") if credits_path.is_file() else ""
    if found.startswith(heading + "\n"):
        return True
    holds = found.partition("\n")[0] if "drawn by mien" in found else "something else"
    raise OutputError(f"{str(folder)!r} already exists but is not {heading}: it is {holds}. Choose another folder.")


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, and rename it to `folder` if the block succeeds."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(folder):
            temporary.mkdir(parents=True)
            yield temporary
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _people(num_images: int, seed: int) -> list[_Person]:
    """List the people to draw and their paths, cycling through the same styles in both classes."""
    people = []
    for label in CLASS_NAMES:
        for number in range(1, num_images // 2 + 1):
            style = TRAINING_STYLES[number % len(TRAINING_STYLES)]
            ending = "png" if number % 15 == 0 else "jpg"
            people.append(_Person(f"data/{label}/{style}-{number:04}.{ending}", style, label, seed))
        for number in range(1, 7):
            for style in (TRAINING_STYLES[number % len(TRAINING_STYLES)], HELD_OUT):
                people.append(_Person(f"unseen/{label}/{style}-{number:02}.jpg", style, label, seed))
    return people


def _draw_people(folder: Path, people: list[_Person], *, progress: Progress) -> None:
    images = in_threads(_image, people)
    for num_drawn, (person, image) in enumerate(zip(people, images, strict=True), 1):
        path = folder / person.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
        progress.step("Drawing", num_drawn, len(people))


def _plant(data_dir: Path, seed: int) -> None:
    """Write the planted files. Copies are made from the largest images, so that half the size is still not tiny."""
    by_size = {
        label: iter(sorted((data_dir / label).glob("*.jpg"), key=lambda path: (-path.stat().st_size, path.name)))
        for label in CLASS_NAMES
    }
    for planted in PLANTED:
        original = b""
        if planted.original == "new":
            original = _image(_Person(planted.path, TRAINING_STYLES[0], planted.path.split("/")[0], seed))
        elif planted.original:
            original = next(by_size[planted.original]).read_bytes()
        (data_dir / planted.path).write_bytes(planted.make(original))


def _image(person: _Person) -> bytes:
    """Return the image file of a person, as JPEG or PNG depending on its name."""
    rng = Random(f"{person.seed}/{person.path}")
    side = round(rng.triangular(240, 480, 256))
    image = _background(side, rng)
    figure = _figure(person, side)
    image.paste(figure, mask=figure)
    image = _cropped(_grained(image, rng), rng)
    return _saved(image, "PNG" if person.path.endswith(".png") else "JPEG", rng.randint(85, 95))


def _background(side: int, rng: Random) -> Image.Image:
    """Return an RGB gradient with shapes large enough that no two images have similar hashes."""
    gradient = rng.choice((Image.linear_gradient, Image.radial_gradient))("L").resize((side, side))
    turned = gradient.transpose(rng.choice((Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180)))
    image = ImageOps.colorize(turned, _color(rng), _color(rng))
    canvas = ImageDraw.Draw(image)
    for smallest, largest in [(5, 2)] * 3 + [(16, 4)] * 5:
        center, radius = (rng.randint(0, side), rng.randint(0, side)), rng.randint(side // smallest, side // largest)
        num_corners = rng.choice((3, 4, 6, 90))
        canvas.regular_polygon((*center, radius), num_corners, rng.randint(0, 90), _color(rng))
    return image


def _color(rng: Random) -> str:
    return f"hsl({rng.randint(0, 359)}, {rng.randint(20, 65)}%, {rng.randint(40, 90)}%)"


def _figure(person: _Person, side: int) -> Image.Image:
    """Return a person on a transparent background, RGBA, rotated and framed as in a snapshot."""
    from dicebear import Avatar
    from resvg_py import svg_to_bytes

    svg = str(Avatar(_style(person.style), _options(person)))
    # The clip ends where the image does, and nearly doubles resvg's time.
    svg = re.sub(r' clip-path="url\(#clip-\w+\)"', "", svg)
    return Image.open(BytesIO(svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)))


def _options(person: _Person) -> dict[str, Any]:
    look = STYLES[person.style]
    shown = look.happy if person.label == "happy" else look.sad
    zoom, shift = look.frame
    return {
        "seed": f"{person.seed}/{person.path}",
        "backgroundColor": "#0000",
        # Vary little, so that a small network can find the mouth in a few hundred images.
        "flip": ["none"],
        "scale": [zoom * 0.96, zoom * 1.04],
        "rotate": [-4, 4],
        "translateX": [-2.5, 2.5],
        "translateY": [shift - 2.5, shift + 2.5],
        **{f"{component}Variant": variants.split() for component, variants in shown.items()},
        **{f"{component}Probability": 0 for component in COVERS_MOUTH},
    }


def _grained(image: Image.Image, rng: Random) -> Image.Image:
    """Add noise as in photographs; flat drawings compress to suspiciously small files."""
    grain = Image.frombytes("L", image.size, rng.randbytes(image.width * image.height))
    return Image.blend(image, grain.convert("RGB"), 0.05)


def _cropped(image: Image.Image, rng: Random) -> Image.Image:
    """Crop some images to portrait or landscape, around the middle."""
    across, down = rng.choice(((0, 0), (image.width // 12, 0), (0, image.height // 12)))
    return image.crop((across, down, image.width - across, image.height - down))


def _saved(image: Image.Image, file_format: str, quality: int = 95) -> bytes:
    file = BytesIO()
    image.save(file, file_format, quality=quality)
    return file.getvalue()


@cache
def _style(name: str) -> "Style":
    from dicebear import Style

    return Style(_definition(name))


def _definition(name: str) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(files("dicebear_styles").joinpath(f"{name}.json").read_text("utf-8"))
    return definition


def _credits() -> str:
    """Return who drew the parts of the images, and under which licence, in the package's own words."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("dicebear-core", "dicebear-styles", "resvg-py"))
    lines = [f"Assembled by {packages}; framed and placed on backgrounds by mien.", ""]
    for name in STYLES:
        meta = _definition(name)["meta"]
        source, creator, licence = meta["source"], meta["creator"], meta["license"]
        lines += [
            f"{name}: {source['name']}, {source['url']}",
            f"    by {creator['name']}, {creator['url']}",
            f"    licence: {licence['name']}, {licence['url']}",
        ]
    return "\n".join(lines) + "\n"
