"""HEIC: decoded in another process, because one damaged byte can crash libheif and libde265.

One process is started for each thread that decodes, with its first HEIC. It ends with the main process or when it
crashes. Then that image is unusable, and the next one gets a new process.
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

# An image of 89 megapixels takes a few seconds.
_MAX_S = 120


class HeifImageFile(ImageFile.ImageFile):
    """A HEIC image decoded by another process: its size when opened, its pixels when loaded. Already upright."""

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
    """Another process that decodes files one after another."""

    def __init__(self) -> None:
        # Isolated mode starts in half the time.
        words = [sys.executable, "-I", "-S", heif_process.__file__, *sys.path]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def ask(self, content: bytes, *, pixels: bool) -> tuple[dict[str, Any], bytes]:
        """Return what the process says about a file, and its pixels if requested.

        Raises:
            OSError: It crashed or took too long.
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
        """Stop the process."""
        with suppress(OSError):
            cast(BinaryIO, self._process.stdin).close()
        self._process.kill()
        self._process.wait()
        cast(BinaryIO, self._process.stdout).close()


# Processes that are not in use.
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
            raise OSError("the HEIC decoder crashed on it") from error
        raise
    if "error" in facts:
        # The error may have corrupted its memory.
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
    """Leave the parent's processes alone after a fork: two users of one process would mix up its answers."""
    global _idle
    _idle = queue.SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
