"""Resizing in JavaScript, for pages and for programs without mien: to the last bit as in Python."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.config import ResizeMode, ScanConfig
from mien.core import images
from mien.exports import web_page

SIZE = (96, 64)
SHAPES = [(96, 64), (41, 20), (97, 300), (500, 70), (262, 314), (480, 192), (400, 423), (172, 222), (700, 1203)]
PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
import { toSize } from "./resizing.mjs";
const [mode, ...shapes] = process.argv.slice(2);
for (const shape of shapes) {
  const [height, width] = shape.split("x").map(Number);
  const image = { width, height, data: readFileSync(shape) };
  writeFileSync(`${shape}.made`, toSize(image, [%d, %d], mode).data);
}
"""


@pytest.mark.browser
@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
def test_javascript_brings_images_to_size_to_the_last_bit_as_python_does(tmp_path: Path, mode: ResizeMode) -> None:
    shutil.copy(Path(web_page.__file__).parent / "page" / "resizing.js", tmp_path / "resizing.mjs")
    (tmp_path / "program.mjs").write_text(PROGRAM % SIZE)
    random = np.random.default_rng(5)
    pixels = {f"{height}x{width}": random.integers(0, 256, (height, width, 3), np.uint8) for height, width in SHAPES}
    for name, given in pixels.items():
        (tmp_path / name).write_bytes(given.tobytes())
    subprocess.run(["node", "program.mjs", mode, *pixels], cwd=tmp_path, check=True)
    config = ScanConfig(image_size=SIZE, resize_mode=mode)
    for name, given in pixels.items():
        made = np.frombuffer((tmp_path / f"{name}.made").read_bytes(), np.uint8).reshape(*SIZE, 3)
        assert np.array_equal(made, images.resize(Image.fromarray(given), config)), name
