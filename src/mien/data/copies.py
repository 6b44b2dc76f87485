"""Copies: which images are one picture, saved again, resized, re-lit, slightly cropped or mirrored.

Near hashes only say where to look: in a folder of X-rays or of shots by one camera, most images have near hashes, and
are no copies. What is called a copy is proved on the pixels, against the image that is kept, never by a chain.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core import files
from mien.data.alignment import aligned
from mien.data.dataset import ImageRecord
from mien.data.near_copies import bits_between, group_near, members_by_group
from mien.errors import SourceNotFoundError

_SIDE, _CELLS = 32, 8
_LOOK_BYTES = _SIDE**2 + 2 * _CELLS**2
# Correlations of what is left of two images without their local means; see benchmarks/domains.py for what they do.
_ALIKE, _ALIKE_BLURRED, _ALIKE_ALIGNED, _ALIKE_STRICT = 0.92, 0.95, 0.93, 0.995
# Where the shorter sides differ by more, one of the two is blurred beside the other.
_SAME_SIZE = 1.5
# By how much a copy may be brighter or darker, in grey levels, and of stronger or weaker contrast.
_MAX_LEVELS, _MAX_GAIN = 55.0, 1.43
# What may be left of the difference, as a share of the contrast: of a copy that was aligned, and of two that are the
# same; of these in grey levels where there is little contrast.
_MAX_REST_ALIGNED, _MAX_REST_SHARE, _MAX_REST = 0.23, 0.03, 0.75
# Of so many images in one chain each is compared with each; of more, with those beside it in the order of the hashes.
_MAX_CHAIN, _TOGETHER = 2048, 256
# What differs in one place alone, such as another mouth or a scratch, stands out from the rest of the difference: by
# how many of its standard deviations it may in a copy under another class, and in the same image; and by how many
# levels it always may. Within a class a caption is allowed, where such differences are rare.
_MAX_PEAK, _MAX_PEAK_SAME, _NO_PEAK = 10.0, 5.0, 3.0
# An image is aligned with what is near by its hash alone where that is not more: else it is one of a crowd.
_FEW = 2
# Of so many images that are all alike, most are the same image, or they are shots of one scene.
_MANY_ALIKE = 4
_PORTION, _MANY = 128, 4096
_DOWN, _RIGHT = {"upside down", "turned by 180 degrees"}, {"mirrored", "turned by 180 degrees"}
# So many near images that are copies are taken for granted before the first of a class is seen.
_PRIOR = 12.0
# By how much the colours of a copy may differ, in levels, or as a share of their strength; those of the same image; and
# under how many levels an image is grey, as a copy may be.
_MAX_COLOURS, _MAX_COLOUR_SHARE, _MAX_COLOURS_SAME, _GREY = 10.0, 0.35, 4.0, 2.0
_FLAT = 1e-3
Mask = NDArray[np.bool_]
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


def look_of(image: Image.Image) -> bytes:
    """Return what is kept of an RGB image to prove copies by: 32 x 32 grey levels, and 2 x 8 x 8 of its colours."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0).convert("YCbCr")
    grey, *colours = (np.asarray(band) for band in small.split())
    cells = [band.reshape(_CELLS, _SIDE // _CELLS, _CELLS, -1).mean(axis=(1, 3)) for band in colours]
    return grey.tobytes() + np.stack(cells).round().astype(np.uint8).tobytes()


def save_looks(path: Path, records: Sequence[ImageRecord]) -> None:
    """Write the looks of records, uint8 (N, 1152), with a suffix .npy; zeros where there is none.

    Raises:
        OutputError: It cannot be written.
    """
    with files.replacing(path) as temporary:
        np.save(temporary, _looks(records))


def with_looks(path: Path, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return records with the looks that `save_looks` wrote of them.

    Raises:
        SourceNotFoundError: The file is missing or damaged, or has another number of looks.
    """
    try:
        looks = np.load(path, mmap_mode="r", allow_pickle=False)
        if looks.shape != (len(records), _LOOK_BYTES) or looks.dtype != np.uint8:
            raise ValueError(f"{looks.dtype} {looks.shape} instead of looks of {len(records)} files")
    except (OSError, ValueError, EOFError) as error:
        reason = files.reason_of(error) if isinstance(error, OSError) else "damaged, or of another version"
        raise SourceNotFoundError(
            f"cannot read {str(path)!r}, which says what was trained on looks like: {reason}. Train again."
        ) from error
    return [replace(record, look=look.tobytes()) for record, look in zip(records, looks, strict=True)]


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


def _looks(records: Sequence[ImageRecord]) -> NDArray[np.uint8]:
    """Return the looks of records, uint8 (N, 1152); of those that have none zeros, so that their hashes tell."""
    joined = b"".join(record.look.ljust(_LOOK_BYTES, b"\0") for record in records)
    return np.frombuffer(joined, np.uint8).reshape(-1, _LOOK_BYTES)


def _levels(looks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the grey levels of looks, float32 (N, 32, 32)."""
    return looks[:, : _SIDE**2].reshape(-1, _SIDE, _SIDE).astype(np.float32)


class _Pictures:
    """The looks of images, and what is compared of them.

    Attributes:
        levels: float32 (N, 32, 32).
        means: (N,), in grey levels; likewise `contrasts`, the standard deviations.
        fine: float32 (N, 1024), of length 1 or 0: the levels without their local means.
        colours: float32 (N, 2, 8, 8), how blue and how red each part is, 0 for grey.
        coarse: float32 (N, 256), likewise at half the size: for images that are blurred.
    """

    def __init__(self, levels: NDArray[np.float32], colours: NDArray[np.float32]) -> None:
        self.levels, self.colours = levels, colours
        self.means, self.contrasts = levels.mean(axis=(1, 2)), levels.std(axis=(1, 2))
        self.fine = _units(levels)
        self.coarse = _units(levels.reshape(-1, _SIDE // 2, 2, _SIDE // 2, 2).mean(axis=(2, 4)))

    def flipped(self, flip: str) -> "_Pictures":
        """Return the same images, flipped."""
        return _Pictures(_flipped(self.levels, flip), _flipped(self.colours, flip)) if flip else self

    def alike(self, others: "_Pictures", same_size: Mask) -> Mask:
        """Return which of them (rows) look like which of the others (columns), perhaps saved again or re-lit."""
        fine = self.fine @ others.fine.T
        similar = (fine > _ALIKE) | ~same_size & (self.coarse @ others.coarse.T > _ALIKE_BLURRED)
        gains = np.abs(np.log(np.maximum(self.contrasts, _FLAT)[:, None] / np.maximum(others.contrasts, _FLAT)))
        lit = (np.abs(self.means[:, None] - others.means) < _MAX_LEVELS) & (gains < np.log(_MAX_GAIN))
        found: Mask = (similar & lit & self.of_like_colours(others)) | self.same(others)
        return found

    def of_like_colours(self, others: "_Pictures") -> Mask:
        """Return which of them (rows) have the colours of which of the others (columns), or none at all."""
        apart, own, other = self._colours_apart(others)
        allowed = np.maximum(_MAX_COLOURS, _MAX_COLOUR_SHARE * np.maximum(own[:, None], other))
        found: Mask = (apart < allowed) | (own < _GREY)[:, None] | (other < _GREY)
        return found

    def _colours_apart(
        self, others: "_Pictures"
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return how far the colours are apart, (N, M), and how strong they are, (N,) and (M,), in levels."""
        rows, columns = (pictures.colours.reshape(len(pictures.colours), -1) for pictures in (self, others))
        own, other = (rows**2).mean(axis=1), (columns**2).mean(axis=1)
        squares = own[:, None] + other - 2 * rows @ columns.T / rows.shape[1]
        return np.sqrt(np.maximum(squares, 0)), np.sqrt(own), np.sqrt(other)

    def same(self, others: "_Pictures") -> Mask:
        """Return which of them (rows) are the same as which of the others (columns), to within the noise of saving."""
        fine = self.fine @ others.fine.T
        flat = (self.contrasts < _MAX_REST)[:, None] & (others.contrasts < _MAX_REST)
        rows, columns = (pictures.levels.reshape(len(pictures.levels), -1) for pictures in (self, others))
        squares = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1) - 2 * rows @ columns.T
        rest = np.sqrt(np.maximum(squares, 0) / _SIDE**2)
        allowed = np.maximum(_MAX_REST, _MAX_REST_SHARE * np.minimum(self.contrasts[:, None], others.contrasts))
        coloured = self._colours_apart(others)[0] < _MAX_COLOURS_SAME
        found: Mask = ((fine > _ALIKE_STRICT) | flat) & (rest < allowed) & coloured
        return found


def _flipped(levels: NDArray[np.float32], flip: str) -> NDArray[np.float32]:
    """Return images, (..., S, S), flipped."""
    down, right = (slice(None, None, -1 if flip in ways else None) for ways in (_DOWN, _RIGHT))
    return levels[..., down, right]


def _units(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images (N, S, S) without their local means, as rows of length 1, (N, S * S); flat ones as zeros."""
    width = 9
    padded = np.pad(levels, ((0, 0), (width // 2,) * 2, (width // 2,) * 2), mode="reflect")
    sums = np.pad(padded.astype(np.float64).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    boxes = sums[:, width:, width:] - sums[:, :-width, width:] - sums[:, width:, :-width] + sums[:, :-width, :-width]
    rows = (levels - boxes / width**2).reshape(len(levels), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float32] = np.where(lengths > _FLAT, rows / np.maximum(lengths, _FLAT), 0).astype(np.float32)
    return units


class _Block:
    """Images that are compared with one another.

    Attributes:
        places: Of the images, (N,), in the order of preference.
        near: Which of them (rows) have a hash near to which earlier ones (columns), (N, N), flipped or not.
        alike: Which of those look alike, too, perhaps after they were aligned.
        even: Which of those differ in no one place alone.
        same: Which of those are the same to within the noise of saving.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        places: Places,
        near_bits: int,
        flips: Sequence[str],
    ) -> None:
        self.places = places
        chosen = [records[place] for place in places]
        self._labels = np.array([record.label for record in chosen])
        looks = _looks(chosen)
        colours = looks[:, _SIDE**2 :].reshape(-1, 2, _CELLS, _CELLS).astype(np.float32) - 128
        pictures = _Pictures(_levels(looks), colours)
        sides = np.log([max(min(record.width, record.height), 1) for record in chosen])
        same_size = np.abs(sides[:, None] - sides) < np.log(_SAME_SIZE)
        same_class = self._labels[:, None] == self._labels
        hashes, earlier = [record.phash for record in chosen], np.tri(len(places), k=-1, dtype=bool)
        self._bits, self._same = dict[str, NDArray[np.uint8]](), dict[str, Mask]()
        self._alike, self._even, self._movable = dict[str, Mask](), dict[str, Mask](), dict[str, Mask]()
        self._near = dict[str, Mask]()
        for flip in ("", *flips):
            self._bits[flip], changed = bits_between(hashes, hashes, flip), pictures.flipped(flip)
            near = self._near[flip] = (self._bits[flip] <= near_bits) & earlier & (same_class if flip else True)
            self._same[flip] = _without_peaks(near & changed.same(pictures), changed, pictures, _MAX_PEAK_SAME)
            alike = near & changed.alike(pictures, same_size)
            self._movable[flip] = near & changed.of_like_colours(pictures)
            self._even[flip] = _without_peaks(alike, changed, pictures, _MAX_PEAK) | self._same[flip]
            self._alike[flip] = (alike & same_class) | self._even[flip]
        self.near = _any(self._near)
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


def _without_peaks(mask: Mask, first: _Pictures, second: _Pictures, most: float) -> Mask:
    """Return a mask of pairs without those whose difference stands out in one place."""
    found = mask.copy()
    rows, columns = np.nonzero(mask)
    for start in range(0, len(rows), _MANY):
        some = slice(start, start + _MANY)
        rest = _lit_alike(first.levels[rows[some]], second.levels[columns[some]])
        found[rows[some], columns[some]] = ~_has_peak(rest, most)
    return found


def _lit_alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what is left of images (P, S, S) less others, after these got the same mean and contrast."""
    first, second = (levels - levels.mean(axis=(1, 2), keepdims=True) for levels in (first, second))
    gains = (first * second).sum(axis=(1, 2)) / np.maximum((second**2).sum(axis=(1, 2)), _FLAT)
    rest: NDArray[np.float32] = first - gains[:, None, None] * second
    return rest


def _has_peak(rest: NDArray[np.floating], most: float) -> Mask:
    """Say of differences (P, S, S) whether one place stands out by more than so many standard deviations."""
    peaks = np.abs(rest).max(axis=(1, 2))
    found: Mask = (peaks > _NO_PEAK) & (peaks > most * np.maximum(rest.std(axis=(1, 2)), _FLAT))
    return found


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
        changed = self._levels([row for _, row, _ in pairs])
        upright = np.stack([_flipped(look, flip) for look, (flip, *_) in zip(changed, pairs, strict=True)])
        rest = aligned(self._levels([column for *_, column in pairs]), upright)
        good = (rest.correlations > _ALIKE_ALIGNED) & (rest.differences < _MAX_REST_ALIGNED)
        good &= np.abs(np.log(rest.gains)) < np.log(_MAX_GAIN)
        same_class = [self._records[row].label == self._records[column].label for _, row, column in pairs]
        good &= np.array(same_class) | ~_has_peak(rest.rest, _MAX_PEAK)
        self.proved.update(pair for pair, is_good in zip(pairs, good.tolist(), strict=True) if is_good)

    def _levels(self, places: Sequence[int]) -> NDArray[np.float32]:
        return _levels(_looks([self._records[place] for place in places]))


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
