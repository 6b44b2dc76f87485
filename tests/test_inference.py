"""Inference: an ONNX graph gives the same row for a picture, whatever stands beside it."""

import numpy as np
import pytest

from mien.engine import Local
from mien.errors import ModelFileError
from mien.inference import Graph
from onnx_models import pooling_network


def test_a_picture_gets_the_same_row_alone_and_among_others() -> None:
    graph = Graph(pooling_network(input_name="images", kind=np.uint8, channels_first=False))
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    together = graph.run(["features"], images)[0]
    alone = np.concatenate([graph.run(["features"], images[i : i + 1])[0] for i in range(9)])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(graph.run(["features"], images, engine=Local(1))[0], alone)
    np.testing.assert_allclose(together, images.mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08\x12"])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFileError, match="not a complete ONNX file"):
        Graph(content)
