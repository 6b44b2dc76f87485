"""The memory budget: shares come to no more than the whole, and all that was taken comes back."""

import pytest

from mien.errors import BusyError, TooLargeError
from mien.serving.limits import MemoryBudget


def test_shares_come_to_no_more_than_the_whole() -> None:
    budget = MemoryBudget(100)
    with budget.share() as first, budget.share() as second:
        first.take(60)
        second.take(40)
        with pytest.raises(BusyError, match="its memory for pictures is full"):
            second.take(1)
        first.give_back(10)
        second.take(10)
        assert (first.num_bytes, second.num_bytes, budget.num_taken) == (50, 50, 100)
    assert budget.num_taken == 0


def test_what_no_idle_server_could_hold_is_too_large_for_ever() -> None:
    with MemoryBudget(3 * 1024**2).share() as share:
        share.take(2 * 1024**2)
        with pytest.raises(TooLargeError, match="a request has more than 3 MiB"):
            share.check(1024**2 + 1)
        assert share.num_bytes == 2 * 1024**2


def test_a_share_is_given_back_where_something_goes_wrong() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(TooLargeError), budget.share() as share:
        share.take(101)
    assert budget.num_taken == 0
