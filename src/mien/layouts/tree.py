"""The tree: the files of a folder as nested folders, without system files."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from mien.core import files
from mien.core.formats import EXTENSIONS
from mien.core.text import as_typed
from mien.errors import NotADatasetError, SourceNotFoundError

# Files that systems, archives and network drives add. Hidden files are skipped anyway.
_SYSTEM_NAMES = {
    *("__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "$recycle.bin", "system volume information"),
    *("@eadir", "#recycle", "lost+found", "__pycache__"),
}
# Files that mien writes.
_OWN_NAMES = {"sources.csv"}
# Files that are not images. Files with any other extension may be images, and are opened.
_OTHER_EXTENSIONS = set(
    ".csv .tsv .txt .json .jsonl .ndjson .parquet .xml .html .htm .md .rst .pdf .doc .docx .xls .xlsx .py .ipynb "
    ".m .r .sh .bat .js .css .yaml .yml .toml .ini .cfg .log .names .db .sqlite .zip .tar .gz .tgz .bz2 .xz .7z .rar "
    ".npy .npz "
    ".mat .h5 .hdf5 .pkl .pickle .pt .pth .onnx .tfrecord .tfrecords .svg .mp3 .wav .lnk .url".split()
)
RUN_FILES = {"config.json", "manifest.csv"}
# Files without an extension that are not images.
_OTHER_NAMES = set("license licence copying notice readme changelog authors makefile dockerfile".split())
TABLE_EXTENSIONS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


@dataclass
class Folder:
    """A folder and its content.

    Attributes:
        name: Its own name.
        path: Path relative to the root, with forward slashes; "" for the root.
        files: The names of all its files.
        folders: Its subfolders that contain files, by name.
        empty: The names of its subfolders that contain none.
    """

    name: str
    path: str = ""
    files: list[str] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)

    @property
    def images(self) -> list[str]:
        """The paths of its files that may be images."""
        return [self.below(name) for name in self.files if may_be_image(name)]

    @property
    def with_images(self) -> dict[str, "Folder"]:
        """Its subfolders that contain files that may be images, at any depth."""
        return {name: folder for name, folder in self.folders.items() if folder.has_images}

    @property
    def has_images(self) -> bool:
        """Whether it contains a file that may be an image, at any depth."""
        return any(may_be_image(path) for path in self.all_files())

    def below(self, name: str) -> str:
        """Return the path of a name inside this folder."""
        return f"{self.path}/{name}" if self.path else name

    def all_folders(self) -> Iterator["Folder"]:
        """Yield the folder itself and all its subfolders, at any depth, top down."""
        waiting = [self]
        while waiting:
            folder = waiting.pop(0)
            yield folder
            waiting += folder.folders.values()

    def all_files(self) -> Iterator[str]:
        """Yield the paths of all its files, at any depth, sorted."""
        waiting: list[Folder | str] = [self]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                yield item
                continue
            inside = {name: item.below(name) for name in item.files} | item.folders
            waiting += [inside[name] for name in sorted(inside, reverse=True)]

    def all_images(self) -> list[str]:
        """Return the paths of all its files that may be images, at any depth."""
        return [path for path in self.all_files() if may_be_image(path)]


def read_tree(root: Path, exclude: Sequence[str] = ()) -> Folder:
    """Read the tree of a folder.

    Args:
        root: The folder.
        exclude: Patterns of names, or of relative paths, to skip.

    Raises:
        SourceNotFoundError: The folder, or one of its subfolders, does not exist or cannot be read.
    """
    try:
        os.scandir(root).close()
    except OSError as error:
        reason = f"{files.reason_of(error)}{_neighbour_meant(root)}"
        raise SourceNotFoundError(f"cannot read the folder {str(root)!r}: {reason}") from error
    start = len(str(root / "x")) - 1
    tree = tree_of(
        (str(found)[start:].replace(os.sep, "/") for found in files.walk(root)), root.absolute().name, exclude
    )
    for folder in (tree, *tree.folders.values()):
        inside = _folders_in(root / folder.path)
        folder.empty = sorted(name for name in inside if not _is_known(folder, name, exclude))
    return tree


def _neighbour_meant(root: Path) -> str:
    """Suggest the neighbour of a missing folder whose name is most like it, if one is."""
    with suppress(OSError):
        names = [] if root.exists() else [path.name for path in root.parent.iterdir()]
        if near := get_close_matches(root.name, names, n=1):
            return f". Did you mean {str(root.with_name(near[0]))!r}?"
    return ""


def tree_of(paths: Iterable[str], name: str = "", exclude: Sequence[str] = ()) -> Folder:
    """Build the tree of some files.

    Args:
        paths: Paths with forward slashes.
        name: Name of the root.
        exclude: As for `read_tree`.
    """
    tree = Folder(name)
    folders = {"": tree}
    for path in paths:
        if not _is_passed_over(path, exclude):
            _folder_of(path.rpartition("/")[0], folders).files.append(path.rpartition("/")[2])
    _leave_out_runs(tree)
    return tree


def _leave_out_runs(tree: Folder) -> None:
    """Remove the run folders of mien, which contain charts."""
    waiting = [tree]
    while waiting:
        folder = waiting.pop()
        folder.folders = {name: inner for name, inner in folder.folders.items() if not set(inner.files) >= RUN_FILES}
        waiting += folder.folders.values()


def refuse_run(folder: Path) -> None:
    """Refuse a run in the place of a folder of images.

    Raises:
        NotADatasetError: The folder is a run; the message says how to use it.
    """
    if all((folder / name).is_file() for name in RUN_FILES):
        raise NotADatasetError(
            f"{str(folder)!r} is a run, not a folder of images. To use it: mien predict {as_typed(folder)} photo.jpg"
        )


def may_be_image(path: str) -> bool:
    """Return whether a file may be an image, judging by its name."""
    # pathlib takes ten times as long, and there may be a hundred thousand files.
    name = path.rpartition("/")[2].lower()
    suffix = os.path.splitext(name)[1]
    return suffix in EXTENSIONS or (suffix not in _OTHER_EXTENSIONS and name not in _OTHER_NAMES)


def is_table(name: str) -> bool:
    """Return whether a file may be a table, judging by its name."""
    return name.lower().endswith(TABLE_EXTENSIONS) and name.lower() not in _OWN_NAMES


def is_system_name(name: str) -> bool:
    """Return whether a file or folder belongs to the system, not to the user."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _is_known(folder: Folder, name: str, exclude: Sequence[str]) -> bool:
    return name in folder.folders or _is_passed_over(folder.below(name), exclude)


def _is_passed_over(path: str, exclude: Sequence[str]) -> bool:
    parts = path.split("/")
    if any(map(is_system_name, parts)):
        return True
    # A pattern matches a file or folder by its name or its path.
    starts = ["/".join(parts[: length + 1]) for length in range(len(parts))] if exclude else []
    return any(fnmatchcase(text, pattern.strip("/")) for pattern in exclude for text in (*starts, *parts))


def _folder_of(path: str, folders: dict[str, Folder]) -> Folder:
    """Return the folder with a path, creating it and its parents if needed."""
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
