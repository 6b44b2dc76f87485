"""Contact sheets: an even grid of images with their captions, which odd names and shapes do not break."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import draw_folder, draw_image, save_image
from mien.core.fonts import has_letters, load_font
from mien.core.text import visible
from mien.data.dataset import Dataset
from mien.errors import OutputError, SettingsError
from mien.runs.contact_sheets import plot_check, plot_label_issues
from mien.scoring.label_issues import LabelIssue


def predictions_about(
    places: list[int],
    labels: list[int],
    probs: list[list[float]],
    class_names: tuple[str, ...] = ("happy", "sad"),
) -> mien.Predictions:
    return mien.Predictions(np.array(places), np.array(labels), np.array(probs, np.float32), class_names=class_names)


@pytest.fixture
def dataset(data: Path) -> Dataset:
    return mien.clean(mien.scan(data))


def test_samples_show_as_many_of_each_class_with_their_labels(dataset: Dataset) -> None:
    sheet = mien.plot_samples(dataset, num_images=8)
    assert sheet.captions == (("happy",),) * 4 + (("sad",),) * 4
    # All stand in one row; the fifth is the first sad one.
    paper = np.asarray(sheet.image).astype(int)
    shown = paper[-150:-30, 16 + 4 * 172 + 20 : 16 + 4 * 172 + 140]
    places = dataset.indexes()[dataset.labels(dataset.indexes()) == 1]
    shrunk = [np.array(Image.fromarray(image).resize((160, 160))) for image in dataset.pixels(places)]
    assert min(np.abs(shown - image[26:146, 20:140].astype(int)).mean() for image in shrunk) < 12


@pytest.mark.parametrize(("num_images", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (10, 5, 2), (24, 8, 3), (48, 8, 6)])
def test_the_grid_is_even(tmp_path: Path, num_images: int, columns: int, rows: int) -> None:
    dataset = mien.scan(draw_folder(tmp_path / "data", 24))
    sheet = mien.plot_samples(dataset, num_images=num_images)
    # One image cannot show both classes, which is said below it.
    head, foot = 22, 30 * (num_images == 1)
    assert sheet.image.size == (32 - 12 + columns * 172, 32 - 12 + rows * (160 + head + 12) + foot)
    assert len(sheet.captions) == num_images


@pytest.mark.parametrize(
    ("width", "height", "frame"), [(1600, 100, (320, 80)), (30, 600, (124, 207)), (28, 28, (160, 160))]
)
def test_frames_have_the_shape_of_the_images_as_far_as_that_can_be_seen(
    tmp_path: Path, width: int, height: int, frame: tuple[int, int]
) -> None:
    for number, name in enumerate(("happy", "sad")):
        save_image(tmp_path / "data" / name / "a.png", draw_image(number, width=width, height=height))
    sheet = mien.plot_samples(mien.scan(tmp_path / "data"))
    assert sheet.image.size == (32 - 12 + 2 * (frame[0] + 12), 32 - 12 + frame[1] + 22 + 12)


def test_a_stretched_image_gets_its_own_shape_back_and_a_cropped_one_stays_square(tmp_path: Path) -> None:
    for number, name in enumerate(("happy", "sad")):
        save_image(tmp_path / "data" / name / "a.jpg", draw_image(number, width=300, height=150))
    wide = mien.plot_samples(mien.scan(tmp_path / "data"))
    square = mien.plot_samples(mien.scan(tmp_path / "data", mien.ScanConfig(resize_mode="crop")))
    assert wide.image.width > square.image.width and wide.image.height < square.image.height


def test_mistakes_come_with_truth_and_answer_the_surest_first(dataset: Dataset) -> None:
    places = dataset.indexes()[[0, 1, 12, 13]].tolist()
    predictions = predictions_about(places, [0, 0, 1, 1], [[0.299, 0.701], [0.8, 0.2], [0.951, 0.049], [0.4, 0.6]])
    assert mien.plot_mistakes(dataset, predictions).captions == (
        ("labelled sad", "predicted happy 95%", "sad/00.jpg"),
        ("labelled happy", "predicted sad 70%", "happy/00.jpg"),
    )
    assert len(mien.plot_mistakes(dataset, predictions, num_images=1).captions) == 1


def test_names_of_a_classifier_that_knows_more_classes_are_its_own(dataset: Dataset) -> None:
    predictions = predictions_about([0], [1], [[0.901, 0.0, 0.099]], ("$x$", "happy", "sad"))
    assert mien.plot_mistakes(dataset, predictions).captions[0][:2] == ("labelled happy", "predicted $x$ 90%")


def test_answers_about_other_images_and_odd_numbers_are_refused(dataset: Dataset) -> None:
    for place, label in ((0, 1), (10_000, 0)):
        with pytest.raises(SettingsError, match="other images"):
            mien.plot_mistakes(dataset, predictions_about([place], [label], [[0.9, 0.1]]))
    with pytest.raises(SettingsError, match="num_images is 0"):
        mien.plot_samples(dataset, num_images=0)
    with pytest.raises(SettingsError, match="seed is -1"):
        mien.plot_samples(dataset, seed=-1)


def test_where_there_is_nothing_to_show_that_is_said(dataset: Dataset) -> None:
    sheet = mien.plot_mistakes(dataset, predictions_about([0], [0], [[0.9, 0.1]]))
    assert sheet.captions == (("No mistakes in 1 prediction",),)
    assert plot_label_issues(dataset, ()).captions == (("No images",),)


def test_a_long_name_keeps_its_class_and_its_end_and_stays_within_its_image(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "data", 1)
    (folder / "sad" / "00.jpg").rename(folder / "sad" / f"{'Wide' * 50}-the-end.jpg")
    ((*_, line),) = plot_label_issues(mien.scan(folder), [LabelIssue(1, "sad", "happy", 0.1, 0.9)]).captions
    assert line.startswith("sad/Wide") and line.endswith("-the-end.jpg") and "…" in line
    assert load_font(11).getlength(line) <= 212


def test_names_in_any_script_are_drawn(dataset: Dataset) -> None:
    for title in (
        "$\\frac{1}",
        "😀 \u202e to left",
        "a\nb\x00",
        "悲しい",
        "שלום",
        "سعيد",
        "\udcff",
        "e\u0301",
        "",
    ):
        issue = LabelIssue(0, "happy", title, 0.02, 0.98)
        name = visible(title) if has_letters(load_font(13), visible(title)) else "class 3"
        assert plot_label_issues(dataset, [issue]).captions == (
            ("labelled happy", f"looks like {name} 98%", "happy/00.jpg"),
        )


def test_a_name_that_no_font_has_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.core.fonts._FOLDERS", ())
    load_font.cache_clear()
    for number, name in enumerate(("happy", "悲しい")):
        save_image(tmp_path / "data" / name / "a.png", draw_image(number))
    assert mien.plot_samples(mien.scan(tmp_path / "data")).captions == (("happy",), ("class 2",))
    load_font.cache_clear()


def test_long_names_are_shortened_to_their_own_room_and_stay_apart(tmp_path: Path) -> None:
    names = [f"Hairline crack from the {kind} glazing kiln" for kind in ("left", "right")]
    for number, name in enumerate(names):
        save_image(tmp_path / "data" / name / "a.png", draw_image(number))
    dataset = mien.scan(tmp_path / "data")
    assert mien.plot_samples(dataset).captions == (("Hairline…kiln #1",), ("Hairline…kiln #2",))
    ((title, answer, _),) = plot_label_issues(dataset, [LabelIssue(0, names[0], names[1], 0.02, 0.98)]).captions
    assert (title, answer) == ("labelled Hairline…kiln #1", "looks like Hairline…kiln #2 98%")
    assert load_font(13).getlength(answer) <= 212


def test_samples_of_some_of_the_classes_say_so(tmp_path: Path) -> None:
    for number in range(30):
        save_image(tmp_path / "data" / f"class {number:02}" / "a.png", draw_image(number))
    dataset = mien.scan(tmp_path / "data")
    some, all_of_them = mien.plot_samples(dataset), mien.plot_samples(dataset, num_images=30)
    assert (some.note, all_of_them.note) == ("24 of 30 classes", "")
    below = np.asarray(some.image.crop((0, some.image.height - 30, some.image.width, some.image.height)))
    assert below.min() < 128


def test_a_sheet_is_saved_in_the_format_that_its_name_says(dataset: Dataset, tmp_path: Path) -> None:
    sheet = mien.plot_samples(dataset, num_images=2)
    for name, expected in (("a.png", "PNG"), ("a.JPG", "JPEG"), ("a", "PNG")):
        sheet.savefig(tmp_path / name)
        with Image.open(tmp_path / name) as saved:
            assert (saved.format, saved.size) == (expected, sheet.image.size)
    with Image.open(io.BytesIO(sheet.png())) as shown:
        assert np.array_equal(np.asarray(shown), np.asarray(sheet.image))
    with pytest.raises(SettingsError, match=r"cannot save an image as '.*a\.txt'"):
        sheet.savefig(tmp_path / "a.txt")
    with pytest.raises(OutputError, match="nowhere"):
        sheet.savefig(str(tmp_path / "nowhere" / "a.png"))


@pytest.mark.medium
def test_sheets_need_nothing_but_what_mien_always_has(data: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys("onnx jinja2 scipy resvg_py threadpoolctl keras cv2 tensorboard".split()))
import mien
mien.plot_samples(mien.scan({str(data)!r})).savefig({str(tmp_path / "samples.png")!r})
sys.argv = ["mien", "check", {str(data)!r}, "--sheet", {str(tmp_path / "sheet.png")!r}]
from mien.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "samples.png").is_file() and (tmp_path / "sheet.png").is_file()


def test_the_sheet_of_a_check_shows_what_was_called_copies(tmp_path: Path) -> None:
    draw_folder(tmp_path / "data", 3)
    again = Image.open(tmp_path / "data" / "happy" / "00.jpg")
    again.resize((70, 70)).save(tmp_path / "data" / "happy" / "small.png")
    captions = plot_check(mien.clean(mien.scan(tmp_path / "data"))).captions
    assert [title for title, _ in captions[-2:]] == ["image: happy", "copy: happy, skipped"]
    assert {path for _, path in captions[-2:]} == {"happy/00.jpg", "happy/small.png"}
