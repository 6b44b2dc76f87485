"""Archives for tests, good and hostile, written byte by byte where no library would write them."""

import bz2
import gzip
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path


def write_zip(path: Path, files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], *, packing: str = "") -> Path:
    with tarfile.open(path, f"w:{packing}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            archive.addfile(*tar_entry(name, content))
    return path


def tar_entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, io.BytesIO]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(content), kind, "../../etc/passwd"
    return entry, io.BytesIO(content)


def zip_with_link(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("happy/link.jpg")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return path


def zip_changed(path: Path, files: dict[str, bytes], *changes: tuple[bytes, bytes], stored: bool = True) -> Path:
    """Write a zip archive, then replace bytes in it, everywhere."""
    write_zip(path, files, method=zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    for old, new in changes:
        assert old in content and len(old) == len(new)
        content = content.replace(old, new)
    path.write_bytes(content)
    return path


def overlapping_zip(path: Path, num_entries: int = 50) -> Path:
    """Write a zip archive whose entries all are the same bytes."""
    write_zip(path, {"happy/1.jpg": bytes(100_000)})
    content = path.read_bytes()
    end = content.rindex(b"PK\5\6")
    start = struct.unpack("<L", content[end + 16 : end + 20])[0]
    entry = content[start:end]
    size = len(entry) * num_entries
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, num_entries, num_entries, size, start, 0)
    path.write_bytes(content[:start] + entry * num_entries + tail)
    return path


def tar_with_long_header(path: Path, num_bytes: int) -> Path:
    """Write a packed tar archive with a name of very many letters."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, num_bytes
    path.write_bytes(gzip.compress(entry.tobuf(tarfile.GNU_FORMAT) + b"x" * num_bytes))
    return path


def packed(content: bytes, packing: str) -> bytes:
    return gzip.compress(content) if packing == "gz" else bz2.compress(content)
