"""The tree: the files of a folder, without what systems and programs leave there, as folders in one another."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from mien.core import files
from mien.core.formats import EXTENSIONS
from mien.errors import SourceNotFoundError

# What systems, archives and network drives put among the files of a user; hidden ones are passed over anyhow.
_SYSTEM_NAMES = {
    *("__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "$recycle.bin", "system volume information"),
    *("@eadir", "#recycle", "lost+found", "__pycache__"),
}
# What mien itself writes.
_OWN_NAMES = {"sources.csv"}
# What lies beside images and is none. What has another name may be an image: it is opened.
_OTHER_EXTENSIONS = set(
    ".csv .tsv .txt .json .jsonl .ndjson .parquet .xml .html .htm .md .rst .pdf .doc .docx .xls .xlsx .py .ipynb "
    ".m .r .sh .bat .js .css .yaml .yml .toml .ini .cfg .log .names .db .sqlite .zip .tar .gz .tgz .bz2 .xz .7z .rar "
    ".npy .npz "
    ".mat .h5 .hdf5 .pkl .pickle .pt .pth .onnx .tfrecord .tfrecords .svg .mp3 .wav .lnk .url".split()
)
RUN_FILES = {"config.json", "manifest.csv"}
# The same without an ending.
_OTHER_NAMES = set("license licence copying notice readme changelog authors makefile dockerfile".split())
TABLE_EXTENSIONS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


@dataclass
class Folder:
    """A folder with what is in it.

    Attributes:
        name: Its own name.
        path: Below the root, with forward slashes; "" for the root itself.
        files: The names of all its files.
        folders: The folders in it that hold files, by name.
        empty: The names of the folders in it that hold none.
    """

    name: str
    path: str = ""
    files: list[str] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)

    @property
    def images(self) -> list[str]:
        """The paths of the files in it that may be images."""
        return [self.below(name) for name in self.files if may_be_image(name)]

    @property
    def with_images(self) -> dict[str, "Folder"]:
        """The folders in it that hold files that may be images, however deep."""
        return {name: folder for name, folder in self.folders.items() if folder.has_images}

    @property
    def has_images(self) -> bool:
        """Whether a file in it, however deep, may be an image."""
        return any(may_be_image(path) for path in self.all_files())

    def below(self, name: str) -> str:
        """Return the path of what is called so in it."""
        return f"{self.path}/{name}" if self.path else name

    def all_folders(self) -> Iterator["Folder"]:
        """Yield the folder itself and all in it, however deep, the shallow ones first."""
        waiting = [self]
        while waiting:
            folder = waiting.pop(0)
            yield folder
            waiting += folder.folders.values()

    def all_files(self) -> Iterator[str]:
        """Yield the paths of all files in it, however deep, sorted."""
        waiting: list[Folder | str] = [self]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                yield item
                continue
            inside = {name: item.below(name) for name in item.files} | item.folders
            waiting += [inside[name] for name in sorted(inside, reverse=True)]

    def all_images(self) -> list[str]:
        """Return the paths of all files in it that may be images, however deep."""
        return [path for path in self.all_files() if may_be_image(path)]


def read_tree(root: Path, exclude: Sequence[str] = ()) -> Folder:
    """Return the tree below a folder.

    Args:
        root: The folder.
        exclude: Patterns of names, or of paths below the folder, that are passed over.

    Raises:
        SourceNotFoundError: It, or a folder in it, does not exist or may not be read.
    """
    try:
        os.scandir(root).close()
    except OSError as error:
        raise SourceNotFoundError(f"cannot read the folder {str(root)!r}: {files.reason_of(error)}") from error
    start = len(str(root / "x")) - 1
    tree = tree_of(
        (str(found)[start:].replace(os.sep, "/") for found in files.walk(root)), root.absolute().name, exclude
    )
    for folder in (tree, *tree.folders.values()):
        inside = _folders_in(root / folder.path)
        folder.empty = sorted(name for name in inside if not _is_known(folder, name, exclude))
    return tree


def tree_of(paths: Iterable[str], name: str = "", exclude: Sequence[str] = ()) -> Folder:
    """Return the tree of some files.

    Args:
        paths: Of the files, with forward slashes.
        name: What the root is called.
        exclude: As `read_tree` takes it.
    """
    tree = Folder(name)
    folders = {"": tree}
    for path in paths:
        if not _is_passed_over(path, exclude):
            _folder_of(path.rpartition("/")[0], folders).files.append(path.rpartition("/")[2])
    _leave_out_runs(tree)
    return tree


def _leave_out_runs(tree: Folder) -> None:
    """Pass over the runs of mien, whose pictures are drawn."""
    waiting = [tree]
    while waiting:
        folder = waiting.pop()
        folder.folders = {name: inner for name, inner in folder.folders.items() if not set(inner.files) >= RUN_FILES}
        waiting += folder.folders.values()


def may_be_image(path: str) -> bool:
    """Say whether a file may be an image, by its name."""
    # Not by pathlib, which takes ten times as long: there may be a hundred thousand.
    name = path.rpartition("/")[2].lower()
    suffix = os.path.splitext(name)[1]
    return suffix in EXTENSIONS or (suffix not in _OTHER_EXTENSIONS and name not in _OTHER_NAMES)


def is_table(name: str) -> bool:
    """Say whether a file may be a table, by its name."""
    return name.lower().endswith(TABLE_EXTENSIONS) and name.lower() not in _OWN_NAMES


def is_system_name(name: str) -> bool:
    """Say whether a file or folder is none of the user's."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _is_known(folder: Folder, name: str, exclude: Sequence[str]) -> bool:
    return name in folder.folders or _is_passed_over(folder.below(name), exclude)


def _is_passed_over(path: str, exclude: Sequence[str]) -> bool:
    parts = path.split("/")
    if any(map(is_system_name, parts)):
        return True
    # A pattern stands for a file or a folder, by its name or by its path.
    starts = ["/".join(parts[: length + 1]) for length in range(len(parts))] if exclude else []
    return any(fnmatchcase(text, pattern.strip("/")) for pattern in exclude for text in (*starts, *parts))


def _folder_of(path: str, folders: dict[str, Folder]) -> Folder:
    """Return the folder of a path; made, with those around it, where it is not there yet."""
    missing = []
    while path not in folders:
        missing.append(path)
        path = path.rpartition("/")[0]
    folder = folders[path]
    for path in reversed(missing):
        name = path.rpartition("/")[2]
        folder = folder.folders.setdefault(name, Folder(name, path))
        folders[path] = folder
    return folder


def _folders_in(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return [entry.name for entry in entries if os.path.isdir(entry.path)]
