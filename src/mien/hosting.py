"""Hosting: the server as a process, from the first request to the last."""

from mien.classifier import Classifier
from mien.extras import needing
from mien.serve_config import ServeConfig


def host(classifier: Classifier, config: ServeConfig = ServeConfig()) -> None:
    """Serve a classifier until the process is told to stop; then finish what was accepted.

    Raises:
        MissingExtraError: A package is not installed.
    """
    with needing("serve"):
        import uvicorn

        from mien.server import create_app
    uvicorn.run(create_app(classifier, config), host=config.host, port=config.port, access_log=False)
