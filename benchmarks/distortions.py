"""Which distorted copies of an image are found, and which images of a folder are called copies of one another.

    python benchmarks/distortions.py PHOTOS [--sheet PAIRS.png] [--copies-within BITS]

Distorts every usable image of the folder in many ways, in memory; saves, decodes and hashes it as `mien` does; and
prints for each way the share that the gate for leaks finds, with its 95% interval, and the median of the bits apart.
Then compares all readable images of the folder with one another and prints how many pairs are called copies, at
several limits. Which of them are, only an eye can tell: --sheet draws them for it, the furthest apart first, and
--copies-within tells what it saw, so that the others count as false alarms.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from mien.config import CleanConfig, ScanConfig
from mien.core.images import decode
from mien.core.parallel import in_threads
from mien.core.scores import wilson_score
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, ImageRecord
from mien.data.near_copies import FLIPS, bits_apart, flipped, perceptual_hash
from mien.data.scanning import scan
from timing import arguments

LIMITS = (8, 12, 16, 20, 24)
CELL = 128
# Images are distorted at about the size in which the web shows them.
LARGE = ScanConfig(image_size=(512, 512))
Edit = Callable[[Image.Image], Image.Image]
# The bits apart of one pair, and the places of its two images.
Pair = tuple[int, int, int]


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
        "a third less high": lambda image: image.resize((image.width, max(1, image.height * 2 // 3))),
        "grey": in_grey,
        "brighter by 20%": partial(enhanced, kind=brightness, by=1.2),
        "darker by 20%": partial(enhanced, kind=brightness, by=0.8),
        "contrast up by 20%": partial(enhanced, kind=contrast, by=1.2),
        "contrast down by 20%": partial(enhanced, kind=contrast, by=0.8),
        "watermark in a corner": stamped,
        "caption below, 10%": captioned,
        **{f"black border, {share:.0%} of the side": partial(framed, share=share) for share in (0.02, 0.05)},
        **{f"middle, {share:.0%} cut off": partial(cropped, share=share) for share in (0.02, 0.05, 0.1, 0.2)},
        **{
            f"right and bottom, {share:.0%} cut off": partial(cropped, share=share, where=(0, 0))
            for share in (0.02, 0.05, 0.1, 0.2)
        },
        **{f"turned by {degrees} degrees": partial(turned, degrees=degrees) for degrees in (1, 2, 5)},
        "mirrored": lambda image: image.transpose(left_right),
        "mirrored, size 1/4": lambda image: scaled(image.transpose(left_right), 0.25),
        "mirrored, middle, 2% cut off": lambda image: cropped(image.transpose(left_right), 0.02),
        "upside down": lambda image: image.transpose(upside_down),
        "turned by 180 degrees": lambda image: image.transpose(half),
        "turned by 90 degrees": lambda image: image.transpose(quarter),
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


def bits_to_copies(dataset: Dataset, records: Sequence[ImageRecord]) -> dict[str, list[int]]:
    """Return for each distortion how many bits each distorted image is from its original, flipped or not."""
    ways = distortions()

    def distort(record: ImageRecord) -> list[int]:
        image = decode((dataset.root / record.path).read_bytes(), LARGE).rgb
        originals = [record.phash, *(flipped([record.phash], flip)[0] for flip in FLIPS)]
        hashes = [perceptual_hash(decode(distorted(image), ScanConfig()).rgb) for distorted in ways.values()]
        return [min(bits_apart(found, original) for original in originals) for found in hashes]

    by_image = np.array(list(in_threads(distort, records)))
    return dict(zip(ways, by_image.T.tolist(), strict=True))


def called_pairs(records: Sequence[ImageRecord]) -> Iterator[tuple[str, Pair]]:
    """Yield the pairs within the highest limit, and how one of the two is flipped."""
    hashes = [record.phash for record in records]
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 2)
    for way in ("as they are", *FLIPS):
        others = hashes if way == "as they are" else flipped(hashes, way)
        other_words = np.frombuffer(bytes.fromhex("".join(others)), np.uint64).reshape(-1, 2)
        for first in range(len(records)):
            bits = np.bitwise_count(words[first] ^ other_words[first + 1 :]).sum(axis=1)
            for second in np.flatnonzero(bits <= LIMITS[-1]).tolist():
                yield way, (int(bits[second]), first, first + 1 + second)


def draw_sheet(dataset: Dataset, records: Sequence[ImageRecord], pairs: Sequence[Pair], path: Path) -> None:
    """Draw pairs side by side, six in a row, with the bits between."""
    sheet = Image.new("RGB", (6 * (2 * CELL + 12), -(-len(pairs) // 6) * (CELL + 16)), "white")
    for number, (bits, *places) in enumerate(pairs):
        left, top = number % 6 * (2 * CELL + 12), number // 6 * (CELL + 16)
        for side, place in enumerate(places):
            image = decode((dataset.root / records[place].path).read_bytes(), ScanConfig()).rgb
            sheet.paste(ImageOps.pad(image, (CELL, CELL), color="white"), (left + side * CELL, top + 14))
        ImageDraw.Draw(sheet).text((left + 4, top), f"{bits} bits, {places}", "black")
    sheet.save(path)


def show_recall(distances: dict[str, list[int]]) -> None:
    """Print which share of each distortion is found, by default and with other limits."""
    others = [limit for limit in LIMITS if limit != CleanConfig.near_bits]
    heads = " | ".join(f"at {limit}" for limit in others)
    print(f"| distortion | found | median bits apart | {heads} |\n|---|---|---|{'---|' * len(others)}")
    for name, bits in distances.items():
        apart = np.array(bits)
        found = wilson_score(int(np.sum(apart <= CleanConfig.near_bits)), len(bits))
        shares = " | ".join(f"{np.mean(apart <= limit):.0%}" for limit in others)
        interval = f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"
        print(f"| {name} | {interval} | {np.median(apart):g} | {shares} |")


def show_false_alarms(pairs: Sequence[tuple[str, Pair]], num_records: int, copies_within: int) -> None:
    """Print how many pairs are called copies, and which share of the different images are, by limit."""
    num_copies = sum(bits <= copies_within for _, (bits, _, _) in pairs)
    num_different = num_records * (num_records - 1) // 2 - num_copies
    print(f"\n{num_copies} pairs of copies and {num_different} of different images; called copies:\n")
    print("| limit | as they are | flipped | of them different | share of the different pairs |\n|---|---|---|---|---|")
    for limit in LIMITS:
        called = [(way, bits) for way, (bits, _, _) in pairs if bits <= limit]
        upright = sum(way == "as they are" for way, _ in called)
        different = sum(bits > copies_within for _, bits in called)
        share = wilson_score(different, num_different)
        interval = f"{share.value:.4%} ({share.low:.4%} to {share.high:.4%})"
        print(f"| {limit} | {upright} | {len(called) - upright} | {different} | {interval} |")


def main() -> None:
    """Distort, compare, and print what was found."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--sheet", type=Path, help="a PNG file for the pairs that are called copies")
    help_ = "the pairs up to this many bits are copies, by eye, and those above are not (default: %(default)s)"
    parser.add_argument("--copies-within", type=int, default=8, help=help_)
    given = parser.parse_args()
    dataset = clean(scan(given.photos))
    usable = [record for record in dataset.records if record.used]
    print(f"{len(usable)} usable images, distorted; found: within {CleanConfig.near_bits} of 128 bits\n")
    show_recall(bits_to_copies(dataset, usable))

    readable = [record for record in dataset.records if record.phash]
    pairs = list(called_pairs(readable))
    show_false_alarms(pairs, len(readable), given.copies_within)
    if given.sheet:
        draw_sheet(dataset, readable, sorted((pair for _, pair in pairs), reverse=True), given.sheet)


if __name__ == "__main__":
    main()
