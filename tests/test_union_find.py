import random
import threading

import numpy as np

from mien.data.near_pairs import Indexes, UnionFind


def indexes(*numbers: int) -> Indexes:
    return np.array(numbers, np.intp)


def test_at_first_each_is_alone() -> None:
    assert UnionFind(3).labels().tolist() == [0, 1, 2]
    assert UnionFind(0).labels().tolist() == []


def test_a_group_is_called_by_its_least() -> None:
    groups = UnionFind(6)
    groups.join(indexes(5, 2), indexes(4, 5))
    groups.join(indexes(), indexes())
    assert groups.labels().tolist() == [0, 1, 2, 3, 2, 2]


def test_pairs_in_any_order_come_together() -> None:
    chance = random.Random(0)
    for size in (2, 10, 300):
        chain = chance.sample(range(size), size)
        for first, second in ((chain[1:], chain[:-1]), (chain[1:], [chain[0]] * (size - 1)), (chain, chain[::-1])):
            groups = UnionFind(size)
            groups.join(indexes(*first), indexes(*second))
            labels = groups.labels()
            assert (labels[first] == labels[second]).all()
            assert (labels <= np.arange(size)).all() and (labels[labels] == labels).all()
        assert len(set(labels.tolist())) == size // 2


def test_a_long_chain_is_one_group() -> None:
    for numbers in (np.arange(100_000), np.arange(100_000)[::-1]):
        groups = UnionFind(100_000)
        groups.join(numbers[1:], numbers[:-1])
        assert not groups.labels().any()


def test_threads_may_join_at_a_time() -> None:
    groups = UnionFind(4000)

    def join(start: int) -> None:
        for place in range(start, 3996, 4):
            groups.join(indexes(place), indexes(place + 4))

    threads = [threading.Thread(target=join, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert groups.labels().tolist() == [place % 4 for place in range(4000)]
