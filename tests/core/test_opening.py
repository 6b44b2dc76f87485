"""What is opened beyond what Pillow opens by itself, and what is refused before it is decoded."""

import io
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import draw_image, encoded, problem_of
from mien.config import ScanConfig
from mien.core.images import decode, decoding_bytes
from mien.errors import ImageError

KINDS = Path(__file__).parents[1] / "kinds"
CONFIG = ScanConfig(image_size=(48, 64))
PHOTO = draw_image(1, width=640, height=480)
BLOBS = draw_image(2, width=90, height=70)


VIDEO = b"\0\0\0\x18ftypmp42" + random.Random(1).randbytes(100) + 1000 * b"\xff\xda\xff\xd9"


@pytest.mark.parametrize("last", [b"", b"\xff\xda"])
def test_passes_in_a_video_behind_an_image_are_none_of_its_own(last: bytes) -> None:
    content = encoded(PHOTO, "JPEG")
    image = decode(content + VIDEO + last, CONFIG)
    assert np.array_equal(np.asarray(image.rgb), np.asarray(decode(content, CONFIG).rgb)) and not image.lacks_end
    thumbnail = Image.Exif()
    thumbnail[0x010E] = (600 * "\xff\xda").encode("latin-1").decode("latin-1")
    assert decode(encoded(PHOTO, "JPEG", exif=thumbnail), CONFIG).width == 640


OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "grey": {},
}


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("num_missing", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_is_used_and_told(kind: str, num_missing: int) -> None:
    content = encoded(PHOTO.convert("L") if kind == "grey" else PHOTO, "JPEG", **OPTIONS[kind])
    image = decode(content[:-num_missing], CONFIG)
    assert image.lacks_end and not decode(content, CONFIG).lacks_end
    assert np.array_equal(np.asarray(image.rgb), np.asarray(decode(content, CONFIG).rgb))
    assert decoding_bytes(content[:-num_missing], CONFIG) > decoding_bytes(content, CONFIG)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_jpeg_that_is_cut_off_anywhere_is_refused(kind: str) -> None:
    content = encoded(PHOTO.convert("L") if kind == "grey" else PHOTO, "JPEG", **OPTIONS[kind])
    for num_bytes in range(10, len(content) - 12, len(content) // 60):
        assert problem_of(content[:num_bytes], CONFIG).problem == "unreadable", num_bytes


def test_a_jpeg_of_two_hundred_megapixels_is_decoded_small() -> None:
    content = encoded(Image.new("L", (16_384, 12_288), 128), "JPEG")
    image = decode(content, CONFIG)
    assert (image.width, image.height) == (16_384, 12_288) and image.rgb.size == (2048, 1536)
    assert decoding_bytes(content, CONFIG) < 64 * 1024**2


def jpeg_of_size(width: int, height: int, **options: Any) -> bytes:
    """Return a JPEG that declares a size that it does not have."""
    content = bytearray(encoded(BLOBS, "JPEG", **options))
    frame = content.index(b"\xff\xc2" if options else b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (encoded(Image.new("1", (10_000, 10_000)), "PNG"), 10**8),
        (jpeg_of_size(12_000, 9_000, progressive=True), 108_000_000),
    ],
    ids=["PNG", "JPEG whose pixels are all kept"],
)
def test_what_is_too_large_is_refused_with_what_allows_it(content: bytes, needed: int) -> None:
    problem = problem_of(content, CONFIG)
    assert problem.problem == "too_many_pixels" and f"raise it with --max-pixels {needed}" in str(problem)


def test_what_the_message_names_is_enough() -> None:
    content = encoded(Image.new("1", (10_000, 10_000)), "PNG")
    assert decode(content, ScanConfig(max_pixels=10**8)).width == 10_000


@pytest.mark.usefixtures("no_pixels")
def test_a_jpeg_of_more_pixels_than_can_be_gone_through_is_refused() -> None:
    assert problem_of(jpeg_of_size(65_000, 65_000), CONFIG).problem == "too_many_pixels"


WORDS = " ".join(map(str, np.asarray(BLOBS).ravel()))
P6 = encoded(BLOBS, "PPM")


@pytest.mark.parametrize(
    "content",
    [
        P6,
        f"P3\n# a remark\n90 70 # another\n255\n{WORDS}".encode(),
        f"P3 90 70\n255\n# 1 2 3\n{WORDS.replace(' ', chr(10))}\n".encode(),
        P6 + P6,
    ],
    ids=["bytes", "words", "lines", "two images"],
)
def test_a_portable_map_is_read_in_bytes_and_in_words(content: bytes) -> None:
    image = decode(content, CONFIG)
    assert image.format == "PPM" and np.array_equal(np.asarray(image.rgb), np.asarray(BLOBS))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P2 3 1 15 0 5 15", [0, 85, 255]),
        (b"P5 3 1 15\n\0\5\x0f", [0, 85, 255]),
        (b"P2 3 1 4095 0 2048 4095", [0, 128, 255]),
        (b"P5 3 1 4095\n\0\0\x08\0\x0f\xff", [0, 128, 255]),
        (b"P5 3 1 65535\n\0\0\x80\0\xff\xff", [0, 128, 255]),
        (b"P1 3 1 101", [0, 255, 0]),
        (b"P1 3 1\n1 0\n#x\n1", [0, 255, 0]),
        (b"P4 3 1\n\xa0", [0, 255, 0]),
        (b"Pf 3 1 -1.0\n" + struct.pack("<3f", 0, 0.5, 1), [0, 128, 255]),
    ],
)
def test_the_highest_value_of_a_portable_map_is_white(content: bytes, expected: list[int]) -> None:
    assert np.asarray(decode(content, CONFIG).rgb)[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    "content",
    [
        b"P2 3 1 255 1 2",
        b"P2 3 1 255 1 2 x",
        b"P2 3 1 255 1 2 256",
        b"P2 3 1 255 1 2 -1",
        b"P1 3 1 10",
        b"P1 3 1 102",
        b"P5 3 1 255\n\0\0",
        b"P6 3 1 0\n" + bytes(9),
        b"P6 0 1 255\n",
        b"P2 3 1 255 99999999999999999999 1 2",
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_portable_map_that_lacks_pixels_is_damaged(content: bytes) -> None:
    assert problem_of(content, CONFIG).problem == "unreadable"


def test_a_million_remarks_are_passed_over_at_once() -> None:
    content = b"P3 400 400 255\n" + 1_000_000 * b"#\n" + b"1 2 3"
    assert problem_of(content, CONFIG).problem == "unreadable"


def test_what_is_small_in_a_tiff_and_large_elsewhere_is_a_raw_photo() -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    for tags in ({50706: b"\1\4\0\0"}, {254: 1, 330: 100}):
        directory = ImageFileDirectory_v2()
        for tag, value in tags.items():
            directory[tag] = value
        problem = problem_of(encoded(BLOBS, "TIFF", tiffinfo=directory), CONFIG)
        assert problem.problem == "not_an_image" and "RAW photo" in str(problem)
    assert decode(encoded(BLOBS, "TIFF"), CONFIG).width == 90


@pytest.mark.parametrize(
    "content",
    [
        b"P1 is good",
        b"P5",
        b"BM is a company",
        b"BM" + bytes(40),
        b"\0\0\2\0" + bytes(30),
        bytes(18),
        b"\0\0\1\0\1\0\x10\x10",
    ],
)
def test_what_only_begins_like_an_image_is_none(content: bytes) -> None:
    assert problem_of(content, CONFIG).problem == "not_an_image"


@pytest.mark.parametrize("blocks", [1, 4])
def test_a_jpeg_that_is_cut_off_between_places_to_restart_is_refused(blocks: int) -> None:
    content = encoded(PHOTO, "JPEG", restart_marker_blocks=blocks)
    for num_bytes in range(1000, len(content) - 12, len(content) // 60):
        assert problem_of(content[:num_bytes], CONFIG).problem == "unreadable", num_bytes


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_jpeg_whose_end_is_zeros_is_refused(kind: str) -> None:
    content = encoded(PHOTO, "JPEG", **OPTIONS[kind])
    for share in (0.4, 0.8):
        whole = int(len(content) * share)
        assert problem_of(content[:whole] + bytes(len(content) - whole), CONFIG).problem == "unreadable"


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("place", [2, 623])
def test_a_jpeg_of_countless_markers_is_refused(place: int) -> None:
    content = encoded(PHOTO, "JPEG")
    flood = content[:place] + 200_000 * b"\xff\x01" + content[place:] + 600 * b"\xff\xda"
    assert "pieces" in str(problem_of(flood, CONFIG))


def tiff_of(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(entries)) + b"".join(struct.pack(f"{order}HHII", *e) for e in entries)


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("order", "<>")
def test_a_tiff_in_countless_pieces_is_refused_unread(order: str) -> None:
    content = tiff_of((256, 3, 1, 9), (257, 3, 1, 9), (273, 4, 3_000_000, 90), order=order) + bytes(12_000_000)
    assert "pieces" in str(problem_of(content, CONFIG))


@pytest.mark.usefixtures("no_pixels")
def test_a_tiff_whose_tiles_are_far_larger_than_itself_is_refused() -> None:
    values = {256: 9, 257: 9, 258: 8, 259: 8, 262: 1, 277: 1, 322: 25_600, 323: 25_600, 324: 200, 325: 50}
    content = tiff_of(*((tag, 4, 1, value) for tag, value in values.items())) + bytes(300)
    assert "tiles" in str(problem_of(content, CONFIG))


def test_an_image_of_pillow_in_sixteen_bits_is_taken_as_its_file_is() -> None:
    from mien.core.images import of_pillow

    content = (KINDS / "png-rgb-12-bits-in-16.png").read_bytes()
    opened = of_pillow(Image.open(io.BytesIO(content)), CONFIG)
    assert np.array_equal(np.asarray(opened.rgb), np.asarray(decode(content, CONFIG).rgb))
    assert opened.traits == decode(content, CONFIG).traits


@pytest.mark.medium
def test_a_heic_on_which_its_decoder_breaks_down_is_damaged_and_the_next_is_read() -> None:
    content = (KINDS / "heic-exif-orientation-6.heic").read_bytes()
    broken = bytearray(content)
    # The name of the kind of one of its items, which is then no text.
    broken[broken.index(b"Exif", 100)] = 0x80
    assert str(problem_of(bytes(broken), CONFIG)) == "damaged: the HEIC decoder crashed on it"
    assert decode(content, CONFIG).width == 72


@pytest.mark.slow
@pytest.mark.medium
def test_of_a_heic_damaged_in_single_bytes_nothing_breaks_down() -> None:
    content, chance = (KINDS / "heic-grey.heic").read_bytes(), random.Random(3)
    outcomes = set()
    for _ in range(60):
        broken = bytearray(content)
        broken[chance.randrange(300)] = chance.randrange(256)
        try:
            outcomes.add(decode(bytes(broken), CONFIG).format)
        except ImageError as error:
            outcomes.add(error.problem)
    assert outcomes >= {"HEIF", "unreadable"}


@pytest.mark.parametrize(
    "content", [b"II+\0\x08\0\0\0" + b"\xff" * 40, b"MM\0*\xff\xff\xff\xff" + bytes(40), b"II*\0", b"II+\0"]
)
def test_a_tiff_whose_pieces_lie_nowhere_is_damaged(content: bytes) -> None:
    assert problem_of(content, CONFIG).problem == "unreadable"
