"""How long a check takes: `mien check` beside CleanVision, whole processes.

    python benchmarks/scan.py PHOTOS [--cleanvision-python PATH] [--rounds 5]

By turns, after a warm-up of each. CleanVision is timed twice: with all its issues (it also looks for dark, blurry and
oddly shaped images), and with copies and near copies alone. Prints seconds, CleanVision / mien, and the number of
images that each calls a copy or near copy of another. For a Python that has CleanVision, see requirements.txt.

CleanVision stops at a file that is no image: both are given a temporary copy of PHOTOS without such files.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from timing import MIEN, arguments, by_turns, readable, run, show_ratio, show_seconds

CLEANVISION = """
import json, sys
from cleanvision import Imagelab

# Its processes import this script.
if __name__ == "__main__":
    lab = Imagelab(data_path=sys.argv[1])
    lab.find_issues(json.loads(sys.argv[2]))
    kinds = ("exact_duplicates", "near_duplicates")
    print(json.dumps([members for kind in kinds for members in lab.info[kind]["sets"]]))
"""
ALL_ISSUES = None
COPIES: dict[str, Any] = {"exact_duplicates": {}, "near_duplicates": {}}


class Checks:
    """Checks a folder in several ways.

    Attributes:
        num_copies: How many images each way calls copies.
    """

    def __init__(self, photos: Path, cleanvision_python: str) -> None:
        self.num_copies: dict[str, int] = {}
        self._photos, self._cleanvision_python = photos, cleanvision_python

    def mien(self) -> float:
        """Return the seconds that `mien check` takes."""
        done = run([*MIEN, "check", self._photos, "--json"])
        self._count("mien", json.loads(done.stdout)["groups"])
        return done.seconds

    def cleanvision(self, name: str, issues: dict[str, Any] | None) -> float:
        """Return the seconds that CleanVision takes to find these issues."""
        done = run([self._cleanvision_python, "-c", CLEANVISION, self._photos, json.dumps(issues)])
        self._count(name, json.loads(done.stdout.splitlines()[-1]))
        return done.seconds

    def _count(self, name: str, groups: list[list[str]]) -> None:
        self.num_copies[name] = len({path for group in groups for path in group})


def copy_readable(photos: Path, folder: Path) -> Path:
    """Copy the images that can be decoded to the same places under another folder."""
    for name in readable(photos):
        copy = folder / Path(name).relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, copy)
    return folder


def main() -> None:
    """Time them, and print what came out."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--cleanvision-python", default=sys.executable, help="a Python that has CleanVision")
    given = parser.parse_args()
    everything, copies_alone = "CleanVision", "CleanVision, copies alone"
    with tempfile.TemporaryDirectory() as work_dir:
        checks = Checks(copy_readable(given.photos, Path(work_dir)), given.cleanvision_python)
        tasks = {
            "mien": checks.mien,
            everything: lambda: checks.cleanvision(everything, ALL_ISSUES),
            copies_alone: lambda: checks.cleanvision(copies_alone, COPIES),
        }
        medians = show_seconds(by_turns(tasks, given.rounds))
    for name in (everything, copies_alone):
        show_ratio(f"{name} / mien", medians[name] / medians["mien"])
    for name, number in checks.num_copies.items():
        print(f"copies and near copies, {name}: {number} images")


if __name__ == "__main__":
    main()
