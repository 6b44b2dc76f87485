"""Portable maps (PPM, PGM, PBM), decoded in one go: Pillow decodes most of them pixel by pixel in Python."""

import io
import re
from typing import Any, cast

import numpy as np
from PIL.PpmImagePlugin import PpmImageFile

_REMARK = re.compile(rb"#[^\r\n]*")
_WORD = re.compile(rb"\S+")
_BLANKS = b" \t\r\n\v\f"


class PortableMap(PpmImageFile):
    """An open image. `info["highest"]` is the value of white if the image has 9 to 15 bits."""

    _num_bands, _highest = 0, 255

    def _open(self) -> None:
        super()._open()
        (tile,) = self.tile
        if tile.codec_name == "raw":
            return
        # Bitmaps have no maximum value.
        raw_mode, highest = (self.mode, 1) if self.mode == "1" else cast(tuple[str, int], tile.args)
        place = tile.offset
        if tile.codec_name == "ppm_plain":
            self._num_bands, self._start, place = len(self.getbands()), tile.offset, 0
        if self.mode == "1":
            raw_mode = "1;8"
        else:
            self._highest = highest
        if 255 < highest < 65535:
            self.info["highest"] = highest
        if self.mode == "I":
            self._mode, raw_mode = "I;16", "I;16B"
        elif highest > 255:
            raw_mode = f"{raw_mode};16B"
        self.tile = [tile._replace(codec_name="raw", offset=place, args=raw_mode)]

    def load(self) -> Any:
        """Decode the pixels, after converting numbers in plain text to bytes."""
        if self._num_bands:
            content = cast(io.BytesIO, self.fp).getvalue()
            self.fp = io.BytesIO(self._in_binary(content[self._start :]))
            self._num_bands = 0
        super().load()
        if self._highest < 255:
            levels = [min(level * 255 // self._highest, 255) for level in range(256)]
            # Scale to 255 only once, even if it is loaded again.
            self.im, self._highest = self.im.point(levels * len(self.getbands()), self.mode), 255
        return super().load()

    def _in_binary(self, text: bytes) -> bytes:
        text, num_values = _REMARK.sub(b"", text), self.width * self.height * self._num_bands
        if self.mode == "1":
            # Bits need no whitespace between them, and 1 is black.
            bits = text.translate(None, _BLANKS)[:num_values]
            if len(bits) < num_values or bits.translate(None, b"01"):
                raise ValueError("its pixels are truncated or invalid")
            return bits.translate(bytes.maketrans(b"01", b"\xff\0"))
        if num_values > len(text):
            raise ValueError("its pixels are truncated")
        # One at a time: a list would take many times the memory.
        values = np.fromiter((int(word[0]) for word in _WORD.finditer(text)), np.int32, num_values)
        if values.min() < 0 or values.max() > self._highest:
            raise ValueError(f"its pixel values are not between 0 and {self._highest}")
        return values.astype(">u2" if self._highest > 255 else "u1").tobytes()
