"""The process that decodes HEIC: files on standard input, their properties and pixels on standard output.

It is run by its path, with package folders as arguments, and imports nothing from mien.
"""

import json
import signal
import struct
import sys
from typing import Any

# The request: whether pixels are wanted, and the length of the file.
QUESTION = struct.Struct("<?Q")
# The reply: the lengths of the description and of the pixels.
REPLY = struct.Struct("<QQ")


def serve() -> None:
    """Decode the files on standard input until it ends."""
    # The parent handles Ctrl-C and stops this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from pi_heif import HeifFile

    while len(head := sys.stdin.buffer.read(QUESTION.size)) == QUESTION.size:
        pixels, length = QUESTION.unpack(head)
        facts, data = _described(HeifFile, sys.stdin.buffer.read(length), pixels=pixels)
        told = json.dumps(facts).encode()
        sys.stdout.buffer.write(REPLY.pack(len(told), len(data)) + told)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _described(opener: Any, content: bytes, *, pixels: bool) -> tuple[dict[str, Any], bytes]:
    """Return a file's mode, size and profile, or why it cannot be decoded, and its pixels."""
    try:
        opened = opener(content, convert_hdr_to_8bit=True, hdr_to_16bit=True, remove_stride=True)
        image = opened[opened.primary_index]
        data = bytes(image.data) if pixels else b""
        profile = image.info.get("icc_profile") or b""
        return {"mode": image.mode, "size": image.size, "profile": profile.hex() if pixels else ""}, data
    except Exception as error:
        return {"error": f"{error}" or type(error).__name__}, b""


if __name__ == "__main__":
    sys.path[:] = sys.argv[1:]
    serve()
