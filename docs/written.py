"""Writes into the pages what their commands print and what the code says of itself: python docs/written.py [--check].

These comments in a page are marks:

    <!-- run -->               run the commands of the console block below; what each prints stands after it
    <!-- run exit=3 lines=5 -->    the last one ends with exit code 3; of what each prints, show five lines
    <!-- run
    $ rm -r runs
    -->                        run these, and show nothing
    <!-- made: problems -->    between this and <!-- end --> are parts of `tables`, or what `api` says of names

The commands of a page share a folder with drawn people in data/ and unseen/, and a run on them. A picture that they
make and the page shows is kept in docs/pictures, beside those of `drawings`.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import drawings
import tables
from mien.core.streams import silence_native_libraries
from mien.data import samples

DOCS_DIR = Path(__file__).parent
PICTURES_DIR = DOCS_DIR / "pictures"
_WIDTH = 88
_TIMEOUT_S = 900
_MADE = re.compile(r"^(<!-- made:\s([^>]+?)\s-->\n).*?(?=^<!-- end -->)", re.MULTILINE | re.DOTALL)
_RUN = re.compile(
    r"^<!-- run(?P<options>[^\n]*)-->\n```console\n(?P<shown>.*?)^```$|^<!-- run\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
# The figures in what is printed differ from machine to machine, and so do hashes and numbered files.
_FIGURE = re.compile(r"[\w./~+-]*\d[\w./~+-]*")
# How far a command is, which a terminal shows and wipes again.
_PROGRESS = re.compile(r"\w[\w ]* \d+/\d+(  .*)?")


def filled(text: str, shell: Callable[[str, int], str]) -> str:
    """Return a page with what belongs between its marks.

    Args:
        text: The page.
        shell: Runs a command that has to end with an exit code, and returns what it prints.
    """
    text = _MADE.sub(lambda found: "\n\n".join([found[1].strip(), *map(tables.part, found[2].split()), ""]), text)
    return _RUN.sub(partial(_filled_run, shell), text)


def masked(text: str) -> str:
    """Return what has to be the same on every machine: of what commands print, no figures and no line ends."""
    return _RUN.sub(lambda found: _FIGURE.sub("0", " ".join(found[0].split())), text)


def missing_figures(pages: Mapping[Path, str], figures: Mapping[str, drawings.Figures]) -> list[str]:
    """Name the figures that belong to a picture, and that a page with the picture does not give."""
    return [
        f"{path.relative_to(DOCS_DIR.parent)} shows {name}, but does not say {figure}"
        for path, text in pages.items()
        for name in figures
        for figure in figures[name]
        if f"/{name})" in text and figure not in text
    ]


def _filled_run(shell: Callable[[str, int], str], found: re.Match[str]) -> str:
    options = dict(option.split("=") for option in (found["options"] or "").split())
    commands = re.findall(r"^\$ .*(?:\n> .*)*", found["shown"] or found["hidden"], re.MULTILINE)
    shown = []
    for place, command in enumerate(commands, start=1):
        code = int(options.get("exit", 0)) if place == len(commands) else 0
        lines = _lines(shell(re.sub(r"^[$>] ", "", command, flags=re.MULTILINE), code))
        most = int(options.get("lines", len(lines)))
        shown += [command, *lines[:most], *["..."] * (len(lines) > most)]
    return found[0] if found["hidden"] else "\n".join([*found[0].split("\n")[:2], *shown, "```"])


def _lines(text: str) -> list[str]:
    """Return lines as a terminal shows them in the end, long ones broken between words."""
    wrap = partial(textwrap.wrap, width=_WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = [line.rstrip() for line in text.replace("\ufeff", "").strip("\n").splitlines()]
    lines = [line for line in lines if not _PROGRESS.fullmatch(line)]
    return [part for line in lines for part in (wrap(line) if len(line) > _WIDTH else [line])]


def output(command: str, code: int, *, folder: Path) -> str:
    """Run a command in a terminal of plain text in which `mien` is this one.

    Raises:
        RuntimeError: It ends with another exit code.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # What mien caches goes beside the folder, where the next page finds it.
    environment = {"PATH": path, "XDG_CACHE_HOME": str(folder.parent / "cache")}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | environment | {"COLUMNS": str(_WIDTH), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != code:
        raise RuntimeError(f"{folder.name}: {command!r} ended with {done.returncode}, not {code}:\n{done.stdout}")
    # The run on the people names their folder.
    return re.sub(rf"{re.escape(str(folder.parent))}/[\w.-]+", "/home/you", done.stdout)


def _filled_page(people: Path, page: Path) -> dict[Path, bytes]:
    """Return what has to be in the file of a page, and in those of the pictures that its commands make."""
    folder = people.parent / page.relative_to(DOCS_DIR).as_posix().replace("/", "-")
    shutil.copytree(people, folder)
    text = filled(page.read_text("utf-8"), partial(output, folder=folder))
    pictures = [folder / name for name in re.findall(r"/pictures/([\w.-]+)\)", text)]
    return {page: text.encode()} | {PICTURES_DIR / made.name: made.read_bytes() for made in pictures if made.exists()}


def _filled_files(folder: Path) -> tuple[dict[Path, bytes], list[str]]:
    """Return what has to be in every file, and which figures the pages miss."""
    texts = {path: path.read_text("utf-8") for path in sorted(DOCS_DIR.rglob("*.md")) if "_build" not in path.parts}
    pages = [path for path, text in texts.items() if re.search("^<!-- (run|made)", text, re.MULTILINE)]
    people = folder / "people"
    samples.draw(people)
    output("mien train data", 0, folder=people)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        filled_pages = pool.map(partial(_filled_page, people), pages)
        figures = drawings.draw(folder)
        files = {PICTURES_DIR / path.name: path.read_bytes() for path in (folder / "pictures").iterdir()}
        for page_files in filled_pages:
            files |= page_files
    return files, missing_figures(texts, figures)


def _is_current(path: Path, content: bytes) -> bool:
    """Return whether a file says what it has to; a photo, which is not the same on every machine, has to exist."""
    if not path.exists() or path.suffix == ".jpg":
        return path.exists()
    return masked(content.decode()) == masked(path.read_text("utf-8"))


def main(*, check: bool) -> int:
    """Write every file, or only name those that are out of date; return the exit code."""
    with TemporaryDirectory() as folder:
        files, complaints = _filled_files(Path(folder))
    PICTURES_DIR.mkdir(exist_ok=True)
    for path, content in files.items():
        if not check:
            path.write_bytes(content)
        elif not _is_current(path, content):
            complaints.append(f"{path.relative_to(DOCS_DIR.parent)} is out of date. Type: make docs-write")
    for complaint in complaints:
        print(complaint)
    return bool(complaints)


if __name__ == "__main__":
    silence_native_libraries()
    sys.exit(main(check="--check" in sys.argv))
