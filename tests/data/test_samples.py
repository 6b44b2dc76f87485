import errno
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat, UnidentifiedImageError

from mien.core import parallel
from mien.core.progress import Epoch
from mien.data import samples
from mien.data.sample_styles import HELD_OUT, STYLES
from mien.data.samples import CLASS_NAMES, PLANTED, draw
from mien.errors import OutputError, SettingsError

pytestmark = pytest.mark.slow

for package in ("dicebear", "dicebear_styles", "resvg_py"):
    pytest.importorskip(package)

NUM_IMAGES = 24


def in_full_disk(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Do three items, then find the disk full."""
    yield from (function(item) for item in list(items)[:3])
    raise OSError(errno.ENOSPC, "No space left on device")


class Heard:
    """A progress that writes down what it hears."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int | None]] = []

    def say(self, text: str) -> None:
        raise AssertionError(text)

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        pass

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        self.steps.append((stage, done, total))


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, heard: Heard) -> Path:
    """A folder that is drawn once; no test changes it."""
    folder = tmp_path_factory.mktemp("here") / "samples"
    draw(folder, num_images=NUM_IMAGES, progress=heard)
    return folder


def style_of(path: Path) -> str:
    return path.stem.rpartition("-")[0]


def drawn(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if style_of(path) in STYLES)


def planted(folder: Path, problem: str) -> dict[str, bytes]:
    return {item.path: (folder / "data" / item.path).read_bytes() for item in PLANTED if item.problem == problem}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def meta(style: str) -> dict[str, dict[str, str]]:
    return definition(style)["meta"]  # type: ignore[no-any-return]


def definition(style: str) -> dict[str, Any]:
    return json.loads(files("dicebear_styles").joinpath(f"{style}.json").read_text("utf-8"))  # type: ignore[no-any-return]


def test_the_same_seed_draws_the_same_bytes_on_any_number_of_threads(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "count_cores", lambda: 1)
    draw(tmp_path / "again", num_images=NUM_IMAGES)
    assert contents(tmp_path / "again") == contents(folder)


def test_another_seed_draws_other_images(folder: Path, tmp_path: Path) -> None:
    data_dir = draw(tmp_path / "other", num_images=20, seed=8)
    assert {path.name for path in drawn(data_dir)} < {path.name for path in drawn(folder / "data")}
    assert not {path.read_bytes() for path in drawn(data_dir)} & {path.read_bytes() for path in drawn(folder)}


def test_both_classes_have_equally_many_images_of_every_style(folder: Path) -> None:
    happy, sad = (Counter(map(style_of, drawn(folder / "data" / label))) for label in CLASS_NAMES)
    assert happy == sad
    assert happy.total() == NUM_IMAGES // 2


def test_the_held_out_style_is_in_no_training_image(folder: Path) -> None:
    assert HELD_OUT not in map(style_of, drawn(folder / "data"))
    for label in CLASS_NAMES:
        styles = Counter(map(style_of, drawn(folder / "unseen" / label)))
        assert styles.total() == 12
        assert styles[HELD_OUT] == 6


def test_every_drawn_image_is_what_its_name_says(folder: Path) -> None:
    for path in drawn(folder):
        with Image.open(path) as image:
            image.load()
            assert image.format == {".jpg": "JPEG", ".png": "PNG"}[path.suffix]
            assert image.mode == "RGB"
            assert 192 <= min(image.size) <= max(image.size) <= 512


def test_no_two_drawn_images_are_equal(folder: Path) -> None:
    assert len({path.read_bytes() for path in drawn(folder)}) == len(drawn(folder)) == NUM_IMAGES + 24


def test_hardly_an_image_is_a_file_under_10_kb(folder: Path) -> None:
    sizes = [path.stat().st_size for path in drawn(folder)]
    assert sum(size < 10 * 1024 for size in sizes) <= 0.05 * len(sizes)


@pytest.mark.parametrize("style", STYLES)
def test_every_listed_variant_is_in_the_installed_package(style: str) -> None:
    components = definition(style)["components"]
    for shown in (STYLES[style].happy, STYLES[style].sad):
        for component, variants in shown.items():
            assert set(variants.split()) <= set(components[component]["variants"])


@pytest.mark.parametrize("style", STYLES)
def test_no_mouth_is_both_happy_and_sad(style: str) -> None:
    mouth = next(iter(STYLES[style].happy))
    assert mouth in ("mouth", "mood", "expression")
    assert not set(STYLES[style].happy[mouth].split()) & set(STYLES[style].sad[mouth].split())


def test_the_planted_files_are_all_there_and_nothing_else_is(folder: Path) -> None:
    expected = {folder / "data" / item.path for item in PLANTED} | set(drawn(folder)) | {folder / "CREDITS.txt"}
    assert {path for path in folder.rglob("*") if path.is_file()} == expected
    assert 12 <= len(PLANTED) <= 16


@pytest.mark.parametrize("problem", ["not_an_image", "empty"])
def test_planted_files_that_are_no_images_are_not_recognised_as_one(folder: Path, problem: str) -> None:
    for content in planted(folder, problem).values():
        assert bool(content) == (problem != "empty")
        with pytest.raises(UnidentifiedImageError):
            Image.open(BytesIO(content))


def test_the_planted_truncated_image_breaks_off_while_it_is_read(folder: Path) -> None:
    (content,) = planted(folder, "unreadable").values()
    image = Image.open(BytesIO(content))
    assert image.format == "JPEG"
    with pytest.raises(OSError, match="truncated"):
        image.load()


def test_the_planted_png_is_named_jpg_and_whole(folder: Path) -> None:
    ((path, content),) = planted(folder, "wrong_extension").items()
    image = Image.open(BytesIO(content))
    image.load()
    assert (image.format, Path(path).suffix) == ("PNG", ".jpg")


def test_the_planted_icon_has_16_pixels_each_way(folder: Path) -> None:
    (content,) = planted(folder, "too_few_pixels").values()
    assert Image.open(BytesIO(content)).size == (16, 16)


def test_planted_exact_copies_stand_behind_their_original_in_the_same_class(folder: Path) -> None:
    copies = planted(folder, "exact_duplicate")
    assert len(set(copies.values())) == len(copies) == 3
    for path, content in copies.items():
        (original,) = (o for o in drawn(folder / "data") if o.read_bytes() == content)
        assert original.parent.name == Path(path).parent.name
        assert original.name < Path(path).name


def test_planted_near_copies_are_a_drawn_image_at_half_its_size(folder: Path) -> None:
    for path, content in planted(folder, "near_duplicate").items():
        candidates = drawn(folder / "data" / Path(path).parent)
        assert sum(difference(content, candidate.read_bytes()) < 6 for candidate in candidates) == 1


def difference(half: bytes, whole: bytes) -> float:
    """Mean difference in grey levels, or 255 where `whole` has not twice the size."""
    small, image = Image.open(BytesIO(half)), Image.open(BytesIO(whole))
    if small.size != (image.width // 2, image.height // 2):
        return 255
    return float(max(ImageStat.Stat(ImageChops.difference(small, image.resize(small.size))).mean))


def test_a_planted_image_stands_in_both_classes(folder: Path) -> None:
    ((path, content),) = planted(folder, "conflicting_labels").items()
    assert Path(path).parent.name == "happy"
    assert [o.parent.name for o in drawn(folder / "data") if o.read_bytes() == content] == ["sad"]


def test_every_planted_image_has_its_own_original(folder: Path) -> None:
    copies = [*planted(folder, "exact_duplicate").values(), *planted(folder, "conflicting_labels").values()]
    assert len(set(copies)) == len(copies)


def test_progress_hears_every_image(folder: Path, heard: Heard) -> None:
    total = len(drawn(folder))
    assert heard.steps == [("Drawing", number, total) for number in range(1, total + 1)]


def test_a_second_call_reuses_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)
    monkeypatch.setattr(samples, "in_threads", in_full_disk)
    assert draw(folder, num_images=NUM_IMAGES) == folder / "data"
    assert contents(folder) == before


@pytest.mark.parametrize(("num_images", "seed"), [(NUM_IMAGES, 8), (NUM_IMAGES, 77), (20, 7), (240, 7)])
def test_other_drawings_are_refused_and_left_as_they_are(folder: Path, num_images: int, seed: int) -> None:
    before = contents(folder)
    with pytest.raises(OutputError, match="it is 24 images drawn by mien from seed 7"):
        draw(folder, num_images=num_images, seed=seed)
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["data/happy/mine.jpg", "CREDITS.txt"])
def test_a_foreign_folder_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "photos" / name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"\xff mine")
    with pytest.raises(OutputError, match=r"photos.*something else.*another folder"):
        draw(tmp_path / "photos", num_images=20)
    assert contents(tmp_path) == {f"photos/{name}": b"\xff mine"}


def test_a_file_in_the_way_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "samples").write_bytes(b"mine")
    with pytest.raises(OutputError, match="samples"):
        draw(tmp_path / "samples", num_images=20)
    assert contents(tmp_path) == {"samples": b"mine"}


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "in_threads", in_full_disk)
    with pytest.raises(OutputError, match="No space left"):
        draw(tmp_path / "samples", num_images=20)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("num_images", [-2, 0, 18, 21])
def test_a_number_that_cannot_be_drawn_is_refused(tmp_path: Path, num_images: int) -> None:
    with pytest.raises(SettingsError, match=f"num_images is {num_images}"):
        draw(tmp_path / "samples", num_images=num_images)


def test_importing_the_module_loads_no_drawing_package() -> None:
    code = "import sys, mien.data.samples; print({'dicebear', 'resvg_py', 'jsonschema', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_credited_in_the_folder_and_in_the_notice(folder: Path, style: str) -> None:
    credits = (folder / "CREDITS.txt").read_text("utf-8")
    notice = (Path(__file__).parents[2] / "NOTICE").read_text("utf-8")
    source, creator, licence = (meta(style)[part] for part in ("source", "creator", "license"))
    for text in (credits, notice):
        first, second, third = text.partition(f"\n{style}: ")[2].splitlines()[:3]
        assert first.removeprefix("a remix of ") == f"{source['name']}, {source['url']}"
        assert second.strip() == f"by {creator['name']}, {creator['url']}"
        assert third.strip() == f"licence: {licence['name']}, {licence['url']}"
