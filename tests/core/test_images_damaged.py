"""Images as they should not be: damaged, hostile, or none at all. Each is named, and nothing else happens."""

import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image, features

from conftest import draw_image, encoded, problem_of
from mien.config import ScanConfig
from mien.core import opening
from mien.core.formats import FORMATS
from mien.core.images import decode, resize
from mien.errors import ImageError

CONFIG = ScanConfig(image_size=(48, 64))
BLOBS = draw_image(1, width=90, height=70)
ENCODERS = [name for name in FORMATS if name != "HEIF" and (name != "AVIF" or features.check("avif"))]


@contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count how often a file that is decoded is read: what Pillow does in Python, it does for each read."""
    reads = [0]

    class Counted(opening.Content):
        def read(self, size: int | None = -1, /) -> bytes:
            reads[0] += 1
            return super().read(size)

    with monkeypatch.context() as patch:
        patch.setattr(opening, "Content", Counted)
        yield reads


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_that_declares(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body


def jpeg_of_passes(num_passes: int) -> bytes:
    content = encoded(BLOBS, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    one_pass = content[last : last + 2 + int.from_bytes(content[last + 2 : last + 4], "big")]
    return content[:-2] + num_passes * one_pass + b"\xff\xd9"


OTHERS = {
    b"<!DOCTYPE html><html><body>Not found</body></html>": "web page",
    b"\xef\xbb\xbf\n <HTML>404": "web page",
    b"just words": "text",
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(50): "document",
    b"PK\x03\x04" + bytes(50): "archive",
    b'<svg xmlns="http://www.w3.org/2000/svg"/>': "SVG",
    b'<?xml version="1.0"?><svg/>': "SVG",
    b"8BPS\0\1" + bytes(200): "Photoshop",
    bytes(200): "not a known image format",
    encoded(BLOBS, "ICO"): "an icon",
    encoded(BLOBS, "EPS"): "document",
    encoded(BLOBS, "PCX"): "PCX",
}


@pytest.mark.parametrize(("content", "reason"), OTHERS.items(), ids=range(len(OTHERS)))
def test_what_is_no_image_of_an_allowed_kind_is_named(content: bytes, reason: str) -> None:
    problem = problem_of(content, CONFIG)
    assert problem.problem == "not_an_image"
    assert reason in str(problem)


def test_an_empty_file_is_named() -> None:
    assert problem_of(b"", CONFIG).problem == "empty"


@pytest.mark.parametrize("format_", ENCODERS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_image_that_is_cut_off_is_unreadable(format_: str, share: float) -> None:
    content = encoded(draw_image(3, width=200, height=150), format_)
    problem = problem_of(content[: int(len(content) * share)], CONFIG)
    assert problem.problem == "unreadable"
    assert str(problem).startswith("damaged: ") and len(str(problem)) > 15


@pytest.mark.parametrize("format_", [name for name in ENCODERS if name != "BMP"])
def test_the_first_bytes_of_an_image_alone_are_unreadable(format_: str) -> None:
    assert problem_of(encoded(BLOBS, format_)[:20], CONFIG).problem == "unreadable"


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("size", [(50_000, 50_000), (10_000, 10_000), (9_460, 9_460)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    assert problem_of(png_that_declares(*size), CONFIG).problem == "too_many_pixels"


def test_the_limit_on_pixels_is_the_users() -> None:
    content = encoded(BLOBS, "PNG")
    assert decode(content, ScanConfig(max_pixels=90 * 70)).width == 90
    problem = problem_of(content, ScanConfig(max_pixels=90 * 70 - 1))
    assert problem.problem == "too_many_pixels"
    assert "90 x 70" in str(problem) and "6299" in str(problem)


def test_a_jpeg_of_a_hundred_passes_is_decoded() -> None:
    assert decode(jpeg_of_passes(100), CONFIG).width == 90


@pytest.mark.usefixtures("no_pixels")
def test_a_jpeg_that_asks_for_thousands_of_passes_is_refused_before_it_is_decoded() -> None:
    problem = problem_of(jpeg_of_passes(20_000), CONFIG)
    assert problem.problem == "unreadable" and "passes" in str(problem)


def test_fewer_passes_are_allowed_over_more_pixels(request: pytest.FixtureRequest) -> None:
    content = encoded(Image.new("L", (5000, 4000)), "JPEG", progressive=True)
    assert decode(content, CONFIG).width == 5000
    last = content.rindex(b"\xff\xda")
    request.getfixturevalue("no_pixels")
    assert "more than 100 passes" in str(problem_of(content[:-2] + 120 * content[last:-2] + content[-2:], CONFIG))


def floods() -> dict[str, bytes]:
    jpeg, png, gif = encoded(BLOBS, "JPEG"), encoded(BLOBS, "PNG"), encoded(Image.new("1", (9, 9)), "GIF")
    image_of_gif = gif.index(b"\x2c", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    exif = b"\xff\xe1" + struct.pack(">H", 4002) + b"Exif\0\0" + bytes(3994)
    return {
        "remarks of a JPEG": jpeg[:2] + 500_000 * b"\xff\xfe\0\2" + jpeg[2:],
        "EXIF of a JPEG": jpeg[:2] + 5000 * exif + jpeg[2:],
        "chunks of a PNG": png[:33] + 200_000 * png_chunk(b"abCd", b"") + png[33:],
        "chunks at the end of a PNG": png[:-12] + 500_000 * png_chunk(b"abCd", b"") + png[-12:],
        "a remark of a GIF": gif[:image_of_gif] + b"!\xfe" + 20_000 * (b"\xff" + bytes(255)) + gif[image_of_gif - 1 :],
    }


@pytest.mark.slow
@pytest.mark.medium
@pytest.mark.parametrize("kind", floods())
def test_a_file_in_countless_pieces_is_refused_long_before_its_last(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = floods()[kind]
    with counted_reads(monkeypatch) as reads:
        problem = problem_of(content, CONFIG)
    assert problem.problem == "unreadable" and "pieces" in str(problem)
    # Pieces at its end are among those that its pixels may come in.
    assert reads[0] <= (20_001 if "end" not in kind else 620_000)


def test_as_many_pieces_as_real_images_have_are_read() -> None:
    png, jpeg = encoded(BLOBS, "PNG"), encoded(BLOBS, "JPEG")
    assert decode(png[:33] + 1000 * png_chunk(b"abCd", bytes(500)) + png[33:], CONFIG).width == 90
    assert (
        decode(jpeg[:2] + 150 * (b"\xff\xe2" + struct.pack(">H", 65535) + bytes(65533)) + jpeg[2:], CONFIG).width == 90
    )


DAMAGED_EXIF = {
    "no header": b"Exif\0\0" + bytes(range(40)),
    "directory beyond its end": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "directory cut off": b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12\0\x03",
    "orientation of text": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x03ab\0\0" + bytes(4),
    "orientation without a value": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\0\x1a" + bytes(8),
    "orientation 99": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0" + bytes(4),
}


# Pillow says so too, in a warning; that is not the error here.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("format_", [name for name in ("JPEG", "PNG", "WEBP") if name in ENCODERS])
@pytest.mark.parametrize("kind", DAMAGED_EXIF)
def test_damaged_exif_does_not_lose_the_image(kind: str, format_: str) -> None:
    image = decode(encoded(BLOBS, format_, exif=DAMAGED_EXIF[kind]), CONFIG)
    assert (image.width, image.height) == (90, 70)
    assert np.array_equal(np.asarray(image.rgb), np.asarray(decode(encoded(BLOBS, format_), CONFIG).rgb))


def corpus() -> list[bytes]:
    clear, exif = BLOBS.convert("RGBA"), Image.Exif()
    clear.putalpha(BLOBS.convert("L"))
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [draw_image(2, width=90, height=70)]}
    files = [encoded(BLOBS, name) for name in ENCODERS]
    files += [encoded(BLOBS, name, exif=exif) for name in ENCODERS if name not in ("BMP", "GIF", "PPM", "TGA")]
    files += [encoded(clear, name) for name in ENCODERS if name not in ("JPEG", "PPM")]
    files += [encoded(BLOBS, name, **frames) for name in ENCODERS if name not in ("JPEG", "BMP", "PPM", "TGA")]
    files += [encoded(BLOBS.convert(mode), "TIFF") for mode in ("1", "P", "CMYK", "YCbCr", "I", "F")]
    files += [encoded(BLOBS, "TIFF", compression=name) for name in ("tiff_lzw", "packbits", "jpeg")]
    return [*files, encoded(BLOBS, "JPEG", progressive=True), encoded(BLOBS, "MPO", **frames)]


def damaged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Cut it off, go on with another file, leave a piece out, or overwrite some bytes, mostly near its start."""
    place, kind = chance.randrange(len(content)), chance.randrange(6)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + other[chance.randrange(len(other)) :]
    if kind == 2:
        return content[:place] + content[place + chance.randrange(1, 40) :]
    spoiled = bytearray(content)
    for _ in range(chance.choice((1, 2, 8))):
        spoiled[chance.randrange(len(content) if kind == 3 else min(256, len(content)))] = chance.randrange(256)
    return bytes(spoiled)


@pytest.mark.medium
def test_whatever_is_done_to_a_file_it_is_decoded_or_named() -> None:
    chance, files = random.Random(7), corpus()
    outcomes, reasons = set(), set()
    for _ in range(1500):
        content = damaged(chance.choice(files), chance.choice(files), chance)
        try:
            assert resize(decode(content, CONFIG).rgb, CONFIG).shape == (48, 64, 3)
            outcomes.add("decoded")
        except ImageError as error:
            outcomes.add(error.problem)
            reasons.add(str(error))
    assert outcomes >= {"decoded", "unreadable", "not_an_image", "too_many_pixels"}
    assert all(reasons)


@pytest.mark.usefixtures("no_pixels")
def test_a_bmp_that_declares_more_than_it_can_hold_is_refused_before_it_is_decoded() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 5_000_000, 16, 1, 8, 1, 0, 0, 0, 256, 0)
    content = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024) + header + bytes(1024) + b"\0\1"
    problem = problem_of(content, CONFIG)
    assert problem.problem == "unreadable"
    assert "cannot hold" in str(problem)
