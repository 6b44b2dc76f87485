"""HEIC: decoded in another process, since libheif and libde265 break down on files that are damaged in a single byte.

One is started for each thread that decodes, with its first HEIC. It ends with this process, or when it breaks down:
then that image cannot be used, and the next one gets another process.
"""

import atexit
import io
import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO, cast

from PIL import ImageFile

from mien.core import heif_process
from mien.core.heif_process import QUESTION, REPLY

# An image of 89 million pixels takes some seconds.
_MAX_S = 120


class HeifImageFile(ImageFile.ImageFile):
    """A HEIC of which another process knows the size, and then the pixels. It is upright already."""

    format = "HEIF"
    format_description = "HEIF, decoded in another process"

    def _open(self) -> None:
        facts, _ = _ask(self._content(), pixels=False)
        self._mode, self._size = facts["mode"], tuple(facts["size"])
        self._is_decoded = False

    def _content(self) -> bytes:
        return cast(io.BytesIO, self.fp).getvalue()

    def load(self) -> Any:
        """Decode the pixels."""
        if not self._is_decoded:
            facts, pixels = _ask(self._content(), pixels=True)
            self._mode, self._size = facts["mode"], tuple(facts["size"])
            if facts["profile"]:
                self.info["icc_profile"] = bytes.fromhex(facts["profile"])
            self.load_prepare()
            self.frombytes(pixels)
            self._is_decoded = True
        return super().load()


class _Process:
    """Another process that decodes one file after the other."""

    def __init__(self) -> None:
        # Alone, it is there in half the time.
        words = [sys.executable, "-I", "-S", heif_process.__file__, *sys.path]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def ask(self, content: bytes, *, pixels: bool) -> tuple[dict[str, Any], bytes]:
        """Return what the process says of a file, and its pixels where they are asked for.

        Raises:
            OSError: It broke down, or took too long.
        """
        stop = threading.Timer(_MAX_S, self._process.kill)
        stop.start()
        try:
            asked, answered = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
            asked.write(QUESTION.pack(pixels, len(content)))
            asked.write(content)
            asked.flush()
            num_facts, num_pixels = REPLY.unpack(_read(answered, REPLY.size))
            return json.loads(_read(answered, num_facts)), _read(answered, num_pixels)
        finally:
            stop.cancel()

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            cast(BinaryIO, self._process.stdin).close()
        self._process.kill()
        self._process.wait()
        cast(BinaryIO, self._process.stdout).close()


# Those that nobody uses now.
_idle: "queue.SimpleQueue[_Process]" = queue.SimpleQueue()


def _ask(content: bytes, *, pixels: bool) -> tuple[dict[str, Any], bytes]:
    try:
        process = _idle.get_nowait()
    except queue.Empty:
        process = _Process()
    try:
        facts, data = process.ask(content, pixels=pixels)
    except BaseException as error:
        process.close()
        if isinstance(error, OSError):
            raise OSError("its decoder breaks down on it") from error
        raise
    if "error" in facts:
        # It may have come out of this with memory that is not as it was.
        process.close()
        raise OSError(facts["error"])
    _idle.put(process)
    return facts, data


def _read(stream: BinaryIO, num_bytes: int) -> bytes:
    content = stream.read(num_bytes)
    if len(content) < num_bytes:
        raise OSError("the process has ended")
    return content


@atexit.register
def _end() -> None:
    with suppress(queue.Empty):
        while True:
            _idle.get_nowait().close()


def _forget_in_child() -> None:
    """Leave the processes of the parent to it, after a fork: two that ask one process mix up its answers."""
    global _idle
    _idle = queue.SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
