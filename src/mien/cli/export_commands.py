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
    """Export a classifier for use without mien: a web page, or a model file for another runtime.

    Model files are verified: all images of the run must get the same label as from the classifier in mien, with
    probabilities within 0.001; otherwise nothing is written and the exit code is 3. A JSON file next to the model has
    the class names, image size and threshold.

    A classifier that uses faces does so on the web page too. The other formats cannot find faces, so they do not get
    the classifier of your run: a classifier of whole images is trained for them, and its accuracy is shown.

    Example: mien export runs/train --to web, or: mien export runs/train --to litert --out phone/moods.tflite

    Parameters
    ----------
    run
        A run folder, such as runs/train. For the web page, a model.onnx is enough.
    to
        web: one HTML file that opens with a double click, even offline and on a phone; images never leave the
        device. onnx: one graph from pixels to probabilities, for ONNX Runtime in any language. litert: for
        Android, iOS and embedded devices (formerly TensorFlow Lite). openvino: for Intel processors.
    out
        File to write. By default web.html, model.onnx, model.tflite or model.xml in the folder exported/ of the
        run.
    json
        Print one JSON document.
    cache_dir
        Folder for cached image features, which make the next run faster. By default, the system's cache folder.
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
        raise SettingsError(f"{str(run)!r} is not a run folder. --to {to} needs one, to verify the file on its images")
    with needing("export"):
        from mien.exports.exporting import export as exported

    with TerminalProgress() as progress:
        cache = cache_dir or cache_dir_of_user(progress)
        found = exported(run, to, out=out, cache_dir=cache, progress=progress)
    show_exported(found, json=json)
