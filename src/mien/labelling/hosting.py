"""Hosting a review: on this machine alone, until Ctrl-C."""

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
        review: What `review_of` returned.
        port: Where; 0 for a free one.

    Raises:
        SettingsError: The port is not to be had.
    """
    config = ServeConfig(port=port)
    app = create_review_app(review)
    with listen(config) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        terminal.ERR.print(
            f"Open {address} in a browser. Ctrl-C stops it.\n"
            f"Decisions are written to {terminal.printable(str(review.journal.path))}"
        )
        process.serve(app, config, listener)
    decided = counted(review.journal.num_decided, "image")
    terminal.ERR.print(f"stopped; {decided} decided in {terminal.printable(str(review.journal.path))}")
