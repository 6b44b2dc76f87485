"""Candidates: the simplest is kept, unless another is clearly better on images that none had seen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.scoring.candidates import Selection, select_candidate

LABELS = np.arange(40) % 2


def sure_by(right: float, *, num_wrong: int = 0, noise: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """Return probabilities that give the true class so much, but for some images, for which it is as little."""
    rng = np.random.default_rng(seed)
    of_label = np.where(np.arange(40) < num_wrong, 1 - right, right) + noise * rng.normal(size=40)
    of_label = np.clip(of_label, 0.01, 0.99)
    return np.where(LABELS[:, None] == [0, 1], of_label[:, None], 1 - of_label[:, None]).astype(np.float32)


def test_another_is_kept_where_it_is_clearly_better() -> None:
    found = select_candidate({"fast": sure_by(0.7), "finetuned": sure_by(0.9)}, LABELS, range(40))
    assert found.kept == "finetuned" and found.num_images == 40
    assert found.losses == pytest.approx({"fast": -np.log(0.7), "finetuned": -np.log(0.9)})
    assert "Kept the fine-tuned network: its loss is lower by 0.251" in found.sentence


@pytest.mark.parametrize("other", [sure_by(0.8), sure_by(0.6), sure_by(0.8, noise=0.15), sure_by(0.95, num_wrong=4)])
def test_the_first_is_kept_where_they_cannot_be_told_apart(other: NDArray[np.float32]) -> None:
    found = select_candidate({"fast": sure_by(0.8), "finetuned": other}, LABELS, range(40))
    assert found.kept == "fast"
    assert (
        "Kept the linear head (preset fast): no other loss is lower by more than one standard error" in found.sentence
    )


def test_copies_of_one_image_count_as_one() -> None:
    # Better on one image in forty copies, and a little worse on the others.
    first, other = sure_by(0.7), sure_by(0.69)
    other[:20] = sure_by(0.99)[:20]
    apart = select_candidate({"fast": first, "finetuned": other}, LABELS, range(40))
    together = select_candidate({"fast": first, "finetuned": other}, LABELS, [0] * 20 + list(range(20, 40)))
    assert (apart.kept, together.kept) == ("finetuned", "fast")
    assert (
        apart.losses == together.losses and together.standard_errors["finetuned"] > apart.standard_errors["finetuned"]
    )


def test_one_image_decides_nothing() -> None:
    found = select_candidate({"fast": sure_by(0.5)[:1], "finetuned": sure_by(0.99)[:1]}, LABELS[:1], [0])
    assert found.kept == "fast"


def test_of_one_candidate_nothing_is_said() -> None:
    assert select_candidate({"fast": sure_by(0.5)}, LABELS, range(40)).sentence == ""


def test_damaged_facts_are_refused() -> None:
    with pytest.raises(ValueError, match="the candidates are"):
        Selection("none", {"fast": 0.5}, {"fast": 0.5}, {"fast": 0.0}, 40)
    with pytest.raises(ValueError, match="the candidates are"):
        Selection("other", {"other": 0.5}, {"other": 0.5}, {"other": 0.0}, 40)
