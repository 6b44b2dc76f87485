"""Images as they should be: kinds of file, of pixel, of turn and of fit."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, features

from conftest import draw_image, encoded
from mien.config import ResizeMode, ScanConfig
from mien.core.formats import FORMATS, MAX_FILE_BYTES
from mien.core.images import decode, decoding_bytes, read, resize, room_for, shades, to_array
from mien.errors import ImageError

CONFIG = ScanConfig(image_size=(48, 64))
BLOBS = draw_image(1, width=90, height=70)
# Pillow reads HEIF with help alone, and writes none.
ENCODERS = [name for name in FORMATS if name != "HEIF" and (name != "AVIF" or features.check("avif"))]
ORIENTED = [name for name in ENCODERS if name not in ("BMP", "GIF", "PPM", "TGA")]
TURNED = Image.Exif()
TURNED[0x0112] = 6


def pixels(content: bytes) -> NDArray[np.int16]:
    return np.asarray(decode(content, CONFIG).rgb, np.int16)


@pytest.mark.parametrize("format_", ENCODERS)
def test_each_format_is_decoded_and_known_by_its_content(format_: str) -> None:
    image = decode(encoded(BLOBS, format_), CONFIG)
    assert (image.format, image.width, image.height) == (format_, 90, 70)
    assert image.rgb.mode == "RGB"
    difference = np.abs(np.asarray(image.rgb, np.int16) - np.asarray(BLOBS, np.int16)).mean()
    assert difference <= {"PNG": 0, "BMP": 0, "TIFF": 0, "PPM": 0, "TGA": 0}.get(format_, 10)


@pytest.mark.parametrize("format_", [name for name in ("GIF", "WEBP", "PNG", "AVIF") if name in ENCODERS])
def test_of_an_animation_the_first_frame_is_used(format_: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], format_, save_all=True, append_images=frames[1:], duration=40)
    assert np.abs(pixels(content) - (255, 0, 0)).max() <= 4


@pytest.mark.parametrize("format_", ORIENTED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_set_upright(format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(BLOBS, format_, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    image = decode(content, CONFIG)
    assert (image.width, image.height) == upright.size == ((90, 70) if orientation < 5 else (70, 90))
    assert np.array_equal(np.asarray(image.rgb), np.asarray(upright))


@pytest.mark.parametrize("format_", ORIENTED)
def test_turning_moves_the_top_left_corner_to_the_top_right(format_: str) -> None:
    image = Image.new("RGB", (64, 48), "white")
    image.paste("black", (0, 0, 32, 24))
    turned = pixels(encoded(image, format_, exif=TURNED))
    assert turned.shape == (64, 48, 3)
    assert turned[:28, 28:].mean() < 8 and turned[:28, :20].mean() > 247 and turned[36:].mean() > 247


def test_an_image_for_stereo_viewing_counts_as_jpeg() -> None:
    content = encoded(BLOBS, "MPO", save_all=True, append_images=[draw_image(2)])
    assert Image.open(io.BytesIO(content)).format == "MPO"
    assert decode(content, CONFIG).format == "JPEG"
    assert np.array_equal(pixels(content), pixels(encoded(BLOBS, "JPEG")))


def half_clear(mode: str) -> Image.Image:
    """Left half clear, right half black."""
    image = Image.new("LA", (64, 64), (0, 255))
    image.paste((0, 0), (0, 0, 32, 64))
    return image.convert(mode)


CLEAR_RGB = Image.merge("RGB", [half_clear("LA").getchannel("A").point(lambda level: 9 - level // 29)] * 3)
CLEAR = {
    "RGBA": encoded(half_clear("RGBA"), "PNG"),
    "LA": encoded(half_clear("LA"), "PNG"),
    "palette": encoded(CLEAR_RGB.quantize(2), "PNG", transparency=CLEAR_RGB.quantize(2).getpixel((0, 0))),
    "palette of alphas": encoded(half_clear("RGBA").quantize(4), "PNG"),
    "RGB with one clear colour": encoded(CLEAR_RGB, "PNG", transparency=(9, 9, 9)),
    "L with one clear level": encoded(CLEAR_RGB.convert("L"), "PNG", transparency=9),
    "GIF": encoded(half_clear("RGBA"), "GIF"),
    "WEBP": encoded(half_clear("RGBA"), "WEBP", lossless=True),
    "TIFF": encoded(half_clear("RGBA"), "TIFF"),
}


@pytest.mark.parametrize("kind", CLEAR)
def test_what_is_clear_becomes_white(kind: str) -> None:
    found = pixels(CLEAR[kind])
    assert np.abs(found[:, :32] - 255).max() == 0
    assert found[:, 32:].max() <= 4


def test_what_is_half_clear_becomes_half_white() -> None:
    assert np.abs(pixels(encoded(Image.new("RGBA", (64, 64), (0, 100, 200, 128)), "PNG")) - (127, 177, 227)).max() <= 1


LEVELS = np.linspace(0, 255, 64 * 64).reshape(64, 64)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (encoded(Image.fromarray(LEVELS.astype(np.uint8)), "PNG"), 1),
        (encoded(Image.fromarray(LEVELS.astype(np.uint8)).convert("P"), "PNG"), 1),
        (encoded(Image.fromarray(LEVELS.astype(np.uint8)).convert("RGB").convert("CMYK"), "TIFF"), 2),
        (encoded(Image.fromarray(LEVELS.astype(np.uint8)).convert("RGB").convert("CMYK"), "JPEG", quality=95), 6),
        (encoded(Image.fromarray((LEVELS * 257).astype(np.uint16)), "PNG"), 1),
        (encoded(Image.fromarray((LEVELS * 257).astype(np.uint16)), "TIFF"), 1),
        (encoded(Image.fromarray((LEVELS * 257).astype(">u2")), "TIFF"), 1),
        (encoded(Image.fromarray((LEVELS * 257).astype(np.int32)), "TIFF"), 1),
        (encoded(Image.fromarray(LEVELS.astype(np.int32)), "TIFF"), 1),
        (encoded(Image.fromarray((LEVELS / 255).astype(np.float32)), "TIFF"), 1),
        (encoded(Image.fromarray(LEVELS.astype(np.float32)), "TIFF"), 1),
    ],
    ids=[
        "L",
        "P",
        "CMYK TIFF",
        "CMYK JPEG",
        "16 bits",
        "16 bits TIFF",
        "16 bits swapped",
        "I",
        "I to 255",
        "F",
        "F 255",
    ],
)
def test_every_kind_of_pixel_becomes_eight_bits_of_the_same_brightness(content: bytes, tolerance: int) -> None:
    assert np.abs(pixels(content) - LEVELS[..., None]).max() <= tolerance


def test_black_and_white_stay_so() -> None:
    image = Image.fromarray(LEVELS > 100)
    assert image.mode == "1"
    assert np.array_equal(pixels(encoded(image, "PNG")), np.repeat(255 * (LEVELS > 100)[..., None], 3, axis=2))


def test_levels_that_are_no_numbers_do_no_harm() -> None:
    levels = np.array([[np.nan, np.inf, -np.inf, 0.5]] * 8, np.float32)
    assert pixels(encoded(Image.fromarray(levels), "TIFF"))[0, :, 0].tolist() == [0, 255, 0, 128]
    levels = np.full((8, 8), -np.inf, np.float32)
    assert pixels(encoded(Image.fromarray(levels), "TIFF")).max() == 0


RESIZE_MODES: tuple[ResizeMode, ...] = ("stretch", "crop", "pad")
BANDS = Image.new("RGB", (120, 40), "red")
BANDS.paste("lime", (40, 0, 80, 40))
BANDS.paste("blue", (80, 0, 120, 40))


@pytest.mark.parametrize("resize_mode", RESIZE_MODES)
@pytest.mark.parametrize("size", [(90, 70), (1, 1), (3000, 1), (1, 3000), (64, 48), (7, 400)])
def test_every_resize_mode_gives_the_exact_shape(resize_mode: ResizeMode, size: tuple[int, int]) -> None:
    config = ScanConfig(image_size=(48, 64), resize_mode=resize_mode)
    array = to_array(encoded(draw_image(4, width=size[0], height=size[1]), "PNG"), config)
    assert array.shape == (48, 64, 3) and array.dtype == np.uint8


def test_stretching_keeps_all_of_an_image() -> None:
    array = resize(BANDS, ScanConfig(image_size=(40, 60), resize_mode="stretch"))
    assert [array[20, x].tolist() for x in (5, 30, 55)] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_cropping_keeps_the_middle_of_an_image() -> None:
    array = resize(BANDS, ScanConfig(image_size=(40, 40), resize_mode="crop"))
    assert np.array_equal(array, np.broadcast_to(np.array([0, 255, 0], np.uint8), (40, 40, 3)))


def test_padding_keeps_the_shape_of_an_image_and_adds_white() -> None:
    array = resize(BANDS, ScanConfig(image_size=(60, 60), resize_mode="pad"))
    assert array[:19].min() == 255 and array[41:].min() == 255
    assert [array[30, x].tolist() for x in (5, 30, 55)] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_a_large_jpeg_is_decoded_small_with_nearly_the_same_pixels() -> None:
    content = encoded(draw_image(5, width=1600, height=1200), "JPEG", quality=90)
    image = decode(content, CONFIG)
    assert (image.width, image.height) == (1600, 1200)
    assert 256 <= min(image.rgb.size) < 600
    whole = resize(Image.open(io.BytesIO(content)).convert("RGB"), CONFIG).astype(np.int16)
    assert np.abs(resize(image.rgb, CONFIG) - whole).mean() < 1


def test_a_large_jpeg_is_decoded_large_enough_for_the_size_asked_for() -> None:
    content = encoded(draw_image(5, width=1600, height=1200), "JPEG")
    assert min(decode(content, ScanConfig(image_size=(700, 500))).rgb.size) >= 700


def test_one_function_gives_what_the_two_steps_give() -> None:
    content = encoded(BLOBS, "JPEG")
    assert np.array_equal(to_array(content, CONFIG), resize(decode(content, CONFIG).rgb, CONFIG))


def test_room_is_in_memory_while_it_lasts_and_in_a_file_beyond() -> None:
    assert type(room_for((3, 48, 64, 3), CONFIG)) is np.ndarray
    room = room_for((3, 48, 64, 3), ScanConfig(max_memory_mb=0))
    assert type(room) is np.memmap and room.shape == (3, 48, 64, 3) and room.dtype == np.uint8
    room[:] = 7
    assert room.min() == 7
    assert room_for((0, 224, 224, 3), ScanConfig(max_memory_mb=0)).shape == (0, 224, 224, 3)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("white", (1, 0)), ("black", (0, 0)), ("red", (0.299, 1)), ("lime", (0.587, 1)), ("#808080", (0.502, 0))],
)
def test_shades_say_how_bright_and_how_colourful_an_image_is(colour: str, expected: tuple[float, float]) -> None:
    assert shades(Image.new("RGB", (90, 30), colour)) == pytest.approx(expected, abs=0.001)


@pytest.mark.medium
def test_what_decoding_takes_is_known_before() -> None:
    wide, config = draw_image(0, width=2000, height=1000), ScanConfig(max_pixels=2_000_000)
    taken = {name: decoding_bytes(encoded(wide, name), config) for name in ("PNG", "JPEG", "WEBP")}
    assert taken["PNG"] == 24_000_000 and taken["WEBP"] > taken["PNG"]
    assert taken["JPEG"] == 8 * (2000 // 2) * (1000 // 2)
    for content in (b"text", b"", encoded(draw_image(0, width=2001, height=1000), "PNG")):
        with pytest.raises(ImageError):
            decoding_bytes(content, config)


def one_colour_a_pass(image: Image.Image) -> bytes:
    """Return a JPEG whose first pass says that it has one colour alone."""
    content = bytearray(encoded(image, "JPEG"))
    content[content.rindex(b"\xff\xda") + 4] = 1
    return bytes(content)


def test_a_jpeg_of_several_passes_is_kept_whole_while_it_is_decoded() -> None:
    wide, config = draw_image(0, width=2000, height=1000), ScanConfig()
    small = decoding_bytes(encoded(wide, "JPEG"), config)
    thumbnail = Image.Exif()
    thumbnail[0x010E] = encoded(draw_image(0), "JPEG", progressive=True).decode("latin-1")
    assert decoding_bytes(encoded(wide, "JPEG", exif=thumbnail), config) == small
    assert decoding_bytes(encoded(wide, "MPO", save_all=True, append_images=[wide]), config) == small
    for content in (encoded(wide, "JPEG", progressive=True), one_colour_a_pass(wide)):
        assert decoding_bytes(content, config) == small + 3 * 2 * 2000 * 1000
    grey = encoded(wide.convert("L"), "JPEG", progressive=True)
    assert decoding_bytes(grey, config) == small + 2 * 2000 * 1000


def test_an_image_file_that_cannot_be_read_is_an_image_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with pytest.raises(ImageError, match=r"^cannot be opened: No such file or directory$") as caught:
        read(path)
    assert caught.value.problem == "unreadable"
    with open(path, "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match=f"^cannot be opened: it has {MAX_FILE_BYTES + 1} bytes, more than the limit"):
        read(path)
    path.write_bytes(b"12345")
    assert read(path) == b"12345"
