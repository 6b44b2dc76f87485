"""The command that serves a run: arguments -> one call."""

from typing import Annotated

from mien.config import ServeConfig
from mien.flags import RunPath, section


def serve(run: RunPath, /, *, config: Annotated[ServeConfig, section("Serving")] = ServeConfig()) -> None:
    """Serve a classifier on this machine: a page for people at /, an HTTP API for programs, described at /docs.

    Example: mien serve runs/train

    Parameters
    ----------
    run
        A run folder, such as runs/train, or a model.onnx.
    """
    from mien.classifier import load
    from mien.hosting import host

    host(load(run), config)
