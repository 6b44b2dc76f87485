"""The review: images, a person's decisions on their labels, and training on them."""

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.config import TrainConfig
from mien.core.progress import SILENCE, Progress
from mien.core.text import visible
from mien.data.dataset import Dataset, ImageRecord
from mien.data.decisions import KEEP, LEAVE_OUT, NONE, DecisionJournal, decisions_of, elsewhere
from mien.data.relabelling import undecided
from mien.data.scanning import scan_file
from mien.errors import MienError, RequestError, SettingsError
from mien.jobs.next_images import NextImage, next_images
from mien.jobs.refit import Refit, refit
from mien.jobs.train import train
from mien.labelling.comparison import ChangedAnswer, Effect, changed_answers, describe_others, effect_of
from mien.labelling.queues import Queue, conflicts_of, next_queue, of_the_test, queues_of
from mien.layouts.layout import Entry
from mien.runs.folder import RunFolder
from mien.runs.run import Run, load_run
from mien.scoring.label_issues import LabelIssue
from mien.scoring.results import Predictions

MAX_IMAGES = 500
_MAX_CHANGED = 200
# 48 bits.
_NUM_DIGITS = 12


class Review:
    """A review of the labels of a run or a folder. Thread-safe, but only one thread may train at a time.

    Attributes:
        dataset: The images.
        run: The run, or None before the first training.
        journal: The decisions.
        queues: Images to look at, keyed by the name of the queue.
        num_trained: Number of trainings so far.
    """

    def __init__(
        self,
        found: Run | Dataset,
        journal: DecisionJournal,
        config: TrainConfig,
        *,
        folder: Path | None = None,
        unlabelled: Sequence[Path] = (),
        cache_dir: Path | None = None,
        progress: Progress = SILENCE,
    ) -> None:
        """Start a review.

        Args:
            found: A run, or the result of `clean` for a folder.
            journal: Where decisions are written. The review closes it.
            config: How to train.
            folder: What to train on, if not the folder of the images. It differs for an archive.
            unlabelled: Absolute paths of folders with unlabelled images, which a run ranks for labelling.
            cache_dir: Cache folder for image features.
            progress: Receives progress.

        Raises:
            SettingsError: A class has the same name as a decision.
        """
        self.journal, self.num_trained = journal, 0
        self._config, self._cache_dir, self._lock = config, cache_dir, threading.RLock()
        self._preparing = threading.Lock()
        self._effect: tuple[Effect, float] | None = None
        self._answers: dict[int, ChangedAnswer] = {}
        self._notes: tuple[str, ...] = ()
        self._before: Refit | None = None
        self._folder, self._unlabelled = folder, unlabelled
        self._take(found, progress)

    def state(self) -> dict[str, Any]:
        """Return the initial state of the page, as plain JSON values."""
        with self._lock:
            queues = [
                {"name": queue.name, "title": visible(queue.title), "about": queue.about, "count": len(queue.places)}
                for queue in self.queues.values()
            ]
            return {
                "title": visible(self.dataset.root.resolve().name),
                "run": visible(str(self.run.path)) if self.run else "",
                "decisions_path": visible(str(self.journal.path)),
                "class_names": [*self._class_names],
                "queues": queues,
                "num_images": self._num_shown,
                **self._told({}),
            }

    def images(self, queue: str, start: int, count: int, name: str = "") -> dict[str, Any]:
        """Return part of a queue, as plain JSON values.

        Args:
            queue: Name of the queue.
            start: Position of the first image.
            count: Maximum number of images.
            name: Only include paths that contain this.

        Raises:
            RequestError: There is no such queue, or a number is out of range.
        """
        if queue not in self.queues or start < 0 or not 0 <= count <= MAX_IMAGES:
            raise RequestError(f"no such queue, or more than {MAX_IMAGES} images requested")
        with self._lock:
            asked = self.queues[queue]
            places = asked.places.tolist()
            if name:
                records = self.dataset.records
                places = [place for place in places if name.casefold() in records[place].path.casefold()]
            shown = [self._shown(place) | asked.about_image(place) for place in places[start : start + count]]
            return {"total": len(places), "images": shown}

    def record(self, number: int) -> ImageRecord:
        """Return the record of an image by its number.

        Raises:
            RequestError: There is no such image.
        """
        with self._lock:
            return self.dataset.records[self._place(number)]

    def decide(self, numbers: Iterable[int], decision: str) -> dict[str, Any]:
        """Decide on images, and return what changed once it is on disk.

        Args:
            numbers: Numbers of the images. For copies in several classes, one is enough.
            decision: A class name as in `state`, "leave-out", "keep", or "" to remove a decision.

        Raises:
            RequestError: There is no such image or no such decision.
            OutputError: The decision cannot be saved.
        """
        if decision not in (*self._class_names, LEAVE_OUT, KEEP, NONE):
            raise RequestError("unknown decision: expected a class, leave-out, keep, or nothing")
        decision = self._class_names.get(decision, decision)
        with self._lock:
            places = [self._place(number) for number in numbers]
            if not self._hidden.isdisjoint(places):
                raise RequestError("this image is in the test split, which must not be changed")
            if decision == KEEP and not all(self._labels[place] for place in places):
                raise RequestError("an unlabelled image has no label to keep. Choose its class")
            said: dict[str, str] = {}
            for place in places:
                said |= self._meant(place, decision)
            return self._told(self.journal.decide(said))

    def undo(self) -> dict[str, Any]:
        """Undo the last action, and return what changed.

        Raises:
            OutputError: The change cannot be saved.
        """
        with self._lock:
            return self._told(self.journal.undo())

    def changes(self, revision: int) -> dict[str, Any]:
        """Return the decisions made since a revision."""
        with self._lock:
            return self._told(self.journal.since(max(revision, 0)))

    def prepare(self) -> None:
        """Train on the original labels in advance to speed up the first training, which will report any errors."""
        if self.run:
            # A RuntimeError: the program is ending, so no thread can be started.
            with suppress(MienError, RuntimeError):
                _ = self._refit_before(self.run).others

    def train(self, progress: Progress = SILENCE) -> None:
        """Train on the decided labels and compare with the original ones. Without a run, make the first one.

        Raises:
            UserError: As for `mien.train`.
        """
        started = time.monotonic()
        if self.run is None:
            run = self._trained(self._config, progress)
            self._effect = Effect(None, run.scores.test.accuracy, run.findings[0].text), time.monotonic() - started
        else:
            progress.step("Fitting to the old labels", 0, 3)
            before = self._refit_before(self.run)
            progress.step("Fitting to the new labels", 1, 3)
            after = self._refit(self.run, self.journal.decisions())
            with self._lock:
                effect = effect_of(before, after, self._decided_on())
                self._effect, self._answers = (effect, time.monotonic() - started), {}
            progress.step("Checking all labels", 2, 3)
            records, answers = after.dataset.records, changed_answers(before, after)
            with self._lock:
                self._answers, self._is_saved = {number_of(records[a.place]): a for a in answers}, False
                self._notes = describe_others(before, after, method=self._config.fit.method)
                self._line_up(after.dataset, after.others, after.label_issues)
        self.num_trained += 1

    def save(self, progress: Progress = SILENCE) -> None:
        """Make a complete run with the decided labels, as `mien train` does, and continue the review with it.

        Raises:
            RequestError: Nothing has been trained yet.
            UserError: As for `mien.train`.
        """
        if self.run is None:
            raise RequestError("nothing has been trained yet")
        self._trained(self._config.changed(split=str(self.run.path)), progress)
        self.num_trained += 1

    def result(self) -> dict[str, Any] | None:
        """Return the result of the last training as plain JSON values, or None if there was none."""
        with self._lock:
            if self._effect is None:
                return None
            effect, seconds = self._effect
            changed = [number for number in self._answers if number in self._places]
            return {
                **effect.to_dict(),
                "run": visible(str(self.run.path)) if self.run and self._is_saved else "",
                "seconds": round(seconds, 1),
                "changed": [self._changed(number) for number in changed[:_MAX_CHANGED]],
                "num_changed": len(changed),
                "notes": [*filter(None, [effect.test]), *self._notes],
            }

    @property
    def can_save(self) -> bool:
        """Whether there is a training result that is not saved in a run."""
        return not self._is_saved

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    def _decided_on(self) -> list[int]:
        return [place for place, r in enumerate(self.dataset.records) if self.journal.decision(r.path) != NONE]

    def _refit_before(self, run: Run) -> Refit:
        with self._preparing:
            if self._before is None:
                self._before = self._refit(run, decisions_of(run.config.labels))
            return self._before

    def _refit(self, run: Run, decisions: Mapping[str, str]) -> Refit:
        elsewhere = self.dataset.records[len(run.dataset.records) :]
        return refit(run, decisions, elsewhere=elsewhere, cache_dir=self._cache_dir)

    def _trained(self, config: TrainConfig, progress: Progress) -> Run:
        """Make a run with the decided labels, and continue with it and with a copy of the journal in it."""
        config = config.changed(relabel=str(self.journal.path))
        made = train(self._folder or self.dataset.root, config, cache_dir=self._cache_dir, progress=progress)
        # Reload it, to have the decisions it was made with, not those made since.
        run = load_run(made.path)
        with self._lock:
            self.journal.move_to(RunFolder(run.path).journal_path)
            self._config = run.config
            self._take(run, progress)
        return run

    def _take(self, found: Run | Dataset, progress: Progress) -> None:
        """Review a run, or a folder without one."""
        self.run = found if isinstance(found, Run) else None
        self._next = {image.record.path: image for image in self._ranked(progress)}
        dataset = found.dataset if isinstance(found, Run) else found
        self.dataset = dataset.with_records([*dataset.records, *self._elsewhere(dataset)])
        if clashing := {KEEP, LEAVE_OUT} & set(self.dataset.class_names):
            raise SettingsError(f"a class is named {clashing.pop()!r}, which is also a decision. Rename its folder")
        self._class_names = {visible(name): name for name in self.dataset.class_names}
        self._labels = [record.label for record in undecided(self.dataset).records]
        self._places = {number_of(record): place for place, record in enumerate(self.dataset.records) if record.phash}
        self._hidden, self._conflicts = of_the_test(self.dataset), conflicts_of(self.dataset)
        self._num_shown = sum(place not in self._hidden for place in self._places.values())
        self._is_saved, self._before = True, None
        if self.run:
            self._line_up(self.dataset, self.run.out_of_fold_predictions, self.run.label_issues)
        else:
            self._line_up(self.dataset)

    def _ranked(self, progress: Progress) -> Sequence[NextImage]:
        """Return the unlabelled images in the order in which to label them, according to the run."""
        if self.run is None or not self._unlabelled:
            return ()
        return next_images(self.run.path, self._unlabelled, cache_dir=self._cache_dir, progress=progress).images

    def _elsewhere(self, dataset: Dataset) -> Iterator[ImageRecord]:
        """Yield images of other folders that are ranked or decided on, and that are not in the dataset yet."""
        known = {record.path for record in dataset.records}
        for path in dict.fromkeys((*self._next, *elsewhere(self.journal.decisions()))):
            if path in self._next and path not in known:
                yield replace(self._next[path].record, used=False)
            elif path not in known:
                yield replace(scan_file(Path(), Entry(path, ""), dataset.config), used=False)

    def _line_up(
        self, dataset: Dataset, predictions: Predictions | None = None, label_issues: Sequence[LabelIssue] = ()
    ) -> None:
        queues = queues_of(dataset, self._labels, self._hidden, predictions, label_issues)
        if self._next:
            places = {record.path: place for place, record in enumerate(self.dataset.records) if not record.label}
            notes = {places[path]: image.reason for path, image in self._next.items() if path in places}
            queues = (next_queue(notes), *queues)
        self.queues = {queue.name: self._without_decided(queue) for queue in queues}

    def _without_decided(self, queue: Queue) -> Queue:
        """Remove decided images from a queue that asks about doubts, so that nobody is asked twice."""
        if queue.name not in ("next", "issues", "doubtful"):
            return queue
        paths = [self.dataset.records[place].path for place in queue.places]
        return replace(queue, places=queue.places[[self.journal.decision(path) == NONE for path in paths]])

    def _place(self, number: int) -> int:
        if number not in self._places:
            raise RequestError("no such image")
        return self._places[number]

    def _meant(self, place: int, decision: str) -> dict[str, str]:
        """Return the decisions on an image and its copies in other classes that follow from one decision, by path."""
        said = {self.dataset.records[place].path: decision}
        label = self._labels[place] if decision == KEEP else decision
        for other in self._conflicts.get(place, ()):
            if other != place:
                said[self.dataset.records[other].path] = KEEP if label == self._labels[other] else label
        return said

    def _shown(self, place: int) -> dict[str, Any]:
        record = self.dataset.records[place]
        return {
            "id": number_of(record),
            "path": visible(record.path),
            "label": visible(self._labels[place]),
            "decision": visible(self.journal.decision(record.path)),
            "version": record.sha256[:16],
        }

    def _changed(self, number: int) -> dict[str, Any]:
        answer = self._answers[number]
        return self._shown(self._places[number]) | {"before": answer.before, "after": answer.after}

    def _told(self, changed: Mapping[str, str]) -> dict[str, Any]:
        """Return decisions that changed, and the state of the review."""
        return {
            "changed": [{"id": number_of_path(path), "decision": visible(said)} for path, said in changed.items()],
            "revision": self.journal.revision,
            "num_decided": self.journal.num_decided,
            "can_undo": self.journal.can_undo,
            "training_revision": self.num_trained,
        }


def number_of(record: ImageRecord) -> int:
    """Return a number for an image that does not change when its folder does, and is exact in JavaScript."""
    return number_of_path(record.path)


def number_of_path(path: str) -> int:
    """Return the number of the image at a path."""
    return int(hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:_NUM_DIGITS], 16)
