"""Room for decoding: small pictures side by side, large ones one after the other, and the largest alone."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest

from mien.serving.limits import DecodingRoom


def test_what_fits_together_is_decoded_together() -> None:
    room, together = DecodingRoom(100), Barrier(4, timeout=5)

    def decode(_number: int) -> None:
        with room.taking(25):
            together.wait()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, range(4)))
    assert room.num_taken == 0


@pytest.mark.parametrize("num_bytes", [51, 100, 1000])
def test_what_does_not_fit_together_is_decoded_one_after_the_other(num_bytes: int) -> None:
    room, lock = DecodingRoom(100), Lock()

    def decode(_number: int) -> None:
        with room.taking(num_bytes):
            assert lock.acquire(blocking=False)
            lock.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, range(200)))
    assert room.num_taken == 0


def test_there_is_room_again_after_a_mistake() -> None:
    room = DecodingRoom(100)
    with pytest.raises(KeyError), room.taking(100):
        raise KeyError
    with room.taking(100):
        assert room.num_taken == 100
