"""Faces: the networks are the originals, a face is found where it is, and its crop stands upright."""

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import mien
from drawn_faces import portrait, reference_crops, reference_images
from mien.core import faces
from mien.core.faces import Face, crops_of, faces_from, find_faces, letterbox
from mien.core.inference import Graph
from mien.core.parallel import in_threads

PACKAGE = Path(mien.__file__).parent
DETECTOR, EXPRESSION = PACKAGE / "core/face_detector.onnx", PACKAGE / "learning/face_expression.onnx"
WHOLE = (0, 0, 256, 256)
# The first anchor of cell (row 3, column 5) of the finer map, and of the coarser.
FINE, COARSE = 2 * (3 * 16 + 5), 512 + 6 * (3 * 8 + 5)


def reference(name: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.load(Path(__file__).with_name("faces_reference.npz"))[name]
    return values


def expression_of(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(EXPRESSION.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"crops": crops})[0])


def nothing_found() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.zeros((896, 16), np.float32), np.full(896, -100, np.float32)


def test_the_detector_gives_what_the_original_gives() -> None:
    images = reference_images()
    regressors, scores = Graph(DETECTOR.read_bytes()).run(["regressors", "scores"], {"images": images})
    np.testing.assert_allclose(regressors[:, ::7], reference("regressors"), atol=2e-3)
    np.testing.assert_allclose(scores, reference("scores"), atol=1e-2)


def test_the_expression_network_gives_what_the_original_gives() -> None:
    logits = expression_of(reference_crops())
    assert logits.shape == (4, 7) and logits.dtype == np.float32
    np.testing.assert_allclose(logits, reference("logits"), atol=2e-2)


def test_an_expression_is_the_same_in_the_mirror_and_beside_others() -> None:
    crops = reference_crops()
    together = expression_of(crops)
    np.testing.assert_allclose(expression_of(np.ascontiguousarray(crops[:, :, ::-1])), together, atol=1e-4)
    np.testing.assert_allclose(expression_of(crops[2:3]), together[2:3], atol=1e-4)


def test_a_drawn_smile_looks_happier_than_the_contrary() -> None:
    happy = expression_of(reference_crops())[:, 3]
    assert happy[2] > happy[3] + 1


@pytest.mark.parametrize("path", [DETECTOR, EXPRESSION], ids=lambda path: path.stem)
def test_the_networks_are_the_files_that_the_notice_names(path: Path) -> None:
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() in (Path(__file__).parents[2] / "NOTICE").read_text("utf-8")
    assert len(content) < 300_000


def test_the_letterbox_holds_the_whole_image_in_the_middle_of_black() -> None:
    image, place = letterbox(Image.new("RGB", (400, 200), "white"))
    assert image.shape == (256, 256, 3) and image.dtype == np.uint8
    assert place == (0, 64, 256, 128)
    assert (image[64:192] == 255).all()
    assert not image[:64].any() and not image[192:].any()


def test_the_letterbox_makes_small_images_larger() -> None:
    image, place = letterbox(Image.new("RGB", (3, 6), "white"))
    assert place == (64, 0, 128, 256)
    assert image.any(axis=-1).sum() == 128 * 256


def test_anchors_are_the_middles_of_cells_row_by_row() -> None:
    anchors = faces.anchors()
    assert anchors.shape == (896, 2)
    np.testing.assert_allclose(anchors[[0, 1, 2]], [[0.5 / 16, 0.5 / 16]] * 2 + [[1.5 / 16, 0.5 / 16]])
    np.testing.assert_allclose(anchors[FINE : FINE + 2], [[5.5 / 16, 3.5 / 16]] * 2)
    np.testing.assert_allclose(anchors[COARSE : COARSE + 6], [[5.5 / 8, 3.5 / 8]] * 6)
    np.testing.assert_allclose(anchors[-1], [7.5 / 8, 7.5 / 8])


def test_a_face_is_read_off_relative_to_its_anchor() -> None:
    regressors, logits = nothing_found()
    logits[FINE] = 0
    regressors[FINE, :8] = [8, -8, 64, 32, -16, -4, 16, 4]
    (face,) = faces_from(regressors, logits, WHOLE)
    x, y = 5.5 / 16, 3.5 / 16
    np.testing.assert_allclose(face.box, (x + 8 / 256 - 1 / 8, y - 8 / 256 - 1 / 16, 1 / 4, 1 / 8))
    np.testing.assert_allclose(face.eyes, ((x - 1 / 16, y - 1 / 64), (x + 1 / 16, y + 1 / 64)))
    assert face.score == 0.5


def test_a_face_is_told_in_shares_of_the_image_not_of_the_letterbox() -> None:
    regressors, logits = nothing_found()
    logits[COARSE] = 5
    regressors[COARSE, 2:4] = 64, 64
    (face,) = faces_from(regressors, logits, (0, 64, 256, 128))
    np.testing.assert_allclose(face.box, (5.5 / 8 - 1 / 8, (3.5 / 8 * 256 - 64 - 32) / 128, 1 / 4, 1 / 2))


def test_of_boxes_that_overlap_the_surest_is_kept() -> None:
    regressors, logits = nothing_found()
    regressors[[FINE, FINE + 1, COARSE], 2:4] = 40
    regressors[FINE + 1, 0] = 8
    logits[[FINE, FINE + 1, COARSE]] = 1, 3, 2
    found = faces_from(regressors, logits, WHOLE)
    assert [round(face.score, 3) for face in found] == [0.953, 0.881]


def test_of_many_faces_the_three_with_the_most_area_times_score_come_largest_first() -> None:
    regressors, logits = nothing_found()
    corners = [0, 2 * 15, 2 * 16 * 15, 2 * (16 * 15 + 15)]
    for anchor, side, logit in zip(corners, (30, 60, 50, 55), (9, 0.1, 9, 9), strict=True):
        regressors[anchor, 2:4], logits[anchor] = side, logit
    found = faces_from(regressors, logits, WHOLE)
    assert [round(256 * face.box[2]) for face in found] == [55, 50, 60]


def test_what_is_unlikely_or_impossible_is_no_face() -> None:
    regressors, logits = nothing_found()
    regressors[:, 2:4] = 20
    assert faces_from(regressors, logits, WHOLE) == ()
    logits[FINE] = -0.01
    assert faces_from(regressors, logits, WHOLE) == ()
    logits[FINE] = 1000
    assert [face.score for face in faces_from(regressors, logits, WHOLE)] == [1.0]
    assert faces_from(regressors, logits, (0, 128, 256, 128)) == (), "its centre is beside the image"
    regressors[FINE, 2:4] = -20, 20
    assert faces_from(regressors, logits, WHOLE) == ()


@pytest.mark.parametrize(("size", "corner"), [((256, 256), (0, 0)), ((700, 300), (420, 20)), ((300, 900), (20, 500))])
def test_a_face_is_found_where_it_is(size: tuple[int, int], corner: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "grey")
    image.paste(portrait(), corner)
    (face,) = find_faces(image)
    eyes = np.array(face.eyes) * size - corner
    np.testing.assert_allclose(eyes / 256, [[0.395, 0.435], [0.605, 0.435]], atol=0.04)
    left, top, width, height = np.array(face.box) * (size * 2) - (*corner, 0, 0)
    assert 40 < left < 80 and 40 < top < 90 and 110 < width < 160 and 110 < height < 160


def test_two_faces_are_found_and_the_larger_comes_first() -> None:
    image = Image.new("RGB", (900, 400), "grey")
    image.paste(portrait(230), (20, 20))
    image.paste(portrait(360), (500, 20))
    assert [face.box[0] > 0.5 for face in find_faces(image)] == [True, False]


def test_a_face_is_the_same_however_large_the_image_is() -> None:
    image = portrait(512)
    larger = image.resize((1500, 1500), Image.Resampling.BICUBIC)
    (face,), (same,) = find_faces(image), find_faces(larger)
    np.testing.assert_allclose(face.box, same.box, atol=0.02)
    crop, again = (crops_of(rgb, (face,))[0][0].astype(int) for rgb in (image, larger))
    assert np.abs(crop - again).mean() < 2


@pytest.mark.parametrize("turned_by", [-40, -20, 0, 20, 40])
def test_a_crop_levels_the_eyes(turned_by: float) -> None:
    image = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(image)
    angle = np.deg2rad(turned_by)
    step = 40 * np.array([np.cos(angle), np.sin(angle)])
    eyes = [np.array([210, 160]) - step, np.array([210, 160]) + step]
    for x, y in eyes:
        pen.ellipse((x - 8, y - 8, x + 8, y + 8), "black")
    shares = [(float(x / 400), float(y / 300)) for x, y in eyes]
    face = Face((130 / 400, 80 / 300, 160 / 400, 160 / 300), 1.0, (shares[0], shares[1]))
    crop = crops_of(image, (face,))[0][0]
    left, right = (np.argwhere(half < 128).mean(axis=0) for half in (crop[:, :32], crop[:, 32:]))
    np.testing.assert_allclose([left[0], right[0]], 31.5, atol=0.5)
    np.testing.assert_allclose(32 + right[1] - left[1], 80 * 64 / 176, atol=0.6)


def test_a_crop_is_not_turned_by_more_than_0_8_rad() -> None:
    image = Image.effect_noise((200, 200), 80).convert("RGB")

    def cropped(angle: float) -> NDArray[np.uint8]:
        eye = (0.5 + 0.2 * float(np.cos(angle)), 0.5 + 0.2 * float(np.sin(angle)))
        crops, _ = crops_of(image, (Face((0.3, 0.3, 0.4, 0.4), 1.0, ((0.5, 0.5), eye)),))
        crop: NDArray[np.uint8] = crops[0]
        return crop

    np.testing.assert_array_equal(cropped(0.8), cropped(1.4))
    np.testing.assert_array_equal(cropped(-0.8), cropped(-2.0))
    assert (cropped(0.8) != cropped(0.7)).any()


def test_a_crop_repeats_the_edges_of_the_image() -> None:
    image = Image.new("RGB", (100, 100), "black")
    image.paste("white", (0, 0, 50, 100))
    face = Face((-0.5, -0.5, 1.0, 1.0), 1.0, ((-0.1, 0.0), (0.1, 0.0)))
    crop = crops_of(image, (face,))[0][0]
    assert (crop[:, :59] == 255).all() and (crop[:, 62:] == 0).all()


def test_a_weight_is_the_share_of_the_side_times_the_score() -> None:
    level = ((0.4, 0.5), (0.6, 0.5))
    crops, weights = crops_of(
        Image.new("RGB", (400, 200), "white"),
        (Face((0.2, 0.2, 0.2, 0.3), 0.9, level), Face((0.2, 0.2, 0.1, 0.3), 0.5, level)),
    )
    assert crops.shape == (3, 64, 64) and crops.dtype == np.uint8
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [1.1 * 80 / 400 * 0.9, 1.1 * 60 / 400 * 0.5, 0], rtol=1e-6)
    assert (crops[:2] == 255).all() and not crops[2].any()


def test_without_faces_all_crops_and_weights_are_nought() -> None:
    crops, weights = crops_of(Image.new("RGB", (30, 20), "white"), ())
    assert crops.shape == (3, 64, 64) and weights.shape == (3,)
    assert not crops.any() and not weights.any()


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (2, 3), (513, 511)])
@pytest.mark.parametrize("colour", ["black", "grey", "white"])
def test_an_image_of_any_shape_has_an_answer(size: tuple[int, int], colour: str) -> None:
    image = Image.new("RGB", size, colour)
    assert find_faces(image) == ()
    crops, weights = crops_of(image, (Face((0.1, -3.0, 0.5, 9.0), 0.7, ((0.5, 0.5), (0.5, 0.5))),))
    assert (crops[0] == np.asarray(image.convert("L"))[0, 0]).all()
    assert np.isfinite(weights).all()


def test_threads_share_one_detector_and_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    faces._loaded.cache_clear()
    loaded = []

    def load(content: bytes) -> Graph:
        loaded.append(content)
        return Graph(content)

    monkeypatch.setattr(faces, "Graph", load)
    found = set(in_threads(find_faces, [portrait()] * 16, num_threads=8))
    assert len(found) == len(loaded) == 1
