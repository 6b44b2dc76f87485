"""The method finetune: the head of the preset fast and a network trained on; the better one is kept, in time."""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from conftest import dataset_of, record
from mien.config import PRESETS
from mien.core.progress import Silence
from mien.data.dataset import Dataset
from mien.data.splitting import folds, split
from mien.errors import OutOfTimeError
from mien.learning.fitting import cross_validate
from mien.learning.methods import Fitted
from mien.runs.folder import RunFolder
from mien.runs.training_details import TrainingDetails
from tiers import Lazy

if TYPE_CHECKING:
    from mien.learning import best
else:
    best = Lazy("mien.learning.best")

pytestmark = pytest.mark.slow


class Told(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Sure:
    """Gives every image its true class with one probability; a training takes so many seconds of a clock."""

    def __init__(self, prob: float, clock: "Clock", seconds: float = 0.0, *, least_s: float = 0.0) -> None:
        self._prob, self._clock, self._seconds, self._least_s = prob, clock, seconds, least_s
        self.num_fits = 0

    def fit(self, dataset: Dataset, run_dir: Path | None = None, *, time_limit_s: float = math.inf) -> Any:
        self._take(time_limit_s)
        return Fitted(classifier=self, details=TrainingDetails(backbone=str(self._prob)))  # type: ignore[arg-type]

    def fit_predict(self, dataset: Dataset, *, time_limit_s: float = math.inf) -> Any:
        self._take(time_limit_s)
        labels = dataset.labels(dataset.indexes("test"))
        probs = np.where(np.eye(2)[labels] > 0, self._prob, 1 - self._prob).astype(np.float32)
        return probs

    def _take(self, time_limit_s: float) -> None:
        if self._least_s > time_limit_s:
            raise OutOfTimeError("it takes too long")
        self.num_fits += 1
        self._clock.now += min(self._seconds, time_limit_s)


class Named(Sure):
    def fit_predict(self, dataset: Dataset, *, time_limit_s: float = math.inf) -> Any:
        return {"fast": super().fit_predict(dataset)}


class Clock:
    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


@pytest.fixture
def dataset() -> Dataset:
    return split(dataset_of(*(record(f"{label}/{number}.jpg") for label in ("happy", "sad") for number in range(50))))


def best_of(fast: Any, finetuned: Any, told: Told, minutes: float = 10.0) -> "best.Best":
    config = PRESETS["best"]
    return best.Best(fast, finetuned, replace(config, fit=replace(config.fit, time_limit=minutes)), told)


def judged(method: "best.Best", dataset: Dataset, folder: Path) -> tuple[Any, Any]:
    return cross_validate(method, list(folds(dataset, 5)), run_folder=RunFolder(folder))


def test_the_network_is_kept_where_it_is_clearly_better(clock: Clock, dataset: Dataset, tmp_path: Path) -> None:
    told, network = Told(), Sure(0.9, clock, 60)
    method = best_of(Named(0.7, clock), network, told)
    predictions, selection = judged(method, dataset, tmp_path)
    assert selection.kept == "finetuned" and selection.num_images == 90
    assert predictions.probs.max() == pytest.approx(0.9) and len(predictions.probs) == 90
    fitted = method.fit(dataset, None, selection)
    assert fitted.details.backbone == "0.9" and fitted.details.selection == selection
    assert network.num_fits == 6 and clock.now == 360
    assert told.lines[0].endswith("may take up to 10 minutes (--time-limit)")
    assert "Kept the fine-tuned network" in told.lines[-1]


def test_the_head_is_kept_where_the_network_is_no_better(clock: Clock, dataset: Dataset, tmp_path: Path) -> None:
    told, network = Told(), Sure(0.7, clock, 60)
    method = best_of(Named(0.7, clock), network, told)
    predictions, selection = judged(method, dataset, tmp_path)
    fitted = method.fit(dataset, None, selection)
    assert selection.kept == "fast" and fitted.details.selection == selection
    assert predictions is not None and network.num_fits == 5


def test_where_time_runs_short_one_fold_decides_and_the_head_is_judged_by_all(
    clock: Clock, dataset: Dataset, tmp_path: Path
) -> None:
    told, network = Told(), Sure(0.7, clock, 250)
    method = best_of(Named(0.8, clock), network, told)
    predictions, selection = judged(method, dataset, tmp_path)
    assert selection.kept == "fast" and selection.num_images == 18 and network.num_fits == 1
    assert predictions is not None and len(predictions.probs) == 90
    assert "because time is short (--time-limit)" in told.lines[1]


def test_a_network_that_only_one_fold_chose_is_judged_by_the_test_alone(
    clock: Clock, dataset: Dataset, tmp_path: Path
) -> None:
    method = best_of(Named(0.6, clock), Sure(0.9, clock, 250), Told())
    predictions, selection = judged(method, dataset, tmp_path)
    assert predictions is None and selection.kept == "finetuned"
    assert method.fit(dataset, None, selection).details.backbone == "0.9"
    assert clock.now <= 600


def test_a_network_of_which_no_epoch_ends_in_time_is_left_out(clock: Clock, dataset: Dataset, tmp_path: Path) -> None:
    told, network = Told(), Sure(0.9, clock, 400, least_s=400)
    method = best_of(Named(0.6, clock), network, told)
    predictions, selection = judged(method, dataset, tmp_path)
    assert predictions is not None and selection.losses.keys() == {"fast"} and network.num_fits == 0
    assert method.fit(dataset, None, selection).details.backbone == "0.6"
    assert told.lines[1] == "it takes too long. Continuing without the network"


def test_without_folds_the_first_of_five_decides(clock: Clock, dataset: Dataset) -> None:
    network = Sure(0.9, clock, 60)
    fitted = best_of(Named(0.6, clock), network, Told()).fit(dataset)
    assert fitted.details.backbone == "0.9" and network.num_fits == 2
    assert fitted.details.selection is not None and fitted.details.selection.num_images == 18


def test_without_a_limit_every_fold_is_done(clock: Clock, dataset: Dataset, tmp_path: Path) -> None:
    told, network = Told(), Sure(0.9, clock, 10_000)
    predictions, _ = judged(best_of(Named(0.6, clock), network, told, minutes=0), dataset, tmp_path)
    assert predictions is not None and network.num_fits == 5 and not told.lines


def test_a_network_alone_is_judged_by_the_folds_that_fit(clock: Clock, dataset: Dataset, tmp_path: Path) -> None:
    network = Sure(0.9, clock, 250)
    method = best_of(None, network, Told())
    predictions, selection = judged(method, dataset, tmp_path)
    assert predictions is None and selection.losses.keys() == {"finetuned"} and network.num_fits == 1
    assert method.fit(dataset, None, selection).details.backbone == "0.9" and clock.now <= 600


def test_a_network_alone_of_which_no_epoch_ends_in_time_is_an_error(clock: Clock, dataset: Dataset) -> None:
    with pytest.raises(OutOfTimeError):
        best_of(None, Sure(0.9, clock, 400, least_s=400), Told()).fit_predict(next(folds(dataset, 5)))


def test_without_folds_a_network_alone_is_trained_once(clock: Clock, dataset: Dataset) -> None:
    network = Sure(0.9, clock, 60)
    fitted = best_of(None, network, Told()).fit(dataset)
    assert network.num_fits == 1 and fitted.details.selection is None
