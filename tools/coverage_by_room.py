"""Say how much of each room of the package the tests have gone through: the lines that ran, of those there are."""

from collections import defaultdict
from pathlib import Path

import coverage

PACKAGE = Path(__file__).parent.parent / "src" / "mien"


def main() -> None:
    """Print a line for each room, from what `pytest --cov` left in .coverage."""
    measured = coverage.Coverage()
    measured.load()
    num_lines: defaultdict[str, int] = defaultdict(int)
    num_missed: defaultdict[str, int] = defaultdict(int)
    for path in sorted(PACKAGE.rglob("*.py")):
        _, lines, _, missed, _ = measured.analysis2(str(path))
        room, *inside = path.relative_to(PACKAGE).parts
        for name in (room if inside else "(beside the rooms)", "in all"):
            num_lines[name] += len(lines)
            num_missed[name] += len(missed)
    for name, number in num_lines.items():
        if name != "in all":
            print(_line(name, number, num_missed[name]))
    print(_line("in all", num_lines["in all"], num_missed["in all"]))


def _line(name: str, num_lines: int, num_missed: int) -> str:
    return f"{name:20}{(num_lines - num_missed) / max(num_lines, 1):5.0%} of {num_lines:5} lines"


if __name__ == "__main__":
    main()
