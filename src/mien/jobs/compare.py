"""Comparison: two finished runs -> which one is better on images that both held out, or whether that may be chance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import Score, wilson_score
from mien.core.text import counted, first_few
from mien.data.dataset import ImageRecord
from mien.errors import SettingsError, SourceNotFoundError, TooFewImagesError
from mien.runs.run import Run, load_run
from mien.scoring.paired import mcnemar, num_better, num_needed, p_value_text, paired_difference

_LEVEL = 0.05
_MAX_NAMED = 3


@dataclass(frozen=True)
class Comparison:
    """Two runs on the images that both held out.

    Attributes:
        names: The names of the runs.
        accuracies: The accuracy of each on these images.
        difference: The first accuracy minus the second, with a paired interval; from -1 to 1.
        both_right: Number of images that both get right.
        only_first: Number of images that only the first gets right.
        only_second: Number of images that only the second gets right.
        both_wrong: Number of images that both get wrong.
        p_value: The p-value of McNemar's exact test.
        num_needed: About how many images would confirm a difference this large with a power of 80%; None if it is
            already significant, or there is none.
        sources: Number of images by the source of both predictions, such as "test of both".
        notes: What was skipped and why, and limits of the comparison.
        settings: Settings that differ: name -> value of the first, value of the second.
    """

    names: tuple[str, str]
    accuracies: tuple[Score, Score]
    difference: Score
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float
    num_needed: int | None
    sources: dict[str, int]
    notes: tuple[str, ...]
    settings: dict[str, tuple[Any, Any]]

    @property
    def sentence(self) -> str:
        """The result of the test, in words."""
        first, second = self.names
        test = f"(p = {p_value_text(self.p_value)}, McNemar's exact test)"
        compared = counted(self.difference.num_images, "image")
        apart = f"only {first} is right on {self.only_first}, only {second} on {self.only_second}"
        if self.only_first == self.only_second:
            return f"{first} and {second} are equally accurate on {compared}: {apart} {test}."
        if self.p_value > _LEVEL:
            text = f"No clear difference between {first} and {second} on {compared}: {apart} {test}."
            if self.num_needed:
                text += f" To confirm a difference of this size takes about {self.num_needed:,} images."
            if self.difference.low > 0 or self.difference.high < 0:
                text += " (The interval excludes zero, but the exact test is stricter for so few images.)"
            return text
        most, least = max(self.only_first, self.only_second), min(self.only_first, self.only_second)
        better, worse = self.names if self.only_first > self.only_second else (second, first)
        wins = f"it is right on {counted(most, 'image')} that {worse} gets wrong"
        return f"{better} is better: {wins}, against {least} the other way {test}."

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "sentence": self.sentence}


@dataclass(frozen=True)
class _HeldOut:
    """The held-out images of a run.

    Attributes:
        run: The run.
        judged: Its held-out images, by content hash.
    """

    run: Run
    judged: dict[str, "_Judged"]


@dataclass(frozen=True)
class _Judged:
    """One held-out image of a run, and whether its prediction is right."""

    record: ImageRecord
    right: bool
    source: str


def compare(first_dir: str | Path, second_dir: str | Path) -> Comparison:
    """Say which of two runs is better on the same images, or whether the difference may be chance.

    Only images that both runs held out count: test images, or images predicted in cross-validation. Images are matched
    by content.

    Args:
        first_dir: The folder of a finished run.
        second_dir: The folder of another, with the same classes.

    Raises:
        SourceNotFoundError: A file of a run is missing or damaged.
        SettingsError: The runs have different classes, or are the same run.
        TooFewImagesError: There are no images that both held out.

    Example:
        >>> import mien
        >>> comparison = mien.compare("runs/train", "runs/train2")
        >>> comparison.names, comparison.difference.num_images
        (('train', 'train2'), 24)
    """
    names = _names(Path(first_dir), Path(second_dir))
    first, second = (_held_out(load_run(path)) for path in (first_dir, second_dir))
    class_names = [held_out.run.classifier.class_names for held_out in (first, second)]
    if class_names[0] != class_names[1]:
        listed = [", ".join(map(repr, sorted(names))) for names in class_names]
        raise SettingsError(
            f"the runs must have the same classes, but {names[0]} has {listed[0]} and {names[1]} has {listed[1]}"
        )
    shared, notes = _shared(first, second, names)
    pairs = [(first.judged[content], second.judged[content]) for content in shared]
    table = Counter((one.right, other.right) for one, other in pairs)
    counts = (table[True, True], table[True, False], table[False, True], table[False, False])
    groups = _groups(first, shared)
    if groups is None:
        groups = _groups(second, shared)
    first_right, second_right = (np.array([pair[which].right for pair in pairs], bool) for which in (0, 1))
    p_value = mcnemar(*num_better(first_right, second_right, groups=groups))
    return Comparison(
        names,
        (
            _accuracy(first, [one for one, _ in pairs], groups),
            _accuracy(second, [other for _, other in pairs], groups),
        ),
        paired_difference(*counts, groups=groups),
        *counts,
        p_value=p_value,
        num_needed=num_needed(counts[1], counts[2], len(pairs)) if p_value > _LEVEL and groups is None else None,
        sources=dict(Counter(_both_sources(one, other, names) for one, other in pairs)),
        notes=tuple(notes),
        settings=_differences(_settings(first.run), _settings(second.run)),
    )


def _groups(held_out: _HeldOut, shared: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the group number of each image; None if the run has no groups."""
    dataset = held_out.run.dataset
    places = {record.sha256: place for place, record in enumerate(dataset.records)}
    return dataset.subject_numbers(np.array([places[content] for content in shared], np.int64))


def _accuracy(held_out: _HeldOut, judged: Sequence[_Judged], groups: NDArray[np.int64] | None) -> Score:
    """Return the accuracy of a run; cross-validation counts with its smaller effective sample size."""
    by_folds = any(image.source != "test" for image in judged)
    num_right = sum(image.right for image in judged)
    folds = held_out.run.scores.out_of_fold
    return wilson_score(num_right, len(judged), num_folds=folds.num_folds if by_folds and folds else 0, groups=groups)


def _names(first_dir: Path, second_dir: Path) -> tuple[str, str]:
    if first_dir.resolve() == second_dir.resolve():
        raise SettingsError(f"both runs are {str(first_dir)!r}. Name two different runs")
    names = (first_dir.resolve().name, second_dir.resolve().name)
    return names if names[0] != names[1] else (str(first_dir), str(second_dir))


def _held_out(run: Run) -> _HeldOut:
    """Return the held-out images of a run.

    Raises:
        SourceNotFoundError: Its predictions.csv is missing, or its manifest.csv is damaged.
    """
    if run.test_predictions is None:
        raise SourceNotFoundError(
            f"{str(run.path)!r} has no predictions.csv, which is needed to compare it. Train it again"
        )
    judged = {}
    for source, predictions in run.predictions_by_source.items():
        right = predictions.probs.argmax(axis=1) == predictions.labels
        for index, is_right in zip(predictions.indexes.tolist(), right.tolist(), strict=True):
            record = run.dataset.records[index]
            if not record.sha256:
                raise SourceNotFoundError(f"manifest.csv of {str(run.path)!r} is damaged: {record.path!r} has no hash")
            judged[record.sha256] = _Judged(record, is_right, "test" if source == "test" else "cross-validation")
    return _HeldOut(run, judged)


def _shared(first: _HeldOut, second: _HeldOut, names: tuple[str, str]) -> tuple[list[str], list[str]]:
    """Return the content hashes of the images to compare on, and notes on that choice."""
    both = sorted(set(first.judged) & set(second.judged))
    other_label = [c for c in both if first.judged[c].record.label != second.judged[c].record.label]
    notes = []
    if other_label:
        listed = _listed(first, other_label)
        left_out = counted(len(other_label), "image")
        notes.append(f"{left_out} skipped because the two runs have different labels: {listed}")
    shared = [content for content in both if content not in set(other_label)]
    for name, held_out in zip(names, (first, second), strict=True):
        if num_alone := len(set(held_out.judged) - set(both)):
            notes.append(f"{counted(num_alone, 'image')} skipped because only {name} held them out")
    if not shared:
        raise TooFewImagesError(
            f"{names[0]} and {names[1]} have no held-out images in common ({'; '.join(notes)}). Train both on the same "
            "images with the same --seed, or with --folds 5"
        )
    if any(held_out.judged[content].source != "test" for held_out in (first, second) for content in shared):
        notes.append(
            "Cross-validation predictions come from classifiers trained like the saved one on fewer images, so they "
            "compare training settings, not the saved files"
        )
    return shared, notes


def _listed(held_out: _HeldOut, contents: Sequence[str]) -> str:
    return ", ".join(first_few([held_out.judged[content].record.path for content in contents], _MAX_NAMED))


def _both_sources(first: _Judged, second: _Judged, names: tuple[str, str]) -> str:
    if first.source == second.source:
        return f"{first.source} of both"
    return f"{first.source} of {names[0]}, {second.source} of {names[1]}"


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings of a run by name, with its image folder and package versions."""
    versions = {f"version of {name}": version for name, version in run.versions.items()}
    return {**run.config.flat(), "data": str(run.dataset.root), **versions}


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*first, *(name for name in second if name not in first)]
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}
