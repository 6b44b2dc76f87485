"""Room for decoding: small images side by side, large ones one after the other, and the largest alone."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest

from mien.errors import BusyError, TooLargeError
from mien.serving.limits import DecodingRoom, MemoryBudget


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


def test_shares_come_to_no_more_than_the_whole() -> None:
    budget = MemoryBudget(100)
    with budget.share() as first, budget.share() as second:
        first.take(60)
        second.take(40)
        with pytest.raises(BusyError, match="its memory for images is full"):
            second.take(1)
        first.give_back(10)
        second.take(10)
        assert (first.num_bytes, second.num_bytes, budget.num_taken) == (50, 50, 100)
    assert budget.num_taken == 0


def test_what_no_idle_server_could_hold_is_too_large_for_ever() -> None:
    with MemoryBudget(3 * 1024**2).share() as share:
        share.take(2 * 1024**2)
        with pytest.raises(TooLargeError, match="the request is larger than 3 MiB"):
            share.check(1024**2 + 1)
        assert share.num_bytes == 2 * 1024**2


def test_a_share_is_given_back_where_something_goes_wrong() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(TooLargeError), budget.share() as share:
        share.take(101)
    assert budget.num_taken == 0


def test_what_is_there_already_counts_though_there_is_no_room_for_it() -> None:
    budget = MemoryBudget(100)
    with budget.share() as answered, budget.share() as next_one:
        answered.hold(120)
        with pytest.raises(BusyError):
            next_one.take(1)
    assert budget.num_taken == 0
