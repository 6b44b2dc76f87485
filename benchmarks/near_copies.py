"""How long near copies take to find, and whether all are found: random hashes with planted copies.

    python benchmarks/near_copies.py [--num-hashes 1000000]

Groups many hashes once; prints the seconds, the peak resident memory of the whole process, and how many of the planted
copies were found, at 0 to 16 bits from their original. Copies at 17 to 20 bits must stay alone. Groups them again with
mirrored copies within classes, as `mien check` does. Then groups fewer hashes as mien does and by comparing all pairs,
by turns, and prints the median of each and the ratio. It fails if a copy is missed, or anything else is joined.
"""

import random
import resource
import sys
from collections import Counter
from functools import partial

import numpy as np

from mien.config import CleanConfig
from mien.data.near_copies import group_near
from timing import arguments, by_turns, seconds_for, show_ratio, show_seconds

NEAR_BITS = CleanConfig.near_bits
DISTANCES = range(NEAR_BITS + 5)
Groups = list[int | None]


def planted_hashes(num_hashes: int, chance: random.Random) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Return hashes, and (place of an original, place of its copy, distance) for every twentieth of them."""
    places = chance.sample(range(num_hashes), num_hashes)
    hashes = [chance.randbytes(16).hex() for _ in places]
    planted = []
    for number in range(num_hashes // 20):
        original, copy, distance = places[2 * number], places[2 * number + 1], DISTANCES[number % len(DISTANCES)]
        bits = sum(1 << place for place in chance.sample(range(128), distance))
        hashes[copy] = f"{int(hashes[original], 16) ^ bits:032x}"
        planted.append((original, copy, distance))
    return hashes, planted


def count_mistakes(groups: Groups, planted: list[tuple[int, int, int]]) -> int:
    """Print what became of the planted copies, and return how many copies were missed or wrongly joined."""
    sizes = Counter(groups)
    found = {
        distance: sum(groups[first] is not None and groups[first] == groups[second] for first, second, _ in pairs)
        for distance in DISTANCES
        if (pairs := [pair for pair in planted if pair[2] == distance])
    }
    num_near = sum(distance <= NEAR_BITS for _, _, distance in planted)
    num_found = sum(count for distance, count in found.items() if distance <= NEAR_BITS)
    num_decoys = sum(count for distance, count in found.items() if distance > NEAR_BITS)
    num_joined = len(groups) - sizes[None] - 2 * num_found
    print(f"copies at 0 to {NEAR_BITS} bits found: {num_found} of {num_near}")
    print(f"copies further off joined: {num_decoys} of {len(planted) - num_near}; other hashes joined: {num_joined}")
    return num_near - num_found + num_decoys + num_joined


def plain_groups(hashes: list[str], near_bits: int) -> Groups:
    """Group by comparing each hash to all after it."""
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 2).T.copy()
    parents = list(range(len(hashes)))

    def root(place: int) -> int:
        return place if parents[place] == place else root(parents[place])

    for place in range(len(hashes)):
        rest = words[:, place + 1 :]
        differing = np.bitwise_count(rest[0] ^ words[0, place]) + np.bitwise_count(rest[1] ^ words[1, place])
        for other in (np.flatnonzero(differing <= near_bits) + place + 1).tolist():
            low, high = sorted((root(place), root(other)))
            parents[high] = low
    firsts = [root(place) for place in range(len(hashes))]
    copied = [first for first, count in sorted(Counter(firsts).items()) if count > 1]
    numbers = {first: number for number, first in enumerate(copied)}
    return [numbers.get(first) for first in firsts]


def main() -> None:
    """Group, check, compare, and print what came out."""
    parser = arguments(__doc__, rounds=5, photos=False)
    parser.add_argument("--num-hashes", type=int, default=1_000_000, help="how many are grouped once")
    parser.add_argument("--num-compared", type=int, default=20_000, help="how many are grouped in both ways")
    given = parser.parse_args()
    chance = random.Random(0)
    hashes, planted = planted_hashes(given.num_hashes, chance)
    groups: Groups = []
    seconds = seconds_for(lambda: groups.extend(group_near(hashes, NEAR_BITS)))
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(f"{given.num_hashes} hashes: {seconds:.1f} s, at most {mebibytes:.0f} MiB")
    num_mistakes = count_mistakes(groups, planted)
    names = ["happy" if number % 2 else "sad" for number in range(len(hashes))]
    seconds = seconds_for(partial(group_near, hashes, NEAR_BITS, class_names=names))
    print(f"with mirrored copies within two classes, as mien check does it: {seconds:.1f} s")

    fewer, _ = planted_hashes(given.num_compared, chance)
    num_mistakes += group_near(fewer, NEAR_BITS) != plain_groups(fewer, NEAR_BITS)
    ways = {"mien": group_near, "all pairs": plain_groups}
    tasks = {name: partial(seconds_for, partial(way, fewer, NEAR_BITS)) for name, way in ways.items()}
    medians = show_seconds(by_turns(tasks, given.rounds))
    show_ratio(f"{given.num_compared} hashes, all pairs / mien", medians["all pairs"] / medians["mien"])
    sys.exit(f"{num_mistakes} mistakes" if num_mistakes else 0)


if __name__ == "__main__":
    main()
