"""The verdict: scores and curves -> what they mean in words, and what to do next."""

from collections.abc import Sequence

import numpy as np

from mien.config import PRESETS, PredictConfig, TrainConfig
from mien.core.progress import Epoch, best_epoch
from mien.core.scores import Z_95, Score, fold_inflation
from mien.core.text import counted, in_points, signed
from mien.model.prediction import UNSURE
from mien.scoring.calibration import choose_threshold, closest_threshold, try_thresholds
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.results import Evaluation, Finding, Predictions
from mien.scoring.stress import ASPECTS_OF, WORDS, Stressed, weakness_of

# So much better on images that it has seen than on others: it has learnt images, not what they show.
_WIDE_GAP = 0.2
# More would leave too little of a network.
_MUCH_DROPOUT = 0.5
# Less often right than wrong: only of several classes that can be better than guessing.
_HALF = 0.5
# A calibration error that a user would notice.
_FAR_OFF = 0.05
# Of images like those of the training, about one in thirty is called unlike them.
_MAX_OUT_OF_DISTRIBUTION = 0.05
# Gains that a user would hardly notice (two points, as printed), or would; and an interval that says next to nothing.
_SMALL_GAIN, _LEAST_GAIN, _WIDE_INTERVAL = 0.025, 0.01, 0.2
_AT_HOME = "Try it on images from where it will be used: they may differ from these."
_ELSEWHERE = "Look at its mistakes: what they have in common is what to add to the training."
JUDGE_BY_ALL = "or train with --folds 5, which judges by all the others too"


def verdict(
    evaluation: Evaluation,
    history: Sequence[Epoch] = (),
    *,
    remedy: str = "",
    on_other_images: bool = False,
    config: TrainConfig = PRESETS["fast"],
) -> tuple[Finding, ...]:
    """Say in words what the scores and the curves mean, and what to do next; at least one sentence.

    Args:
        evaluation: Scores on images that were not trained on.
        history: The epochs of the training, if it had any and the classifier has the weights of the best of them.
        remedy: What can be done, beside adding images, where there are too few to tell.
        on_other_images: Whether these are none of the images that the training had: then it was tried elsewhere.
        config: The settings of the training: what was done already is not advised.
    """
    found = (_judge_calibration(evaluation), _judge_distribution(evaluation))
    return (
        *_judge_curves(history, evaluation.baseline, config),
        _judge_size(evaluation, remedy, _ELSEWHERE if on_other_images and evaluation.accuracy.value != 1 else _AT_HOME),
        *_judge_later_epochs(history, config),
        *(finding for finding in found if finding),
    )


def decide_threshold(config: PredictConfig, evaluation: Evaluation) -> tuple[float, tuple[Finding, ...]]:
    """Return below which probability the classifier is to say "unsure", and what that means in words.

    Args:
        config: What the user asked for.
        evaluation: Scores on images that were not trained on, at all thresholds.
    """
    if not config.target_precision:
        return config.threshold, judge_threshold(evaluation, config.threshold)
    target = f"{100 * config.target_precision:.10g}%"
    chosen = choose_threshold(evaluation.coverage, config.target_precision, least=config.threshold)
    if chosen is not None and not chosen.threshold:
        text = f"To be right for {target} of its answers it needs no threshold: it answers every image."
        return 0.0, (Finding("threshold", text, "One can be set for each use: mien predict --threshold."),)
    if chosen is not None:
        return chosen.threshold, judge_threshold(
            evaluation, chosen.threshold, opening=f"To be right for {target} of its answers, below"
        )
    best = closest_threshold(evaluation.coverage, least=config.threshold)
    text = f"No threshold makes {target} of the answers right; {best.threshold:g} comes closest."
    missed = Finding("out_of_reach", text, "Ask for less (--target-precision), or add images.")
    return best.threshold, (missed, *judge_threshold(evaluation, best.threshold))


def judge_choice(config: PredictConfig, judged: Predictions | None, test: Evaluation, threshold: float) -> Finding:
    """Say what a threshold that was chosen leaves of images that it was not chosen by.

    Args:
        config: What the user asked for.
        judged: The out-of-fold predictions that it was chosen by; None where it was chosen on the validation split.
        test: The scores on the test split.
        threshold: What was chosen.
    """
    if judged is None:
        (row,) = (row for row in test.coverage if row.threshold == threshold)
        how, answered, accuracy = "Tried on the test, which it was not chosen by,", row.answered, row.accuracy
    else:
        answered, accuracy = try_thresholds(
            judged.probs,
            judged.labels,
            config.target_precision,
            least=config.threshold,
            num_folds=judged.num_folds,
            groups=judged.groups,
        )
        how = "Chosen on four fifths of these images and tried on the last fifth, each in turn,"
    right = f", and of these answers {accuracy} are right" if accuracy.num_images else ""
    text = f"The threshold was chosen by these very images. {how} it answers {answered}{right}."
    advice = "Expect that of new images, not the figure above."
    if (accuracy.value or 0) < config.target_precision:
        advice += " It is less than was asked for: ask for a little more (--target-precision), or add images."
    return Finding("threshold_tried", text, advice)


def judge_threshold(evaluation: Evaluation, threshold: float, *, opening: str = "Below") -> tuple[Finding, ...]:
    """Say what a threshold leaves, and what it is for: nothing is said of 0, which leaves everything."""
    rows = [row for row in evaluation.coverage if row.threshold == threshold > 0]
    return tuple(
        Finding(
            "threshold",
            f"{opening} a probability of {threshold:g} it says {UNSURE!r}: it answers {row.answered} of the images"
            + (f", and of these answers {row.accuracy} are right." if row.accuracy.num_images else "."),
            "Another one can be set for each use: mien predict --threshold.",
        )
        for row in rows
    )


def judge_changes(stressed: Sequence[Stressed]) -> tuple[Finding, ...]:
    """Say in which changed images a classifier is right less often, beyond chance; nothing where in none."""
    mended = [each for each in stressed if each.was_lower and not each.is_lower and each.before]
    lower = [each for each in stressed if each.is_lower]
    found = []
    if mended:
        told = "; ".join(
            f"{WORDS[each.change]}: {each.before.value:.0%} instead of {each.changed.value:.0%}"
            for each in mended
            if each.before
        )
        text = f"Without learning from changed copies too, it would be right less often on images that are {told}."
        found.append(Finding("mended", text, "Nothing: it no longer goes by what is changed there."))
    if not lower:
        return tuple(found)
    aspects = list(dict.fromkeys(aspect for each in lower for aspect in ASPECTS_OF[each.change]))
    advice = (
        f"If this is what tells your classes apart, say so: train with --may-matter {','.join(aspects)}. If not, add "
        "such images of every class."
    )
    return (*found, Finding("changed", weakness_of(stressed), advice))


def judge_learning_curve(curve: LearningCurve | None, *, num_label_issues: int = 0) -> tuple[Finding, ...]:
    """Say whether more images like these would help; nothing where that was not tried.

    Args:
        curve: What `measure_learning_curve` returned.
        num_label_issues: How many labels may be wrong: they are to be looked at first.
    """
    if curve is None:
        return ()
    first = "Put the labels right that may be wrong: mien review. Then look" if num_label_issues else "Look"
    gain, value = curve.gain, curve.gain.value or 0.0
    interval = f"{signed(100 * gain.low)} to {signed(100 * gain.high)}"
    if not curve.is_long_enough:
        return (
            Finding("short_curve", "Too few images to tell whether more would help.", "Add some, and train again."),
        )
    if curve.points[-1].accuracy.value == 1:
        return (
            Finding(
                "enough_images", "Not one of these images was judged wrong: more of the same tell no more.", _AT_HOME
            ),
        )
    if gain.high < _SMALL_GAIN:
        text = (
            f"More of the same will hardly help: twice as many images would change the accuracy by {interval} points."
        )
        return (Finding("enough_images", text, f"{first} at the mistakes: what they have in common is what to add."),)
    if not curve.is_rising or value < _LEAST_GAIN or gain.high - gain.low > _WIDE_INTERVAL:
        text = (
            "Too few images to tell how much more would help: twice as many would change the accuracy by "
            f"{interval} points."
        )
        return (Finding("short_curve", text, f"{first} at the mistakes, and add images of what they have in common."),)
    text = f"With twice as many images like these, the accuracy would change by about {in_points(value)} ({interval})."
    advice = "Add images, the same number of each class."
    if curve.gains_most:
        text += f" Class {curve.gains_most!r} would gain more than the others."
        advice = f"Add images, those of class {curve.gains_most!r} first."
    return (Finding("more_images", text, advice),)


def _judge_size(evaluation: Evaluation, remedy: str, if_fine: str) -> Finding:
    accuracy, baseline = evaluation.accuracy, evaluation.baseline
    if baseline.value == 1:
        return _one_class(evaluation)
    if accuracy.low <= (baseline.value or 0) or accuracy.high - accuracy.low > 0.2:
        return _too_few(evaluation, remedy)
    if accuracy.high < _HALF:
        text = (
            f"It is right for {accuracy}, where always saying {evaluation.baseline_label!r} is right for "
            f"{baseline.value:.0%}: better than guessing, and far from useful."
        )
        advice = "Look which classes it takes for one another: put together what cannot be told apart, or add images."
        return Finding("weak", text, advice)
    text = f"It is right for {evaluation.accuracy}, clearly more than always saying {evaluation.baseline_label!r}."
    return Finding("fine", text, if_fine)


def _one_class(evaluation: Evaluation) -> Finding:
    """Judge by images of one class alone: no other can be taken for it there."""
    text = (
        f"All images are of one class, {evaluation.baseline_label!r}: it finds {evaluation.accuracy} of them. "
        "How often it takes images of other classes for it, these cannot tell."
    )
    return Finding("one_class", text, "Evaluate it on images of all classes, too.")


def _judge_calibration(evaluation: Evaluation) -> Finding | None:
    calibration, accuracy = evaluation.calibration, evaluation.accuracy
    error, gap = calibration.error, calibration.confidence - (accuracy.value or 0)
    if error.low == 0 or (error.value or 0) < _FAR_OFF:
        return None
    how = "too sure" if gap > 0 else "less sure than it could be"
    text = (
        f"It is {how}: {calibration.confidence:.0%} sure on average and right for {accuracy.value:.0%}; calibration "
        f"error {error}."
    )
    return Finding("miscalibrated", text, "Use its percentages to rank images, not literally; or add images.")


def _judge_distribution(evaluation: Evaluation) -> Finding | None:
    out_of_distribution = evaluation.out_of_distribution
    if out_of_distribution is None or out_of_distribution.low < _MAX_OUT_OF_DISTRIBUTION:
        return None
    text = f"Unlike the images of the training are {out_of_distribution} of these."
    return Finding("out_of_distribution", text, "Add images like these to the training, if it is meant for them.")


def _judge_curves(history: Sequence[Epoch], baseline: Score, config: TrainConfig) -> list[Finding]:
    if not history:
        return []
    reached = max(epoch.accuracy for epoch in history)
    # Half-way from the baseline to always right: what a network does that has learnt its own images at all.
    if reached < ((baseline.value or 0) + 1) / 2:
        text = f"Underfitting: even its own training images it gets right for only {reached:.0%}."
        return [Finding("underfitting", text, "Train longer (--epochs), or with a larger --learning-rate.")]
    best = best_epoch(history)
    if not _is_overfitted(best):
        return []
    text = (
        f"Overfitting: the network of epoch {best.epoch}, which was kept, is right for {best.accuracy:.0%} of the "
        f"training images, but for only {best.val_accuracy:.0%} of the validation images."
    )
    return [Finding("overfitting", text, f"{_against_overfitting(config)}.")]


def _judge_later_epochs(history: Sequence[Epoch], config: TrainConfig) -> list[Finding]:
    """Say where a training got worse on other images after the epoch that was kept: that is no fault of this one."""
    if not history:
        return []
    best, last = best_epoch(history), history[-1]
    if _is_overfitted(best) or last.val_loss <= 1.1 * best.val_loss or last.loss >= best.loss:
        return []
    text = (
        f"The weights of epoch {best.epoch} were kept: after it the network would have overfitted. Its loss fell on "
        f"the training images ({best.loss:.2f} to {last.loss:.2f}) and rose on the validation images "
        f"({best.val_loss:.2f} to {last.val_loss:.2f})."
    )
    return [Finding("stopped_in_time", text, f"More epochs would not help. {_against_overfitting(config)}.")]


def _is_overfitted(epoch: Epoch) -> bool:
    return epoch.accuracy - epoch.val_accuracy > _WIDE_GAP


def _against_overfitting(config: TrainConfig) -> str:
    """Return what keeps a network from learning its images by heart, and was not done yet."""
    vary = "vary them more (--rotation, --zoom)" if config.augment.augment else "vary those you have (--augment)"
    return f"Add images; or {vary}" + ("; or raise --dropout" if config.fit.dropout < _MUCH_DROPOUT else "")


def _too_few(evaluation: Evaluation, remedy: str) -> Finding:
    accuracy, baseline = evaluation.accuracy, evaluation.baseline
    always = f"always saying {evaluation.baseline_label!r}"
    if (accuracy.value or 0) <= (baseline.value or 0):
        text = f"Here it does no better than {always}, but that may be chance: there is too little data to tell. "
    elif accuracy.low <= (baseline.value or 0):
        text = f"Too little data to tell whether it is better than {always}. "
    else:
        text = f"It is better than {always}, but there is too little data to tell by how much. "
    text += (
        f"Judged by {counted(accuracy.num_images, 'image')}{_of_groups(accuracy)}, the true accuracy may be anything "
        f"from {accuracy.low:.0%} to {accuracy.high:.0%}"
    )
    if accuracy.low <= (baseline.value or 0):
        text += f", and always saying {evaluation.baseline_label!r} gets {baseline.value:.0%}"
    needed = _needed(evaluation)
    advice = "Add images" if accuracy.num_groups is None else "Add images of other groups"
    if accuracy.num_groups is None and needed > accuracy.num_images:
        advice += f": about {needed} to judge by would narrow it to 10 points either way"
    return Finding("too_little_data", f"{text}.", f"{advice}; {remedy}." if remedy else f"{advice}.")


def _of_groups(score: Score) -> str:
    return "" if score.num_groups is None else f" of {counted(score.num_groups, 'group')}"


def _needed(evaluation: Evaluation) -> int:
    """Return about how many images narrow the interval to 10 points either way, at the accuracy measured."""
    share = min(max(evaluation.accuracy.value or 0.5, 0.1), 0.9)
    needed = Z_95**2 * share * (1 - share) / 0.1**2 * fold_inflation(evaluation.num_folds)
    return int(np.ceil(needed / 10) * 10)
