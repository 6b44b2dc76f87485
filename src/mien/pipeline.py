"""The whole job, from a folder of class folders to a finished run: read this file first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mien.classifier import Classifier
from mien.cleaning import clean
from mien.config import PRESETS, TrainConfig
from mien.dataset import Dataset
from mien.errors import SettingsError
from mien.evaluation import answer, score, verdict
from mien.extras import require
from mien.progress import SILENCE, Progress
from mien.recording import Epoch
from mien.reporting import describe, metrics, report_data, report_test, report_training
from mien.results import Evaluation, Finding
from mien.run_folder import RunFolder, find_unfinished, load_config, new_run
from mien.scanning import scan
from mien.splitting import split

_MODULES = ("keras", "onnx", "tf2onnx", "cv2", "matplotlib", "tensorboard")


@dataclass(frozen=True)
class Run:
    """A finished run; its folder holds the same and more."""

    path: Path
    dataset: Dataset
    classifier: Classifier
    evaluation: Evaluation
    findings: tuple[Finding, ...]
    history: tuple[Epoch, ...]


def train(
    folder: str | Path,
    config: TrainConfig = PRESETS["classic"],
    *,
    out: str | Path | None = None,
    resume: bool = False,
    save_h5: bool = False,
    progress: Progress = SILENCE,
) -> Run:
    """Turn a folder of class folders into a classifier with honest scores, in a run folder.

    The test pictures are read once, at the end. Nothing in `folder` is changed.

    Args:
        folder: One sub-folder per class.
        config: Every setting; PRESETS holds sets of them.
        out: The run folder; by default the first free one of runs/train, runs/train2, ...
        resume: Go on with a run that was cut off: the one in `out`, or the newest unfinished one in runs/.
        save_h5: Write model.h5 too.
        progress: Told how far it is.

    Raises:
        UserError: A path, a class or a setting is not as it must be; what to do is in the message.
        ExportMismatchError: The saved model would not answer as the trained one does.

    Example:
        >>> import mien
        >>> config = mien.TrainConfig(scan=mien.ScanConfig(image_size=(64, 64)), fit=mien.FitConfig(epochs=2))
        >>> run = mien.train("data", config, out="runs/small")
        >>> run.evaluation.accuracy.num_images, sorted(path.name for path in run.path.glob("model.*"))
        (2, ['model.keras', 'model.onnx'])
    """
    require("train", *_MODULES)
    with _opened(config, Path(out) if out else None, Path(folder), resume=resume) as run:
        dataset = scan(folder, config.scan, keep_images=True, progress=progress)
        dataset = split(clean(dataset, config.clean), config.split)
        for line in (*describe(dataset), f"run folder: {run.path}"):
            progress.say(line)
        if run.manifest_path.exists():
            dataset.refuse_changes(run.manifest_path)
        else:
            report_data(run, dataset, config)
        return _trained(run, dataset, config, save_h5, progress)


def _trained(run: RunFolder, dataset: Dataset, config: TrainConfig, save_h5: bool, progress: Progress) -> Run:
    progress.say("loading Keras")
    # It takes seconds: not before the pictures are known to be good.
    from mien.exporting import export, facts_of, prove_equal, save_keras
    from mien.fitting import fit

    seed = config.split.seed
    fitted = fit(dataset, config.fit, augment=config.augment, seed=seed, run_dir=run.path, progress=progress)
    report_training(run, fitted.history)
    progress.say("saving the classifier")
    save_keras(fitted.model, run.path, save_h5=save_h5)
    classifier = export(fitted.model, facts_of(dataset))
    difference = prove_equal(fitted.model, classifier, (images for images, _ in dataset.batches(split="val")))
    progress.say(f"model.onnx answers as the Keras network does: probabilities differ by at most {difference:.1e}")

    answers = answer(classifier, dataset, split="test")
    evaluation = score(classifier, answers)
    findings = verdict(evaluation, fitted.history)
    report_test(run, dataset, answers, evaluation)
    classifier = classifier.with_scores(evaluation.to_dict())
    classifier.save(run.model_path)
    training = {
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted.history),
        "interrupted": fitted.interrupted,
        "onnx_max_difference": difference,
    }
    run.save_json(run.metrics_path, metrics(evaluation, findings, dataset, training))
    run.tidy()
    return Run(run.path, dataset, classifier, evaluation, findings, fitted.history)


@contextmanager
def _opened(config: TrainConfig, out: Path | None, data_dir: Path, *, resume: bool) -> Iterator[RunFolder]:
    if not resume:
        with new_run(out, data_dir) as run:
            yield run
        return
    run = find_unfinished(out)
    if load_config(run.config_path) != config:
        raise SettingsError(
            f"the run in {str(run.path)!r} was begun with other settings: see {run.config_path.name} there"
        )
    yield run
