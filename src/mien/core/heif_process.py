"""The process that decodes HEIC: files on standard input -> what they are and their pixels, on standard output.

It is run by its path, with the folders of packages as its arguments, and imports nothing of mien.
"""

import json
import signal
import struct
import sys
from typing import Any

# What is asked: whether the pixels are wanted, and how long the file is.
QUESTION = struct.Struct("<?Q")
# What comes back: how long its description is, and its pixels.
REPLY = struct.Struct("<QQ")


def serve() -> None:
    """Decode the files on standard input until there are no more."""
    # Who is asked to end ends this one, too.
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
    """Return the mode, the size and the profile of a file, or why it cannot be decoded; and its pixels."""
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
