"""Which distorted copies of an image are found.

    python benchmarks/distortions.py PHOTOS

Distorts every usable image of the folder in many ways, in memory; saves, decodes and hashes it as `mien` does; and
prints for each way the share that the gate for leaks finds, with its 95% interval; the share that has a near hash, of
which the rest is not proved on the pixels; and the median of the bits apart. For wrong accusations see domains.py.
"""

import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from mien.config import CleanConfig, ScanConfig
from mien.core.images import DecodedImage, decode
from mien.core.parallel import in_threads
from mien.core.scores import wilson_score
from mien.data.cleaning import clean
from mien.data.copies import find_copies
from mien.data.dataset import Dataset, ImageRecord
from mien.data.looks import look_of
from mien.data.near_copies import FLIPS, bits_between, perceptual_hash
from mien.data.scanning import scan
from timing import arguments

# Images are distorted at about the size in which the web shows them.
LARGE = ScanConfig(image_size=(512, 512))
Edit = Callable[[Image.Image], Image.Image]


def saved(image: Image.Image, format_: str = "JPEG", quality: int = 90) -> bytes:
    """Return the image as the content of a file."""
    file = io.BytesIO()
    image.save(file, format_, quality=quality)
    return file.getvalue()


def scaled(image: Image.Image, share: float) -> Image.Image:
    """Return the image at a share of its width and height."""
    return image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))))


def to_side(image: Image.Image, side: int) -> Image.Image:
    """Return the image with a longer side of so many pixels."""
    return scaled(image, side / max(image.size))


def cropped(image: Image.Image, share: float, where: tuple[float, float] = (0.5, 0.5)) -> Image.Image:
    """Cut a share off the width and off the height: from both sides, or from the right and the bottom at (0, 0)."""
    left, top = (round(side * share * part) for side, part in zip(image.size, where, strict=True))
    return image.crop((left, top, left + round(image.width * (1 - share)), top + round(image.height * (1 - share))))


def turned(image: Image.Image, degrees: float) -> Image.Image:
    """Turn the image; the corners get black."""
    return image.rotate(degrees, Image.Resampling.BILINEAR)


def framed(image: Image.Image, share: float) -> Image.Image:
    """Put a black border around the image."""
    return ImageOps.expand(image, round(share * min(image.size)), "black")


def captioned(image: Image.Image) -> Image.Image:
    """Put a white bar with black text below the image, a tenth of its height."""
    height = max(12, image.height // 10)
    longer = ImageOps.expand(image, (0, 0, 0, height), "white")
    ImageDraw.Draw(longer).text((8, image.height), "when the week is over", "black", font_size=height * 0.7)
    return longer


def stamped(image: Image.Image) -> Image.Image:
    """Write a watermark into the lower right corner, a third of the width."""
    marked = image.copy()
    size = max(8, image.width // 20)
    place = (round(image.width * 0.65), image.height - 2 * size)
    ImageDraw.Draw(marked).text(place, "example.org", "white", font_size=size, stroke_width=1, stroke_fill="black")
    return marked


def enhanced(image: Image.Image, kind: type[ImageEnhance.Brightness | ImageEnhance.Contrast], by: float) -> Image.Image:
    """Return the image brighter, darker, or with another contrast."""
    return kind(image).enhance(by)


def in_grey(image: Image.Image) -> Image.Image:
    """Return the image without its colours."""
    return image.convert("L").convert("RGB")


def edited(image: Image.Image, edit: Edit) -> bytes:
    """Return the content of a file of the image after an edit."""
    return saved(edit(image))


def edits() -> dict[str, Edit]:
    """Return what is done to an image before it is saved as a JPEG of quality 90, by name."""
    left_right, quarter = Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90
    upside_down, half = Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180
    brightness, contrast = ImageEnhance.Brightness, ImageEnhance.Contrast
    return {
        "size 1/2": partial(scaled, share=0.5),
        "size 1/4": partial(scaled, share=0.25),
        "longer side 64 pixels": partial(to_side, side=64),
        "height reduced by a third": lambda image: image.resize((image.width, max(1, image.height * 2 // 3))),
        "grey": in_grey,
        "brighter by 20%": partial(enhanced, kind=brightness, by=1.2),
        "darker by 20%": partial(enhanced, kind=brightness, by=0.8),
        "contrast up by 20%": partial(enhanced, kind=contrast, by=1.2),
        "contrast down by 20%": partial(enhanced, kind=contrast, by=0.8),
        "watermark in a corner": stamped,
        "caption below, 10%": captioned,
        **{f"black border, {share:.0%} of the side": partial(framed, share=share) for share in (0.02, 0.05)},
        **{f"{share:.0%} cropped all round": partial(cropped, share=share) for share in (0.02, 0.05, 0.1, 0.2)},
        **{
            f"{share:.0%} cropped right and bottom": partial(cropped, share=share, where=(0, 0))
            for share in (0.02, 0.05, 0.1, 0.2)
        },
        **{
            f"rotated by {degrees} degree{'s' * (degrees > 1)}": partial(turned, degrees=degrees)
            for degrees in (1, 2, 5)
        },
        "mirrored": lambda image: image.transpose(left_right),
        "mirrored, size 1/4": lambda image: scaled(image.transpose(left_right), 0.25),
        "mirrored, 2% cropped all round": lambda image: cropped(image.transpose(left_right), 0.02),
        "upside down": lambda image: image.transpose(upside_down),
        "rotated by 180 degrees": lambda image: image.transpose(half),
        "rotated by 90 degrees": lambda image: image.transpose(quarter),
    }


def distortions() -> dict[str, Callable[[Image.Image], bytes]]:
    """Return all ways to make a file from an image, by name."""
    left_right = Image.Transpose.FLIP_LEFT_RIGHT
    return {
        **{f"JPEG, quality {quality}": partial(saved, quality=quality) for quality in (95, 75, 50, 30, 10)},
        "PNG": partial(saved, format_="PNG"),
        "WebP, quality 80": partial(saved, format_="WEBP", quality=80),
        **{name: partial(edited, edit=edit) for name, edit in edits().items()},
        "mirrored, JPEG, quality 30": lambda image: saved(image.transpose(left_right), quality=30),
    }


def found_copies(dataset: Dataset, records: Sequence[ImageRecord]) -> dict[str, list[tuple[bool, int]]]:
    """Return for each distortion, and each image, whether it is found, and how many bits apart the hashes are."""
    ways = distortions()

    def distort(record: ImageRecord) -> list[tuple[bool, int]]:
        image = decode((dataset.root / record.path).read_bytes(), LARGE).rgb
        return [found_copy(record, decode(distorted(image), ScanConfig())) for distorted in ways.values()]

    by_image = list(in_threads(distort, records))
    return dict(zip(ways, map(list, zip(*by_image, strict=True)), strict=True))


def found_copy(record: ImageRecord, changed: DecodedImage) -> tuple[bool, int]:
    """Return whether an image is found as a copy of a record, and how many bits apart the hashes are."""
    phash = perceptual_hash(changed.rgb)
    other = ImageRecord(
        "changed", record.label, phash=phash, width=changed.width, height=changed.height, look=look_of(changed.rgb)
    )
    found = find_copies([record, other], CleanConfig.near_bits, flips=FLIPS)[1] is not None
    return found, min(int(bits_between([record.phash], [phash], flip)[0, 0]) for flip in ("", *FLIPS))


def main() -> None:
    """Distort, look for the copies, and print what was found."""
    given = arguments(__doc__, rounds=1).parse_args()
    dataset = clean(scan(given.photos))
    usable = [record for record in dataset.records if record.used]
    print(f"{len(usable)} usable images, distorted\n")
    print("| distortion | found | candidates by hash | median bits apart |\n|---|---|---|---|")
    for name, results in found_copies(dataset, usable).items():
        bits = np.array([apart for _, apart in results])
        score = wilson_score(sum(found for found, _ in results), len(results))
        interval = f"{score.value:.0%} ({score.low:.0%} to {score.high:.0%})"
        print(f"| {name} | {interval} | {np.mean(bits <= CleanConfig.near_bits):.0%} | {np.median(bits):g} |")


if __name__ == "__main__":
    main()
