"""Stress: what falls is told, what may be chance is not, and what was mended is said."""

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import dataset_of, evaluation_of, record
from mien.core.changes import CHANGES
from mien.scoring.results import Scores, scores_from_dict
from mien.scoring.stress import Answers, is_beyond_chance, judge_stress, places_to_change, weakness_of
from mien.scoring.verdict import judge_changes

LABELS = np.arange(40) % 2


def probs(is_right: NDArray[np.bool_]) -> NDArray[np.float32]:
    chosen = np.where(is_right, LABELS, 1 - LABELS)
    return np.where(chosen[:, None] == np.arange(2), 0.9, 0.1).astype(np.float32)


def answers(num_wrong: int, change: str = "grey", groups: NDArray[np.int64] | None = None) -> Answers:
    every = np.ones(40, bool)
    numbers = np.arange(40) if groups is None else groups
    return Answers(change, LABELS, probs(every), probs(np.arange(40) >= num_wrong), numbers)


def test_a_fall_is_told_in_words() -> None:
    (stressed,) = judge_stress([answers(20)])
    assert (stressed.unchanged.value, stressed.changed.value, stressed.is_lower) == (1, 0.5, True)
    told = "Accuracy drops on images that are in grey: 50% instead of 100%, no better than guessing (50%)."
    assert weakness_of([stressed]) == told
    (finding,) = judge_changes([stressed])
    assert (finding.kind, finding.text) == ("changed", told) and "--may-matter colour" in finding.advice


@pytest.mark.parametrize("num_wrong", [0, 1, 5])
def test_a_fall_that_may_be_chance_is_not_told(num_wrong: int) -> None:
    (stressed,) = judge_stress([answers(num_wrong)])
    assert not stressed.is_lower and weakness_of([stressed]) == "" and judge_changes([stressed]) == ()


def test_the_more_changes_are_tried_the_more_it_takes() -> None:
    assert judge_stress([answers(7)])[0].is_lower
    assert not judge_stress([answers(7), *(answers(0, change.name) for change in CHANGES[1:])])[0].is_lower


def test_where_a_shortcut_is_known_it_takes_less_and_comes_first() -> None:
    several = [*(answers(0, change.name) for change in CHANGES[1:]), answers(7)]
    assert not any(each.is_lower for each in judge_stress(several))
    found = judge_stress(several, shortcuts=["colour"])
    assert [(each.change, each.is_lower) for each in found[:2]] == [("grey_close_up", False), ("grey", True)]


def test_images_of_one_group_count_as_one() -> None:
    assert is_beyond_chance(answers(10).gain, np.arange(40))
    assert not is_beyond_chance(answers(10).gain, np.arange(40) // 10)


def test_among_classifiers_that_nothing_tells_apart_one_in_twenty_is_told_at_most() -> None:
    rng = np.random.default_rng(0)
    gains = rng.choice([-1, 0, 1], (2000, 60), p=[0.15, 0.7, 0.15])
    assert np.mean([is_beyond_chance(row, np.arange(60)) for row in gains]) < 0.05


def test_what_was_mended_is_told_with_what_it_was() -> None:
    (stressed,) = judge_stress([answers(2)], before=[answers(20)])
    assert stressed.was_lower and not stressed.is_lower
    (finding,) = judge_changes([stressed])
    assert finding.kind == "mended" and "in grey (95% now, 50% without; 100% unchanged)" in finding.text


def test_scores_come_back_from_json() -> None:
    scores = Scores(evaluation_of([[9, 1], [1, 9]]), stressed=judge_stress([answers(20)], before=[answers(30)]))
    assert scores_from_dict(scores.to_dict()) == scores
    damaged = scores.to_dict()
    damaged["stressed"][0]["change"] = "<script>"
    with pytest.raises(ValueError, match="unknown change"):
        scores_from_dict(damaged)


def test_images_to_change_stay_the_same_where_others_come() -> None:
    few = dataset_of(*(record(f"happy/{number}.jpg") for number in range(40)))
    more = dataset_of(*few.records, *(record(f"sad/{number}.jpg") for number in range(4)))
    (first, second) = (places_to_change(dataset, dataset.indexes(), CHANGES[:2], 10) for dataset in (few, more))
    for change in CHANGES[:2]:
        assert len(first[change]) == len(second[change]) == 10
        assert len(np.intersect1d(first[change], second[change])) >= 6
    grey, darker = first.values()
    assert not np.array_equal(grey, darker)


@pytest.mark.parametrize("score", [{"value": None}, {"low": -1.0}, {"value": 7.0}, {"num_images": 0}])
def test_scores_that_cannot_be_are_refused(score: dict[str, object]) -> None:
    document = Scores(evaluation_of([[9, 1], [1, 9]]), stressed=judge_stress([answers(20)])).to_dict()
    document["stressed"][0]["changed"] |= score
    with pytest.raises(ValueError, match="impossible score on grey images"):
        scores_from_dict(document)
