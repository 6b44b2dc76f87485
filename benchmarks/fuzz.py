"""Whatever the bytes are, they are decoded or named: files are mutated until something breaks.

    python benchmarks/fuzz.py [--num-inputs 100000] [--processes N] [--seed 0] [--failures FOLDER]

Draws small images of every format that mien reads, in many modes: upright and turned by EXIF, animated, with colour
profiles, cut off, and declaring sizes that they do not have; and takes those that other programs wrote, in tests/kinds,
HEIC among them. Atheris (libFuzzer, guided by the coverage of Pillow's and
mien's Python) mutates them; after half of the mutations the check sums of a PNG are put right, so that more gets past
them. Each input goes the way of a file in `mien check`: decode, resize, hash.

A failure is: any exception but ImageError; the death of the process; more than 5 s of processor time; a minute without
an end; a process of more than 2 GiB. The input is saved to the folder of failures, and the work goes on. 2 GiB, because
a WebP of a few KB may hold the 89 million pixels that are allowed by default, and decoding those takes 1.4 GiB.

Needs Atheris, which there is for Linux on x86-64 and Python 3.11 to 3.14. The exit code is 1 where there was a failure.
"""

import argparse
import hashlib
import io
import mmap
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scale import smooth_noise

if TYPE_CHECKING:
    from PIL import Image

MAX_CPU_S, MAX_WALL_S, MAX_MEMORY_MB = 5, 60, 2048
MAX_INPUT_BYTES = 64 * 1024
MAX_FAILURES = 20
# How a process ends: as libFuzzer lets it, or by the signal of the timer.
ENDINGS = {
    77: "an exception or a crash",
    71: f"over {MAX_MEMORY_MB} MiB",
    70: f"no end in {MAX_WALL_S} s",
    -signal.SIGPROF: f"over {MAX_CPU_S} s of processor time",
}
SIDES = (90, 70)
_FACTS = struct.Struct("qqqddq")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Facts:
    """What a process has done so far; kept in a file, which outlives the process.

    Attributes:
        inputs: How many it was given.
        decoded: How many were images.
        refused: How many were none, by an ImageError.
        slowest_s: The most processor time that one took.
        peak_mb: The most memory that the process had, in MiB.
        num_bytes: Length of the last input, which follows in the file.
    """

    inputs: int = 0
    decoded: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    peak_mb: float = 0.0
    num_bytes: int = 0

    def packed(self) -> bytes:
        """Return the beginning of the file."""
        return _FACTS.pack(*vars(self).values())


def read_facts(path: Path) -> tuple[Facts, bytes]:
    """Return what a process did, and its last input."""
    content = path.read_bytes()
    facts = Facts(*_FACTS.unpack_from(content))
    return facts, content[_FACTS.size : _FACTS.size + facts.num_bytes]


def draw_corpus(folder: Path) -> int:
    """Write the files that mutation starts from; return how many."""
    folder.mkdir()
    whole = list(images())
    chance = random.Random(1)
    cut = [content[: int(len(content) * chance.uniform(0.1, 0.95))] for content in whole]
    for number, content in enumerate([*whole, *cut, *lies(), *others(), *written()]):
        (folder / f"{number:04}").write_bytes(content)
    return len(os.listdir(folder))


def images() -> Iterator[bytes]:
    """Yield valid files: every format in the modes and with the options that it has."""
    from PIL import Image, ImageCms

    shown = smooth_noise(1).resize(SIDES)
    clear = shown.convert("RGBA")
    clear.putalpha(shown.convert("L"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = {"save_all": True, "append_images": [smooth_noise(2).resize(SIDES), smooth_noise(3).resize(SIDES)]}
    modes = {
        "JPEG": ("RGB", "L", "CMYK"),
        "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
        "BMP": ("RGB", "RGBA", "L", "P", "1"),
        "GIF": ("P", "L", "RGBA"),
        "WEBP": ("RGB", "RGBA"),
        "TIFF": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "I", "F", "CMYK", "YCbCr", "LAB"),
        "AVIF": ("RGB", "RGBA"),
        "PPM": ("RGB", "L", "1", "I;16"),
        "TGA": ("RGB", "RGBA", "L", "LA", "P", "1"),
    }
    for format_, names in modes.items():
        for mode in names:
            base = clear if mode in ("RGBA", "LA") else shown.convert("L") if mode in ("I;16", "I", "F") else shown
            yield encoded(base.convert(mode), format_)
    for format_ in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield encoded(shown, format_, exif=exif)
        yield encoded(shown, format_, icc_profile=profile)
    for format_ in ("GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"):
        yield encoded(shown, format_, **frames)
    for compression in ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate"):
        yield encoded(shown, "TIFF", compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield encoded(shown.convert("1"), "TIFF", compression=compression)
    for options in ({"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"quality": 1}):
        yield encoded(shown, "JPEG", **options)
    yield encoded(shown, "JPEG")[:-2]
    yield from (
        b"P1 9 9 # bits\n" + b"0 1 " * 41,
        b"P2 9 9 4095\n" + b"70 4000 " * 41,
        b"P3 9 3 255\n" + b"7 9 " * 41,
    )
    yield encoded(clear, "WEBP", lossless=True)
    yield encoded(shown, "AVIF", subsampling="4:4:4")


def encoded(image: "Image.Image", format_: str, **options: Any) -> bytes:
    """Return an image as the content of a file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def lies() -> Iterator[bytes]:
    """Yield files that declare other sizes than they have."""
    from PIL import Image

    small = Image.new("RGB", (8, 8))
    for width, height in ((9_000, 9_000), (100_000, 100_000), (0, 0), (2**31 - 1, 1), (1, 60_000)):
        png = encoded(small, "PNG")
        yield with_check_sums(png[:16] + struct.pack(">II", width, height) + png[24:])
        bmp = encoded(small, "BMP")
        yield bmp[:18] + struct.pack("<II", width, height) + bmp[26:]
        gif, sides = encoded(small, "GIF"), struct.pack("<HH", width % 2**16, height % 2**16)
        yield gif[:6] + sides + gif[10:]
        jpeg = encoded(small, "JPEG")
        frame = jpeg.index(b"\xff\xc0") + 5
        yield jpeg[:frame] + struct.pack(">HH", height % 2**16, width % 2**16) + jpeg[frame + 4 :]


def others() -> Iterator[bytes]:
    """Yield what is no image, or none that mien reads."""
    from PIL import Image

    yield from (b"", b"text", b"<html>", b"%PDF-1.7", b"PK\x03\x04", bytes(200))
    for format_ in ("ICO", "EPS", "PCX"):
        yield encoded(Image.new("RGB", (8, 8)), format_)


def written() -> Iterator[bytes]:
    """Yield files that other programs wrote."""
    for path in sorted((Path(__file__).parents[1] / "tests" / "kinds").iterdir()):
        if path.suffix not in (".md", ".sh"):
            yield path.read_bytes()


def with_check_sums(content: bytes) -> bytes:
    """Put the check sums of a PNG right, as far as its chunks can be followed."""
    fixed, place = bytearray(content), len(_PNG)
    while place + 12 <= len(fixed):
        end = place + 8 + int.from_bytes(fixed[place : place + 4], "big")
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


def fuzz(corpus: Path, facts_path: Path, num_inputs: int, seed: int) -> NoReturn:
    """Mutate and decode until enough was done, or until something breaks and ends the process."""
    import atheris

    with atheris.instrument_imports(include=["PIL", "mien"]):
        from mien.config import ScanConfig
        from mien.core.images import decode, resize
        from mien.data.near_copies import perceptual_hash
        from mien.errors import ImageError
    config, facts = ScanConfig(), Facts()
    shared = mmap.mmap(os.open(facts_path, os.O_RDWR), _FACTS.size + MAX_INPUT_BYTES)

    def decode_one(content: bytes) -> None:
        facts.num_bytes = len(content)
        shared[: _FACTS.size] = facts.packed()
        shared[_FACTS.size : _FACTS.size + len(content)] = content
        # A decoder that does not come back is ended by the system: Python's own handlers wait for it.
        signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
        started = time.process_time()
        try:
            image = decode(content, config)
            resize(image.rgb, config)
            perceptual_hash(image.rgb)
            facts.decoded += 1
        except ImageError:
            facts.refused += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
        facts.slowest_s = max(facts.slowest_s, time.process_time() - started)
        facts.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        facts.inputs += 1
        if facts.peak_mb > MAX_MEMORY_MB:
            raise MemoryError(f"{facts.peak_mb:.0f} MiB")
        if facts.inputs == num_inputs:
            shared[: _FACTS.size] = facts.packed()
            os._exit(0)

    def mutate(content: bytes, max_size: int, seed: int) -> bytes:
        mutated: bytes = atheris.Mutate(content, max_size)
        return with_check_sums(mutated) if seed % 2 and mutated.startswith(_PNG) else mutated

    flags = [f"-max_len={MAX_INPUT_BYTES}", f"-seed={seed}", f"-timeout={MAX_WALL_S}", f"-rss_limit_mb={MAX_MEMORY_MB}"]
    # Not short ones first: of an image of some hundred bytes, little is left in fifty.
    flags += ["-len_control=0", "-detect_leaks=0", f"-artifact_prefix={facts_path.parent}/", str(corpus)]
    atheris.Setup([sys.argv[0], *flags], decode_one, custom_mutator=mutate)
    atheris.Fuzz()
    sys.exit("the fuzzer ended before its time")


def run_process(work: Path, failures: Path, number: int, num_inputs: int, seed: int) -> tuple[list[Facts], list[str]]:
    """Have inputs tried in a process of its own, and in a new one after each failure."""
    all_facts: list[Facts] = []
    found: list[str] = []
    while num_inputs > 0 and len(found) < MAX_FAILURES:
        facts_path = work / f"{number}.facts"
        facts_path.write_bytes(Facts().packed() + bytes(MAX_INPUT_BYTES))
        words = [work / "corpus", facts_path, num_inputs, 1 + seed + 1000 * number + len(found)]
        with open(work / f"{number}.log", "w+b") as log:
            done = subprocess.run([sys.executable, __file__, "--worker", *map(str, words)], stdout=log, stderr=log)
            log.seek(0)
            said = log.read()[-3000:].decode(errors="replace")
        facts, content = read_facts(facts_path)
        all_facts.append(facts)
        num_inputs -= max(facts.inputs, 1)
        if done.returncode:
            failures.mkdir(parents=True, exist_ok=True)
            path = failures / hashlib.sha256(content).hexdigest()[:16]
            path.write_bytes(content)
            ending = ENDINGS.get(done.returncode, f"exit code {done.returncode}")
            found.append(f"{ending}; the input is in {path}\n{said}")
    return all_facts, found


def show(all_facts: list[Facts], found: list[str], seconds: float) -> None:
    """Print what was done, and what broke."""
    inputs, decoded, refused = (sum(getattr(f, name) for f in all_facts) for name in ("inputs", "decoded", "refused"))
    print(f"inputs: {inputs}, {inputs / seconds:.0f} a second; {decoded} decoded, {refused} refused")
    print(f"slowest input: {max(f.slowest_s for f in all_facts):.2f} s of processor time (limit {MAX_CPU_S} s)")
    print(f"peak memory of a process: {max(f.peak_mb for f in all_facts):.0f} MiB (limit {MAX_MEMORY_MB} MiB)")
    for failure in found:
        print(f"\nfailure: {failure}")
    print(f"{len(found)} failures")


def main() -> None:
    """Draw the files, have processes mutate them, and print what came out."""
    if sys.argv[1:2] == ["--worker"]:
        corpus, facts_path, num_inputs, seed = sys.argv[2:]
        fuzz(Path(corpus), Path(facts_path), int(num_inputs), int(seed))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-inputs", type=int, default=100_000, help="in all (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at a time (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="decides the mutations (default: %(default)s)")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="(default: %(default)s)")
    given = parser.parse_args()
    if find_spec("atheris") is None:
        sys.exit("needs Atheris: pip install atheris")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.processes) as pool:
        work = Path(folder)
        print(f"{draw_corpus(work / 'corpus')} files to start from, {given.processes} processes", flush=True)
        share = -(-given.num_inputs // given.processes)
        calls = [
            pool.submit(run_process, work, given.failures, number, share, given.seed)
            for number in range(given.processes)
        ]
        done = [call.result() for call in calls]
    all_facts = [facts for some, _ in done for facts in some]
    found = [text for _, texts in done for text in texts]
    show(all_facts, found, time.perf_counter() - started)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
