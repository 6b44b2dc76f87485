#!/usr/bin/env bash
# Makes every file of this folder anew, and README.md, from one drawing.
#
#   ./make.sh [FOLDER]        (FOLDER: where to write; this folder if left out)
#
# Debian 12 packages: imagemagick graphicsmagick netpbm libjpeg-turbo-progs libtiff-tools
#   libheif-examples libavif-bin webp libjxl-tools libopenjp2-tools ffmpeg apngasm
#   openimageio-tools libvips-tools libimage-exiftool-perl dcmtk ghostscript librsvg2-bin
#   icoutils icnsutils libcfitsio-bin liblcms2-2 7zip zip file
# Python packages (name PYTHON=... for an interpreter that has them; none of them is Pillow):
#   numpy imagecodecs tifffile pydicom opencv-python-headless pypng pillow-heif (its libheif only)
set -u
OUT=$(realpath -m "${1:-$(dirname "$0")}")
PYTHON=${PYTHON:-python3}
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
mkdir -p "$OUT"; cd "$W" || exit 1
export LC_ALL=C SOURCE_DATE_EPOCH=1700000000 TZ=UTC
python() { "$PYTHON" "$@"; }

# ---- the drawing -------------------------------------------------------------------------
cat > draw.py <<'PY'
"""python draw.py WIDTH HEIGHT MAXVAL PART: the drawing as a binary PNM on standard output.

PART: rgb | alpha (255 at the left down to a quarter of it at the right) | raw (as rgb, but the
header claims 65535 whatever MAXVAL is, so that the samples use only the low bits).
"""
import struct
import sys

COLOURS = ((0.80, 0.12, 0.10), (0.12, 0.72, 0.20)), ((0.12, 0.24, 0.82), (0.86, 0.80, 0.16))


def colour(u, v):  # u, v: 0..1 from the left and from the top
    if (u * 96 - 20) ** 2 + (v * 72 - 16) ** 2 <= 49:
        return 0.08, 0.06, 0.10
    light = 0.62 + 0.38 * (u * 96 + v * 72) / 168
    return tuple(channel * light for channel in COLOURS[v >= 0.5][u >= 0.5])


width, height, maxval = map(int, sys.argv[1:4])
part = sys.argv[4]
samples = []
for y in range(height):
    for x in range(width):
        u, v = (x + 0.5) / width, (y + 0.5) / height
        values = (1 - 0.75 * u,) if part == "alpha" else colour(u, v)
        samples += [int(value * maxval + 0.5) for value in values]
top = 65535 if part == "raw" else maxval
kind = "P5" if part == "alpha" else "P6"
sys.stdout.buffer.write(f"{kind}\n{width} {height}\n{top}\n".encode())
sys.stdout.buffer.write(struct.pack(f">{len(samples)}{'H' if top > 255 else 'B'}", *samples))
PY

# ---- what has no program of its own: short calls of libraries ------------------------------
cat > library.py <<'PY'
"""python library.py FUNCTION [ARGUMENT ...]: one file by one call of a library."""
import ctypes
import sys

import numpy as np


def pnm(path):
    with open(path, "rb") as file:
        kind, size, top, rest = file.read().split(b"\n", 3)
    width, height = map(int, size.split())
    deep = int(top) > 255
    pixels = np.frombuffer(rest, ">u2" if deep else "u1").reshape(height, width, -1)
    pixels = pixels.astype("u2" if deep else "u1")
    return pixels[:, :, 0] if kind == b"P5" else pixels


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


# ICC profiles by Little CMS: matrix and curve, no third party's data in them
def icc(path, space):
    lcms = ctypes.CDLL("liblcms2.so.2")
    xyY, xyYs = ctypes.c_double * 3, ctypes.c_double * 9
    for name in ("cmsBuildParametricToneCurve", "cmsCreateRGBProfile", "cmsMLUalloc"):
        getattr(lcms, name).restype = ctypes.c_void_p
    primaries = {
        "Display P3": (0.680, 0.320, 1, 0.265, 0.690, 1, 0.150, 0.060, 1),
        "Adobe RGB (1998) compatible": (0.640, 0.330, 1, 0.210, 0.710, 1, 0.150, 0.060, 1),
        "sRGB": (0.640, 0.330, 1, 0.300, 0.600, 1, 0.150, 0.060, 1),
        "Rec. 2020 primaries": (0.708, 0.292, 1, 0.170, 0.797, 1, 0.131, 0.046, 1),
        # a profile that a reader can not miss: red and green changed over
        "Red and green swapped": (0.300, 0.600, 1, 0.640, 0.330, 1, 0.150, 0.060, 1),
    }[space]
    if space.startswith("Adobe"):
        kind, numbers = 1, (ctypes.c_double * 1)(563 / 256)
    else:
        kind, numbers = 4, (ctypes.c_double * 5)(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    curve = lcms.cmsBuildParametricToneCurve(None, kind, numbers)
    curves = (ctypes.c_void_p * 3)(curve, curve, curve)
    profile = ctypes.c_void_p(
        lcms.cmsCreateRGBProfile(
            ctypes.byref(xyY(0.3127, 0.3290, 1)), ctypes.byref(xyYs(*primaries)), curves
        )
    )
    words = ctypes.c_void_p(lcms.cmsMLUalloc(None, 1))
    lcms.cmsMLUsetASCII(words, b"en", b"US", space.encode())
    lcms.cmsWriteTag(profile, int.from_bytes(b"desc", "big"), words)
    lcms.cmsSaveProfileToFile(profile, path.encode())


def opencv(source, path):
    import cv2

    pixels = cv2.imread(source, cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(path, pixels)


def opencv_12(source, path):  # values 0..4095 in a 16-bit file
    import cv2

    cv2.imwrite(path, pnm(source)[:, :, ::-1])


def pypng_12(source, path):  # grey and alpha, both 0..4095 in 16 bits, by pypng
    import png

    rgb = pnm(source).astype(float)
    grey = (rgb @ (0.299, 0.587, 0.114) + 0.5).astype("u2")
    alpha = np.linspace(4095, 1024, grey.shape[1]).astype("u2") + np.zeros_like(grey)
    rows = np.dstack([grey, alpha]).reshape(grey.shape[0], -1)
    writer = png.Writer(grey.shape[1], grey.shape[0], greyscale=True, alpha=True, bitdepth=16)
    with open(path, "wb") as file:
        writer.write(file, rows.tolist())


def imagecodecs_(function, source, path, *options):
    import imagecodecs

    options = {key: eval(value) for key, value in (o.split("=") for o in options)}
    write(path, getattr(imagecodecs, function)(pnm(source), **options))


def grey(pixels):
    return pixels.astype(float) @ (0.299, 0.587, 0.114)


def tiff(path, source, what):
    import tifffile

    rgb = pnm(source)
    light = grey(rgb) / (65535 if rgb.dtype == "u2" else 255)
    common = {"metadata": None, "software": False, "datetime": False}
    if what == "float":
        tifffile.imwrite(path, light.astype("f4"), photometric="minisblack", **common)
    elif what == "float-rgb":
        pixels = (rgb / 65535).astype("f4")
        tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", predictor=True, **common)
    elif what == "integer":
        pixels = (light * (2**32 - 1)).astype("u4")
        tifffile.imwrite(path, pixels, photometric="minisblack", **common)
    elif what == "signed":  # -1000 .. 1000 or so, as Hounsfield units
        pixels = (light * 2000 - 1000).astype("i2")
        tifffile.imwrite(path, pixels, photometric="minisblack", **common)
    elif what == "12":
        pixels = (light * 4095).astype("u2")
        tifffile.imwrite(path, pixels, photometric="minisblack", compression="zlib", **common)
    elif what == "grey16":
        pixels = (light * 65535).astype("u2")
        tifffile.imwrite(path, pixels, photometric="minisblack", **common)
    elif what == "white-is-zero":
        pixels = 255 - (light * 255 + 0.5).astype("u1")
        tifffile.imwrite(path, pixels, photometric="miniswhite", **common)
    elif what == "white-is-zero-16":
        pixels = 65535 - (light * 65535).astype("u2")
        tifffile.imwrite(path, pixels, photometric="miniswhite", compression="zlib", **common)
    elif what == "float-big-endian":
        tifffile.imwrite(path, light.astype("f4"), byteorder=">", photometric="minisblack", compression="zlib", **common)
    elif what == "planes":
        tifffile.imwrite(path, np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate", **common)
    elif what == "big-endian":
        tifffile.imwrite(path, rgb, byteorder=">", photometric="rgb", **common)
    elif what == "deflate":
        tifffile.imwrite(path, rgb, photometric="rgb", compression="zlib", predictor=True, **common)
    elif what == "five":  # five channels, as a microscope's
        stack = np.stack([*np.moveaxis(rgb, 2, 0), rgb[:, :, 0] // 2, rgb[:, :, 1] // 2])
        tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib",
                         planarconfig="separate", **common)
    elif what == "imagej":
        tifffile.imwrite(path, np.moveaxis(rgb[:, :, :3], 2, 0), imagej=True,
                         metadata={"axes": "CYX", "mode": "composite"}, compression="zlib")


def dng(path, thumbnail, source):
    """A minimal DNG: a picture in IFD 0 marked as reduced, mosaic data in its SubIFD."""
    import tifffile

    rgb, small = pnm(source), pnm(thumbnail)
    mosaic = rgb[:, :, 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = rgb[0::2, 0::2, 0], rgb[1::2, 1::2, 2]
    common = {"metadata": None, "software": False}
    matrix = (32406, 10000, -15372, 10000, -4986, 10000, -9689, 10000, 18758, 10000,
              415, 10000, 557, 10000, -2040, 10000, 10570, 10000)
    first = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50707, "B", 4, (1, 1, 0, 0), True),  # DNGBackwardVersion
        (50708, "s", 0, "Mien drawing", True),  # UniqueCameraModel
        (50721, "2i", 9, matrix, True),  # ColorMatrix1
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (271, "s", 0, "Mien", True), (272, "s", 0, "Drawing", True),
    ]
    raw = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern: red green / green blue
        (50717, "I", 1, 65535, True),  # WhiteLevel
    ]
    with tifffile.TiffWriter(path, byteorder="<") as file:
        file.write(small, photometric="rgb", subfiletype=1, subifds=1, extratags=first, **common)
        file.write(mosaic, photometric=32803, subfiletype=0, extratags=raw, **common)


def dicom(path, source):
    """A 12-bit grey picture as CT and X-ray machines store it, explicit little endian."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    pixels = (grey(pnm(source)) + 0.5).astype("<u2")
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "2.25.1"
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.2", "2.25.3"
    data.PatientName, data.PatientID, data.Modality = "Drawing^Mien", "none", "OT"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)


def ultrahdr(path, source):
    import imagecodecs

    rgb = (pnm(source) / 65535).astype("f4")
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    rgba = np.dstack([linear, np.ones(rgb.shape[:2])]).astype("f2")
    write(path, imagecodecs.ultrahdr_encode(rgba))


def heic(path, source, columns="1", rows="1", orientation="1"):
    """HEVC by libheif: one picture, or a grid of tiles as phones write them."""
    import glob
    import os

    import pillow_heif

    home = os.path.dirname(os.path.dirname(pillow_heif.__file__))
    # the library is loaded already; its own name finds it again
    found = [line.split()[-1] for line in open("/proc/self/maps") if "libheif" in line]
    heif = ctypes.CDLL(found[0] if found else glob.glob(home + "/pillow_heif.libs/libheif*")[0])

    class Error(ctypes.Structure):
        _fields_ = [("code", ctypes.c_int), ("sub", ctypes.c_int), ("message", ctypes.c_char_p)]

    def call(name, *arguments):
        function = getattr(heif, name)
        function.restype = Error
        error = function(*arguments)
        if error.code:
            raise RuntimeError(f"{name}: {error.message}")

    heif.heif_context_alloc.restype = ctypes.c_void_p
    heif.heif_image_get_plane.restype = ctypes.POINTER(ctypes.c_uint8)
    context = ctypes.c_void_p(heif.heif_context_alloc())
    pixels = pnm(source)
    columns, rows = int(columns), int(rows)
    width, height = pixels.shape[1] // columns, pixels.shape[0] // rows
    tiles = (ctypes.c_void_p * (columns * rows))()
    for index in range(columns * rows):
        y, x = divmod(index, columns)
        tile = pixels[y * height : (y + 1) * height, x * width : (x + 1) * width]
        image = ctypes.c_void_p()
        call("heif_image_create", width, height, 1, 10, ctypes.byref(image))  # RGB, interleaved
        call("heif_image_add_plane", image, 10, width, height, 8)
        stride = ctypes.c_int()
        plane = heif.heif_image_get_plane(image, 10, ctypes.byref(stride))
        view = np.ctypeslib.as_array(plane, (height, stride.value))
        view[:, : width * 3] = tile.reshape(height, -1)
        tiles[index] = image
    heif.heif_encoding_options_alloc.restype = ctypes.c_void_p
    options = ctypes.c_void_p(heif.heif_encoding_options_alloc())
    assert ctypes.c_uint8.from_address(options.value).value >= 5  # has image_orientation
    ctypes.c_int.from_address(options.value + 20).value = int(orientation)
    encoder, handle = ctypes.c_void_p(), ctypes.c_void_p()
    call("heif_context_get_encoder_for_format", context, 1, ctypes.byref(encoder))
    call("heif_encoder_set_lossy_quality", encoder, 70)
    if columns * rows == 1:
        call("heif_context_encode_image", context, ctypes.c_void_p(tiles[0]), encoder, options,
             ctypes.byref(handle))
    else:
        call("heif_context_encode_grid", context, tiles, ctypes.c_uint16(rows),
             ctypes.c_uint16(columns), encoder, options, ctypes.byref(handle))
    call("heif_context_set_primary_image", context, handle)
    # left to itself libheif 1.23 writes a grid with the brand mif1, phones write heic
    heif.heif_context_set_major_brand(context, int.from_bytes(b"heic", "big"))
    call("heif_context_write_to_file", context, path.encode())


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
PY

# ---- recording ------------------------------------------------------------------------------
first() { "$@" 2>&1 | head -1; }
module() { python -c "import importlib.metadata as m; print('$1', m.version('$1'))"; }
IM="ImageMagick $(first convert -version | awk '{print $3}')"
GM="GraphicsMagick $(first gm version | awk '{print $2}')"
NETPBM="Netpbm $(pnmtopng --version 2>&1 | sed -n 's/.*Netpbm Version: Netpbm //p')"
CJPEG="libjpeg-turbo $(first cjpeg -version | awk '{print $3}') cjpeg"
TIFFCP="LibTIFF $(tiffcp -h 2>&1 | sed -n 's/^LIBTIFF, Version //p')"
HEIFENC="libheif $(heif-enc --help 2>&1 | sed -n 's/.*version: //p') heif-enc"
AVIFENC="libavif $(first avifenc --version | awk '{print $2}') avifenc"
CWEBP="libwebp $(first cwebp -version)"
CJXL="libjxl $(first cjxl --version | awk '{print $2}')"
OPJ="OpenJPEG $(opj_compress -h 2>&1 | sed -n 's/.*openjp2 library v\([0-9.]*[0-9]\).*/\1/p' | head -1)"
FFMPEG="FFmpeg $(first ffmpeg -version | awk '{print $3}')"
OIIO="OpenImageIO $(first oiiotool --version | awk '{print $NF}')"
VIPS="libvips $(first vips --version | sed 's/vips-//')"
EXIFTOOL="ExifTool $(exiftool -ver)"
DCMTK="DCMTK $(first img2dcm --version | sed -n 's/.*v\([0-9.]*\).*/\1/p')"
GS="Ghostscript $(gs --version)"
SVG="$(first rsvg-convert --version)"
ICOTOOL="icoutils $(first icotool --version | awk '{print $NF}' | tr -d '()')"
CFITSIO="CFITSIO $(dpkg-query -W -f '${Version}' libcfitsio-bin)"
ICNS="icnsutils $(dpkg-query -W -f '${Version}' icnsutils)"
APNGASM="apngasm $(dpkg-query -W -f '${Version}' apngasm)"
SEVENZIP="7-Zip $(7zz | awk 'NF{print $3; exit}')"
ZIP="Info-ZIP $(zip -v | sed -n '2s/.*Zip \([0-9.]*\).*/\1/p')"
IMAGECODECS=$(module imagecodecs); TIFFFILE=$(module tifffile); PYDICOM=$(module pydicom)
OPENCV=$(module opencv-python-headless); PYPNG=$(module pypng)
PILLOWHEIF="libheif $(python -c 'import pillow_heif; print(pillow_heif.libheif_version())') by library.py (the library from $(module pillow-heif))"
LCMS="Little CMS $(dpkg-query -W -f '${Version}' liblcms2-2)"

cat > README.md <<'MD'
# Image files by other programs

One drawing of our own, written by programs other than Pillow: `reference.png` is that drawing,
96 x 72 pixels: left top red with a dark circle, right top green, left bottom blue, right bottom
yellow, brighter towards the right bottom corner. `make.sh` makes all of it anew, this file
included; it also has `draw.py`, which draws, and `library.py`, which calls the Python libraries.
Nothing here is from a photo or from a third party, the colour profiles neither (Little CMS makes
them from the published primaries).

Some kinds keep every byte, so they hold the drawing drawn at 48 x 36 (`small.ppm`; at 24 x 18,
`tiny.ppm`), the tiled ones the drawing at 192 x 144 (`large.ppm`). Rotated ones show as
96 x 72 when their rotation is followed. In animated files, videos and files of several pages the
first picture is the drawing and the second the drawing mirrored left to right.

## Steps between

| file | command | program |
| --- | --- | --- |
MD
FAILED=()
row() { printf '| `%s` |' "$1"; shift; printf ' %s |' "$@"; echo; }
code() { local c; c=$(printf '%s' "$1" | tr '\n' ' ' | sed 's/|/\\|/g; s/  */ /g'); printf '`%s`' "$c"; }
step() { # NAME PROGRAM COMMAND
  if eval "$3" >log 2>&1 && [ -s "$1" ]; then row "$1" "$(code "$3")" "$2" >> README.md
  else FAILED+=("$1"); echo "FAILED $1: $3"; tail -3 log; fi; }
kind() { # NAME WHAT PROGRAM COMMAND
  if eval "$4" >log 2>&1 && [ -s "$1" ]; then row "$1" "$2" "$(code "$4")" "$3" >> README.md; cp "$1" "$OUT/$1"
  else FAILED+=("$1"); echo "FAILED $1: $4"; tail -3 log; fi; }
section() { printf '\n## %s\n\n| file | what it is | command | program |\n| --- | --- | --- | --- |\n' "$1" >> README.md; }

DRAW=$(python -V)
step reference.ppm "$DRAW" 'python draw.py 96 72 255 rgb > reference.ppm'
step small.ppm "$DRAW" 'python draw.py 48 36 255 rgb > small.ppm'
step tiny.ppm "$DRAW" 'python draw.py 24 18 255 rgb > tiny.ppm'
step large.ppm "$DRAW" 'python draw.py 192 144 255 rgb > large.ppm'
step tiny-deep.ppm "$DRAW" 'python draw.py 24 18 65535 rgb > tiny-deep.ppm'
step tiny-twelve-grey.pgm "$NETPBM" 'python draw.py 24 18 4095 rgb | ppmtopgm > tiny-twelve-grey.pgm'
step tiny-raw-twelve.ppm "$DRAW" 'python draw.py 24 18 4095 raw > tiny-raw-twelve.ppm'
step tiny-alpha.pgm "$DRAW" 'python draw.py 24 18 255 alpha > tiny-alpha.pgm'
step tiny-rgba.pam "$NETPBM" 'pamstack -tupletype RGB_ALPHA tiny.ppm tiny-alpha.pgm > tiny-rgba.pam'
step tiny-rgba.png "$NETPBM" 'pnmtopng -alpha=tiny-alpha.pgm tiny.ppm > tiny-rgba.png'
step tiny.png "$NETPBM" 'pnmtopng -force tiny.ppm > tiny.png'
step deep.ppm "$DRAW" 'python draw.py 48 36 65535 rgb > deep.ppm'
step deep-96.ppm "$DRAW" 'python draw.py 96 72 65535 rgb > deep-96.ppm'
step raw-twelve.ppm "$DRAW" 'python draw.py 48 36 4095 raw > raw-twelve.ppm'
step alpha.pgm "$DRAW" 'python draw.py 96 72 255 alpha > alpha.pgm'
step small-alpha.pgm "$DRAW" 'python draw.py 48 36 255 alpha > small-alpha.pgm'
step deep-alpha.pgm "$DRAW" 'python draw.py 48 36 65535 alpha > deep-alpha.pgm'
step grey.pgm "$NETPBM" 'ppmtopgm reference.ppm > grey.pgm'
step small-grey.pgm "$NETPBM" 'ppmtopgm small.ppm > small-grey.pgm'
step deep-grey.pgm "$NETPBM" 'ppmtopgm deep.ppm > deep-grey.pgm'
step rgba.pam "$NETPBM" 'pamstack -tupletype RGB_ALPHA reference.ppm alpha.pgm > rgba.pam'
step small-rgba.pam "$NETPBM" 'pamstack -tupletype RGB_ALPHA small.ppm small-alpha.pgm > small-rgba.pam'
step mirrored.ppm "$NETPBM" 'pamflip -leftright reference.ppm > mirrored.ppm'
step turned.ppm "$NETPBM" 'pamflip -rotate90 reference.ppm > turned.ppm'
step frame-2.ppm cp 'cp reference.ppm frame-1.ppm && cp mirrored.ppm frame-2.ppm'
step deep-96.png "$NETPBM" 'pnmtopng deep-96.ppm > deep-96.png'
step display-p3.icc "$LCMS" 'python library.py icc display-p3.icc "Display P3"'
step adobe-rgb.icc "$LCMS" 'python library.py icc adobe-rgb.icc "Adobe RGB (1998) compatible"'
step srgb.icc "$LCMS" 'python library.py icc srgb.icc sRGB'
step swapped.icc "$LCMS" 'python library.py icc swapped.icc "Red and green swapped"'
step small-rgba.png "$NETPBM" 'pnmtopng -alpha=small-alpha.pgm small.ppm > small-rgba.png'
step p3.png "$IM" 'convert reference.ppm -profile srgb.icc -profile display-p3.icc -depth 8 -define png:exclude-chunks=date,time,tIME -define png:color-type=2 p3.png'

section PNG
kind reference.png "8 bits RGB: the drawing" "$NETPBM" 'pnmtopng -force reference.ppm > reference.png'
kind reference-48x36.png "8 bits RGB: the drawing at 48 x 36" "$NETPBM" 'pnmtopng -force small.ppm > reference-48x36.png'
kind png-palette.png "palette of 64 colours, 8 bits" "$NETPBM" 'pnmquant 64 reference.ppm | pnmtopng > png-palette.png'
kind png-palette-alpha.png "palette with a tRNS chunk (4 steps of alpha in the palette)" "$NETPBM" 'pnmquant 16 reference.ppm > few.ppm; pamdepth 3 alpha.pgm | pamdepth 255 > steps.pgm; pnmtopng -alpha=steps.pgm few.ppm > png-palette-alpha.png'
kind png-1-bit.png "1 bit, dithered" "$NETPBM" 'pamditherbw -randomseed=1 grey.pgm | pamtopnm | pnmtopng > png-1-bit.png'
kind png-grey.png "8 bits grey" "$NETPBM" 'pnmtopng grey.pgm > png-grey.png'
kind png-grey-16-bits.png "16 bits grey" "$NETPBM" 'pnmtopng deep-grey.pgm > png-grey-16-bits.png'
kind png-rgb-16-bits.png "16 bits RGB" "$NETPBM" 'pnmtopng deep.ppm > png-rgb-16-bits.png'
kind png-rgba.png "8 bits RGB and alpha, alpha falling from left to right" "$NETPBM" 'pnmtopng -alpha=alpha.pgm reference.ppm > png-rgba.png'
kind png-rgba-16-bits.png "16 bits RGB and alpha" "$NETPBM" 'pnmtopng -alpha=deep-alpha.pgm deep.ppm > png-rgba-16-bits.png'
kind png-grey-alpha.png "8 bits grey and alpha" "$NETPBM" 'pnmtopng -alpha=alpha.pgm grey.pgm > png-grey-alpha.png'
kind png-grey-alpha-16-bits.png "16 bits grey and alpha" "$NETPBM" 'pnmtopng -alpha=deep-alpha.pgm deep-grey.pgm > png-grey-alpha-16-bits.png'
kind png-interlaced.png "8 bits RGB, Adam7" "$NETPBM" 'pnmtopng -force -interlace reference.ppm > png-interlaced.png'
kind png-grey-12-bits-in-16.png "grey, 16-bit samples with values 0 to 4095 only" "$IM" 'convert deep-grey.pgm -depth 16 -evaluate divide 16 -define png:exclude-chunks=all -define png:bit-depth=16 -define png:color-type=0 png-grey-12-bits-in-16.png'
kind png-rgb-12-bits-in-16.png "RGB, 16-bit samples with values 0 to 4095 only" "$OPENCV" 'python library.py opencv_12 tiny-raw-twelve.ppm png-rgb-12-bits-in-16.png'
kind png-grey-alpha-12-bits-in-16.png "grey and alpha, 16-bit samples, both with values 0 to 4095 only" "$PYPNG" 'python library.py pypng_12 tiny-raw-twelve.ppm png-grey-alpha-12-bits-in-16.png'
kind png-exif-orientation-6.png "turned a quarter, an eXIf chunk says orientation 6" "$EXIFTOOL" 'pamflip -rotate90 reference.ppm | pnmtopng -force > png-exif-orientation-6.png && exiftool -q -api Compact=NoPadding -overwrite_original -Orientation#=6 png-exif-orientation-6.png'
kind png-display-p3.png "8 bits RGB in Display P3 with its profile" "$IM" 'cp p3.png png-display-p3.png'
kind png-animated.png "APNG of two pictures, named .png" "$FFMPEG" 'ffmpeg -y -framerate 2 -f image2 -i "frame-%d.ppm" -pix_fmt rgb24 -plays 0 -bitexact -f apng png-animated.png'
kind apng.apng "APNG of two pictures" "$APNGASM" 'pnmtopng small.ppm > s1.png && pamflip -leftright small.ppm | pnmtopng > s2.png && apngasm apng.apng s1.png s2.png 1 2'

section JPEG
kind jpeg-baseline.jpg "baseline, 4:2:0" "$CJPEG" 'cjpeg -quality 90 -outfile jpeg-baseline.jpg reference.ppm'
kind jpeg-progressive.jpg "progressive" "$CJPEG" 'cjpeg -quality 90 -progressive -outfile jpeg-progressive.jpg reference.ppm'
kind jpeg-grey.jpg "grey" "$CJPEG" 'cjpeg -quality 90 -grayscale -outfile jpeg-grey.jpg reference.ppm'
kind jpeg-arithmetic.jpg "arithmetic coding instead of Huffman (SOF9)" "$CJPEG" 'cjpeg -quality 90 -arithmetic -outfile jpeg-arithmetic.jpg reference.ppm'
kind jpeg-rgb.jpg "stored as RGB, not YCbCr (Adobe marker, transform 0)" "$CJPEG" 'cjpeg -quality 90 -rgb -outfile jpeg-rgb.jpg reference.ppm'
kind jpeg-restarts.jpg "4:4:4 with restart markers in every row" "$CJPEG" 'cjpeg -quality 90 -sample 1x1 -restart 1 -outfile jpeg-restarts.jpg reference.ppm'
kind jpeg-cmyk.jpg "CMYK, Adobe marker, no profile" "$IM" 'convert reference.ppm -colorspace CMYK -quality 90 jpeg-cmyk.jpg'
kind jpeg-exif-orientation-6.jpg "turned a quarter, EXIF orientation 6" "$EXIFTOOL" 'cjpeg -quality 90 -outfile jpeg-exif-orientation-6.jpg turned.ppm && exiftool -q -api Compact=NoPadding -overwrite_original -Orientation#=6 jpeg-exif-orientation-6.jpg'
kind jpeg-adobe-rgb.jpg "converted to Adobe RGB (1998), with a compatible profile" "$IM" 'convert reference.ppm -profile srgb.icc -profile adobe-rgb.icc -sampling-factor 1x1 -quality 92 jpeg-adobe-rgb.jpg'
kind jpeg-display-p3.jpg "converted to Display P3, with its profile" "$IM" 'convert reference.ppm -profile srgb.icc -profile display-p3.icc -sampling-factor 1x1 -quality 92 jpeg-display-p3.jpg'
kind jpeg-swapped-profile.jpg "red and green changed over in the pixels and in the profile" "$IM" 'convert reference.ppm -profile srgb.icc -profile swapped.icc -sampling-factor 1x1 -quality 92 jpeg-swapped-profile.jpg'
kind jpeg-ultra-hdr.jpg "Ultra HDR: a JPEG with a gain map as a second JPEG (MPF); the encoder maps tones, so the colours are not quite the drawing's" "$IMAGECODECS" 'python library.py ultrahdr jpeg-ultra-hdr.jpg deep-96.ppm'
kind jpeg-lossless.jpg "lossless (SOF3), RGB" "$IMAGECODECS" 'python library.py imagecodecs_ jpeg8_encode small.ppm jpeg-lossless.jpg lossless=True'
kind jpeg-lossless-ffmpeg.jpg "lossless (SOF3), YCbCr" "$FFMPEG" 'ffmpeg -y -i small.ppm -c:v ljpeg -pix_fmt yuvj444p -bitexact -f image2 -update 1 jpeg-lossless-ffmpeg.jpg'
kind jpeg-12-bits.jpg "12 bits a sample (SOF1)" "$IMAGECODECS" 'python library.py imagecodecs_ jpeg8_encode raw-twelve.ppm jpeg-12-bits.jpg bitspersample=12 level=90'
kind jpeg-ls.jls "JPEG-LS" "$FFMPEG" 'ffmpeg -y -i small.ppm -c:v jpegls -bitexact -f image2 -update 1 jpeg-ls.jls'

section "GIF, BMP, WebP"
kind gif-still.gif "32 colours" "$NETPBM" 'pnmquant 32 reference.ppm | pamtogif > gif-still.gif'
kind gif-animated.gif "two pictures" "$FFMPEG" 'ffmpeg -y -framerate 2 -i "frame-%d.ppm" -vf "split[a][b];[a]palettegen=max_colors=32[p];[b][p]paletteuse=dither=none" -bitexact gif-animated.gif'
kind bmp-24-bits.bmp "24 bits" "$NETPBM" 'ppmtobmp -bpp 24 tiny.ppm > bmp-24-bits.bmp'
kind bmp-rle8.bmp "palette, RLE8" "$IM" 'convert reference.ppm +dither -colors 32 -type Palette -compress RLE BMP3:bmp-rle8.bmp'
kind bmp-32-bits.bmp "32 bits with alpha (header of version 4 or 5)" "$IM" 'convert tiny-rgba.pam bmp-32-bits.bmp'
kind bmp-32-bits-ffmpeg.bmp "32 bits with alpha (header of version 3)" "$FFMPEG" 'ffmpeg -y -i tiny-rgba.pam -pix_fmt bgra -bitexact -update 1 bmp-32-bits-ffmpeg.bmp'
kind bmp-1-bit.bmp "1 bit" "$NETPBM" 'pamditherbw -randomseed=1 grey.pgm | pamtopnm | ppmtobmp > bmp-1-bit.bmp'
kind webp-lossy.webp "lossy (VP8)" "$CWEBP" 'cwebp -quiet -q 85 reference.ppm -o webp-lossy.webp'
kind webp-lossless.webp "lossless (VP8L)" "$CWEBP" 'cwebp -quiet -lossless reference.ppm -o webp-lossless.webp'
kind webp-alpha.webp "lossy with alpha (VP8X, ALPH)" "$CWEBP" 'cwebp -quiet -q 85 png-rgba.png -o webp-alpha.webp'
kind webp-animated.webp "two pictures" "$CWEBP img2webp" 'pnmtopng mirrored.ppm > mirrored.png; img2webp -loop 0 -d 500 -lossy -q 80 reference.png mirrored.png -o webp-animated.webp'
kind webp-display-p3.webp "lossy, Display P3 with its profile" "$CWEBP" 'cwebp -quiet -q 92 -metadata icc p3.png -o webp-display-p3.webp'
kind webp-exif-orientation-6.webp "turned a quarter, EXIF orientation 6" "$CWEBP" 'cwebp -quiet -q 85 -metadata exif jpeg-exif-orientation-6.jpg -o webp-exif-orientation-6.webp'

section "AVIF, HEIC, HEIF"
kind avif-8-bits.avif "8 bits, 4:4:4" "$AVIFENC" 'avifenc -s 6 --min 12 --max 20 -d 8 reference.png avif-8-bits.avif'
kind avif-10-bits.avif "10 bits" "$AVIFENC" 'avifenc -s 6 --min 12 --max 20 -d 10 deep-96.png avif-10-bits.avif'
kind avif-alpha.avif "8 bits with alpha" "$AVIFENC" 'avifenc -s 6 --min 12 --max 20 png-rgba.png avif-alpha.avif'
kind avif-grey.avif "8 bits grey (4:0:0)" "$AVIFENC" 'avifenc -s 6 --min 12 --max 20 -y 400 png-grey.png avif-grey.avif'
kind avif-rotated.avif "turned a quarter, an irot box turns it back" "$AVIFENC" 'pamflip -rotate270 reference.ppm | pnmtopng > turned-right.png; avifenc -s 6 --min 12 --max 20 --irot 1 turned-right.png avif-rotated.avif'
kind avif-mirrored.avif "mirrored left to right, an imir box mirrors it back" "$AVIFENC" 'pnmtopng mirrored.ppm > mirrored.png; avifenc -s 6 --min 12 --max 20 --imir 1 mirrored.png avif-mirrored.avif'
kind avif-grid.avif "a grid of 2 x 2 tiles, 192 x 144" "$AVIFENC" 'pnmtopng large.ppm > large.png; avifenc -s 6 --min 16 --max 24 --grid 2x2 large.png avif-grid.avif'
kind avif-animated.avif "a sequence of two pictures (brand avis)" "$AVIFENC" 'avifenc -s 6 --min 12 --max 20 --fps 2 reference.png mirrored.png avif-animated.avif'
kind heic-8-bits.heic "HEVC, 8 bits" "$HEIFENC" 'heif-enc -q 70 reference.png -o heic-8-bits.heic'
kind heic-10-bits.heic "HEVC, 10 bits" "$HEIFENC" 'heif-enc -q 70 -b 10 deep-96.png -o heic-10-bits.heic'
kind heic-12-bits.heic "HEVC, 12 bits" "$HEIFENC" 'heif-enc -q 70 -b 12 deep-96.png -o heic-12-bits.heic'
kind heic-alpha.heic "HEVC, 8 bits with an alpha picture" "$HEIFENC" 'heif-enc -q 70 png-rgba.png -o heic-alpha.heic'
kind heic-grey.heic "HEVC, monochrome" "$HEIFENC" 'heif-enc -q 70 png-grey.png -o heic-grey.heic'
kind heic-rotated.heic "HEVC, turned a quarter, an irot box turns it back, no EXIF" "$PILLOWHEIF" 'python library.py heic heic-rotated.heic turned.ppm 1 1 6'
kind heic-exif-orientation-6.heic "HEVC, turned a quarter, EXIF says orientation 6, no irot box" "$HEIFENC" 'heif-enc -q 70 jpeg-exif-orientation-6.jpg -o heic-exif-orientation-6.heic'
kind heic-display-p3.heic "HEVC, 8 bits, Display P3 with its profile" "$HEIFENC" 'heif-enc -q 80 p3.png -o heic-display-p3.heic'
kind heic-two-pictures.heic "HEVC, two pictures; the first is the primary" "$HEIFENC" 'heif-enc -q 70 reference.png mirrored.png -o heic-two-pictures.heic'
kind heic-grid.heic "HEVC, a grid of 2 x 2 tiles, 192 x 144 (as phones write them)" "$PILLOWHEIF" 'python library.py heic heic-grid.heic large.ppm 2 2'
kind heif-av1.heif "AV1 inside (brand avif), named .heif" "$HEIFENC" 'heif-enc -q 70 -A reference.png -o heif-av1.heif'

section TIFF
kind tiff-uncompressed.tif "8 bits RGB, uncompressed" "$NETPBM" 'pamtotiff -truecolor -none tiny.ppm > tiff-uncompressed.tif'
kind tiff-lzw.tif "LZW with predictor" "$TIFFCP tiffcp" 'pamtotiff -truecolor -none reference.ppm > plain.tif && tiffcp -c lzw:2 plain.tif tiff-lzw.tif'
kind tiff-deflate.tif "deflate with predictor" "$TIFFFILE" 'python library.py tiff tiff-deflate.tif reference.ppm deflate'
kind tiff-jpeg.tif "JPEG inside, YCbCr" "$TIFFCP tiffcp" 'tiffcp -r 16 -c jpeg:90 plain.tif tiff-jpeg.tif'
kind tiff-packbits.tif "palette, PackBits" "$NETPBM" 'pnmquant 32 small.ppm | pamtotiff -indexbits=8 -packbits > tiff-packbits.tif'
kind tiff-tiled.tif "tiles of 32 x 32, deflate" "$TIFFCP tiffcp" 'tiffcp -t -w 32 -l 32 -c zip:2 plain.tif tiff-tiled.tif'
kind tiff-big.tif "BigTIFF, deflate" "$TIFFCP tiffcp" 'tiffcp -8 -c zip:2 plain.tif tiff-big.tif'
kind tiff-orientation-6.tif "turned a quarter, Orientation 6" "$TIFFCP tiffcp, tiffset" 'pamtotiff -truecolor -none turned.ppm > turned.tif && tiffcp -c zip:2 turned.tif tiff-orientation-6.tif; tiffset -s 274 6 tiff-orientation-6.tif'
kind tiff-1-bit-fax.tif "1 bit, CCITT group 4" "$NETPBM" 'pamditherbw -randomseed=1 grey.pgm | pamtopnm | pamtotiff -g4 > tiff-1-bit-fax.tif'
kind tiff-big-endian.tif "8 bits RGB, big-endian, uncompressed" "$TIFFFILE" 'python library.py tiff tiff-big-endian.tif tiny.ppm big-endian'
kind tiff-white-is-zero.tif "8 bits grey, 0 is white" "$TIFFFILE" 'python library.py tiff tiff-white-is-zero.tif small.ppm white-is-zero'
kind tiff-grey-16-bits.tif "16 bits grey" "$TIFFFILE" 'python library.py tiff tiff-grey-16-bits.tif tiny-deep.ppm grey16'
kind tiff-grey-16-bits-white-is-zero.tif "16 bits grey, 0 is white, deflate" "$TIFFFILE" 'python library.py tiff tiff-grey-16-bits-white-is-zero.tif tiny-deep.ppm white-is-zero-16'
kind tiff-float-big-endian.tif "32-bit float grey from 0 to 1, big-endian, deflate" "$TIFFFILE" 'python library.py tiff tiff-float-big-endian.tif tiny-deep.ppm float-big-endian'
kind tiff-rgb-16-bits-planes.tif "16 bits RGB in planes, uncompressed" "$TIFFFILE" 'python library.py tiff tiff-rgb-16-bits-planes.tif tiny-deep.ppm planes'
kind tiff-grey-16-bits-big-endian.tif "16 bits grey, big-endian, deflate" "$IM" 'convert deep-grey.pgm -depth 16 -define tiff:endian=msb -compress Zip tiff-grey-16-bits-big-endian.tif'
kind tiff-grey-12-bits-in-16.tif "16 bits grey with values 0 to 4095 only" "$TIFFFILE" 'python library.py tiff tiff-grey-12-bits-in-16.tif deep.ppm 12'
kind tiff-grey-signed-16-bits.tif "16 bits signed, -1000 to 1000" "$TIFFFILE" 'python library.py tiff tiff-grey-signed-16-bits.tif tiny-deep.ppm signed'
kind tiff-rgb-16-bits.tif "16 bits RGB, LZW" "$NETPBM" 'pamtotiff -truecolor -lzw -predictor=2 deep.ppm > tiff-rgb-16-bits.tif'
kind tiff-grey-32-bits.tif "32 bits unsigned integer grey" "$TIFFFILE" 'python library.py tiff tiff-grey-32-bits.tif tiny-deep.ppm integer'
kind tiff-float.tif "32-bit float grey, 0 to 1" "$TIFFFILE" 'python library.py tiff tiff-float.tif tiny-deep.ppm float'
kind tiff-float-rgb.tif "32-bit float RGB, 0 to 1, deflate with predictor 3" "$TIFFFILE" 'python library.py tiff tiff-float-rgb.tif deep.ppm float-rgb'
kind tiff-cmyk.tif "CMYK, no profile" "$IM" 'convert reference.ppm -colorspace CMYK -compress Zip tiff-cmyk.tif'
kind tiff-lab.tif "CIELAB" "$IM" 'convert tiny.ppm -colorspace Lab -compress LZW tiff-lab.tif'
kind tiff-alpha.tif "RGB and alpha, deflate" "$IM" 'convert png-rgba.png -compress Zip tiff-alpha.tif'
kind tiff-two-pages.tif "two pages" "$TIFFCP tiffcp" 'pamtotiff -truecolor -none small.ppm > small.tif && pamflip -leftright small.ppm | pamtotiff -truecolor -none > mirrored.tif && tiffcp -c zip:2 small.tif mirrored.tif tiff-two-pages.tif'
kind tiff-five-channels.tif "five channels as five pages or planes" "$TIFFFILE" 'python library.py tiff tiff-five-channels.tif tiny-deep.ppm five'

section "PNM, PFM, TGA"
kind ppm-p6.ppm "P6, 8 bits" "$NETPBM" 'cp tiny.ppm ppm-p6.ppm'
kind ppm-p3.ppm "P3 (text), 24 x 18" "$NETPBM" 'pnmtoplainpnm tiny.ppm > ppm-p3.ppm'
kind pgm-p5.pgm "P5, 8 bits, 48 x 36" "$NETPBM" 'cp small-grey.pgm pgm-p5.pgm'
kind pgm-p5-maxval-4095.pgm "P5, maxval 4095" "$NETPBM" 'cp tiny-twelve-grey.pgm pgm-p5-maxval-4095.pgm'
kind pgm-p5-16-bits.pgm "P5, maxval 65535" "$NETPBM" 'ppmtopgm tiny-deep.ppm > pgm-p5-16-bits.pgm'
kind pgm-p2.pgm "P2 (text), 24 x 18" "$NETPBM" 'ppmtopgm tiny.ppm | pnmtoplainpnm > pgm-p2.pgm'
kind pbm-p4.pbm "P4" "$NETPBM" 'pamditherbw -randomseed=1 grey.pgm | pamtopnm > pbm-p4.pbm'
kind pbm-p1.pbm "P1 (text)" "$NETPBM" 'pamditherbw -randomseed=1 small-grey.pgm | pamtopnm | pnmtoplainpnm > pbm-p1.pbm'
kind pfm-rgb.pfm "PFM, RGB, 24 x 18" "$NETPBM" 'pamtopfm tiny.ppm > pfm-rgb.pfm'
kind pam-rgb.pam "PAM, RGB" "$FFMPEG" 'ffmpeg -y -i tiny.ppm -pix_fmt rgb24 -bitexact -update 1 pam-rgb.pam'
kind pam-rgba.pam "PAM, RGB and alpha" "$NETPBM" 'cp tiny-rgba.pam pam-rgba.pam'
kind tga-rle.tga "24 bits, RLE, footer of version 2" "$FFMPEG" 'ffmpeg -y -i tiny.ppm -rle 1 -bitexact -update 1 tga-rle.tga'
kind tga-rle-bottom-up.tga "24 bits, RLE, bottom row first, no footer" "$IM" 'convert tiny.ppm -flip -orient bottom-left -compress RLE tga-rle-bottom-up.tga'
kind tga-uncompressed.tga "24 bits, uncompressed, no footer" "$NETPBM" 'pamtotga -rgb -norle tiny.ppm > tga-uncompressed.tga'
kind tga-32-bits.tga "32 bits with alpha, top row first, no footer" "$IM" 'convert tiny-rgba.pam -orient top-left tga-32-bits.tga'
kind tga-32-bits-footer.tga "32 bits with alpha, footer of version 2 with an extension area (with a small picture)" "$OIIO" 'oiiotool tiny-rgba.png --compression none -o tga-32-bits-footer.tga'
kind tga-grey.tga "8 bits grey, no footer, the name grey in it" "$NETPBM" 'pamtotga -mono -norle -name=grey small-grey.pgm > tga-grey.tga'
kind tga-grey-name-of-10.tga "the same with a name of 10 letters: the file begins with 0A 00 as a PCX file does" "$NETPBM" 'pamtotga -mono -norle -name=small-grey small-grey.pgm > tga-grey-name-of-10.tga'
kind tga-grey-footer.tga "8 bits grey, RLE, footer of version 2" "$FFMPEG" 'ffmpeg -y -i small-grey.pgm -pix_fmt gray -bitexact -update 1 tga-grey-footer.tga'

section "Odd JPEGs"
step clip.mp4 "$FFMPEG" 'ffmpeg -y -framerate 2 -i "frame-%d.ppm" -c:v libx264 -crf 30 -pix_fmt yuv420p -bitexact clip.mp4'
kind jpeg-motion-photo.jpg "a JPEG with the XMP that phones write and an MP4 behind it" "$EXIFTOOL" 'cp jpeg-baseline.jpg m.jpg && exiftool -q -api Compact=NoPadding -overwrite_original -XMP-GCamera:MicroVideo=1 -XMP-GCamera:MicroVideoVersion=1 -XMP-GCamera:MicroVideoOffset=$(stat -c %s clip.mp4) m.jpg && cat m.jpg clip.mp4 > jpeg-motion-photo.jpg'
kind jpeg-without-end.jpg "the last two bytes (EOI) are missing" "head" 'head -c -2 jpeg-baseline.jpg > jpeg-without-end.jpg'
kind jpeg-cut-in-half.jpg "only the first half of the bytes" "head" 'head -c $(( $(stat -c %s jpeg-baseline.jpg) / 2 )) jpeg-baseline.jpg > jpeg-cut-in-half.jpg'

section "Other kinds, to be named and not read"
kind video-h264.mp4 "MP4, H.264" "$FFMPEG" 'cp clip.mp4 video-h264.mp4'
kind video.mov "QuickTime, H.264" "$FFMPEG" 'ffmpeg -y -i clip.mp4 -c copy -bitexact video.mov'
kind video.mkv "Matroska, H.264" "$FFMPEG" 'ffmpeg -y -i clip.mp4 -c copy -bitexact video.mkv'
kind video.webm "WebM, VP9" "$FFMPEG" 'ffmpeg -y -framerate 2 -i "frame-%d.ppm" -c:v libvpx-vp9 -crf 45 -b:v 0 -bitexact video.webm'
kind video.avi "AVI, MPEG-4 part 2" "$FFMPEG" 'ffmpeg -y -framerate 2 -i "frame-%d.ppm" -c:v mpeg4 -bitexact video.avi'
kind document.eps "EPS" "$NETPBM" 'pnmtops -noturn -psfilter -flate -level=3 tiny.ppm > document.eps'
kind document.pdf "PDF" "$GS" 'gs -q -dBATCH -dNOPAUSE -dEPSCrop -sDEVICE=pdfwrite -sOutputFile=document.pdf document.eps'
kind drawing.svg "SVG: the red quarter and the circle" "$SVG" 'printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"96\" height=\"72\"><rect width=\"48\" height=\"36\" fill=\"#cc1f1a\"/><circle cx=\"20\" cy=\"16\" r=\"7\"/></svg>" > by-hand.svg && rsvg-convert -f svg by-hand.svg -o drawing.svg'
kind drawing.svgz "SVG, gzip" "gzip" 'gzip -n -9 < drawing.svg > drawing.svgz'
kind icon.ico "ICO of 24 x 18 and 16 x 12, bitmaps" "$ICOTOOL" 'pnmtopng -force tiny.ppm > tiny.png; python draw.py 16 12 255 rgb | pnmtopng -force > icon-16.png; icotool -c -o icon.ico tiny.png icon-16.png'
kind icon-png.ico "ICO with a PNG in it" "$ICOTOOL" 'icotool -c -o icon-png.ico --raw=reference.png'
kind cursor.cur "CUR of 24 x 18" "$ICOTOOL" 'icotool -c --cursor --hotspot-x=2 --hotspot-y=3 -o cursor.cur tiny.png'
kind icon.icns "ICNS of 32 x 32" "$ICNS png2icns" 'convert reference.ppm -resize 32x32! -define png:color-type=6 -define png:exclude-chunks=all icon-32.png && png2icns icon.icns icon-32.png'
kind jpeg-2000.jp2 "JPEG 2000 in its container" "$OPJ" 'opj_compress -i reference.ppm -o jpeg-2000.jp2 -r 8'
kind jpeg-2000.j2k "JPEG 2000, naked" "$OPJ" 'opj_compress -i reference.ppm -o jpeg-2000.j2k -r 8'
kind jpeg-2000-ht.j2k "high-throughput JPEG 2000, naked" "$IMAGECODECS" 'python library.py imagecodecs_ htj2k_encode small.ppm jpeg-2000-ht.j2k'
kind jpeg-xl-naked.jxl "JPEG XL, naked" "$CJXL" 'cjxl --quiet -q 85 reference.png jpeg-xl-naked.jxl'
kind jpeg-xl-container.jxl "JPEG XL in its container" "$CJXL" 'cjxl --quiet --container=1 -q 85 reference.png jpeg-xl-container.jxl'
kind jpeg-xr.jxr "JPEG XR" "$IMAGECODECS" 'python library.py imagecodecs_ jpegxr_encode small.ppm jpeg-xr.jxr level=0.85'
kind layers.psd "PSD" "$IM" 'convert tiny.ppm -compress RLE layers.psd'
kind dicom-12-bits.dcm "DICOM, 12 bits grey, uncompressed" "$PYDICOM" 'python library.py dicom dicom-12-bits.dcm tiny-raw-twelve.ppm'
kind dicom-jpeg.dcm "DICOM with a JPEG inside" "$DCMTK" 'img2dcm jpeg-baseline.jpg dicom-jpeg.dcm -k PatientName=Drawing^Mien'
kind half-float.exr "OpenEXR, half float" "$OIIO" 'oiiotool reference-48x36.png -d half --compression zip -o half-float.exr'
kind radiance.hdr "Radiance HDR" "$OIIO" 'oiiotool tiny.png -o radiance.hdr'
kind dxt1.dds "DDS, DXT1" "$IM" 'convert small.ppm -define dds:compression=dxt1 -define dds:mipmaps=0 dxt1.dds'
kind fits-rgb.fits "FITS, three planes" "$NETPBM" 'pamtofits tiny.ppm > fits-rgb.fits'
kind camera.dng "minimal DNG: a small RGB picture in IFD 0, mosaic data in a SubIFD" "$TIFFFILE" 'python library.py dng camera.dng tiny.ppm tiny-deep.ppm'
kind qoi.qoi "QOI" "$FFMPEG" 'ffmpeg -y -i small.ppm -pix_fmt rgb24 -bitexact -update 1 qoi.qoi'
kind sgi.sgi "SGI, RLE" "$NETPBM" 'pnmtosgi -rle tiny.ppm > sgi.sgi'
kind pcx.pcx "PCX" "$NETPBM" 'ppmtopcx -24bit tiny.ppm > pcx.pcx'
kind xpm.xpm "XPM" "$NETPBM" 'pnmquant 16 small.ppm | ppmtoxpm > xpm.xpm'
kind xbm.xbm "XBM" "$NETPBM" 'pamditherbw -randomseed=1 small-grey.pgm | pamtopnm | pbmtoxbm > xbm.xbm'
kind sound.mp3 "MP3" "$FFMPEG" 'ffmpeg -y -f lavfi -i "sine=frequency=440:duration=0.3:sample_rate=22050" -c:a libmp3lame -b:a 32k -bitexact sound.mp3'
kind sound.wav "WAV" "$FFMPEG" 'ffmpeg -y -f lavfi -i "sine=frequency=440:duration=0.1:sample_rate=8000" -bitexact sound.wav'
kind archive.zip "ZIP of a JPEG" "$ZIP" 'touch -d @1700000000 jpeg-baseline.jpg; zip -q -X archive.zip jpeg-baseline.jpg'
kind archive.gz "gzip of a PPM" "gzip" 'gzip -n -9 < small.ppm > archive.gz'
kind archive.7z "7z of a JPEG" "$SEVENZIP" '7zz a -bd archive.7z jpeg-baseline.jpg'
kind archive.tar "tar of a small PNG" "GNU tar" 'tar --format=ustar --owner=0 --group=0 --mtime=@1700000000 -b 1 -cf archive.tar jpeg-grey.jpg'

cp README.md "$OUT/README.md"
echo "not made: ${FAILED[*]:-none}"
