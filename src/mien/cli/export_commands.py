"""The command that takes a classifier to where there is no mien: arguments -> one public call -> print."""

from typing import Literal

from mien.cli.flags import HtmlPath, RunPath


def export(run: RunPath, /, *, to: Literal["web"], out: HtmlPath | None = None) -> None:
    """Write a classifier as something that needs no mien: a web page that answers images by itself.

    Example: mien export runs/train --to web

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    to
        web: one file that opens by double click, on a phone too, and without a network: images never leave the device.
    out
        The file; by default web.html in the run folder, or beside the model.
    """
    from mien.core.terminal import OUT, printable
    from mien.exports.web_page import write_web_page
    from mien.model.classifier import load

    path = out or (run if run.is_dir() else run.parent) / "web.html"
    write_web_page(load(run), path)
    OUT.print(printable(f"{path}: {path.stat().st_size / 1e6:.0f} MB; open it in a browser"))
