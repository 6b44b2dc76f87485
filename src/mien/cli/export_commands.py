"""The command that takes a classifier to where there is no mien: arguments -> one public call -> print."""

from pathlib import Path
from typing import Literal

from mien.cli.flags import Flag, OutPath, RunPath, cache_dir_of_user
from mien.errors import SettingsError


def export(
    run: RunPath,
    /,
    *,
    to: Literal["web", "onnx", "litert", "openvino"],
    out: OutPath | None = None,
    json: Flag = False,
    cache_dir: Path | None = None,
) -> None:
    """Write a classifier as something that needs no mien: a web page, or a file for another runtime.

    A file for another runtime is proved: all images of the run are shown to it and to model.onnx. Where one gets
    another label, or a probability differs by more than 0.001, nothing is written, and the exit code is 3. Beside it
    lies a JSON file with the class names, the size of images and the threshold.

    A classifier that looks at faces does so in the page, too. The other formats cannot: for these, one that looks at
    whole images alone is trained, and its own score is printed.

    Example: mien export runs/train --to web, or: mien export runs/train --to litert --out phone/moods.tflite

    Parameters
    ----------
    run
        A run folder, such as runs/train; for the page, a model.onnx will do.
    to
        web: one file that opens by double click, on a phone too, and without a network: images never leave the device.
        onnx: one graph from pixels to probabilities, for ONNX Runtime in any language. litert: for Android, iOS and
        small computers, once called TensorFlow Lite. openvino: for processors by Intel.
    out
        The file; by default in the folder exported of the run, as web.html, model.onnx, model.tflite or model.xml.
    json
        Print one JSON document.
    cache_dir
        Where the features of images are kept, so that they need not be made again; by default in the folder that this
        system has for caches.
    """
    from mien.cli.progress_bars import TerminalProgress
    from mien.cli.show_export import show_exported, show_page
    from mien.core.extras import needing
    from mien.runs.folder import run_of

    if to == "web":
        from mien.exports.web_page import write_web_page
        from mien.model.classifier import load

        path = out or (run if run.is_dir() else run.parent) / "exported" / "web.html"
        classifier = load(run)
        write_web_page(classifier, path)
        show_page(path, classifier.facts, json=json)
        return
    if not run_of(run).config_path.is_file():
        raise SettingsError(f"only a run can be exported to {to}, for its images prove the file; {str(run)!r} is none")
    with needing("export"):
        from mien.exports.exporting import export as exported

    with TerminalProgress() as progress:
        cache = cache_dir or cache_dir_of_user(progress)
        found = exported(run, to, out=out, cache_dir=cache, progress=progress)
    show_exported(found, json=json)
