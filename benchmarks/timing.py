"""What the benchmarks share: running whole processes, timing by turns, printing medians, and finding images."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

# The same program in the same Python, also where the command `mien` is not on the path.
MIEN = [sys.executable, "-m", "mien"]


# Runs a command, and writes its peak of memory and its seconds of processor time to the file that is named first. A
# process counts as its own the memory of the one that starts it, until it is under way; so that one must be small.
_SMALL_STARTER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as file:
    print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime, file=file)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Finished:
    """A process that has ended well.

    Attributes:
        seconds: From its start to its end.
        stdout: What it printed.
        peak_mb: The most memory that it had resident at a time, in MiB, where that was asked for.
        processor_s: Its seconds on all cores together, where that was asked for; other work hardly changes them.
    """

    seconds: float
    stdout: str
    peak_mb: float = 0.0
    processor_s: float = 0.0


def run(command: Sequence[str | Path]) -> Finished:
    """Run a command to its end; this program ends where that fails, with its last words."""
    words = [str(word) for word in command]
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"failed: {' '.join(words)}\n{done.stderr.decode(errors='replace')[-2000:]}")
    return Finished(seconds, done.stdout.decode())


def run_with_usage(command: Sequence[str | Path]) -> Finished:
    """Run a command to its end, and tell its usage too; it starts some hundredths of a second later."""
    with tempfile.TemporaryDirectory() as folder:
        usage_path = Path(folder, "usage.txt")
        done = run([sys.executable, "-c", _SMALL_STARTER, usage_path, *command])
        peak, processor_s = map(float, usage_path.read_text("utf-8").split())
    # Linux counts in KiB, macOS in bytes.
    peak_mb = peak / (1024**2 if sys.platform == "darwin" else 1024)
    return replace(done, peak_mb=peak_mb, processor_s=processor_s)


def seconds_for(action: Callable[[], object]) -> float:
    """Say how long a call takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def by_turns(tasks: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every task once to warm up, then by turns, so that all meet the same disturbances.

    Args:
        tasks: Calls that return their seconds, by name.
        rounds: How often each is counted.

    Returns:
        The seconds of every round, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            took = task()
            if number:
                seconds[name].append(took)
    return seconds


def show_seconds(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Print the median of each and from where to where it went; return the medians."""
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.2f} s (from {min(values):.2f} to {max(values):.2f})")
    return {name: statistics.median(values) for name, values in seconds.items()}


def show_rates(seconds: Mapping[str, list[float]], num_images: int) -> dict[str, float]:
    """Print images per second at the median of each, and from where to where it went; return those rates."""
    rates = {name: num_images / statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        slowest, fastest = num_images / max(values), num_images / min(values)
        print(f"{name}: {rates[name]:.0f} images/s (from {slowest:.0f} to {fastest:.0f})")
    return rates


def show_ratio(what: str, ratio: float) -> None:
    """Print a ratio."""
    print(f"{what}: {ratio:.2f}")


def readable(photos: Path) -> list[str]:
    """Name the images of a folder that can be decoded."""
    from mien.config import ScanConfig
    from mien.core.images import to_array
    from mien.core.parallel import in_threads
    from mien.errors import ImageError
    from mien.fetching.sources import expand, read

    def is_good(name: str) -> bool:
        try:
            to_array(read(name), ScanConfig())
        except ImageError:
            return False
        return True

    names = expand([photos])
    return [name for name, good in zip(names, in_threads(is_good, names), strict=True) if good]


def arguments(doc: str | None, *, rounds: int, photos: bool = True) -> argparse.ArgumentParser:
    """Make the command line that the scripts share: the docstring as help, PHOTOS, and --rounds."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if photos:
        parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a folder of class folders")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each is timed (default: %(default)s)")
    return parser
