import errno
import hashlib
import os
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Heard, draw_folder, draw_image, encoded, make_pipe, make_socket, save_image, without_permission
from drawn_faces import portrait
from mien.config import ScanConfig
from mien.core import files, images
from mien.core.progress import Silence
from mien.data import scanning
from mien.data.dataset import Dataset, ImageRecord
from mien.data.scanning import scan
from mien.errors import ImageError, NotADatasetError, OutputError, SourceNotFoundError

SMALL = ScanConfig(image_size=(32, 48), faces="off")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three images in each of two classes, for a test to add to."""
    return draw_folder(tmp_path / "moods", 3)


def found(dataset: Dataset) -> dict[str, ImageRecord]:
    return {record.path: record for record in dataset.records}


def problems(dataset: Dataset) -> dict[str, list[str]]:
    return {record.path: [problem.code for problem in record.problems] for record in dataset.records if record.problems}


def test_every_file_has_a_record_of_what_it_is(data: Path) -> None:
    dataset = scan(data, SMALL)
    assert (dataset.root, dataset.config, dataset.kept) == (data, SMALL, None)
    assert dataset.class_names == ("happy", "sad")
    assert dataset.counts() == {"happy": 12, "sad": 12}
    assert [record.path for record in dataset.records[:2]] == ["happy/00.jpg", "happy/01.jpg"]
    content = (data / "happy" / "01.jpg").read_bytes()
    phash, brightness, colour = (getattr(dataset.records[1], name) for name in ("phash", "brightness", "colour"))
    assert dataset.records[1] == ImageRecord(
        "happy/01.jpg",
        "happy",
        hashlib.sha256(content).hexdigest(),
        phash,
        len(content),
        "JPEG",
        96,
        96,
        brightness,
        colour,
    )
    assert len(phash) == 32
    assert 0 < colour < 1 and 0 < brightness < 1


def test_classes_are_sorted_and_images_may_lie_deeper(folder: Path) -> None:
    save_image(folder / "Zeal" / "2020" / "may" / "1.jpg", draw_image(900))
    dataset = scan(folder, SMALL)
    assert dataset.class_names == ("Zeal", "happy", "sad")
    assert found(dataset)["Zeal/2020/may/1.jpg"].label == "Zeal"


def test_hidden_and_stray_files_are_passed_over(folder: Path) -> None:
    for path in (".git/config", "happy/.DS_Store", "happy/.thumbnails/1.jpg", "notes.txt", "loose.jpg"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"x")
    assert len(scan(folder, SMALL).records) == 6


def test_loops_of_links_end(folder: Path) -> None:
    (folder / "happy" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "happy" / "here").symlink_to(".", target_is_directory=True)
    (folder / "itself").symlink_to("itself")
    (folder / "nowhere").symlink_to("missing", target_is_directory=True)
    dataset = scan(folder, SMALL)
    assert dataset.class_names == ("happy", "sad")
    assert Counter(Path(record.path).name for record in dataset.records)["00.jpg"] == 2


def test_a_class_folder_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "sad", tmp_path / "elsewhere")
    (folder / "sad").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    dataset = scan(folder, SMALL)
    assert dataset.counts() == {"happy": 3, "sad": 3}
    assert problems(dataset) == {}


def test_what_cannot_be_read_is_recorded_and_never_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_pipe(folder / "sad" / "pipe.jpg")
    (folder / "sad" / "link.jpg").symlink_to("missing.jpg")
    (folder / "sad" / "loop.jpg").symlink_to("loop.jpg")
    (folder / "sad" / "empty.jpg").touch()
    (folder / "sad" / "page.jpg").write_bytes(b"<html>Not found</html>")
    (folder / "sad" / "cut.jpg").write_bytes((folder / "sad" / "00.jpg").read_bytes()[:500])
    monkeypatch.chdir(folder / "sad")
    make_socket("socket.jpg")
    dataset = scan(folder, SMALL, keep_images=True)
    expected = {name: ["unreadable"] for name in ("pipe", "link", "loop", "cut", "socket")}
    expected |= {"empty": ["empty"], "page": ["not_an_image"]}
    assert problems(dataset) == {f"sad/{name}.jpg": codes for name, codes in expected.items()}
    bad = [record for record in dataset.records if record.problems]
    assert not any(record.used or record.phash or record.width for record in bad)
    assert all(record.problems[0].detail for record in bad)
    assert dataset.counts(used_only=True) == {"happy": 3, "sad": 3}


def test_a_file_that_may_not_be_read_is_recorded(open_path: Path) -> None:
    draw_folder(open_path, 2)
    scan(open_path, SMALL)
    with without_permission(open_path / "sad" / "00.jpg"):
        dataset = scan(open_path, SMALL)
    assert problems(dataset) == {"sad/00.jpg": ["unreadable"]}
    assert "Permission denied" in found(dataset)["sad/00.jpg"].problems[0].detail


def test_a_folder_that_may_not_be_read_is_an_error(open_path: Path) -> None:
    draw_folder(open_path, 2)
    with without_permission(open_path / "sad"), pytest.raises(SourceNotFoundError, match="sad': Permission denied"):
        scan(open_path, SMALL)


NAMES = (
    "two words.jpg|smile \U0001f600.jpg|'quoted' \"twice\".jpg|two\nlines.jpg|semi;colon,comma.jpg|-rf.jpg|"
    "%s{0}$HOME.jpg|e\u0301.jpg|back\\slash.jpg|not utf-8 \udcff\udcfe.jpg|" + 251 * "x" + ".jpg"
).split("|")


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_files_and_classes_may_have_any_name(folder: Path, name: str) -> None:
    label = name.removesuffix(".jpg")
    try:
        path = save_image(folder / label / name, draw_image(900))
    except OSError as error:
        pytest.skip(f"this file system refuses the name: {error}")
    dataset = scan(folder, SMALL, keep_images=True)
    record = found(dataset)[f"{label}/{name}"]
    assert record.label == label and label in dataset.class_names
    assert record.used and not record.problems
    assert record.sha256 == files.sha256_of(path)
    assert dataset.pixels(dataset.indexes()).shape == (7, 32, 48, 3)


def test_a_folder_of_another_layout_is_refused_with_what_to_do(tmp_path: Path, folder: Path) -> None:
    def said(path: Path) -> str:
        with pytest.raises(NotADatasetError) as caught:
            scan(path)
        assert f"one subfolder per class, e.g. {path / 'happy'} and {path / 'sad'}" in str(caught.value)
        return str(caught.value)

    assert "no class folders" in said(folder / "sad") and f"its parent, {folder}" in said(folder / "sad")
    (tmp_path / "empty").mkdir()
    assert "it contains no images" in said(tmp_path / "empty")
    save_image(tmp_path / "one" / "happy" / "1.jpg", draw_image(1))
    assert "The only class folder is 'happy'" in said(tmp_path / "one")
    with pytest.raises(NotADatasetError, match="is neither a folder, a table, nor"):
        scan(folder / "sad" / "00.jpg")


def test_a_wrong_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"missing': No such file or directory$"):
        scan(tmp_path / "missing")
    (tmp_path / "data").mkdir()
    with pytest.raises(
        SourceNotFoundError, match=rf"datas': No such file or directory\. Did you mean '{tmp_path}/data'"
    ):
        scan(tmp_path / "datas")


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_symlink()]
    return {str(path): (path.stat().st_mtime_ns, files.sha256_of(path)) for path in [folder, *paths]}


def test_nothing_in_the_folder_changes(folder: Path) -> None:
    (folder / "sad" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    before = snapshot(folder)
    scan(folder, SMALL, keep_images=True)
    assert snapshot(folder) == before


def test_each_file_is_read_once_and_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[object] = Counter()
    read_regular, decode = files.read_regular, images.decode

    def counting_read(path: Path, **limits: int) -> bytes:
        calls[path] += 1
        return read_regular(path, **limits)

    def counting_decode(content: bytes, config: ScanConfig) -> images.DecodedImage:
        calls[content] += 1
        return decode(content, config)

    monkeypatch.setattr(files, "read_regular", counting_read)
    monkeypatch.setattr(images, "decode", counting_decode)
    dataset = scan(folder, SMALL, keep_images=True)
    dataset.keeping_images().pixels(dataset.indexes())
    assert len(calls) == 12 and set(calls.values()) == {1}


def test_images_that_are_kept_are_those_that_are_decoded_later(folder: Path) -> None:
    (folder / "happy" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    kept = scan(folder, SMALL, keep_images=True)
    too_many = scan(folder, replace(SMALL, max_memory_mb=0), keep_images=True)
    filed = too_many.keeping_images()
    later = scan(folder, SMALL)
    assert kept.kept and type(kept.kept.images) is np.ndarray
    assert filed.kept and type(filed.kept.images) is np.memmap
    assert too_many.kept is None
    assert kept.kept.images.shape == (7, 32, 48, 3)
    for index in kept.indexes():
        array = images.to_array((folder / kept.records[index].path).read_bytes(), SMALL)
        for dataset in (kept, too_many, filed, later, later.keeping_images()):
            assert np.array_equal(dataset.pixels(np.array([index]))[0], array)


@pytest.mark.parametrize(("num_portraits", "decided"), [(5, "on"), (4, "off")])
def test_faces_are_looked_for_where_five_of_64_images_show_one(
    tmp_path: Path, num_portraits: int, decided: str
) -> None:
    for number in range(20):
        for label in ("happy", "sad"):
            save_image(tmp_path / label / f"{number}.jpg", draw_image(2 * number + (label == "sad")))
    for number in range(num_portraits):
        save_image(tmp_path / "sad" / f"portrait {number}.jpg", portrait(200 + number))
    heard = Heard()
    dataset = scan(tmp_path, ScanConfig(), keep_images=True, progress=heard)
    assert dataset.config.faces == decided
    told = r"5 of \d+ images tried show a face; detecting faces in all images \(--faces\)"
    assert re.fullmatch(told if decided == "on" else "", "".join(heard.lines))
    places = np.arange(len(dataset.records))
    shown = np.flatnonzero(dataset.inputs(places).face_weights.max(axis=1))
    names = {dataset.records[place].path for place in shown}
    assert names == ({f"sad/portrait {number}.jpg" for number in range(5)} if decided == "on" else set())
    assert not scan(tmp_path, ScanConfig(faces="off")).inputs(places).face_weights.any()


def test_faces_are_looked_for_in_images_from_all_over_the_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def shows_none(path: Path, _: ScanConfig) -> bool:
        tried.append(path)
        return False

    monkeypatch.setattr(scanning, "_shows_face", shows_none)
    monkeypatch.setattr(scanning, "scan_file", lambda path, *_: ImageRecord(str(path), path.parent.name))
    for label, count in (("few", 3), ("many", 500), ("some", 40)):
        for number in range(count):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / f"{number:03}.jpg").touch()
    scan(tmp_path)
    assert Counter(path.parent.name for path in tried) == {"few": 3, "many": 31, "some": 30}
    assert max(path.name for path in tried if path.parent.name == "many") > "400.jpg"


def test_very_many_images_leave_their_looks_in_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scan(folder, SMALL)
    monkeypatch.setattr(scanning, "_IN_MEMORY", 5)
    after = scan(folder, SMALL)
    assert after.records == before.records
    num_stored = len(after.records) // 5 * 5
    stored, others = after.records[:num_stored], after.records[num_stored:]
    assert not any(isinstance(record.look, bytes) for record in stored)
    assert all(isinstance(record.look, bytes) for record in others)
    looks = [bytes(record.look) or bytes(1152) for record in before.records]
    assert [bytes(record.look) for record in stored] == looks[:num_stored]


def test_a_disk_without_room_for_the_images_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    dataset = scan(folder, replace(SMALL, max_memory_mb=0), keep_images=True)
    with pytest.raises(OutputError, match="No space left"):
        dataset.keeping_images()


def test_an_image_that_has_changed_since_the_scan_is_refused_where_it_is_decoded_again(folder: Path) -> None:
    dataset = scan(folder, SMALL)
    save_image(folder / dataset.records[0].path, draw_image(900))
    for decoded_again in (dataset.pixels, dataset.inputs):
        with pytest.raises(ImageError, match=rf"{dataset.records[0].path}': .*changed since the scan"):
            decoded_again(np.array([0]))
        decoded_again(np.array([1]))


@pytest.mark.parametrize(("name", "kind"), [("a.png", "named .png"), ("a", "no extension"), ("a.mp4", "named .mp4")])
def test_a_wrong_extension_is_reported_and_the_image_used(folder: Path, name: str, kind: str) -> None:
    save_image(folder / "sad" / name, draw_image(900))
    record = found(scan(folder, SMALL))[f"sad/{name}"]
    assert record.used and record.format == "JPEG" and record.phash
    assert [problem.code for problem in record.problems] == ["wrong_extension"]
    assert kind in record.problems[0].detail and "the content is JPEG" in record.problems[0].detail


def test_right_extensions_of_every_spelling_are_no_problem(folder: Path) -> None:
    for name, format_ in (
        ("a.JPG", "JPEG"),
        ("b.jpeg", "JPEG"),
        ("c.Tif", "TIFF"),
        ("d.webp", "WEBP"),
        ("e.jfif", "MPO"),
    ):
        (folder / "sad" / name).write_bytes(encoded(draw_image(900), format_))
    assert problems(scan(folder, SMALL)) == {}


def test_progress_is_told_of_every_file(folder: Path) -> None:
    steps: list[tuple[object, ...]] = []

    class Told(Silence):
        def step(self, *what: object, **_: object) -> None:
            steps.append(what)

    scan(folder, SMALL, progress=Told())
    assert steps == [("Reading", number, 6) for number in range(1, 7)]


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_an_image_of_one_colour_is_named_and_still_used(tmp_path: Path, format_: str) -> None:
    for name in ("happy", "sad"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (64, 64), (200, 40, 90)).save(tmp_path / "happy" / f"blank.{format_.lower()}")
    dot = Image.new("RGB", (64, 64), "white")
    dot.putpixel((9, 9), (0, 0, 0))
    dot.save(tmp_path / "sad" / "dot.png")
    blank, dotted = scan(tmp_path).records
    assert [problem.code for problem in blank.problems][-1] == "blank" and blank.used
    assert dotted.problems == ()


def deep_folder(folder: Path, highest: int, *, num_images: int = 4) -> Path:
    """Return a folder of grey images of 16 bits, each brighter than the one before; the last reaches the highest."""
    for place in range(num_images):
        shown = np.asarray(draw_image(place).convert("L")) / 255 * highest * (place + 1) / num_images
        shown[0, 0] = highest if place == num_images - 1 else 0
        path = folder / ("even", "odd")[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shown.astype(np.uint16)).save(path)
    return folder


def test_the_deepest_image_of_a_folder_decides_for_all(tmp_path: Path) -> None:
    hearing = Heard()
    dataset = scan(deep_folder(tmp_path / "deep", 4000), SMALL, keep_images=True, progress=hearing)
    assert dataset.config == replace(SMALL, levels=(0, 4095))
    assert hearing.lines == [
        "4 images with more than 8 bits a channel: 0 becomes black and 4095 becomes white (--levels)"
    ]
    # The first reaches a quarter of it, which by itself would be ten bits.
    assert dataset.kept is not None and dataset.kept.images[0].max() <= 64
    assert np.array_equal(dataset.kept.images[:4], scan(dataset.root, dataset.config).pixels(np.arange(4)))
    assert [record.phash for record in dataset.records] == [
        record.phash for record in scan(dataset.root, dataset.config).records
    ]


def test_levels_that_are_asked_for_are_taken(tmp_path: Path) -> None:
    folder = deep_folder(tmp_path / "deep", 4000)
    dataset = scan(folder, replace(SMALL, levels=(0, 65535)))
    assert dataset.config.levels == (0, 65535)
    # What was taken for 16 bits is nearly black, and says so.
    assert {code for codes in problems(dataset).values() for code in codes} <= {"nearly_black", "blank"}
    assert len(problems(dataset)) == 4
    brightest = found(dataset)["odd/3.png"].problems[0]
    assert brightest.code == "nearly_black" and brightest.detail.startswith(
        "its brightest level is 15 of 255; its values range from "
    )
    assert all(record.used for record in dataset.records)


def test_without_such_images_the_rules_stay_open(folder: Path) -> None:
    hearing = Heard()
    dataset = scan(folder, SMALL, progress=hearing)
    assert (dataset.config.levels, dataset.config.ground, hearing.lines) == (None, "auto", [])


def icon_folder(folder: Path, colours: tuple[str, ...]) -> Path:
    for place, colour in enumerate(colours):
        image = Image.new("RGBA", (64, 64))
        image.paste(colour, (place + 2, 10, place + 30, 50))
        path = folder / ("even", "odd")[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


@pytest.mark.parametrize(
    ("colours", "ground"),
    [
        (("white",) * 6, "black"),
        (("black",) * 6, "white"),
        (("white", "black") * 3, "grey"),
        (("black", "black", "white", "black", "black", "black"), "black and white"),
    ],
)
def test_what_white_drawings_are_put_on_is_one_rule_for_the_folder(
    tmp_path: Path, colours: tuple[str, ...], ground: str
) -> None:
    hearing = Heard()
    dataset = scan(icon_folder(tmp_path / "icons", colours), SMALL, keep_images=True, progress=hearing)
    assert dataset.config.ground == ("grey" if ground == "black and white" else ground)
    assert problems(dataset) == {}
    assert dataset.kept is not None
    assert len({tuple(corner) for corner in dataset.kept.images[:, 0, 0].tolist()}) == 1
    assert bool(hearing.lines) == (ground != "white")


def test_a_jpeg_without_its_end_is_used_and_told(folder: Path) -> None:
    path = folder / "happy" / "cut.jpg"
    path.write_bytes(encoded(draw_image(77), "JPEG")[:-2])
    record = found(scan(folder, SMALL))["happy/cut.jpg"]
    assert record.used and [problem.code for problem in record.problems] == ["lacks_end"]


def test_what_the_rule_of_the_folder_hides_is_named(tmp_path: Path) -> None:
    folder = deep_folder(tmp_path / "deep", 4000, num_images=12)
    Image.fromarray(np.asarray(draw_image(50).convert("L")).astype(np.float32) / 255).save(folder / "odd" / "float.tif")
    Image.fromarray(np.asarray(draw_image(51).convert("L")).astype(np.uint16) * 257).save(folder / "odd" / "high.png")
    hearing = Heard()
    dataset = scan(folder, SMALL, progress=hearing)
    assert dataset.config.levels == (0, 4095)
    assert hearing.lines[-1].startswith("2 images nearly invisible, e.g. odd/float.tif: its values range from ")
    assert "but white is 4095, so it is nearly black" in hearing.lines[-1]
    assert "but white is 4095, so it is nearly black" in found(dataset)["odd/float.tif"].problems[0].detail
