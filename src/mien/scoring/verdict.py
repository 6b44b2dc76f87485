"""The verdict: scores and curves -> what they mean, and what to do next, in words."""

from collections.abc import Sequence

import numpy as np

from mien.config import PRESETS, PredictConfig, TrainConfig
from mien.core.progress import Epoch, best_epoch
from mien.core.scores import Z_95, Score, fold_inflation
from mien.core.text import counted, first_few, in_points, signed
from mien.model.prediction import UNSURE
from mien.scoring.calibration import choose_threshold, closest_threshold, try_thresholds
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.results import Evaluation, Finding, Predictions, percent
from mien.scoring.stress import ASPECTS_OF, WORDS, Stressed, weakness_of

_MAX_NAMED = 3
# A larger gap between training and validation accuracy counts as overfitting.
_WIDE_GAP = 0.2
# Advise no more dropout than this: too little of the network would be left.
_MUCH_DROPOUT = 0.5
# Below this, it is wrong more often than right, even if it beats guessing among several classes.
_HALF = 0.5
# The smallest calibration error that a user would notice.
_FAR_OFF = 0.05
# About one in thirty images like the training images is flagged as unlike them, which is normal.
_MAX_OUT_OF_DISTRIBUTION = 0.05
# Gains that a user would hardly notice (two points, as printed), or would; and the width of a useless interval.
_SMALL_GAIN, _LEAST_GAIN, _WIDE_INTERVAL = 0.025, 0.01, 0.2
_AT_HOME = "Try it on images from where you will use it; they may differ from these."
_APART = (
    "Check whether the labels are right, and whether the classes can be told apart in the images. If some class is "
    "much more frequent here than in training, see the scores of each class."
)
_ELSEWHERE = "Look at its mistakes, and add training images of what they have in common."
JUDGE_BY_ALL = "Or train with --folds 5, which scores all other images too."


def verdict(
    evaluation: Evaluation,
    history: Sequence[Epoch] = (),
    *,
    remedy: str = "",
    on_other_images: bool = False,
    config: TrainConfig = PRESETS["fast"],
) -> tuple[Finding, ...]:
    """Say what the scores and curves mean, and what to do next. The first finding is the verdict itself.

    Args:
        evaluation: Scores on held-out images.
        history: The epochs of the training, if the classifier has the weights of the best one.
        remedy: Advice, besides adding images, if there are too few images to tell.
        on_other_images: Whether the images come from another folder than the training images.
        config: The settings of the training, so that nothing is advised that was already done.
    """
    found = (_judge_classes(evaluation), _judge_calibration(evaluation), _judge_distribution(evaluation))
    return (
        _judge_size(evaluation, remedy, _ELSEWHERE if on_other_images and evaluation.accuracy.value != 1 else _AT_HOME),
        *_judge_curves(history, evaluation.baseline, config),
        *_judge_later_epochs(history, config),
        *(finding for finding in found if finding),
    )


def headline(evaluation: Evaluation, name: str = "") -> str:
    """Return the verdict in one sentence: the accuracy, compared with always guessing the largest class.

    Args:
        evaluation: Scores on held-out images.
        name: How to write the largest class; quoted by default.
    """
    accuracy, baseline, name = evaluation.accuracy, evaluation.baseline, name or repr(evaluation.baseline_label)
    interval = f"(95% interval {accuracy.low:.0%} to {accuracy.high:.0%})"
    if baseline.value == 1:
        return f"Recognises {percent(accuracy.value)} of the {name} images {interval}; there are no other classes here."
    told = f"{percent(accuracy.value)} accurate {interval}"
    guessing = f"always guessing {name} ({percent(baseline.value)})"
    if _is_no_better(evaluation):
        how = "clearly worse than" if accuracy.high < (baseline.value or 0) else "no better than"
        return f"{told}, {how} {guessing}."
    if _is_too_little(evaluation):
        few = f"{counted(accuracy.num_images, 'image')}{_of_groups(accuracy)}"
        few += " is" if accuracy.num_images == 1 else " are"
        if accuracy.low > (baseline.value or 0):
            return f"{told}, better than {guessing}, but {few} too few to say by how much."
        return f"{told}; {few} too few to tell whether that is better than {guessing}."
    if accuracy.high < _HALF:
        return f"{told}: better than {guessing}, but wrong more often than right."
    return f"{told}, clearly better than {guessing}."


def decide_threshold(config: PredictConfig, evaluation: Evaluation) -> tuple[float, tuple[Finding, ...]]:
    """Return the threshold below which the classifier says "unsure", and what it leaves, in words.

    Args:
        config: The prediction settings.
        evaluation: Scores on held-out images, at all thresholds.
    """
    if not config.target_precision:
        return config.threshold, judge_threshold(evaluation, config.threshold)
    target = f"{100 * config.target_precision:.10g}%"
    chosen = choose_threshold(evaluation.coverage, config.target_precision, least=config.threshold)
    if chosen is not None and not chosen.threshold:
        text = f"No threshold is needed for {target} precision, so every image gets an answer."
        return 0.0, (Finding("threshold", text, "To set one anyway, use mien predict --threshold."),)
    if chosen is not None:
        return chosen.threshold, judge_threshold(evaluation, chosen.threshold, opening=f"For {target} precision, below")
    best = closest_threshold(evaluation.coverage, least=config.threshold)
    text = f"No threshold reaches {target} precision; {best.threshold:g} comes closest."
    missed = Finding("out_of_reach", text, "Lower --target-precision, or add images.")
    return best.threshold, (missed, *judge_threshold(evaluation, best.threshold))


def judge_choice(config: PredictConfig, judged: Predictions | None, test: Evaluation, threshold: float) -> Finding:
    """Say what a chosen threshold leaves on images that it was not chosen on.

    Args:
        config: The prediction settings.
        judged: The out-of-fold predictions that it was chosen on; None if it was chosen on the validation split.
        test: The scores on the test split.
        threshold: The chosen threshold.
    """
    if judged is None:
        (row,) = (row for row in test.coverage if row.threshold == threshold)
        how, answered, accuracy = "On the test split, which it was not chosen on,", row.answered, row.accuracy
    else:
        answered, accuracy = try_thresholds(
            judged.probs,
            judged.labels,
            config.target_precision,
            least=config.threshold,
            num_folds=judged.num_folds,
            groups=judged.groups,
        )
        how = "Chosen on four fifths of them and tested on the other fifth, in turn,"
    right = f"; {accuracy} of those answers are correct" if accuracy.num_images else ""
    text = f"The threshold was chosen on these same images. {how} it answers {answered}{right}."
    advice = "Expect this on new images, not the figure above."
    if (accuracy.value or 0) < config.target_precision:
        advice += f" {100 * (accuracy.value or 0):.4g}% is below your target: raise --target-precision, or add images."
    return Finding("threshold_tried", text, advice)


def judge_threshold(evaluation: Evaluation, threshold: float, *, opening: str = "Below") -> tuple[Finding, ...]:
    """Say what a threshold leaves; nothing for 0, which leaves everything."""
    rows = [row for row in evaluation.coverage if row.threshold == threshold > 0]
    return tuple(
        Finding(
            "threshold",
            f"{opening} a probability of {threshold:g} it says {UNSURE!r}. It answers {row.answered} of the images"
            + (f"; {row.accuracy} of those answers are correct." if row.accuracy.num_images else "."),
            "To use another threshold: mien predict --threshold.",
        )
        for row in rows
    )


def judge_changes(stressed: Sequence[Stressed]) -> tuple[Finding, ...]:
    """Say which changes to images lower the accuracy, beyond chance; nothing if none does."""
    mended = [each for each in stressed if each.was_lower and not each.is_lower and each.before]
    lower = [each for each in stressed if each.is_lower]
    found = []
    if mended:
        told = "; ".join(
            f"{WORDS[each.change]} ({each.changed.value:.0%} now, {each.before.value:.0%} without; "
            f"{each.unchanged.value:.0%} unchanged)"
            for each in mended
            if each.before
        )
        text = f"Without training on changed copies too, accuracy would clearly drop on images that are {told}."
        gaps = [(each.unchanged.value or 0) - (each.changed.value or 0) for each in mended]
        advice = "Nothing to do: it no longer relies on what was changed."
        if max(gaps) > _FAR_OFF:
            advice = "It relies on this less, but still a little. Adding such images to every class would help more."
        found.append(Finding("mended", text, advice))
    if not lower:
        return tuple(found)
    aspects = list(dict.fromkeys(aspect for each in lower for aspect in ASPECTS_OF[each.change]))
    advice = (
        f"If your classes differ in this, train with --may-matter {','.join(aspects)}. If not, add such images to "
        "every class."
    )
    return (*found, Finding("changed", weakness_of(stressed), advice))


def judge_learning_curve(curve: LearningCurve | None, *, num_label_issues: int = 0) -> tuple[Finding, ...]:
    """Say whether more images like these would help; nothing if that was not measured.

    Args:
        curve: What `measure_learning_curve` returned.
        num_label_issues: Number of labels that may be wrong and should be checked first.
    """
    if curve is None:
        return ()
    first = "Check the labels that may be wrong. Then look" if num_label_issues else "Look"
    gain, value = curve.gain, curve.gain.value or 0.0
    interval = f"{signed(100 * gain.low)} to {signed(100 * gain.high)}"
    if not curve.is_long_enough:
        return (
            Finding(
                "short_curve", "There are too few images to tell whether more would help.", "Add some, and retrain."
            ),
        )
    if curve.points[-1].accuracy.value == 1:
        return (
            Finding(
                "enough_images", "No mistakes on these images, so more of the same would show nothing new.", _AT_HOME
            ),
        )
    if gain.high < _SMALL_GAIN:
        text = (
            f"More of the same will hardly help: twice as many images would change the accuracy by {interval} points."
        )
        return (Finding("enough_images", text, f"{first} at the mistakes, and add images of what they share."),)
    if not curve.is_rising or value < _LEAST_GAIN or gain.high - gain.low > _WIDE_INTERVAL:
        text = (
            "It is not clear whether more images would help: twice as many could change the accuracy by anything from "
            f"{interval} points."
        )
        return (Finding("short_curve", text, f"{first} at the mistakes, and add images of what they share."),)
    text = f"Twice as many images like these would change the accuracy by about {in_points(value)} ({interval})."
    advice = "Add images, the same number of each class."
    if curve.gains_most:
        text += f" Class {curve.gains_most!r} would gain most."
        advice = f"Add images, starting with class {curve.gains_most!r}."
    return (Finding("more_images", text, advice),)


def _judge_size(evaluation: Evaluation, remedy: str, if_fine: str) -> Finding:
    text = headline(evaluation)
    if evaluation.baseline.value == 1:
        advice = "Evaluate it on images of all classes too, to see how often it mistakes others for this one."
        return Finding("one_class", text, advice)
    if _is_no_better(evaluation):
        return Finding("no_better", text, _APART)
    if _is_too_little(evaluation):
        return Finding("too_little_data", text, f"{_add_images(evaluation)} {remedy}".rstrip())
    if evaluation.accuracy.high < _HALF:
        advice = "See which classes it confuses. Merge those that cannot be told apart, or add images."
        return Finding("weak", text, advice)
    return Finding("fine", text, if_fine)


def _is_no_better(evaluation: Evaluation) -> bool:
    """Whether it is worse than guessing, or at best as good, on enough images to tell."""
    accuracy, baseline = evaluation.accuracy, evaluation.baseline.value or 0
    is_wide = accuracy.high - accuracy.low > _WIDE_INTERVAL
    return accuracy.high < baseline or ((accuracy.value or 0) <= baseline and not is_wide)


def _is_too_little(evaluation: Evaluation) -> bool:
    accuracy = evaluation.accuracy
    return accuracy.low <= (evaluation.baseline.value or 0) or accuracy.high - accuracy.low > _WIDE_INTERVAL


def _judge_classes(evaluation: Evaluation) -> Finding | None:
    """Name the classes that are surely missed more often than found, unless all in all it is no better."""
    missed = [each for each in evaluation.classes if each.recall.num_images and each.recall.high < _HALF]
    if not missed or evaluation.accuracy.high < _HALF or _is_no_better(evaluation):
        return None
    names = ", ".join(first_few([repr(each.label) for each in missed], _MAX_NAMED, rest="more classes"))
    worst = min(missed, key=lambda each: each.recall.value or 0)
    text = f"It mostly misses {names}: of the {worst.label!r} images here, it recognises {worst.recall}."
    return Finding("missed_class", text, f"Add images of {names}.")


def _judge_calibration(evaluation: Evaluation) -> Finding | None:
    calibration, accuracy = evaluation.calibration, evaluation.accuracy
    error, gap = calibration.error, calibration.confidence - (accuracy.value or 0)
    if error.low == 0 or (error.value or 0) < _FAR_OFF:
        return None
    how = "Overconfident" if gap > 0 else "Underconfident"
    advice = "Use its percentages to rank images, but do not take them literally. Or add images."
    return Finding("miscalibrated", f"{how}: {evaluation.calibration_text}.", advice)


def _judge_distribution(evaluation: Evaluation) -> Finding | None:
    out_of_distribution = evaluation.out_of_distribution
    if out_of_distribution is None or out_of_distribution.low < _MAX_OUT_OF_DISTRIBUTION:
        return None
    text = f"{out_of_distribution} of these images are unlike the training images."
    return Finding("out_of_distribution", text, "If it is meant for images like these, add some to the training.")


def _judge_curves(history: Sequence[Epoch], baseline: Score, config: TrainConfig) -> list[Finding]:
    if not history:
        return []
    reached = max(epoch.accuracy for epoch in history)
    # A network that has learnt its training images at all gets at least halfway from the baseline to 100%.
    if reached < ((baseline.value or 0) + 1) / 2:
        text = f"Underfitting: it is only {reached:.0%} accurate even on its own training images."
        return [Finding("underfitting", text, "Train for more --epochs, or with a higher --learning-rate.")]
    best = best_epoch(history)
    if not _is_overfitted(best):
        return []
    text = (
        f"Overfitting: at epoch {best.epoch}, the best one, it is {best.accuracy:.0%} accurate on the training images "
        f"but only {best.val_accuracy:.0%} on the validation images."
    )
    return [Finding("overfitting", text, f"{_against_overfitting(config)}.")]


def _judge_later_epochs(history: Sequence[Epoch], config: TrainConfig) -> list[Finding]:
    """Say if the validation loss rose after the epoch that was kept, which does no harm."""
    if not history:
        return []
    best, last = best_epoch(history), history[-1]
    if _is_overfitted(best) or last.val_loss <= 1.1 * best.val_loss or last.loss >= best.loss:
        return []
    text = (
        f"Stopped in time: epoch {best.epoch} was kept, because the network overfitted after it. The training loss "
        f"fell ({best.loss:.2f} to {last.loss:.2f}) while the validation loss rose ({best.val_loss:.2f} to "
        f"{last.val_loss:.2f})."
    )
    return [Finding("stopped_in_time", text, f"More epochs would not help. {_against_overfitting(config)}.")]


def _is_overfitted(epoch: Epoch) -> bool:
    return epoch.accuracy - epoch.val_accuracy > _WIDE_GAP


def _against_overfitting(config: TrainConfig) -> str:
    """Return what would reduce overfitting and has not been done yet."""
    vary = "augment more (--rotation, --zoom)" if config.augment.augment else "augment those you have (--augment)"
    return f"Add images, or {vary}" + (", or raise --dropout" if config.fit.dropout < _MUCH_DROPOUT else "")


def _add_images(evaluation: Evaluation) -> str:
    accuracy, needed = evaluation.accuracy, _needed(evaluation)
    if accuracy.num_groups is not None:
        return "Add images of other groups."
    if needed <= accuracy.num_images:
        return "Add images."
    return f"Add images: about {needed} to test on would narrow the interval to ±10 points."


def _of_groups(score: Score) -> str:
    return "" if score.num_groups is None else f" in {counted(score.num_groups, 'group')}"


def _needed(evaluation: Evaluation) -> int:
    """Return about how many images narrow the interval to ±10 points, at the measured accuracy."""
    share = min(max(evaluation.accuracy.value or 0.5, 0.1), 0.9)
    needed = Z_95**2 * share * (1 - share) / 0.1**2 * fold_inflation(evaluation.num_folds)
    return int(np.ceil(needed / 10) * 10)
