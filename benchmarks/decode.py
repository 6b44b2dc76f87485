"""How many images are decoded and resized in a second.

    python benchmarks/decode.py PHOTOS [--rounds 5]

By turns, after a warm-up of each, from memory, to 256 by 256 RGB: mien (images.to_array) in one thread and in all that
it uses; and in one thread Pillow (whole decoding, then a bilinear resize) and OpenCV. Prints images/s and ratios.
Images that one of them cannot read are left out. mien decodes a JPEG at the smallest fraction that is large enough.
"""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from timing import arguments, by_turns, seconds_for, show_rates, show_ratio

SIDE = 256


def decode_with_mien(content: bytes) -> Any:
    """Decode as mien does."""
    from mien.config import ScanConfig
    from mien.core.images import to_array

    return to_array(content, ScanConfig(image_size=(SIDE, SIDE)))


def decode_with_pillow(content: bytes) -> Any:
    """Decode the whole image with Pillow."""
    import numpy as np
    from PIL import Image

    rgb = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def decode_with_opencv(content: bytes) -> Any:
    """Decode the whole image with OpenCV."""
    import cv2
    import numpy as np

    bgr: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(cv2.resize(bgr, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)


DECODERS: dict[str, Callable[[bytes], Any]] = {
    "mien": decode_with_mien,
    "Pillow": decode_with_pillow,
    "OpenCV": decode_with_opencv,
}


def readable(photos: Path) -> list[bytes]:
    """Return the contents of the images that every decoder can read."""
    from mien.fetching.sources import expand, read

    def is_good(content: bytes) -> bool:
        try:
            for decode in DECODERS.values():
                decode(content)
        except Exception:
            return False
        return True

    return [content for content in map(read, expand([photos])) if is_good(content)]


def decode_all(decode: Callable[[bytes], Any], contents: list[bytes], num_threads: int) -> None:
    """Decode every image, and keep none."""
    from mien.core.parallel import in_threads

    images = map(decode, contents) if num_threads == 1 else in_threads(decode, contents, num_threads=num_threads)
    for _ in images:
        pass


def main() -> None:
    """Time them, and print what came out."""
    given = arguments(__doc__, rounds=5).parse_args()
    import cv2

    from mien.core.parallel import count_cores

    cv2.setNumThreads(1)
    contents = readable(given.photos)
    actions = {f"{name}, one thread": partial(decode_all, decode, contents, 1) for name, decode in DECODERS.items()}
    threads = f"mien, {count_cores()} threads"
    actions[threads] = partial(decode_all, decode_with_mien, contents, count_cores())
    seconds = by_turns({name: partial(seconds_for, do) for name, do in actions.items()}, given.rounds)
    rates = show_rates(seconds, len(contents))
    alone = rates["mien, one thread"]
    show_ratio("one thread, mien / Pillow", alone / rates["Pillow, one thread"])
    show_ratio("one thread, mien / OpenCV", alone / rates["OpenCV, one thread"])
    show_ratio(f"{threads} / one", rates[threads] / alone)


if __name__ == "__main__":
    main()
