"""The files of other runtimes: what programs find in them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mien

if TYPE_CHECKING:
    from mien.runs.run import Run


@pytest.mark.slow
def test_a_litert_file_names_its_ends_as_its_description_does(small_run: "Run", tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = mien.export(small_run, "litert", out=tmp_path / "model.tflite").path
    facts = json.loads(Path(f"{path}.json").read_text("utf-8"))
    (named,) = Interpreter(str(path)).get_signature_list().values()
    assert named == {"inputs": [facts["input"]["name"]], "outputs": [facts["output"]["name"]]}
