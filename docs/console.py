"""The directive `run`: commands in a page are run when the site is built, and shown with what they print.

    ```{run}
    :exit: 3
    $ mien check data --fail-on conflicts
    ```

The commands of a page share a folder with drawn people in data/ and unseen/, and a run on them. A command that does not
end with the exit code that was announced is an error of the build; it is 0, for all but the last always.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from mien.data import samples
from mien.errors import OutputError

_WIDTH = 88
_TIMEOUT_S = 300


def prepare(folder: Path) -> None:
    """Draw the people of `mien demo` into `people` there, and train on them; each page begins with a copy.

    Raises:
        RuntimeError: The training failed.
    """
    people = folder / "people"
    # The run is that of the code as it is now, whatever an earlier build left.
    shutil.rmtree(people / "runs", ignore_errors=True)
    try:
        samples.draw(people)
    except OutputError:
        # An earlier build has drawn others.
        shutil.rmtree(people)
        samples.draw(people)
    command = ["bash", "-c", "mien train data"]
    done = subprocess.run(command, cwd=people, env=_environment(), capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"'mien train data' ended with {done.returncode}:\n{done.stderr}")


def _environment() -> dict[str, str]:
    """Return the environment of a terminal of plain text, in which `mien` is this one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "COLUMNS": str(_WIDTH), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


class RunDirective(SphinxDirective):
    """Runs the lines that begin with "$ "; option `lines` shows no more of what each prints, and `hidden` nothing."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "exit": directives.nonnegative_int,
        "lines": directives.nonnegative_int,
        "hidden": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Return the block that the page shows."""
        folder, shown = self._folder(), []
        commands = re.split(r"^\$ ", "\n".join(self.content), flags=re.MULTILINE)[1:]
        for place, command in enumerate(commands, start=1):
            code = self.options.get("exit", 0) if place == len(commands) else 0
            shown += [f"$ {command.rstrip()}", *self._output(command, folder, code)]
        if "hidden" in self.options:
            return []
        text = "\n".join(shown)
        return [nodes.literal_block(text, text, language="console")]

    def _folder(self) -> Path:
        """Return the folder of this page; its first block finds it as it is at the start."""
        made_dir = Path(self.env.srcdir) / "_made"
        folder = made_dir / "pages" / self.env.docname
        if self.env.current_document.get("run_folder") is None:
            self.env.current_document["run_folder"] = folder
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(made_dir / "people", folder)
        return folder

    def _output(self, command: str, folder: Path, code: int) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode != code:
            raise self.severe(f"{command!r} ended with {done.returncode}, not {code}:\n{done.stdout}")
        # A terminal does not show the mark at the start of a table.
        text = done.stdout.replace(str(folder), "/home/you").replace("\ufeff", "").strip("\n")
        lines = [part for line in text.splitlines() for part in _wrapped(line.rstrip())]
        most = self.options.get("lines", len(lines))
        return lines[:most] + ["..."] * (len(lines) > most)


def _wrapped(line: str) -> list[str]:
    """Break a long line between words, as a terminal does."""
    if len(line) <= _WIDTH:
        return [line]
    return textwrap.wrap(line, _WIDTH, break_long_words=False, break_on_hyphens=False)


def setup(app: Sphinx) -> dict[str, bool]:
    """Give Sphinx the directive."""
    app.add_directive("run", RunDirective)
    return {"parallel_read_safe": True}
