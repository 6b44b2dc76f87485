"""The files of other runtimes: what programs find in them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mien
from mien.exports.formats import FORMATS, FormatName

if TYPE_CHECKING:
    from mien.runs.run import Run


@pytest.mark.slow
def test_a_litert_file_names_its_ends_as_its_description_does(small_run: "Run", tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = mien.export(small_run, "litert", out=tmp_path / "model.tflite").path
    facts = json.loads(Path(f"{path}.json").read_text("utf-8"))
    (named,) = Interpreter(str(path)).get_signature_list().values()
    assert named == {"inputs": [facts["input"]["name"]], "outputs": [facts["output"]["name"]]}


# What a process asks of the network ends it, and is seen.
ASKING_NOBODY = """
import os, sys
def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect"):
        print(event, arguments, file=sys.stderr, flush=True)
        os._exit(9)
sys.addaudithook(refuse)
sys.argv[:1] = ["mien"]
from mien.cli.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "litert", "openvino"])
def test_to_export_tells_nobody(small_run: "Run", tmp_path: Path, to: FormatName) -> None:
    words = [sys.executable, "-c", ASKING_NOBODY, "export", str(small_run.path), "--to", to]
    words += ["--out", str(tmp_path / f"model{FORMATS[to].endings[0]}")]
    (tmp_path / "home").mkdir()
    # On servers of tests some packages are silent that are not elsewhere.
    settings = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path / "home")}
    done = subprocess.run(words, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "home" / "intel").exists()
