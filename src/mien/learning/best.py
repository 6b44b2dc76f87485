"""The method finetune: train both a fine-tuned network and the head of the preset fast, and keep the better one."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.config import TrainConfig
from mien.core.progress import Progress
from mien.data.dataset import Dataset
from mien.data.shortcuts import Shortcut
from mien.data.splitting import first_fold
from mien.errors import OutOfTimeError
from mien.learning.deep import Finetuned
from mien.learning.linear import FAST, Linear
from mien.learning.methods import Fitted
from mien.scoring.candidates import Selection, select_candidate

FINETUNED = "finetuned"
# The share of the remaining time for the training of a fold, so that enough is left for the classifier itself.
_SHARE = 0.5


class Best:
    """Compares both on held-out images. The head is kept unless the network is better by over one standard error."""

    takes_long = True

    def __init__(self, fast: Linear | None, finetuned: Finetuned, config: TrainConfig, progress: Progress) -> None:
        """Take both methods; without the head if the images do not have the size of its backbone."""
        self._fast, self._finetuned, self._config, self._progress = fast, finetuned, config, progress
        limit_s = 60 * config.fit.time_limit or math.inf
        self._ends, self._longest_s, self._in_time = time.monotonic() + limit_s, 0.0, True
        if config.fit.time_limit:
            progress.say(
                f"training, including cross-validation, may take up to {config.fit.time_limit:g} minutes (--time-limit)"
            )

    def withstand(self, parts: Sequence[Dataset], shortcuts: Sequence[Shortcut] = ()) -> None:
        """Try changed copies of images with the head only, because training the network takes long."""
        if self._fast:
            self._fast.withstand(parts, shortcuts)

    def learn_from_fewer(self, parts: Sequence[Dataset]) -> None:
        """Do nothing, because training the network takes long."""

    def fit(self, dataset: Dataset, run_dir: Path | None = None, selection: Selection | None = None) -> Fitted:
        """Train the better candidate; if they have not been compared yet, compare them on the first of five folds."""
        if self._fast is None:
            return _telling(self._finetuned.fit(dataset, run_dir, time_limit_s=self._left()), selection)
        selection = selection or self._compared(dataset)
        if selection.sentence:
            self._progress.say(selection.sentence)
        if selection.kept == FINETUNED:
            try:
                return _telling(self._finetuned.fit(dataset, run_dir, time_limit_s=self._left()), selection)
            except OutOfTimeError as error:
                self._progress.say(f"{error}. Keeping the linear head instead")
                selection = replace(selection, kept=FAST)
        self._in_time = False
        return _telling(self._fast.fit(dataset), selection)

    def fit_predict(self, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
        """Train both; return the probabilities of each, (N, C), for the test split."""
        started = time.monotonic()
        answers = self._fast.fit_predict(dataset) if self._fast else {}
        if self._in_time and self._left() > 2 * self._longest_s:
            try:
                answers[FINETUNED] = self._finetuned.fit_predict(dataset, time_limit_s=_SHARE * self._left())
            except OutOfTimeError as error:
                if self._fast is None and not self._longest_s:
                    raise
                self._in_time = False
                self._progress.say(f"{error}. Continuing without the network")
        elif self._in_time:
            self._in_time = False
            self._progress.say("skipping the network in the other folds, because time is short (--time-limit)")
        self._longest_s = max(self._longest_s, time.monotonic() - started)
        return answers

    def predict_from_others(self, dataset: Dataset) -> NDArray[np.float32]:
        """Return the probabilities, (N, C), for training and validation images, each predicted from the others.

        They use the features of the unchanged backbone.
        """
        return (self._fast or self._finetuned).predict_from_others(dataset)

    def features_of(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some images by the unchanged backbone, (N, D)."""
        return (self._fast or self._finetuned).features_of(places)

    def _compared(self, dataset: Dataset) -> Selection:
        fold = first_fold(dataset, self._config.split)
        places = fold.indexes("test")
        return select_candidate(self.fit_predict(fold), dataset.labels(places), dataset.group_numbers(places))

    def _left(self) -> float:
        return self._ends - time.monotonic()


def _telling(fitted: Fitted, selection: Selection | None) -> Fitted:
    return replace(fitted, details=replace(fitted.details, selection=selection))
