"""The whole job, from a folder of class folders to a finished run: read this file first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien import files
from mien.classifier import Classifier
from mien.cleaning import clean
from mien.config import PRESETS, AnswerConfig, TrainConfig
from mien.dataset import Dataset
from mien.errors import SettingsError
from mien.evaluation import answer, score
from mien.extras import require
from mien.fitting import cross_validate, find_backbone, judge_labels, num_folds, prepare, scan_config
from mien.judgement import JUDGE_BY_ALL, decide_threshold, verdict
from mien.leaks import refuse_straddling
from mien.logs import log_run
from mien.methods import Fitted, Method
from mien.progress import SILENCE, Epoch, Progress
from mien.relabelling import keep_splits, load_decisions, relabel
from mien.reporting import save_report
from mien.results import UNSURE, Answers, Evaluation, Finding
from mien.run_files import describe, metrics, provenance, save_card, save_data, save_scores, save_training
from mien.run_folder import RunFolder, find_unfinished, load_config, new_run
from mien.scanning import scan
from mien.shortcuts import Shortcut, describe_shortcuts, find_shortcuts
from mien.splitting import folds, split
from mien.suspects import Suspect, find_suspects, mark_suspects, save_suspects

_MODULES = ("jinja2", "matplotlib", "onnx", "threadpoolctl")
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
        answers: About pictures not seen before: by cross-validation where there was one, else on the test split.
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
    answers: Answers = field(repr=False)
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
    if cache_dir:
        files.refuse_among(Path(cache_dir), Path(folder), "--cache-dir")
    backbone, decisions = find_backbone(config), _decisions(config)
    with _opened(config, Path(out) if out else None, Path(folder), resume=resume) as run, _stoppable(run, progress):
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
            save_data(run, dataset, config, decisions=decisions)
        out_of_fold = cross_validate(method, parts, run=run, progress=progress)
        finished, found = _finished(run, dataset, config, method, out_of_fold, shortcuts, save_h5=save_h5)
        _report(run, found, progress)
        run.save_json(run.metrics_path, found)
        run.tidy()
        return finished


def _finished(
    run: RunFolder,
    dataset: Dataset,
    config: TrainConfig,
    method: Method,
    out_of_fold: Answers | None,
    shortcuts: tuple[Shortcut, ...],
    *,
    save_h5: bool,
) -> tuple[Run, dict[str, Any]]:
    """Return the run, all of it written but metrics.json, and what is to stand there."""
    judged = judge_labels(method, dataset, out_of_fold)
    suspects = find_suspects(dataset, judged) if judged else ()
    dataset = mark_suspects(dataset, suspects)
    fitted = method.fit(dataset, run.path)
    save_training(run, fitted, save_h5=save_h5)

    answers = {"out_of_fold": out_of_fold} if out_of_fold else {}
    answers["test"] = answer(fitted.classifier, dataset, split="test")
    asked = config.answer.threshold
    scores = {name: score(fitted.classifier, given, threshold=asked) for name, given in answers.items()}
    threshold, findings = _judged(fitted, dataset, scores, config.answer)
    told = {name: evaluation.to_dict() for name, evaluation in scores.items()}
    made = provenance(dataset, config)
    classifier = fitted.classifier.telling(scores=told, threshold=threshold, provenance=made)

    save_scores(run, dataset, answers, scores)
    if fitted.history:
        log_run(run, config, scores)
    save_suspects(run.path, dataset, suspects, load_decisions(run.decisions_path) if config.labels.relabel else {})
    dataset.save(run.manifest_path)
    classifier.save(run.model_path)
    save_card(run, classifier)
    found = {
        "suspects": [suspect.to_dict(dataset) for suspect in suspects],
        "shortcuts": [shortcut.to_dict() for shortcut in shortcuts],
    }
    judged_by = out_of_fold or answers["test"]
    whole = (run.path, dataset, classifier, scores["test"], scores.get("out_of_fold"), judged_by, findings)
    document = metrics(scores, findings, dataset, fitted.details) | found
    return Run(*whole, fitted.history, suspects, shortcuts), document


def _report(run: RunFolder, document: dict[str, Any], progress: Progress) -> None:
    """Write report.html. Whatever keeps a page from being written is no reason to lose a training."""
    try:
        save_report(run, document)
    except Exception as error:
        progress.say(f"report.html is missing: {files.reason_of(error)}. To write it: mien report {run.path}")


def _judged(
    fitted: Fitted, dataset: Dataset, scores: dict[str, Evaluation], config: AnswerConfig
) -> tuple[float, tuple[Finding, ...]]:
    """Return below which probability to say "unsure", and what the scores mean in words."""
    judged = scores.get("out_of_fold", scores["test"])
    findings = verdict(judged, fitted.history, remedy="" if "out_of_fold" in scores else JUDGE_BY_ALL)
    if config == AnswerConfig():
        return 0.0, findings
    if "out_of_fold" not in scores:
        # The test is read once, and nothing is chosen by it.
        val = answer(fitted.classifier, dataset, split="val")
        judged = score(fitted.classifier, val, threshold=config.threshold)
    threshold, consequences = decide_threshold(config, judged)
    return threshold, (*findings, *consequences)


def _decisions(config: TrainConfig) -> dict[str, str]:
    return load_decisions(config.labels.relabel) if config.labels.relabel else {}


@contextmanager
def _stoppable(run: RunFolder, progress: Progress) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if run.config_path.exists():
            progress.say(f"what is done stays in {run.path}: the same command with --out {run.path} --resume goes on")
        raise


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
    with files.claimed(run.path):
        yield run
