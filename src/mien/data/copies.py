"""Copies: which images are one picture, saved again, resized, re-lit, slightly cropped or mirrored.

Near hashes only say where to look: in a folder of X-rays or of shots by one camera, most images have near hashes, and
are no copies. What is called a copy is proved on the pixels, against the image that is kept, never by a chain.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.alignment import aligned
from mien.data.dataset import ImageRecord
from mien.data.looks import MAX_GAIN, Looks, Mask, flipped, has_peak, levels_of, without_peaks
from mien.data.near_copies import bits_between, group_near, members_by_group

# What a copy that was aligned must correlate by, without local means, and what may be left of the difference as a share
# of the contrast.
_ALIKE_ALIGNED, _MAX_REST_ALIGNED = 0.93, 0.23
# Of so many images in one chain each is compared with each; of more, with those beside it in the order of the hashes.
_MAX_CHAIN, _TOGETHER = 2048, 256
# What differs in one place alone, such as another mouth or a scratch, stands out from the rest of the difference: by
# how many of its standard deviations it may in a copy under another class, and in the same image. Within a class a
# caption is allowed, where such differences are rare.
_MAX_PEAK, _MAX_PEAK_SAME = 10.0, 5.0
# An image is aligned with what is near by its hash alone where that is not more: else it is one of a crowd.
_FEW = 2
# Of so many images that are all alike, most are the same image, or they are shots of one scene.
_MANY_ALIKE = 4
_PORTION = 128
# So many near images that are copies are taken for granted before the first of a class is seen.
_PRIOR = 12.0
Places = NDArray[np.intp]
# How an image is flipped, its place, and that of the image that it is held against.
_Pair = tuple[str, int, int]


@dataclass(frozen=True)
class Copy:
    """That an image is a copy of one that comes before it.

    Attributes:
        of: The place of that one, which is itself a copy of none.
        flip: How it is flipped: "", or one of FLIPS.
        bits: In how many of their 128 bits the hashes differ.
    """

    of: int
    flip: str
    bits: int


def find_copies(
    records: Sequence[ImageRecord], near_bits: int, *, flips: Sequence[str] = ("mirrored",)
) -> list[Copy | None]:
    """Say of each image of which other one it is a copy; None for one that is kept.

    Copies under two classes are found, too, but not if one is flipped: an arrow to the left is no arrow to the right.

    Where most of what has near hashes turns out to be something else, the images of a class look alike by nature: a
    fixed camera, digits, X-rays. Then only what is the same to within the noise of saving it again is a copy: no
    re-lighting, no cropping.

    Args:
        records: In the order of preference: an image is only held against those before it that are copies of none.
        near_bits: Images are looked at where their hashes differ in at most this many bits.
        flips: How a copy may be flipped, beside being upright: some of FLIPS.
    """
    firsts: dict[tuple[str, str, bytes], int] = {}
    for place, record in enumerate(records):
        firsts.setdefault((record.label, record.phash, record.look), place)
    places = list(firsts.values())
    found: list[Copy | None] = [None] * len(records)
    for place, copy in zip(
        places, _distinct_copies([records[place] for place in places], near_bits, flips), strict=True
    ):
        found[place] = copy and Copy(places[copy.of], copy.flip, copy.bits)
    for place, record in enumerate(records):
        # Of thousands of one placeholder, one is compared.
        if (first := firsts[record.label, record.phash, record.look]) != place:
            found[place] = found[first] or Copy(first, "", 0)
    return found


def _distinct_copies(records: Sequence[ImageRecord], near_bits: int, flips: Sequence[str]) -> list[Copy | None]:
    """Do the work of `find_copies`, for records of which no two are the same."""
    chains = list(_chains(records, near_bits, flips))
    moved, crowds = _Moved(records), _Crowds(records)
    # Few are made once; of many, memory would not hold what was made of them.
    are_few = sum(map(len, chains)) <= _MAX_CHAIN
    made: dict[bytes, _Block] = {}

    def block_of(places: Places) -> _Block:
        key = places.tobytes()
        block = made.get(key) or _Block(records, places, near_bits, flips)
        if are_few:
            made[key] = block
        return block

    for places in chains:
        for some in _blocks(records, places):
            moved.align(block_of(some).apart())
    moved.align_rest()
    for places in chains:
        for some in _blocks(records, places):
            crowds.add(block_of(some).settled(moved.proved))
    crowded = crowds.classes()
    found: list[Copy | None] = [None] * len(records)
    for places in chains:
        kept, num_before = places, len(places) + 1
        # A copy may stand in another block than what it is a copy of: those that are kept are held against one another.
        while len(kept) < num_before:
            num_before = len(kept)
            for some in _blocks(records, kept):
                for place, copy in block_of(some).settled(moved.proved).copies(crowded):
                    found[place] = copy
            kept = np.array([place for place in kept if found[place] is None], np.intp)
            if num_before <= _MAX_CHAIN:
                break
    return [copy and _of_kept(copy, found) for copy in found]


def _of_kept(copy: Copy, found: Sequence[Copy | None]) -> Copy:
    """Return the copy as one of what was kept in the end."""
    while (above := found[copy.of]) is not None:
        copy = Copy(above.of, copy.flip or above.flip, max(copy.bits, above.bits))
    return copy


def _chains(records: Sequence[ImageRecord], near_bits: int, flips: Sequence[str]) -> Iterator[Places]:
    """Yield the places of images that a chain of near hashes connects, in their order; images alone are left out.

    Short chains come together, which is quicker: no image of one is near to one of another.
    """
    hashes, labels = [record.phash for record in records], [record.label for record in records]
    groups = group_near(hashes, near_bits, class_names=labels, flips=flips)
    together: list[int] = []
    for places in members_by_group(range(len(records)), groups).values():
        if len(together) + len(places) > _TOGETHER and together:
            yield np.array(sorted(together), np.intp)
            together = []
        together += places
    if together:
        yield np.array(sorted(together), np.intp)


def _blocks(records: Sequence[ImageRecord], places: Places) -> Iterator[Places]:
    """Yield those of the places that are compared with one another, in their order."""
    if len(places) <= _MAX_CHAIN:
        yield places
        return
    by_hash = sorted(places.tolist(), key=lambda place: records[place].phash)
    for start in range(0, len(by_hash), _MAX_CHAIN):
        yield np.array(sorted(by_hash[start : start + _MAX_CHAIN]), np.intp)


class _Block:
    """Images that are compared with one another.

    Attributes:
        places: Of the images, (N,), in the order of preference.
        near: Which of them (rows) have a hash near to which earlier ones (columns), (N, N), flipped or not.
        alike: Which of those look alike, too, perhaps after they were aligned.
        even: Which of those differ in no one place alone.
        same: Which of those are the same to within the noise of saving.
    """

    def __init__(self, records: Sequence[ImageRecord], places: Places, near_bits: int, flips: Sequence[str]) -> None:
        self.places = places
        chosen = [records[place] for place in places]
        self._labels = np.array([record.label for record in chosen])
        looks = Looks.of(chosen)
        same_class = self._labels[:, None] == self._labels
        hashes, earlier = [record.phash for record in chosen], np.tri(len(places), k=-1, dtype=bool)
        self._bits, self._same = dict[str, NDArray[np.uint8]](), dict[str, Mask]()
        self._alike, self._even, self._movable = dict[str, Mask](), dict[str, Mask](), dict[str, Mask]()
        self.near = np.zeros_like(same_class)
        for flip in ("", *flips):
            self._bits[flip], changed = bits_between(hashes, hashes, flip), looks.flipped(flip)
            near = (self._bits[flip] <= near_bits) & earlier & (same_class if flip else True)
            self.near |= near
            self._same[flip] = without_peaks(near & changed.same(looks), changed, looks, _MAX_PEAK_SAME)
            alike = near & changed.alike(looks)
            self._movable[flip] = near & changed.of_like_colours(looks)
            self._even[flip] = without_peaks(alike, changed, looks, _MAX_PEAK) | self._same[flip]
            self._alike[flip] = (alike & same_class) | self._even[flip]
        self._settle()

    def _settle(self) -> None:
        self.alike, self.even, self.same = _any(self._alike), _any(self._even), _any(self._same)

    def settled(self, moved: Collection[_Pair]) -> "_Block":
        """Return itself, once it knows which of the pairs that are apart show a picture that was moved."""
        for flip, row, column in self._apart():
            if (flip, int(self.places[row]), int(self.places[column])) in moved:
                self._alike[flip][row, column] = self._even[flip][row, column] = True
        self._settle()
        return self

    def apart(self) -> list[_Pair]:
        """Return the pairs of near images that do not look alike as they are, where an image has only few of them."""
        return [(flip, int(self.places[row]), int(self.places[column])) for flip, row, column in self._apart()]

    def _apart(self) -> list[_Pair]:
        apart = self.near & ~_any(self._alike)
        few = apart.sum(axis=0) + apart.sum(axis=1) <= _FEW
        pairs = np.nonzero(apart & few[:, None] & few & _any(self._movable))
        return [
            (
                min((flip for flip, mask in self._movable.items() if mask[pair]), key=lambda f: self._bits[f][pair]),
                *pair,
            )
            for pair in zip(*(places.tolist() for places in pairs), strict=True)
        ]

    def copies(self, crowded: set[str]) -> Iterator[tuple[int, Copy]]:
        """Yield the places of the copies, and what they are copies of."""
        strict = np.isin(self._labels, list(crowded))
        proved = {
            flip: np.where(strict[:, None] | strict, self._same[flip], alike) for flip, alike in self._alike.items()
        }
        any_proved, kept = _any(proved), np.ones(len(self.places), bool)
        for row, place in enumerate(self.places.tolist()):
            found = np.flatnonzero(any_proved[row] & kept)
            if len(found):
                kept[row] = False
                flip = next(flip for flip, mask in proved.items() if mask[row, found[0]])
                yield place, Copy(int(self.places[found[0]]), flip, int(self._bits[flip][row, found[0]]))


def _any(masks: dict[str, Mask]) -> Mask:
    found: Mask = np.logical_or.reduce(list(masks.values()))
    return found


class _Moved:
    """Finds which images are others, slightly cropped, framed or turned; many pairs at a time, which is quicker.

    Attributes:
        proved: The pairs that are.
    """

    def __init__(self, records: Sequence[ImageRecord]) -> None:
        self._records = records
        self._waiting: list[_Pair] = []
        self.proved: set[_Pair] = set()

    def align(self, pairs: Sequence[_Pair]) -> None:
        """Look at pairs, now or later."""
        self._waiting += pairs
        while len(self._waiting) >= _PORTION:
            self._look(self._waiting[:_PORTION])
            self._waiting = self._waiting[_PORTION:]

    def align_rest(self) -> None:
        """Look at those that wait."""
        if self._waiting:
            self._look(self._waiting)
            self._waiting = []

    def _look(self, pairs: Sequence[_Pair]) -> None:
        changed = levels_of([self._records[row] for _, row, _ in pairs])
        upright = np.stack([flipped(look, flip) for look, (flip, *_) in zip(changed, pairs, strict=True)])
        rest = aligned(levels_of([self._records[column] for *_, column in pairs]), upright)
        good = (rest.correlations > _ALIKE_ALIGNED) & (rest.differences < _MAX_REST_ALIGNED)
        good &= np.abs(np.log(rest.gains)) < np.log(MAX_GAIN)
        same_class = [self._records[row].label == self._records[column].label for _, row, column in pairs]
        good &= np.array(same_class) | ~has_peak(rest.rest, _MAX_PEAK)
        self.proved.update(pair for pair, is_good in zip(pairs, good.tolist(), strict=True) if is_good)


class _Crowds:
    """Counts, for each class, how many images that are near by their hashes are no copies."""

    def __init__(self, records: Sequence[ImageRecord]) -> None:
        self._names, self._numbers = np.unique([record.label for record in records], return_inverse=True)
        self._near, self._others = np.zeros(len(self._names)), np.zeros(len(self._names))

    def add(self, block: _Block) -> None:
        """Count those of a block. However many copies of an image there are, they count as one."""
        near, alike, even, same = (mask | mask.T for mask in (block.near, block.alike, block.even, block.same))
        num_even = even.sum(axis=1)
        # A caption on one copy is no crowd.
        num_uneven = (alike & ~even).sum(axis=1)
        others = (near & ~alike).sum(axis=1) + np.where(num_uneven > _FEW, num_uneven, 0)
        others += np.where(num_even >= _MANY_ALIKE, num_even - same.sum(axis=1), 0)
        numbers = self._numbers[block.places]
        np.add.at(self._others, numbers, others)
        np.add.at(self._near, numbers, others + alike.any(axis=1))

    def classes(self) -> set[str]:
        """Return the classes of which most near images are no copies; of few images, all classes together tell."""
        share = self._others.sum() / (self._near.sum() + _PRIOR)
        shares = (self._others + _PRIOR * share) / (self._near + _PRIOR)
        return {str(name) for name, found in zip(self._names, shares, strict=True) if found > 0.5}
