"""What a classifier is worth in each format that mien exports: how near its answers are, how fast, how large.

    python benchmarks/formats.py RUN [RUN ...]

Every file is asked about all images of its run, as `mien export` does before it keeps one, by the runtime of its
format. The time is that of one image on one core, without decoding, beside ONNX Runtime in the same minute. Of a
classifier that looks at faces, the files hold one that looks at whole images alone: its own accuracy is printed.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mien
from mien.exports.formats import FORMATS
from mien.exports.web_page import web_page
from mien.runs.run import Run

COLUMNS = "run | format | images | largest difference | other labels | accuracy | ms (ONNX Runtime) | MB"


def rows_of(run: Run) -> Iterator[str]:
    """Yield a row for each format."""
    for name, form in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            made = mien.export(run, name, out=Path(folder, f"model{form.endings[0]}"))
        agreement = made.agreement
        times = f"{made.milliseconds:.1f} ({made.milliseconds_of_onnx:.1f})"
        yield (
            f"{run.path.name} | {form.title} | {agreement.num_images} | {agreement.max_difference:.1e} | "
            f"{agreement.num_changed} | {made.accuracy} | {times} | {made.num_bytes / 1e6:.1f}"
        )
    size = len(web_page(run.classifier).encode()) / 1e6
    yield f"{run.path.name} | web page | | | | {run.scores.judged.accuracy} | | {size:.1f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path)
    print(COLUMNS)
    for path in parser.parse_args().runs:
        for row in rows_of(mien.load_run(path)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
