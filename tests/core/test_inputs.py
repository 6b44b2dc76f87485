"""Inputs: what a network is shown of an image."""

from dataclasses import replace

import numpy as np
import pytest

from drawn_faces import portrait
from mien.config import ScanConfig
from mien.core.inputs import Inputs, inputs_of, joined, room_for

CONFIG = ScanConfig(image_size=(32, 48), faces="on")


def test_an_image_comes_with_its_faces() -> None:
    inputs = inputs_of(portrait(), CONFIG)
    assert [array.shape for array in inputs.by_name().values()] == [(1, 32, 48, 3), (1, 3, 64, 64), (1, 3)]
    assert inputs.faces[0, 0].any() and not inputs.faces[0, 1:].any()
    assert inputs.face_weights[0, 0] > 0 and not inputs.face_weights[0, 1:].any()
    left, top, width, height = inputs.face_boxes[0, 0]
    assert 0 < left < 0.5 < left + width < 1 and 0 < top < 0.5 < top + height < 1


def test_no_face_is_looked_for_where_that_is_off() -> None:
    inputs = inputs_of(portrait(), replace(CONFIG, faces="off"))
    assert not inputs.faces.any() and not inputs.face_weights.any() and not inputs.face_boxes.any()
    assert np.array_equal(inputs.images, inputs_of(portrait(), CONFIG).images)


@pytest.mark.parametrize("max_memory_mb", [2048, 0])
def test_what_is_put_into_a_room_comes_out_as_it_was(max_memory_mb: int) -> None:
    config = replace(CONFIG, max_memory_mb=max_memory_mb)
    first, second = inputs_of(portrait(), config), Inputs.of(np.full((1, 32, 48, 3), 7, np.uint8))
    room = room_for(2, config)
    for place, inputs in enumerate((first, second)):
        room[place : place + 1].put(inputs)
    whole = joined([first, second], config)
    assert len(room) == len(whole) == 2
    for name, array in whole.by_name().items():
        assert np.array_equal(room.by_name()[name], array)
        assert np.array_equal(room[np.array([1, 0])].by_name()[name], array[::-1])
    assert np.array_equal(room.face_boxes, whole.face_boxes)


def test_a_room_without_faces_takes_no_memory_for_them() -> None:
    room = room_for(1_000_000, ScanConfig(image_size=(22, 22), faces="off", max_memory_mb=0))
    assert room.faces.shape == (1_000_000, 3, 64, 64) and room.faces.strides == (0, 0, 0, 0)


def test_no_images_are_inputs_too() -> None:
    assert [len(array) for array in joined([], CONFIG).by_name().values()] == [0, 0, 0]
