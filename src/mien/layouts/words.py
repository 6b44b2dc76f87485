"""Words: typical names of folders, files and columns in datasets."""

import re
from collections.abc import Iterable

from mien.core.text import folded

_SPLIT_WORDS = {
    "train": "train training trn trainset trainingset traindata traindir trainval",
    "val": "val valid validate validation dev valset validationset evalset",
    "test": "test testing tst testset testdata testdir holdout eval evaluation",
}
_SPLIT_OF = {word: split for split, words in _SPLIT_WORDS.items() for word in words.split()}
# Folders of annotations, not of photos to learn from.
_NO_PHOTOS = set(
    "annotation annotations label labels mask masks trimap trimaps xmls bbox bboxes segmentation segmentations segmim "
    "segm segmentationclass segmentationobject parts depth heatmaps keypoints".split()
)
_HOLDS_IMAGES = set(
    "image images img imgs pic pics picture pictures photo photos data dataset jpegimages jpg jpeg jpegs png pngs rgb "
    "original originals augmented raw".split()
)
_PARTS = set("part batch chunk shard folder dir group query gallery".split())
# A date, or a camera's folder name.
_DATE = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}([-_ T].*)?|\d{3}[A-Z_]{5}")
_LABEL_NAMES = set(
    "label labels class classes category target diagnosis dx species breed emotion expression choice classname "
    "labelname classlabel labeltext finding_labels findinglabels".split()
)
_SPLIT_NAMES = {"split", "set", "subset", "partition", "phase", "usage", "fold", "dataset"}
_PATH_NAMES = set(
    "path paths file files filename filenames filepath image images img imagename imageid imagepath imagefile id "
    "idcode name url".split()
)
# Columns that hold something else, even if they have few values.
_OTHER_COLUMNS = set(
    "patient patientid subject subjectid person lesion lesionid width height size channels caption text description "
    "date time datetime timestamp url source author photographer licence license age sex gender".split()
)
_TRUE, _FALSE = {"true", "1", "1.0", "yes"}, {"false", "0", "0.0", "no"}


def split_named(name: str) -> str:
    """Return the split that a folder, file or value is named after: "train", "val", "test", or "".

    Example:
        >>> [split_named(name) for name in ("seg_train", "Testing", "trainB", "PublicTest", "trains")]
        ['train', 'test', 'train', 'test', '']
    """
    return next((_SPLIT_OF[word] for word in _words(name) if word in _SPLIT_OF), "")


def split_in_column(column: str, value: str) -> str:
    """Return the split that a cell means; a column such as is_valid holds true or false."""
    words = _words(column)
    if words[:1] == ["is"] and split_named(column):
        text = value.strip().casefold()
        return split_named(column) if text in _TRUE else "train" if text in _FALSE else ""
    return split_named(value)


def may_be_split_column(column: str) -> bool:
    """Return whether a column has a name typical of splits."""
    return _squeezed(column) in _SPLIT_NAMES or (_words(column)[:1] == ["is"] and split_named(column) != "")


def is_label_column(column: str) -> bool:
    """Return whether a column has a name typical of labels; for JSON, the last part of the name counts."""
    return _squeezed(column.split(".")[-1]) in _LABEL_NAMES or _squeezed(column) in _LABEL_NAMES


def is_path_column(column: str) -> bool:
    """Return whether a column has a name typical of image paths or names."""
    return _squeezed(column.split(".")[-1]) in _PATH_NAMES


def is_other_column(column: str) -> bool:
    """Return whether a column has a name typical of neither labels nor paths."""
    return _squeezed(column) in _OTHER_COLUMNS


def holds_no_photos(name: str) -> bool:
    """Return whether a folder has a name typical of masks or other annotations."""
    words = _words(name)
    return bool(words) and words[-1] in _NO_PHOTOS


def are_containers(names: Iterable[str]) -> bool:
    """Return whether folders are named like parts of a dataset rather than like classes.

    This is so if all of them are, or if some hold images and others annotations.
    """
    kinds = [_container_kind(name) for name in names]
    return all(kinds) or ("images" in kinds and "drawn" in kinds)


def _container_kind(name: str) -> str:
    if _DATE.fullmatch(name):
        return "part"
    last = (_words(name) or [""])[-1]
    return "drawn" if last in _NO_PHOTOS else "images" if last in _HOLDS_IMAGES else "part" if last in _PARTS else ""


def _words(name: str) -> list[str]:
    """Return the words of a name; a capital starts a new one, as in trainLabels."""
    return [folded(word) for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _squeezed(column: str) -> str:
    return re.sub(r"[\W_]", "", folded(column))
