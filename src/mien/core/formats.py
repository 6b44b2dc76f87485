"""Kinds of image files: their names, their first bytes, and what a file is that is none of them."""

MAX_FILE_BYTES = 512 * 1024**2
# An allow-list: Pillow would start Ghostscript for an EPS file.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF")
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
}
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
# HEIC too, which cannot be decoded: it is better reported than passed over.
_FTYP_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1")


def begins_like_an_image(head: bytes) -> bool:
    """Say whether a file is meant to be an image.

    Args:
        head: Its first 32 bytes.
    """
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    is_bmp = head[:2] == b"BM" and head[6:10] == bytes(4)
    is_avif = head[4:8] == b"ftyp" and any(brand in head[8:] for brand in _FTYP_BRANDS)
    return head.startswith(_MAGIC) or is_webp or is_bmp or is_avif


def describe_other(content: bytes) -> str:
    """Say in words what a file is that is no image of a known kind."""
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page, not an image"
    if start.startswith((b"<svg", b"<?xml")):
        return "an XML or SVG document, not an image of pixels"
    if start.startswith((b"%pdf", b"%!ps", b"pk\x03\x04", b"\x1f\x8b")):
        return "a document or an archive, not an image"
    if content[4:8] == b"ftyp":
        return f"a {content[8:12].decode('latin-1').strip()} file; save it as JPEG, PNG or AVIF"
    if b"\0" not in start:
        return "text, not an image"
    return f"no image of a known kind ({', '.join(FORMATS)})"
