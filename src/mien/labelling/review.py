"""The review: images, what a person decides of them, and what the classifier learns from that."""

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
# Of 48 bits.
_NUM_DIGITS = 12


class Review:
    """A folder of images under review. Its methods may be called from several threads; one trains at a time.

    Attributes:
        dataset: The images, as they are or as the run has them.
        run: What was trained; None where nothing was.
        journal: The decisions.
        queues: Which images to look at, by the names of the queues.
        num_trained: How many trainings there were.
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
        """Begin a review.

        Args:
            found: A run, or what `clean` returned of a folder.
            journal: Where decisions are written; the review closes it in the end.
            config: How to train.
            folder: What to train on; by default where the images lie. That of an archive is another.
            unlabelled: Folders of images without labels, by their whole paths, of which a run says which to label next.
            cache_dir: Where the features of images are kept.
            progress: Told how far it is.

        Raises:
            SettingsError: A class is called as a decision is.
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
        """Return what a page shows at first, as plain JSON values."""
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
        """Return a part of a queue, as plain JSON values.

        Args:
            queue: Its name.
            start: The place in the queue of the first.
            count: How many, at most.
            name: A part of the path; others are passed over, and not counted.

        Raises:
            RequestError: There is no such queue, or a number is out of range.
        """
        if queue not in self.queues or start < 0 or not 0 <= count <= MAX_IMAGES:
            raise RequestError(f"there is no such queue, or more than {MAX_IMAGES} images are asked for")
        with self._lock:
            asked = self.queues[queue]
            places = asked.places.tolist()
            if name:
                records = self.dataset.records
                places = [place for place in places if name.casefold() in records[place].path.casefold()]
            shown = [self._shown(place, asked.notes.get(place, "")) for place in places[start : start + count]]
            return {"total": len(places), "images": shown}

    def record(self, number: int) -> ImageRecord:
        """Return the record of an image by its number.

        Raises:
            RequestError: There is none.
        """
        with self._lock:
            return self.dataset.records[self._place(number)]

    def decide(self, numbers: Iterable[int], decision: str) -> dict[str, Any]:
        """Decide on images; return what changed, when it is on the disk.

        Args:
            numbers: Of the images. Of copies in several classes one stands for all.
            decision: A class name as `state` shows it, "leave-out", "keep", or "" to take back what was decided.

        Raises:
            RequestError: There is no such image, or no such decision.
            OutputError: It cannot be written down.
        """
        if decision not in (*self._class_names, LEAVE_OUT, KEEP, NONE):
            raise RequestError("a decision is a class, leave-out, keep, or nothing")
        decision = self._class_names.get(decision, decision)
        with self._lock:
            places = [self._place(number) for number in numbers]
            if not self._hidden.isdisjoint(places):
                raise RequestError("this image is in the test, which judges the classifier: nobody is asked about it")
            if decision == KEEP and not all(self._labels[place] for place in places):
                raise RequestError("an image without a label has none to keep: say which class it is")
            said: dict[str, str] = {}
            for place in places:
                said |= self._meant(place, decision)
            return self._told(self.journal.decide(said))

    def undo(self) -> dict[str, Any]:
        """Take back the last action; return what changed.

        Raises:
            OutputError: It cannot be written down.
        """
        with self._lock:
            return self._told(self.journal.undo())

    def changes(self, revision: int) -> dict[str, Any]:
        """Return what was decided since a revision."""
        with self._lock:
            return self._told(self.journal.since(max(revision, 0)))

    def prepare(self) -> None:
        """Learn from the labels as they were, so that the first training need not; errors wait for that one."""
        if self.run:
            with suppress(MienError):
                _ = self._refit_before(self.run).others

    def train(self, progress: Progress = SILENCE) -> None:
        """Learn from the labels as they are decided, and see what that changes; without a run, make the first one.

        Raises:
            UserError: As `mien.train`.
        """
        started = time.monotonic()
        if self.run is None:
            run = self._trained(self._config, progress)
            self._effect = Effect(None, run.scores.test.accuracy, run.findings[0].text), time.monotonic() - started
        else:
            progress.step("Learning from the labels before", 0, 3)
            before = self._refit_before(self.run)
            progress.step("Learning from the labels now", 1, 3)
            after = self._refit(self.run, self.journal.decisions())
            with self._lock:
                effect = effect_of(before, after, self._decided_on())
                self._effect, self._answers = (effect, time.monotonic() - started), {}
            progress.step("Looking at all labels again", 2, 3)
            records, answers = after.dataset.records, changed_answers(before, after)
            with self._lock:
                self._answers, self._is_saved = {number_of(records[a.place]): a for a in answers}, False
                self._notes = describe_others(before, after, method=self._config.fit.method)
                self._line_up(after.dataset, after.others, after.label_issues)
        self.num_trained += 1

    def save(self, progress: Progress = SILENCE) -> None:
        """Make a whole run, as `mien train` does, of the labels as they are decided; the review goes on with that.

        Raises:
            RequestError: Nothing was trained yet.
            UserError: As `mien.train`.
        """
        if self.run is None:
            raise RequestError("nothing was trained yet")
        self._trained(self._config.changed(split=str(self.run.path)), progress)
        self.num_trained += 1

    def result(self) -> dict[str, Any] | None:
        """Return what the last training came to, as plain JSON values; None where there was none."""
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
                "notes": [*self._notes],
            }

    @property
    def can_save(self) -> bool:
        """Whether something was learnt that is in no run yet."""
        return not self._is_saved

    def close(self) -> None:
        """Let go of the journal."""
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
        """Make a run of the labels as they are decided, and go on with it and with a copy of the journal in it."""
        config = config.changed(relabel=str(self.journal.path))
        made = train(self._folder or self.dataset.root, config, cache_dir=self._cache_dir, progress=progress)
        # As it is kept: with the decisions that it was made with, whatever was decided since.
        run = load_run(made.path)
        with self._lock:
            self.journal.move_to(RunFolder(run.path).journal_path)
            self._config = run.config
            self._take(run, progress)
        return run

    def _take(self, found: Run | Dataset, progress: Progress) -> None:
        """Review a run, or a folder of which there is none."""
        self.run = found if isinstance(found, Run) else None
        self._next = {image.record.path: image for image in self._ranked(progress)}
        dataset = found.dataset if isinstance(found, Run) else found
        self.dataset = dataset.with_records([*dataset.records, *self._elsewhere(dataset)])
        if clashing := {KEEP, LEAVE_OUT} & set(self.dataset.class_names):
            raise SettingsError(f"a class is called {clashing.pop()!r}, which is a decision: rename its folder")
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
        """Return the images to label next, by the run."""
        if self.run is None or not self._unlabelled:
            return ()
        return next_images(self.run.path, self._unlabelled, cache_dir=self._cache_dir, progress=progress).images

    def _elsewhere(self, dataset: Dataset) -> Iterator[ImageRecord]:
        """Yield images of other folders that may be trained on, or were decided on; what is trained on already, not."""
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
        """Leave out what was decided on, of a queue that asks about doubts: nobody is asked twice."""
        if queue.name not in ("next", "issues", "doubtful"):
            return queue
        paths = [self.dataset.records[place].path for place in queue.places]
        return replace(queue, places=queue.places[[self.journal.decision(path) == NONE for path in paths]])

    def _place(self, number: int) -> int:
        if number not in self._places:
            raise RequestError("there is no such image")
        return self._places[number]

    def _meant(self, place: int, decision: str) -> dict[str, str]:
        """Return what a decision on an image says of it and of its copies in other classes, by path."""
        said = {self.dataset.records[place].path: decision}
        label = self._labels[place] if decision == KEEP else decision
        for other in self._conflicts.get(place, ()):
            if other != place:
                said[self.dataset.records[other].path] = KEEP if label == self._labels[other] else label
        return said

    def _shown(self, place: int, note: str = "") -> dict[str, Any]:
        record = self.dataset.records[place]
        return {
            "id": number_of(record),
            "path": visible(record.path),
            "label": visible(self._labels[place]),
            "decision": visible(self.journal.decision(record.path)),
            "note": visible(note),
            "version": record.sha256[:16],
        }

    def _changed(self, number: int) -> dict[str, Any]:
        answer = self._answers[number]
        return self._shown(self._places[number]) | {"before": answer.before, "after": answer.after}

    def _told(self, changed: Mapping[str, str]) -> dict[str, Any]:
        """Return decisions that changed, and how far the review is."""
        return {
            "changed": [{"id": number_of_path(path), "decision": visible(said)} for path, said in changed.items()],
            "revision": self.journal.revision,
            "num_decided": self.journal.num_decided,
            "can_undo": self.journal.can_undo,
            "training_revision": self.num_trained,
        }


def number_of(record: ImageRecord) -> int:
    """Return a number for an image that stays whatever is added to its folder; exact in JavaScript."""
    return number_of_path(record.path)


def number_of_path(path: str) -> int:
    """Return the number of the image at a path."""
    return int(hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:_NUM_DIGITS], 16)
