"""Sorting: put images into class folders by prediction, and doubtful ones into the folder unsure."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mien.config import Link, ScanConfig, SortConfig
from mien.core import files
from mien.core.progress import SILENCE, Progress
from mien.core.text import class_name_problem, folded, safe_stem
from mien.data.sorted_folder import JOURNAL_NAME, SortedFile, SortedFolder, open_sorted
from mien.errors import OutputError
from mien.fetching.sources import expand_files
from mien.model.classifier import load
from mien.model.prediction import UNSURE, Prediction, predict, threshold_in_force


@dataclass(frozen=True)
class Sorted:
    """What was sorted, or would be.

    Attributes:
        folder: The output folder.
        class_folders: Folder name by class.
        files: The sorted files, in order.
        unreadable: Why files cannot be read, by path.
        num_there: Number of images that were already sorted.
        threshold: The lowest probability for a class folder; 0 for none.
    """

    folder: Path
    class_folders: dict[str, str]
    files: tuple[SortedFile, ...]
    unreadable: dict[str, str]
    num_there: int
    threshold: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        unreadable = [{"source": source, "error": error} for source, error in self.unreadable.items()]
        return {
            "folder": str(self.folder),
            "class_folders": self.class_folders,
            "threshold": self.threshold,
            "num_there": self.num_there,
            "files": [asdict(file) for file in self.files],
            "unreadable": unreadable,
        }


def sort_images(
    run_dir: str | Path,
    sources: Sequence[str | Path],
    *,
    to: str | Path,
    config: SortConfig = SortConfig(),
    dry_run: bool = False,
    max_pixels: int = ScanConfig.max_pixels,
    progress: Progress = SILENCE,
) -> Sorted:
    """Copy or link images into class folders by prediction. The originals are not changed.

    Images below the threshold, and images unlike the training images, go to the folder unsure. Called again, it
    resumes: unchanged images that were already sorted are skipped.

    Args:
        run_dir: A run folder, or a model.onnx.
        sources: Image files, folders (searched recursively), and patterns such as `photos/*.jpg`.
        to: The output folder, outside the image folders: new, empty, or one that images were sorted into before.
        config: The threshold, and whether to copy or link.
        dry_run: Only report what would be done.
        max_pixels: Reject larger images, which could fill all memory.
        progress: Receives progress updates.

    Raises:
        SourceNotFoundError: A path does not exist, the run is missing or not finished, or the journal is damaged.
        SettingsError: A source is a URL or standard input, or the threshold is invalid.
        OutputError: The output folder is inside an image folder or contains the images, or cannot be written. Files
            already there are kept.
    """
    classifier = load(run_dir)
    threshold, class_folders = threshold_in_force(classifier, config.threshold), folders_of(classifier.class_names)
    names = list(dict.fromkeys(map(os.path.abspath, expand_files(sources, progress))))
    _refuse_places(sources, names, Path(to))
    with _opened(to, dry_run=dry_run) as folder:
        new = [name for name in names if not folder.knows(name)]
        found: list[SortedFile] = []
        unreadable: dict[str, str] = {}
        answers = predict(classifier, new, threshold=threshold, max_pixels=max_pixels)
        for number, prediction in enumerate(answers, start=1):
            if prediction.error is not None:
                unreadable[prediction.source] = prediction.error
            else:
                file = _file(folder, prediction, class_folders=class_folders, threshold=threshold, link=config.link)
                if not dry_run:
                    folder.put(file)
                found.append(file)
            progress.step("Sorting", number, len(new))
    return Sorted(folder.path, class_folders, tuple(found), unreadable, len(names) - len(new), threshold)


def folders_of(class_names: Sequence[str]) -> dict[str, str]:
    """Return a folder name for each class: its own name, or a similar one if that is not portable."""
    counts = Counter(map(folded, (*class_names, UNSURE, JOURNAL_NAME)))
    fit = {name for name in class_names if not class_name_problem(name) and counts[folded(name)] == 1}
    return {name: name if name in fit else _like(name) for name in class_names}


def _like(name: str) -> str:
    """Return a unique, portable name."""
    return f"{safe_stem(name)}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@contextmanager
def _opened(to: str | Path, *, dry_run: bool) -> Iterator[SortedFolder]:
    if dry_run:
        yield SortedFolder(to)
        return
    with open_sorted(to) as folder:
        yield folder


def _refuse_places(sources: Iterable[str | Path], names: Iterable[str], to: Path) -> None:
    """Make sure that the next call would not sort the output of this one again."""
    for source in sources:
        if os.path.isdir(source):
            files.refuse_among(to, Path(source), "--to")
    inside = next((name for name in names if Path(os.path.realpath(name)).is_relative_to(to.resolve())), None)
    if inside is not None:
        raise OutputError(f"the output folder {str(to)!r} contains the image {inside!r}. Choose another --to")


def _file(
    folder: SortedFolder, prediction: Prediction, *, class_folders: dict[str, str], threshold: float, link: Link | None
) -> SortedFile:
    """Return where to put an image, and why."""
    label = max(prediction.probs, key=prediction.probs.__getitem__)
    reasons = [f"below the threshold of {threshold:g}"] if prediction.probs[label] < threshold else []
    reasons += [f"unlike the training images: {prediction.unlike}"] if prediction.unlike else []
    source = Path(prediction.source)
    path = folder.free_path(UNSURE if reasons else class_folders[label], source.name)
    return SortedFile(
        path, str(source), label, prediction.probs[label], "; ".join(reasons), link, files.sha256_of(source)
    )
