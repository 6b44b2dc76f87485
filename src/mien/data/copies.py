"""Copies: find images that show the same picture, re-saved, resized, re-lit, slightly cropped or mirrored.

Similar hashes only suggest candidates: among X-rays or shots from a fixed camera, most images have similar hashes but
are not copies. Copies are proved on pixels, against the image that is kept, never through a chain.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import SupportsBytes

import numpy as np
from numpy.typing import NDArray

from mien.data.alignment import aligned
from mien.data.dataset import ImageRecord
from mien.data.looks import MAX_GAIN, Looks, Mask, flipped, has_peak, levels_of, without_peaks
from mien.data.near_copies import bits_between, group_near, members_by_group

# For aligned images: the correlation needed (after removing local means), and the maximum remaining difference as a
# share of the contrast.
_ALIKE_ALIGNED, _MAX_REST_ALIGNED = 0.93, 0.23
# In chains of up to 2048 images, all pairs are compared; in longer ones, only neighbours in hash order.
_MAX_CHAIN, _TOGETHER = 2048, 256
# A local change, e.g. a different mouth or a scratch, stands out from the rest of the difference. Maximum peak, in
# standard deviations, for copies in two classes, and for identical images. Within a class captions are allowed, because
# such differences are rare there.
_MAX_PEAK, _MAX_PEAK_SAME = 10.0, 5.0
# Images with more similar hashes than this are one of a crowd, and are not aligned.
_FEW = 2
# If this many images are all alike, they are mostly copies, or shots of one scene.
_MANY_ALIKE = 4
_PORTION = 128
# Prior weight of near images that are copies, before any image of a class is counted.
_PRIOR = 12.0
Places = NDArray[np.intp]
# The flip, the index of the image, and the index of the image it is compared with.
_Pair = tuple[str, int, int]


@dataclass(frozen=True)
class Copy:
    """The finding that an image is a copy of an earlier one.

    Attributes:
        of: Index of the original, which is not a copy itself.
        flip: How the copy is flipped: "", or one of FLIPS.
        bits: Number of bits, of 128, in which the hashes differ.
    """

    of: int
    flip: str
    bits: int


def find_copies(
    records: Sequence[ImageRecord], near_bits: int, *, flips: Sequence[str] = ("mirrored",)
) -> list[Copy | None]:
    """Find, for each image, the image it is a copy of; None for images to keep.

    Copies in different classes are found too, unless one is flipped: an arrow to the left is not an arrow to the right.

    If most images with similar hashes turn out to be different, the images of a class look alike by nature (a fixed
    camera, digits, X-rays). Then only images that are identical except for compression noise count as copies, not
    re-lit or cropped ones.

    Args:
        records: In order of preference. Each image is compared only with earlier ones that are not copies.
        near_bits: Maximum number of differing hash bits for two images to be compared.
        flips: The flips to look for besides upright copies: some of FLIPS.
    """
    firsts: dict[tuple[str, str, SupportsBytes], int] = {}
    for place, record in enumerate(records):
        firsts.setdefault((record.label, record.phash, record.look), place)
    places = list(firsts.values())
    found: list[Copy | None] = [None] * len(records)
    for place, copy in zip(
        places, _distinct_copies([records[place] for place in places], near_bits, flips), strict=True
    ):
        found[place] = copy and Copy(places[copy.of], copy.flip, copy.bits)
    for place, record in enumerate(records):
        # Thousands of copies of one placeholder are compared only once.
        if (first := firsts[record.label, record.phash, record.look]) != place:
            found[place] = found[first] or Copy(first, "", 0)
    return found


def _distinct_copies(records: Sequence[ImageRecord], near_bits: int, flips: Sequence[str]) -> list[Copy | None]:
    """Implement `find_copies` for records that are all different."""
    chains = list(_chains(records, near_bits, flips))
    moved, crowds = _Moved(records), _Crowds(records)
    # Keep the blocks if there are few; many would not fit into memory.
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
        # A copy and its original may be in different blocks, so compare the kept images again.
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
    """Return the copy as a copy of an image that was finally kept."""
    while (above := found[copy.of]) is not None:
        copy = Copy(above.of, copy.flip or above.flip, max(copy.bits, above.bits))
    return copy


def _chains(records: Sequence[ImageRecord], near_bits: int, flips: Sequence[str]) -> Iterator[Places]:
    """Yield the indexes of images connected by chains of similar hashes, leaving out single images.

    Short chains are joined for speed: images of different chains are never similar.
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
    """Yield the blocks of indexes to compare within, in order."""
    if len(places) <= _MAX_CHAIN:
        yield places
        return
    by_hash = sorted(places.tolist(), key=lambda place: records[place].phash)
    for start in range(0, len(by_hash), _MAX_CHAIN):
        yield np.array(sorted(by_hash[start : start + _MAX_CHAIN]), np.intp)


class _Block:
    """Images to compare with one another.

    Attributes:
        places: Indexes of the images, (N,), in order of preference.
        near: (N, N), which image (row) has a hash similar to which earlier one (column), flipped or not.
        alike: The pairs of `near` that look alike, possibly after alignment.
        even: The pairs of `alike` without a local change.
        same: The pairs of `alike` that are identical except for compression noise.
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
        """Return the block, updated with those separate pairs that alignment proved to be copies."""
        for flip, row, column in self._apart():
            if (flip, int(self.places[row]), int(self.places[column])) in moved:
                self._alike[flip][row, column] = self._even[flip][row, column] = True
        self._settle()
        return self

    def apart(self) -> list[_Pair]:
        """Return the similar pairs that do not look alike yet, for images that have few of them."""
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
        """Yield the indexes of the copies, and what each is a copy of."""
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
    """Finds copies that are slightly cropped, framed or rotated, aligning many pairs at a time for speed.

    Attributes:
        proved: The pairs that are copies.
    """

    def __init__(self, records: Sequence[ImageRecord]) -> None:
        self._records = records
        self._waiting: list[_Pair] = []
        self.proved: set[_Pair] = set()

    def align(self, pairs: Sequence[_Pair]) -> None:
        """Queue pairs, and align them when there are enough."""
        self._waiting += pairs
        while len(self._waiting) >= _PORTION:
            self._look(self._waiting[:_PORTION])
            self._waiting = self._waiting[_PORTION:]

    def align_rest(self) -> None:
        """Align the remaining pairs."""
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
    """Counts, for each class, the images with similar hashes that are not copies."""

    def __init__(self, records: Sequence[ImageRecord]) -> None:
        self._names, self._numbers = np.unique([record.label for record in records], return_inverse=True)
        self._near, self._others = np.zeros(len(self._names)), np.zeros(len(self._names))

    def add(self, block: _Block) -> None:
        """Count the images of a block. All copies of an image count as one."""
        near, alike, even, same = (mask | mask.T for mask in (block.near, block.alike, block.even, block.same))
        num_even = even.sum(axis=1)
        # A caption on one copy does not make a crowd.
        num_uneven = (alike & ~even).sum(axis=1)
        others = (near & ~alike).sum(axis=1) + np.where(num_uneven > _FEW, num_uneven, 0)
        others += np.where(num_even >= _MANY_ALIKE, num_even - same.sum(axis=1), 0)
        numbers = self._numbers[block.places]
        np.add.at(self._others, numbers, others)
        np.add.at(self._near, numbers, others + alike.any(axis=1))

    def classes(self) -> set[str]:
        """Return the classes in which most similar images are not copies; small classes follow the overall rate."""
        share = self._others.sum() / (self._near.sum() + _PRIOR)
        shares = (self._others + _PRIOR * share) / (self._near + _PRIOR)
        return {str(name) for name, found in zip(self._names, shares, strict=True) if found > 0.5}
