"""Inference: an ONNX graph gives the same row for an image, whatever stands beside it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mien.core.inference import Graph
from mien.errors import ModelFileError
from onnx_models import pooling_network


def test_an_image_gets_the_same_row_alone_and_among_others() -> None:
    graph = Graph(pooling_network(input_name="images", kind=np.uint8, channels_first=False))
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    together = graph.run(["features"], {"images": images})[0]
    alone = np.concatenate([graph.run(["features"], {"images": images[i : i + 1]})[0] for i in range(9)])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_allclose(together, images.mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08\x12"])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFileError, match="not a complete ONNX file"):
        Graph(content)


@pytest.mark.medium
def test_nothing_is_noted_down_to_be_sent_to_anybody(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(pooling_network(input_name="images", kind=np.uint8, channels_first=False))
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    # Where others use ONNX Runtime, it keeps its notes below the home folder until it can send them.
    command = [
        sys.executable,
        "-c",
        f"from mien.core.inference import Graph; Graph(open({str(model)!r}, 'rb').read())",
    ]
    subprocess.run(command, env=environment | {"HOME": str(home)}, check=True)
    assert list(home.rglob("*")) == []
