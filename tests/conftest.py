"""What several test modules need: images, drawn; and records of images that need no file."""

import hashlib
import io
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from mien.config import BackboneConfig, ScanConfig, TrainConfig
from mien.core.faces import Face, find_faces
from mien.core.images import decode
from mien.core.progress import Silence
from mien.data.dataset import Dataset, ImageRecord
from mien.errors import ImageError
from mien.scoring.evaluation import score
from mien.scoring.results import Evaluation, Predictions

if TYPE_CHECKING:
    from mien.runs.run import Run

pytest_plugins = ["browsing", "killing", "store_servers", "tiers"]
Mien = Callable[..., tuple[int, str, str]]


def draw_image(seed: int, *, width: int = 96, height: int = 96) -> Image.Image:
    """Return smooth blobs of colour; other seeds give images that are no near copies."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


class Heard(Silence):
    """Hears what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def problem_of(content: bytes, config: ScanConfig) -> ImageError:
    """Return why an image file cannot be decoded."""
    with pytest.raises(ImageError) as caught:
        decode(content, config)
    return caught.value


@pytest.fixture
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no pixel be decoded: the work that hostile files ask for is there."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _image: pytest.fail("the pixels were decoded"))


def encoded(image: Image.Image, format_: str, **options: Any) -> bytes:
    """Return an image as the content of a file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def save_image(path: Path, image: Image.Image, **options: Any) -> Path:
    """Write an image as JPEG, whatever the name says, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG", **options)
    return path


def record(path: str, **values: Any) -> ImageRecord:
    """Return what a scan says of a good image at `path`, its class first; it is nobody's near copy."""
    sha256 = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
    facts = {"sha256": sha256, "phash": sha256[:32], "num_bytes": 20_000, "format": "JPEG", "width": 300, "height": 200}
    return ImageRecord(**{"path": path, "label": path.split("/")[0], **facts, **values})


def dataset_of(*records: ImageRecord) -> Dataset:
    """Return a Dataset of records, of a folder that need not exist."""
    return Dataset(Path("moods"), tuple(sorted({r.label for r in records})), records)


def bits_apart(first: str, second: str) -> int:
    """Return in how many bits two hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def predictions_of(
    confusion: Sequence[Sequence[int]],
    class_names: tuple[str, ...] = ("happy", "sad"),
    *,
    sure: float = 0.9,
    num_folds: int = 0,
) -> Predictions:
    """Return answers that come to a confusion matrix: truth down, answer across; each label as probable as `sure`."""
    counts = np.array(confusion)
    labels, chosen = (np.repeat(places, counts.ravel()) for places in np.indices(counts.shape).reshape(2, -1))
    others = (1 - sure) / (len(counts) - 1)
    probs = np.where(chosen[:, None] == np.arange(len(counts)), sure, others).astype(np.float32)
    return Predictions(np.arange(len(labels)), labels, probs, num_folds=num_folds, class_names=class_names)


def evaluation_of(
    confusion: Sequence[Sequence[int]], class_names: tuple[str, ...] = ("happy", "sad"), **options: Any
) -> Evaluation:
    """Return the Evaluation of `predictions_of(confusion, **options)`."""
    return score(classifier_of(class_names), predictions_of(confusion, class_names, **options))


def classifier_of(class_names: tuple[str, ...]) -> Any:
    """Return what `score` needs to know of a classifier."""
    facts = SimpleNamespace(largest_class=class_names[0], threshold=0.0)
    return SimpleNamespace(class_names=class_names, facts=facts)


def make_pipe(path: str | Path) -> None:
    """Make a named pipe; where there are none, the test is skipped."""
    if sys.platform == "win32":
        pytest.skip("there are no named pipes")
    os.mkfifo(path)


def make_socket(path: str | Path) -> None:
    """Leave a socket of this machine; where there are none, the test is skipped."""
    if sys.platform == "win32":
        pytest.skip("there are no sockets in folders")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@contextmanager
def without_permission(path: Path, mode: int = 0) -> Iterator[None]:
    """Take permissions from a path in `open_path`; where the tests run as root, be nobody meanwhile."""
    if sys.platform == "win32":
        pytest.skip("permissions are others")
    user = os.geteuid()
    path.chmod(mode)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o755)


def draw_folder(folder: Path, num_images: int, *, first_seed: int = 0, first_number: int = 0) -> Path:
    """Draw distinct JPEGs in happy/ and sad/: in each, those with the numbers below `num_images`."""
    for class_number, name in enumerate(("happy", "sad")):
        for number in range(first_number, num_images):
            image = draw_image(first_seed + 100 * class_number + number)
            save_image(folder / name / f"{number:02}.jpg", image, quality=90)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what commands cache away from the user's own cache, in processes that tests start too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _faces_known_again() -> Iterator[None]:
    """Let a scan look for faces once in each image: hundreds of tests scan the same few, and this takes longest."""
    known: dict[str, tuple[Face, ...]] = {}

    def find(rgb: Image.Image) -> tuple[Face, ...]:
        pixels = f"{rgb.size} {hashlib.sha256(rgb.tobytes()).hexdigest()}"
        if pixels not in known:
            known[pixels] = find_faces(rgb)
        return known[pixels]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.data.scanning.find_faces", find)
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve distinct JPEGs in each of happy/ and sad/. Tests must not change it."""
    return draw_folder(tmp_path_factory.mktemp("moods") / "data", 12)


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A finished run of the preset fast. Tests must not change it: `copied` is a copy of its folder."""
    import mien

    return mien.train(data, out=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Settings that are trained by soonest: a linear head on next to nothing, which allows no activation maps."""
    from onnx_models import pooling_network

    path = tmp_path_factory.mktemp("backbones") / "own.onnx"
    path.write_bytes(pooling_network(shape=["N", 3, 32, 32], output="tokens"))
    return TrainConfig(backbone=BackboneConfig(str(path)))


@pytest.fixture(scope="session")
def small_run(data: Path, small: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A finished run of these settings. Tests must not change it."""
    import mien

    return mien.train(data, small, out=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def copied(run: "Run", tmp_path: Path) -> Path:
    """A copy of the folder of a finished run."""
    shutil.copytree(run.path, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mien:
    """Run a command in this process: its exit code, and what it prints on stdout and stderr."""
    from mien.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("mien.cli.main.silence_native_libraries", lambda: None)
        monkeypatch.setattr(sys, "argv", ["mien", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user without a name and without a home folder, as in a container."""
    if sys.platform == "win32":
        pytest.skip("everybody has a home folder")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A temporary folder that every user may enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
