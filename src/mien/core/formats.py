"""Image file formats: their extensions and first bytes, and what to call any other file."""

import re

MAX_FILE_BYTES = 512 * 1024**2
# The first bytes that identify a file.
HEAD_BYTES = 512
# An allow-list, because Pillow would start Ghostscript for an EPS file.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "HEIF", "PPM", "TGA")
EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
    ".pfm": "PPM",
    ".tga": "TGA",
}
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
# Lengths of the header after the file header, by BMP version.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
# Two numbers (for bitmaps) or three, or a comment.
_PPM = re.compile(rb"P[1-6]\s+#|P[14]\s+\d+\s+\d+\s|P[2356]\s+\d+\s+\d+\s+\d+\s|Pf\s+\d+\s+\d+\s")
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
# Bit depths by TGA image type. Types 9 and up are the same, but run-length coded.
_TGA_DEPTHS = {1: (8,), 2: (16, 24, 32), 3: (8, 16)}
# It starts like any JPEG.
_JPEG_LS = b"\xff\xd8\xff\xf7"
_NOT_READ = "which mien cannot read: save it as JPEG or PNG"
_RAW = ("a camera RAW photo", "which mien cannot read: export it as JPEG or TIFF")
_VIDEO = ("a video", "not an image: export frames as images")
_ARCHIVE = ("an archive", "not an image: unpack it")
_INSTRUMENT = "which mien cannot read: export its images as 16-bit PNG or TIFF"
_SOUND, _PROGRAM = ("a sound recording", "not an image"), ("a program", "not an image")
_POSTSCRIPT = (
    "a PostScript document",
    "a vector drawing: render it at the size you need, and save it as JPEG or PNG",
)
# Other files: position of their magic bytes, the bytes, what the file is, and what to do. Libraries that detect many
# more formats do not say what to do.
_OTHERS: tuple[tuple[int, bytes, tuple[str, str]], ...] = (
    (0, b"%PDF", ("a PDF document", "not an image: export its pages as images")),
    (0, b"%!PS", _POSTSCRIPT),
    (0, b"\xc5\xd0\xd3\xc6", _POSTSCRIPT),
    (0, _JPEG_LS, ("a JPEG-LS image", _NOT_READ)),
    (0, b"II\xbc", ("a JPEG XR image", _NOT_READ)),
    (0, b"\xff\x0a", ("a JPEG XL image", _NOT_READ)),
    (4, b"JXL \r\n\x87\n", ("a JPEG XL image", _NOT_READ)),
    (4, b"jP  \r\n\x87\n", ("a JPEG 2000 image", _NOT_READ)),
    (0, b"\xff\x4f\xff\x51", ("a JPEG 2000 image", _NOT_READ)),
    (128, b"DICM", ("a medical image (DICOM)", _INSTRUMENT)),
    (0, b"SIMPLE  =", ("an astronomy image (FITS)", _INSTRUMENT)),
    (344, b"n+1\0", ("a NIfTI volume", _INSTRUMENT)),
    (0, b"\x89HDF", ("an HDF5 file", _INSTRUMENT)),
    (0, b"\x93NUMPY", ("a NumPy array", _INSTRUMENT)),
    (0, b"\0\0\1\0", ("an icon (ICO)", _NOT_READ)),
    (0, b"\0\0\2\0", ("a mouse cursor (CUR)", _NOT_READ)),
    (0, b"icns", ("an icon (ICNS)", _NOT_READ)),
    (0, b"8BPS", ("a Photoshop file (PSD)", _NOT_READ)),
    (0, b"gimp xcf", ("a GIMP file (XCF)", _NOT_READ)),
    (0, b"v/1\x01", ("an OpenEXR image", _NOT_READ)),
    (0, b"#?RADIANCE", ("a Radiance HDR image", _NOT_READ)),
    (0, b"DDS ", ("a texture (DDS)", _NOT_READ)),
    (0, b"qoif", ("a QOI image", _NOT_READ)),
    (0, b"\x01\xda\0", ("an SGI image", _NOT_READ)),
    (0, b"\x01\xda\x01", ("an SGI image", _NOT_READ)),
    (0, b"\n\5\1", ("a PCX image", _NOT_READ)),
    (0, b"/* XPM */", ("an XPM image", _NOT_READ)),
    (0, b"P7\n", ("a PAM image", _NOT_READ)),
    (0, b"PF\n", ("a colour PFM image", _NOT_READ)),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"MMOR", _RAW),
    (0, b"IIU\0", _RAW),
    (0, b"FOVb", _RAW),
    (0, b"\0MRM", _RAW),
    (4, b"ftypcrx ", _RAW),
    (4, b"ftypM4A", _SOUND),
    (4, b"ftyp", _VIDEO),
    (4, b"moov", _VIDEO),
    (4, b"mdat", _VIDEO),
    (8, b"AVI ", _VIDEO),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    (0, b"\0\0\1\xba", _VIDEO),
    (0, b"\0\0\1\xb3", _VIDEO),
    (0, b"FLV\1", _VIDEO),
    (0, b"0&\xb2u\x8ef\xcf\x11", _VIDEO),
    (8, b"WAVE", _SOUND),
    (0, b"ID3", _SOUND),
    (0, b"OggS", _SOUND),
    (0, b"fLaC", _SOUND),
    (0, b"PK\3\4", ("an archive or an office document", "not an image: unpack it, or export its pages as images")),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"BZh", _ARCHIVE),
    (0, b"\xfd7zXZ\0", _ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (0, b"Rar!", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
    (0, b"\xd0\xcf\x11\xe0", ("an office document", "not an image: export its pages as images")),
    (0, b"SQLite format 3", ("a database", "not an image")),
    (0, b"\0\5\x16\7", ("macOS metadata", "not an image")),
    (0, b"version https://git-lfs", ("a Git LFS pointer", "not an image: download the real file with git lfs pull")),
    (0, b"\x7fELF", _PROGRAM),
    (0, b"MZ", _PROGRAM),
)


def format_of(head: bytes) -> str | None:
    """Return which of FORMATS a file claims to be, or None.

    Args:
        head: At least its first 64 bytes, if it has that many.
    """
    if head.startswith(_JPEG_LS):
        return None
    for start, name in _MAGIC.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _format_of_brands(head)
    if _PPM.match(head):
        return "PPM"
    return "TGA" if _begins_like_tga(head) else None


def describe_other(content: bytes) -> str:
    """Describe a file that is not a supported image, and what to do about it."""
    return ", ".join(filter(None, other_kind(content)))


def other_kind(content: bytes) -> tuple[str, str]:
    """Return what an unsupported file is, e.g. "a video", and what to do about it.

    Args:
        content: The file, or its first HEAD_BYTES bytes.
    """
    start = content[:HEAD_BYTES]
    letters = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if letters.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page", "not an image"
    if letters.startswith(b"<svg") or (letters.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in letters):
        return "a drawing (SVG)", "a vector drawing: render it at the size you need, and save it as JPEG or PNG"
    if letters.startswith(b"<?xml"):
        return "an XML document", "not an image"
    for place, magic, told in _OTHERS:
        if start.startswith(magic, place):
            return told
    if b"\0" not in start:
        return "text", "not an image"
    return f"not a known image format ({', '.join(FORMATS)})", ""


def raw_photo() -> str:
    """Describe a RAW photo that starts like a TIFF, and what to do about it."""
    return ", ".join(_RAW)


def _format_of_brands(head: bytes) -> str | None:
    """Tell AVIF and HEIF from each other, and from videos that start alike, by their brands."""
    length = int.from_bytes(head[:4], "big")
    brands = {head[place : place + 4] for place in (8, *range(16, min(length, len(head)), 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def _begins_like_tga(head: bytes) -> bool:
    """Return whether a TGA header, which has no magic bytes, is consistent."""
    if len(head) < 18:
        return False
    has_palette, kind, depth, flags = head[1], head[2] & 7, head[16], head[17]
    palette = head[3:8]
    if head[2] not in (1, 2, 3, 9, 10, 11) or has_palette > 1 or flags & 0xC0 or (flags & 15) > 8:
        return False
    palette_fits = palette[4] in (15, 16, 24, 32) if has_palette else palette == bytes(5)
    has_size = any(head[12:14]) and any(head[14:16])
    return palette_fits and (kind == 1) == bool(has_palette) and depth in _TGA_DEPTHS[kind] and has_size
