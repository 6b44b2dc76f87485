"""Hosting a review on this machine only, until Ctrl-C."""

from mien.config import ServeConfig
from mien.core import terminal
from mien.core.text import counted
from mien.labelling.app import create_review_app
from mien.labelling.review import Review
from mien.serving import process
from mien.serving.hosting import listen


def host_review(review: Review, port: int) -> None:
    """Serve the page of a review until SIGINT, SIGTERM or SIGHUP.

    Args:
        review: Result of `review_of`.
        port: The port, or 0 for any free one.

    Raises:
        SettingsError: The port is not available.
    """
    config = ServeConfig(port=port)
    app = create_review_app(review)
    with listen(config) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        terminal.ERR.print(
            f"Open {address} in a browser. Press Ctrl-C to stop.\n"
            f"Decisions are saved in {terminal.printable(str(review.journal.path))}"
        )
        process.serve(app, config, listener)
    decided = counted(review.journal.num_decided, "image")
    terminal.ERR.print(f"stopped: {decided} decided, saved in {terminal.printable(str(review.journal.path))}")
