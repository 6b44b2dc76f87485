"""The drawing styles of the samples, with the variants that are clearly happy or clearly sad."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """How a DiceBear style shows the two moods.

    Attributes:
        happy: Component -> its clearly happy variants, separated by spaces.
        sad: Component -> its clearly sad variants.
        frame: Approximate zoom, and vertical shift in percent of the height, so that the face fills the image.
    """

    happy: dict[str, str]
    sad: dict[str, str]
    frame: tuple[float, int]


# Chosen by eye: no smirks, grimaces or angry faces, and no eyes or eyebrows that contradict the mouth.
STYLES: dict[str, Look] = {
    "avataaars": Look(
        happy={
            "mouth": "default smile twinkle",
            "eyes": "default happy hearts wink",
            "eyebrows": "default defaultNatural raisedExcited raisedExcitedNatural",
        },
        sad={
            "mouth": "concerned disbelief sad",
            "eyes": "closed cry default",
            "eyebrows": "frownNatural sadConcerned sadConcernedNatural",
        },
        frame=(1.76, 3),
    ),
    "big-smile": Look(
        happy={
            "mouth": "braces gapSmile kawaii openedSmile teethSmile",
            "eyes": "cheery normal starstruck winking",
            "accessories": "catEars glasses sailormoonCrown sunglasses",
        },
        sad={
            "mouth": "openSad",
            "eyes": "confused sad sleepy",
            "accessories": "catEars glasses sailormoonCrown sunglasses",
        },
        frame=(1.17, -4),
    ),
    "dylan": Look(happy={"mood": "happy superHappy"}, sad={"mood": "sad"}, frame=(1.3, -3)),
    "lorelei": Look(
        happy={
            "mouth": "happy01 happy02 happy05 happy06 happy07 happy12 happy16",
            "eyebrows": "variant03 variant05 variant07 variant08 variant09 variant10",
        },
        sad={"mouth": "sad04 sad05", "eyebrows": "variant01 variant02 variant05 variant12"},
        frame=(1.4, 1),
    ),
    "open-peeps": Look(
        happy={"expression": "calm lovingGrin1 lovingGrin2 smile smileBig smileLOL smileTeethGap"},
        sad={"expression": "concernedFear solemn tired"},
        frame=(1.4, 2),
    ),
    "personas": Look(
        happy={"mouth": "bigSmile smile", "eyes": "glasses happy open wink"},
        sad={"mouth": "frown", "eyes": "glasses open sleep"},
        frame=(1.76, 1),
    ),
    "toon-head": Look(
        happy={"mouth": "laugh smile", "eyes": "bow happy wide wink", "eyebrows": "happy neutral raised"},
        sad={"mouth": "angry sad", "eyes": "happy humble wide", "eyebrows": "sad"},
        frame=(1.76, -5),
    ),
    "voxel-art": Look(
        happy={"mouth": "smile wideSmile", "eyes": "happy open soft star wide", "eyebrows": "flat raised soft"},
        sad={"mouth": "frown", "eyes": "closed open side sleepy soft", "eyebrows": "flat raised soft"},
        frame=(1.95, 4),
    ),
    "micah": Look(
        happy={"mouth": "laughing smile", "eyebrows": "eyelashesUp up"},
        sad={"mouth": "frown sad", "eyes": "eyes eyesShadow round", "eyebrows": "down eyelashesDown"},
        frame=(1.69, 5),
    ),
}
COVERS_MOUTH = ("beard", "facialHair", "mask")
"""Components that are never drawn."""
HELD_OUT = "micah"
"""The style that no training image has."""
TRAINING_STYLES = tuple(name for name in STYLES if name != HELD_OUT)
