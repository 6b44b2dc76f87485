"""mien turns a folder of photos into a classifier you can trust.

import mien

run = mien.train("data")
classifier = mien.load(run.path)
for prediction in mien.predict(classifier, ["photo.jpg"]):
    print(prediction.label, prediction.probs)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mien.version import __version__ as __version__

if TYPE_CHECKING:
    from mien.cli.notebook import NotebookProgress as NotebookProgress
    from mien.config import PRESETS as PRESETS
    from mien.config import AugmentConfig as AugmentConfig
    from mien.config import BackboneConfig as BackboneConfig
    from mien.config import CleanConfig as CleanConfig
    from mien.config import DecodeConfig as DecodeConfig
    from mien.config import FetchLimits as FetchLimits
    from mien.config import FitConfig as FitConfig
    from mien.config import LabelConfig as LabelConfig
    from mien.config import PredictConfig as PredictConfig
    from mien.config import ScanConfig as ScanConfig
    from mien.config import ServeConfig as ServeConfig
    from mien.config import SplitConfig as SplitConfig
    from mien.config import TrainConfig as TrainConfig
    from mien.core.inputs import Inputs as Inputs
    from mien.core.progress import Epoch as Epoch
    from mien.core.scores import Score as Score
    from mien.data.cleaning import clean as clean
    from mien.data.dataset import Dataset as Dataset
    from mien.data.dataset import ImageRecord as ImageRecord
    from mien.data.dataset import Problem as Problem
    from mien.data.leaks import Leak as Leak
    from mien.data.scanning import scan as scan
    from mien.data.shortcuts import Shortcut as Shortcut
    from mien.data.splitting import split as split
    from mien.errors import MienError as MienError
    from mien.jobs.check import Check as Check
    from mien.jobs.check import check as check
    from mien.jobs.compare import Comparison as Comparison
    from mien.jobs.compare import compare as compare
    from mien.jobs.train import train as train
    from mien.learning.fitting import fit as fit
    from mien.learning.methods import Fitted as Fitted
    from mien.learning.networks import build_cnn as build_cnn
    from mien.model.classifier import Classifier as Classifier
    from mien.model.classifier import load as load
    from mien.model.explanation import HeatMap as HeatMap
    from mien.model.explanation import explain as explain
    from mien.model.explanation import overlay as overlay
    from mien.model.prediction import Prediction as Prediction
    from mien.model.prediction import predict as predict
    from mien.runs.contact_sheets import plot_mistakes as plot_mistakes
    from mien.runs.contact_sheets import plot_samples as plot_samples
    from mien.runs.figures import plot_confusion as plot_confusion
    from mien.runs.figures import plot_history as plot_history
    from mien.runs.figures import plot_reliability as plot_reliability
    from mien.runs.report import report as report
    from mien.runs.run import Run as Run
    from mien.runs.run import load_run as load_run
    from mien.runs.training_details import TrainingDetails as TrainingDetails
    from mien.scoring.evaluation import evaluate as evaluate
    from mien.scoring.evaluation import predict_dataset as predict_dataset
    from mien.scoring.evaluation import stress as stress
    from mien.scoring.label_issues import LabelIssue as LabelIssue
    from mien.scoring.results import Evaluation as Evaluation
    from mien.scoring.results import Finding as Finding
    from mien.scoring.results import Predictions as Predictions
    from mien.scoring.results import Scores as Scores
    from mien.scoring.verdict import verdict as verdict
    from mien.serving.app import create_app as create_app

# Where each public name lives; loaded when it is first used, so that `import mien` stays instant.
_HOMES = {
    "PRESETS": "config",
    "AugmentConfig": "config",
    "BackboneConfig": "config",
    "Check": "jobs.check",
    "Classifier": "model.classifier",
    "CleanConfig": "config",
    "Comparison": "jobs.compare",
    "Dataset": "data.dataset",
    "DecodeConfig": "config",
    "Epoch": "core.progress",
    "Evaluation": "scoring.results",
    "FetchLimits": "config",
    "Finding": "scoring.results",
    "FitConfig": "config",
    "Fitted": "learning.methods",
    "HeatMap": "model.explanation",
    "ImageRecord": "data.dataset",
    "Inputs": "core.inputs",
    "LabelConfig": "config",
    "LabelIssue": "scoring.label_issues",
    "Leak": "data.leaks",
    "MienError": "errors",
    "NotebookProgress": "cli.notebook",
    "PredictConfig": "config",
    "Prediction": "model.prediction",
    "Predictions": "scoring.results",
    "Problem": "data.dataset",
    "Run": "runs.run",
    "ScanConfig": "config",
    "Score": "core.scores",
    "Scores": "scoring.results",
    "ServeConfig": "config",
    "Shortcut": "data.shortcuts",
    "SplitConfig": "config",
    "TrainConfig": "config",
    "TrainingDetails": "runs.training_details",
    "build_cnn": "learning.networks",
    "check": "jobs.check",
    "clean": "data.cleaning",
    "compare": "jobs.compare",
    "create_app": "serving.app",
    "evaluate": "scoring.evaluation",
    "explain": "model.explanation",
    "fit": "learning.fitting",
    "load": "model.classifier",
    "load_run": "runs.run",
    "overlay": "model.explanation",
    "plot_confusion": "runs.figures",
    "plot_history": "runs.figures",
    "plot_mistakes": "runs.contact_sheets",
    "plot_reliability": "runs.figures",
    "plot_samples": "runs.contact_sheets",
    "predict": "model.prediction",
    "predict_dataset": "scoring.evaluation",
    "report": "runs.report",
    "scan": "data.scanning",
    "split": "data.splitting",
    "stress": "scoring.evaluation",
    "Stressed": "scoring.stress",
    "train": "jobs.train",
    "verdict": "scoring.verdict",
}
# The extra that a name needs, where it is not train.
_EXTRAS = {"build_cnn": "keras", "create_app": "serve"}
__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    from mien.core.extras import needing

    with needing(_EXTRAS.get(name, "train")):
        value = getattr(import_module(f"mien.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
