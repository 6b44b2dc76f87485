"""Colours as a profile means them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import draw_image, encoded
from mien.config import ScanConfig
from mien.core.images import decode

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SHOWN = draw_image(3)
OTHER = (Path(__file__).parents[1] / "kinds/jpeg-adobe-rgb.jpg").read_bytes()
ADOBE: bytes = Image.open(io.BytesIO(OTHER)).info["icc_profile"]


def decoded(image: Image.Image, profile: bytes, format_: str = "PNG") -> Image.Image:
    return decode(encoded(image, format_, icc_profile=profile), ScanConfig()).rgb


def in_adobe(image: Image.Image) -> Image.Image:
    made = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), io.BytesIO(ADOBE))
    assert made is not None
    return made


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_wide_space_is_brought_to_srgb(format_: str) -> None:
    options = {"quality": 95} if format_ in ("JPEG", "WEBP") else {}
    wide = in_adobe(SHOWN)
    found = decode(encoded(wide, format_, icc_profile=ADOBE, **options), ScanConfig()).rgb
    difference = np.abs(np.asarray(found, np.int16) - np.asarray(SHOWN, np.int16)).mean()
    unmanaged = np.abs(np.asarray(wide, np.int16) - np.asarray(SHOWN, np.int16)).mean()
    assert difference < 4 < unmanaged


def test_srgb_itself_changes_no_byte() -> None:
    assert np.array_equal(np.asarray(decoded(SHOWN, SRGB)), np.asarray(SHOWN))


@pytest.mark.parametrize("profile", [b"no profile", ADOBE[:300], bytes(200), ADOBE + bytes(5 * 1024**2)])
def test_a_profile_that_says_nothing_changes_nothing(profile: bytes) -> None:
    assert np.array_equal(np.asarray(decoded(SHOWN, profile, "TIFF")), np.asarray(SHOWN))


def test_a_profile_of_another_kind_of_pixel_changes_nothing() -> None:
    grey = SHOWN.convert("L")
    assert np.array_equal(np.asarray(decoded(grey, ADOBE))[..., 0], np.asarray(grey))
    assert np.array_equal(
        np.asarray(decoded(SHOWN.convert("CMYK"), ADOBE, "TIFF")),
        np.asarray(decoded(SHOWN.convert("CMYK"), b"", "TIFF")),
    )


def test_what_is_transparent_has_its_colours_brought_to_srgb_too() -> None:
    clear = in_adobe(SHOWN).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    found = np.asarray(decoded(clear, ADOBE))
    assert np.abs(found[-1].astype(int) - np.asarray(SHOWN)[-1]).mean() < 4
    assert found[0, 0].tolist() == [255, 255, 255]


def test_a_profile_of_many_steps_is_not_followed() -> None:
    steps = bytearray(ADOBE)
    # One of its tags becomes one that may hold thousands of steps.
    steps[132:136] = b"D2B0"
    wide = in_adobe(SHOWN)
    assert np.array_equal(np.asarray(decoded(wide, bytes(steps))), np.asarray(wide))
