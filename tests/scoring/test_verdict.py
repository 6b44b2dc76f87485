"""The judgement: the right words for each kind of trouble, and a threshold that keeps its word."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from conftest import classifier_of, evaluation_of, predictions_of
from mien.config import PRESETS, PredictConfig
from mien.core.progress import Epoch
from mien.core.scores import wilson_score
from mien.scoring.evaluation import score
from mien.scoring.results import Evaluation, Predictions
from mien.scoring.verdict import decide_threshold, judge_threshold, verdict


def judged(num_right: int, num_images: int, sure: float | None = None) -> Evaluation:
    """Return scores on as many images of either class; the probabilities are what they should be."""
    half, wrong = num_images // 2, num_images - num_right
    confusion = [[half - wrong // 2, wrong // 2], [wrong - wrong // 2, half - (wrong - wrong // 2)]]
    return evaluation_of(confusion, sure=num_right / num_images if sure is None else sure)


def make_history(*epochs: tuple[float, float, float, float]) -> list[Epoch]:
    return [Epoch(number, *figures, 1.0) for number, figures in enumerate(epochs, start=1)]


GOOD_CURVES = make_history((0.7, 0.5, 0.7, 0.5), (0.4, 0.85, 0.4, 0.85), (0.3, 0.9, 0.35, 0.88))


def kinds(num_right: int, num_images: int, history: Sequence[Epoch] = ()) -> list[str]:
    return [finding.kind for finding in verdict(judged(num_right, num_images), history)]


def test_good_scores_on_many_images_are_fine() -> None:
    assert kinds(180, 200, GOOD_CURVES) == ["fine"]


def test_few_test_images_are_too_little_to_tell() -> None:
    assert kinds(27, 30, GOOD_CURVES) == ["too_little_data"]
    (finding,) = verdict(judged(27, 30))
    assert "74% to 97%" in finding.text


def test_a_score_that_may_be_the_baseline_is_too_little_to_tell() -> None:
    findings = verdict(judged(108, 200), GOOD_CURVES)
    assert [finding.kind for finding in findings] == ["too_little_data"]
    assert (
        "200 images are too few to tell whether that is better than always guessing 'happy' (50%)" in findings[0].text
    )


def test_a_classifier_that_learnt_nothing_is_not_told_to_have_too_few_images() -> None:
    finding, *_ = verdict(evaluation_of([[48, 52], [54, 46]]))
    assert finding.kind == "no_better" and "47% accurate" in finding.text
    assert finding.text.endswith("no better than always guessing 'happy' (50%).")
    assert kinds(14, 30) == ["too_little_data"]


def test_a_classifier_that_is_clearly_worse_than_guessing_is_told_to_be() -> None:
    finding, *_ = verdict(evaluation_of([[4, 0], [36, 120]], sure=0.7))
    assert finding.kind == "no_better"
    assert finding.text.endswith("clearly worse than always guessing 'sad' (98%).")


def test_a_class_that_is_mostly_missed_is_named_though_the_others_are_found() -> None:
    names = ("happy", "neither", "sad")
    _, finding, *_ = verdict(evaluation_of([[95, 0, 5], [6, 0, 6], [5, 0, 95]], names))
    assert finding.kind == "missed_class" and finding.advice == "Add images of 'neither'."
    assert finding.text.startswith("It mostly misses 'neither': of the 'neither' images here, it recognises 0% (")
    few = verdict(evaluation_of([[95, 0, 5], [1, 0, 1], [5, 0, 95]], names))
    assert "missed_class" not in {found.kind for found in few}


def test_a_network_that_never_learns_its_own_images_is_underfitting() -> None:
    assert kinds(110, 200, make_history((0.7, 0.5, 0.7, 0.5), (0.69, 0.55, 0.69, 0.5)))[1] == "underfitting"


RISING = make_history((0.7, 0.6, 0.7, 0.6), (0.4, 0.85, 0.5, 0.8), (0.2, 0.95, 0.6, 0.8), (0.1, 1.0, 0.9, 0.79))
WIDE = make_history((0.7, 0.6, 0.69, 0.6), (0.3, 0.9, 0.66, 0.65), (0.05, 1.0, 0.65, 0.65))


def test_what_happened_after_the_kept_epoch_is_no_fault_of_it() -> None:
    first, finding = verdict(judged(180, 200), RISING)
    assert (first.kind, finding.kind) == ("fine", "stopped_in_time")
    assert "epoch 2 was kept" in finding.text
    assert "0.40 to 0.10" in finding.text and "0.50 to 0.90" in finding.text


def test_a_gap_between_training_and_validation_is_overfitting_where_the_kept_epoch_has_it() -> None:
    _, finding = verdict(judged(180, 200), WIDE)
    assert finding.kind == "overfitting"
    assert "at epoch 3, the best one, it is 100% accurate" in finding.text and "only 65%" in finding.text
    later = make_history((0.7, 0.6, 0.6, 0.6), (0.5, 0.8, 0.5, 0.75), (0.3, 1.0, 0.54, 0.7))
    assert kinds(180, 200, later) == ["fine"]


def test_a_kept_epoch_that_overfits_is_told_once_though_later_ones_are_worse() -> None:
    assert kinds(180, 200, [*WIDE, Epoch(4, 0.01, 1.0, 0.9, 0.6, 1.0)]) == ["fine", "overfitting"]


@pytest.mark.medium
def test_what_was_done_already_is_not_advised() -> None:
    for history in (RISING, WIDE):
        plain, varied, dropping = (
            " ".join(finding.advice for finding in verdict(judged(180, 200), history, config=config))
            for config in (
                PRESETS["classic"],
                PRESETS["best"],
                replace(PRESETS["best"], fit=replace(PRESETS["best"].fit, dropout=0.5)),
            )
        )
        assert "--augment" in plain and "--dropout" in plain
        assert "--augment" not in varied and "--zoom" in varied and "--dropout" in varied
        assert "--dropout" not in dropping


def test_every_finding_says_what_to_do_next() -> None:
    for history in (GOOD_CURVES, make_history((0.7, 0.5, 0.7, 0.5)), ()):
        for finding in verdict(judged(20, 30), history):
            assert len(finding.advice) > 20


def test_one_that_says_more_than_it_holds_is_too_sure_of_itself() -> None:
    finding = verdict(judged(160, 200, sure=0.95))[-1]
    assert finding.kind == "miscalibrated"
    assert "Overconfident: 95% confident on average and 80% correct" in finding.text
    finding = verdict(judged(190, 200, sure=0.75))[-1]
    assert "Underconfident" in finding.text


def test_what_chance_does_to_few_images_is_not_held_against_the_probabilities() -> None:
    assert kinds(27, 30) == ["too_little_data"]
    assert "miscalibrated" not in [finding.kind for finding in verdict(judged(27, 30, sure=0.94))]


def test_images_unlike_those_of_the_training_are_pointed_out() -> None:
    strange = replace(judged(180, 200), out_of_distribution=wilson_score(60, 200))
    assert [finding.kind for finding in verdict(strange)] == ["fine", "out_of_distribution"]
    usual = replace(judged(180, 200), out_of_distribution=wilson_score(6, 200))
    assert [finding.kind for finding in verdict(usual)] == ["fine"]


def sure_and_unsure() -> Evaluation:
    """Scores of a classifier that is right for 97 of 100 when it is 92% sure, and for 60 of 100 when it is 57%."""
    parts = predictions_of([[50, 0], [3, 47]], sure=0.92), predictions_of([[30, 20], [20, 30]], sure=0.57)
    labels, probs = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "probs"))
    names = ("happy", "sad")
    return score(classifier_of(names), Predictions(np.arange(len(labels)), labels, probs, class_names=names))


def test_a_target_is_met_by_the_lowest_threshold_that_meets_it() -> None:
    threshold, (finding,) = decide_threshold(PredictConfig(target_precision=0.95), sure_and_unsure())
    assert threshold == 0.575
    assert finding.kind == "threshold"
    assert "answers 50%" in finding.text
    assert "97% (95% interval 92% to 99%, n = 100) of those answers are correct" in finding.text


def test_a_target_does_not_lower_the_threshold_that_was_asked_for() -> None:
    threshold, _ = decide_threshold(PredictConfig(threshold=0.7, target_precision=0.95), sure_and_unsure())
    assert threshold == 0.7


def test_a_target_out_of_reach_is_said() -> None:
    threshold, (missed, reached) = decide_threshold(PredictConfig(target_precision=0.99), sure_and_unsure())
    assert (missed.kind, reached.kind) == ("out_of_reach", "threshold")
    assert "No threshold reaches 99% precision" in missed.text
    assert threshold == 0.9


def test_no_threshold_is_chosen_unasked() -> None:
    assert decide_threshold(PredictConfig(), sure_and_unsure()) == (0.0, ())
    assert judge_threshold(sure_and_unsure(), 0.0) == ()


def test_a_threshold_that_was_asked_for_is_kept_and_explained() -> None:
    threshold, (finding,) = decide_threshold(PredictConfig(threshold=0.7), sure_and_unsure())
    assert threshold == 0.7
    assert "Below a probability of 0.7 it says 'unsure'" in finding.text


def test_better_than_guessing_among_many_classes_is_not_called_good() -> None:
    counts = np.ones((10, 10), int) * 6
    np.fill_diagonal(counts, 20)
    (finding,) = verdict(evaluation_of(counts.tolist(), tuple("abcdefghij"), sure=0.27))
    assert finding.kind == "weak"
    assert "better than always guessing 'a' (10%), but wrong more often than right" in finding.text


def test_a_target_that_is_met_anyway_needs_no_threshold() -> None:
    threshold, (finding,) = decide_threshold(PredictConfig(target_precision=0.5), sure_and_unsure())
    assert threshold == 0 and "No threshold is needed" in finding.text


def test_a_target_out_of_reach_does_not_lower_the_threshold_that_was_asked_for() -> None:
    threshold, _ = decide_threshold(PredictConfig(threshold=0.95, target_precision=0.999), sure_and_unsure())
    assert threshold >= 0.95
