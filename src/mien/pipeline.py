"""The whole job, from a folder of class folders to a finished run: read this file first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mien.classifier import Classifier
from mien.cleaning import clean
from mien.config import PRESETS, AnswerConfig, TrainConfig
from mien.dataset import Dataset
from mien.errors import SettingsError
from mien.evaluation import Answers, answer, score
from mien.extras import require
from mien.fitting import cross_validate, find_backbone, judge_labels, num_folds, prepare, scan_config
from mien.judgement import JUDGE_BY_ALL, decide_threshold, verdict
from mien.leaks import refuse_straddling
from mien.methods import Method
from mien.progress import SILENCE, Progress
from mien.recording import Epoch
from mien.relabelling import keep_splits, load_decisions, relabel
from mien.reporting import describe, metrics, report_data, report_scores, report_training
from mien.results import UNSURE, Evaluation, Finding
from mien.run_folder import RunFolder, claimed, find_unfinished, load_config, new_run
from mien.scanning import scan
from mien.shortcuts import Shortcut, describe_shortcuts, find_shortcuts
from mien.splitting import folds, split
from mien.suspects import Suspect, find_suspects, mark_suspects, report_suspects

_MODULES = ("matplotlib", "onnx", "threadpoolctl")
_KERAS_MODULES = ("keras", "tf2onnx", "cv2", "tensorboard")


@dataclass(frozen=True)
class Run:
    """A finished run; its folder holds the same and more.

    Attributes:
        path: The folder.
        dataset: The pictures, and the split of each.
        classifier: What was trained.
        evaluation: Scores on the test split.
        out_of_fold: Scores by cross-validation on all other pictures, where there was one.
        findings: What the scores mean, and what to do.
        history: The epochs of the training, where it had any.
        suspects: Pictures whose label is probably wrong; those for the test are not asked about.
        shortcuts: Facts about files, such as their size, that give the label away.
    """

    path: Path
    dataset: Dataset
    classifier: Classifier
    evaluation: Evaluation
    out_of_fold: Evaluation | None
    findings: tuple[Finding, ...]
    history: tuple[Epoch, ...]
    suspects: tuple[Suspect, ...]
    shortcuts: tuple[Shortcut, ...]


def train(
    folder: str | Path,
    config: TrainConfig = PRESETS["fast"],
    *,
    out: str | Path | None = None,
    resume: bool = False,
    save_h5: bool = False,
    cache_dir: str | Path | None = None,
    progress: Progress = SILENCE,
) -> Run:
    """Turn a folder of class folders into a classifier with honest scores, in a run folder.

    The test pictures are read once, at the end. Nothing in `folder` is changed.

    Args:
        folder: One sub-folder per class.
        config: Every setting; PRESETS holds sets of them.
        out: The run folder; by default the first free one of runs/train, runs/train2, ...
        resume: Go on with a run that was cut off: the one in `out`, or the newest unfinished one in runs/.
        save_h5: Write model.h5 too, where the classifier is a Keras network.
        cache_dir: Where the features of pictures are kept, so that the next training need not make them again.
        progress: Told how far it is.

    Raises:
        UserError: A path, a class or a setting is not as it must be; what to do is in the message.
        LeakError: A copy of a picture stands on two sides of a split: a last check, before anything is trained.
        ExportMismatchError: The saved model would not answer as the trained one does.

    Example:
        >>> import mien
        >>> run = mien.train("data", out="runs/small")
        >>> run.evaluation.accuracy.num_images, run.out_of_fold.accuracy.num_images
        (2, 22)
    """
    linear = config.fit.method == "linear"
    require("train", *_MODULES, *(() if linear else _KERAS_MODULES))
    if save_h5 and linear:
        raise SettingsError(
            "model.h5 holds a Keras network, and the method linear makes none: add --preset classic or best"
        )
    backbone, decisions = find_backbone(config), _decisions(config)
    with _opened(config, Path(out) if out else None, Path(folder), resume=resume) as run:
        dataset = scan(folder, scan_config(config, backbone), keep_images=True, progress=progress)
        dataset = split(clean(dataset, config.clean), config.split)
        if UNSURE in dataset.class_names and config.answer != AnswerConfig():
            raise SettingsError(
                f"a class is called {UNSURE!r}, as an answer that is none: rename it, or ask for no threshold"
            )
        if decisions:
            dataset = keep_splits(clean(relabel(dataset, decisions), config.clean), dataset)
        parts = list(folds(dataset, num_folds(dataset, config), config.split))
        refuse_straddling([dataset, *parts], config.clean.near_bits)
        shortcuts = find_shortcuts(dataset)
        for line in (*describe(dataset), *describe_shortcuts(shortcuts), f"run folder: {run.path}"):
            progress.say(line)
        begun = run.manifest_path.exists()
        if begun:
            dataset.refuse_changes(run.manifest_path)
        cache = Path(cache_dir) if cache_dir else None
        method = prepare(dataset, config, backbone, cache_dir=cache, progress=progress)
        if not begun:
            report_data(run, dataset, config, decisions=decisions)
        answers = {"out_of_fold": cross_validate(method, parts, run=run, progress=progress)}
        judged = judge_labels(method, dataset, answers["out_of_fold"])
        suspects = find_suspects(dataset, judged) if judged else ()
        dataset = mark_suspects(dataset, suspects)
        return _finished(run, dataset, method, answers, config, suspects=suspects, shortcuts=shortcuts, save_h5=save_h5)


def _finished(
    run: RunFolder,
    dataset: Dataset,
    method: Method,
    answers: dict[str, Answers | None],
    config: TrainConfig,
    *,
    suspects: tuple[Suspect, ...],
    shortcuts: tuple[Shortcut, ...],
    save_h5: bool,
) -> Run:
    fitted = method.fit(dataset, run.path)
    report_training(run, fitted, save_h5=save_h5)

    answers["test"] = answer(fitted.classifier, dataset, split="test")
    asked = config.answer.threshold
    scores = {name: score(fitted.classifier, a, threshold=asked) for name, a in answers.items() if a is not None}
    judged = scores.get("out_of_fold", scores["test"])
    remedy = "" if "out_of_fold" in scores else JUDGE_BY_ALL
    threshold, consequences = _threshold(config.answer, fitted.classifier, dataset, scores.get("out_of_fold"))
    findings = (*verdict(judged, fitted.history, remedy=remedy), *consequences)
    report_scores(run, dataset, answers, scores)
    told = {name: evaluation.to_dict() for name, evaluation in scores.items()}
    report_suspects(run.path, dataset, suspects)
    dataset.save(run.manifest_path)
    classifier = fitted.classifier.telling(scores=told, threshold=threshold)
    classifier.save(run.model_path)
    found = {
        "suspects": [suspect.to_dict(dataset) for suspect in suspects],
        "shortcuts": [shortcut.to_dict() for shortcut in shortcuts],
    }
    run.save_json(run.metrics_path, metrics(scores, findings, dataset, fitted.details) | found)
    run.tidy()
    whole = (run.path, dataset, classifier, scores["test"], scores.get("out_of_fold"), findings)
    return Run(*whole, fitted.history, suspects, shortcuts)


def _decisions(config: TrainConfig) -> dict[str, str]:
    return load_decisions(config.labels.relabel) if config.labels.relabel else {}


def _threshold(
    config: AnswerConfig, classifier: Classifier, dataset: Dataset, out_of_fold: Evaluation | None
) -> tuple[float, tuple[Finding, ...]]:
    """Choose below which probability to say "unsure": by cross-validation, or else by the validation pictures."""
    if config == AnswerConfig():
        return 0.0, ()
    if out_of_fold is None:
        out_of_fold = score(classifier, answer(classifier, dataset, split="val"), threshold=config.threshold)
    return decide_threshold(config, out_of_fold)


@contextmanager
def _opened(config: TrainConfig, out: Path | None, data_dir: Path, *, resume: bool) -> Iterator[RunFolder]:
    if not resume:
        with new_run(out, data_dir) as run:
            yield run
        return
    run = find_unfinished(out)
    begun = load_config(run.config_path)
    if replace(begun, labels=config.labels) != config or _decisions(begun) != _decisions(config):
        raise SettingsError(
            f"the run in {str(run.path)!r} was begun with other settings: see {run.config_path.name} there"
        )
    with claimed(run.path):
        yield run
