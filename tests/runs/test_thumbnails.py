"""The thumbnails: small, in the shape of their image, and with a word in the place of what has gone or changed."""

import base64
import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from conftest import draw_image, make_pipe, record, save_image
from mien.config import ScanConfig
from mien.data.dataset import Dataset, ImageRecord
from mien.data.scanning import scan
from mien.runs.thumbnails import SIDE, load_thumbnails, thumbnail_of


def saved(folder: Path, name: str, **options: int) -> ImageRecord:
    path = save_image(folder / name, draw_image(1, **options))
    return record(name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_thumbnail_keeps_the_shape_of_its_image(tmp_path: Path) -> None:
    records = [saved(tmp_path, "happy/wide.jpg", width=640, height=320), saved(tmp_path, "happy/small.jpg", width=20)]
    found = load_thumbnails(Dataset(tmp_path, ("happy",), tuple(records)), records)
    wide, small = (found[r.path] for r in records)
    assert (wide.width, wide.height) == (SIDE, SIDE // 2)
    assert (small.width, small.height) == (20, 96)
    kind, _, content = wide.uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (SIDE, SIDE // 2)


def test_an_image_that_has_gone_or_changed_says_so(tmp_path: Path) -> None:
    gone, changed, damaged = (saved(tmp_path, f"happy/{number}.jpg") for number in range(3))
    (tmp_path / gone.path).unlink()
    save_image(tmp_path / changed.path, draw_image(2))
    (tmp_path / damaged.path).write_bytes(b"\xff\xd8\xff nonsense")
    damaged = record(damaged.path, sha256=hashlib.sha256(b"\xff\xd8\xff nonsense").hexdigest())
    records = (gone, changed, damaged)
    found = load_thumbnails(Dataset(tmp_path, ("happy",), records), records)
    missing = [found[r.path].missing for r in (gone, changed, damaged)]
    assert missing == ["file missing", "file changed", "cannot be shown"]
    assert not any(thumbnail.uri for thumbnail in found.values())


def test_a_manifest_cannot_show_what_it_does_not_know(tmp_path: Path) -> None:
    save_image(tmp_path / "secret.jpg", draw_image(3))
    (tmp_path / "data").mkdir()
    make_pipe(tmp_path / "data" / "pipe.jpg")
    paths = ["../secret.jpg", "/etc/passwd", "pipe.jpg", "x" * 5000, "nul\0.jpg"]
    records = tuple(record(path, label="happy") for path in paths)
    found = load_thumbnails(Dataset(tmp_path / "data", ("happy",), records), records)
    assert all(found[path].missing and not found[path].uri for path in paths)


def test_images_that_a_dataset_keeps_are_not_read_again(tmp_path: Path) -> None:
    save_image(tmp_path / "happy" / "wide.jpg", draw_image(1, width=640, height=320))
    save_image(tmp_path / "sad" / "high.png", draw_image(2, width=40, height=90))
    (tmp_path / "sad" / "text.jpg").write_text("no image")
    dataset = scan(tmp_path, ScanConfig(), keep_images=True)
    from_files = load_thumbnails(replace(dataset, kept=None), dataset.records)
    for file in tmp_path.rglob("*.*"):
        file.unlink()
    kept = load_thumbnails(dataset, dataset.records)
    for path, before in from_files.items():
        assert (kept[path].width, kept[path].height) == (before.width, before.height)
    assert kept["sad/text.jpg"].missing == "file missing"
    pixels = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(found["sad/high.png"].uri.split(",")[1]))), int)
        for found in (kept, from_files)
    ]
    assert np.abs(pixels[0] - pixels[1]).mean() < 8


def test_an_array_makes_a_thumbnail() -> None:
    assert thumbnail_of(np.zeros((30, 60, 3), np.uint8), side=20).height == 10
