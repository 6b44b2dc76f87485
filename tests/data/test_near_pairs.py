"""The search for near pairs, against one that compares each hash to all others; with an index on few hashes too."""

import random
import threading
from collections.abc import Callable

import numpy as np
import pytest

from mien.data import near_pairs
from mien.data.near_pairs import Indexes, UnionFind, Words, near_labels

Maker = Callable[[random.Random, int], list[int]]


def with_flipped(hash_: int, num_bits: int, chance: random.Random) -> int:
    for place in chance.sample(range(128), num_bits):
        hash_ ^= 1 << place
    return hash_


def spread(chance: random.Random, near_bits: int) -> list[int]:
    """Hashes all over the place, and copies of them about as far off as the limit."""
    hashes = [chance.getrandbits(128) for _ in range(60)]
    for _ in range(60):
        hashes.append(with_flipped(chance.choice(hashes), max(1, near_bits + chance.choice((-1, 0, 0, 1, 2))), chance))
    return hashes


def crowded(chance: random.Random, near_bits: int) -> list[int]:
    """Two crowds around a centre each, with some far from their like, and others all over the place."""
    hashes = [chance.getrandbits(128) for _ in range(20)]
    hashes += [with_flipped(hashes[0], chance.randint(1, 3), chance) for _ in range(50)]
    hashes += [with_flipped(hashes[1], chance.randint(0, near_bits // 2 + 2), chance) for _ in range(50)]
    return hashes


def half_blank(chance: random.Random, near_bits: int) -> list[int]:
    """Hashes of which a half has no bit set, and some of the other half are shared."""
    return [chance.getrandbits(64) & chance.choice((2**64 - 1, 2**40 - 1, 2**20 - 1)) for _ in range(120)]


def all_alike(chance: random.Random, near_bits: int) -> list[int]:
    """Hashes that differ in a few places only."""
    return [chance.getrandbits(128) & 0x8421_0000_1111_0000_8421_0000_0000_FFFF for _ in range(120)]


MAKERS = [spread, crowded, half_blank, all_alike]
LIMITS = [0, 1, 7, 16, 17, 31, 64]


def as_words(hashes: list[int]) -> Words:
    return np.array([[hash_ >> 64 for hash_ in hashes], [hash_ & 2**64 - 1 for hash_ in hashes]], np.uint64)


def distinct(hashes: list[int], chance: random.Random) -> Words:
    return as_words(chance.sample(sorted(set(hashes)), len(set(hashes))))


def plain_labels(words: Words, near_bits: int) -> list[int]:
    """Colour the graph of near pairs, one hash after another."""
    labels = np.full(words.shape[1], -1)
    for start in range(len(labels)):
        waiting = [start] if labels[start] < 0 else []
        while waiting:
            differing = np.bitwise_count(words ^ words[:, waiting.pop(), None])
            new = np.flatnonzero((differing[0] + differing[1] <= near_bits) & (labels < 0))
            labels[new] = start
            waiting += new.tolist()
    return [int(label) for label in labels]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_pairs, "_LONG", 5)
    monkeypatch.setattr(near_pairs, "_BLOCK", 64)


@pytest.mark.parametrize(
    ("maker", "near_bits"),
    [
        pytest.param(maker, near_bits, marks=() if near_bits in LIMITS else pytest.mark.slow)
        for near_bits in range(65)
        for turn, maker in enumerate(MAKERS)
        if near_bits % 4 == turn or near_bits in LIMITS
    ],
)
def test_every_number_of_chunks_finds_every_near_pair_and_no_other(
    maker: Maker, near_bits: int, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(f"{maker.__name__} {near_bits}")
    words = distinct(maker(chance, near_bits), chance)
    expected = plain_labels(words, near_bits)
    num_chunks = chance.randint(near_bits // 4 + 1, near_bits + 1)
    chunks = near_pairs._chunks(num_chunks, min(128 // num_chunks, chance.randint(4, 9)), near_bits)
    monkeypatch.setattr(near_pairs, "_plan", lambda words, near_bits: chunks)
    assert near_labels(words, near_bits).tolist() == expected
    # Without the head start that sorting gives, the index alone finds them.
    monkeypatch.setattr(near_pairs, "_join_neighbours", lambda words, near_bits, groups: None)
    assert near_labels(words, near_bits).tolist() == expected


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("near_bits", LIMITS)
def test_comparing_all_pairs_finds_the_same(maker: Maker, near_bits: int, small_steps: None) -> None:
    chance = random.Random(near_bits)
    words = distinct(maker(chance, near_bits), chance)
    assert near_labels(words, near_bits).tolist() == plain_labels(words, near_bits)


@pytest.mark.slow
@pytest.mark.parametrize("near_bits", [1, 7, 16, 17, 31, 64])
def test_thousands_of_hashes_have_the_groups_of_a_plain_search(near_bits: int) -> None:
    chance = random.Random(near_bits)
    hashes = [hash_ for _ in range(20) for maker in (spread, crowded) for hash_ in maker(chance, near_bits)]
    words = distinct(hashes, chance)
    assert words.shape[1] > near_pairs._LONG
    assert near_labels(words, near_bits).tolist() == plain_labels(words, near_bits)


def test_an_index_is_chosen_where_it_pays() -> None:
    chance = random.Random(0)
    words = as_words([chance.getrandbits(128) for _ in range(20_000)])
    assert len(near_pairs._plan(words, 16)) > 1
    assert near_pairs._plan(words[:, :1000], 16)[0].bits == []
    assert near_pairs._plan(words, 64)[0].bits == []


@pytest.mark.parametrize("near_bits", range(65))
def test_near_hashes_are_within_the_radius_of_some_chunk(near_bits: int) -> None:
    for num_chunks in range(1, near_bits + 2):
        chunks = near_pairs._chunks(num_chunks, 128 // num_chunks, near_bits)
        bits = [bit for chunk in chunks for bit in chunk.bits]
        assert len(bits) == len(set(bits)) and set(bits) <= set(range(128))
        assert sum(chunk.radius + 1 for chunk in chunks) == near_bits + 1


@pytest.mark.parametrize("num_hashes", [0, 1, 2, 3, 9])
def test_few_hashes_need_no_care(num_hashes: int) -> None:
    words = as_words([place << 100 for place in range(num_hashes)])
    for near_bits in (0, 4):
        assert near_labels(words, near_bits).tolist() == plain_labels(words, near_bits)


def test_a_crowd_that_is_known_is_hardly_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    words = distinct([with_flipped(0, 3, chance) for _ in range(5000)], chance)
    compared = []
    near = near_pairs._near

    def counted(first: Words, second: Words, near_bits: int) -> Indexes:
        compared.append(max(first.shape[1], second.shape[1]))
        return near(first, second, near_bits)

    monkeypatch.setattr(near_pairs, "_near", counted)
    assert not near_labels(words, 16).any()
    assert sum(compared) < 50 * words.shape[1]


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
