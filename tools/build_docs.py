"""Build the documentation, without the chatter of libraries: python tools/build_docs.py SPHINX-ARGUMENT..."""

import logging
import os
import sys

from sphinx.cmd.build import main


def silence_native_libraries() -> None:
    """Keep what C libraries and kernels of notebooks write to stderr off the screen; Sphinx still gets there."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)


if __name__ == "__main__":
    silence_native_libraries()
    # A kernel's debugger looks for files of Python that are built in.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # It announces every notebook.
    logging.getLogger("traitlets").setLevel(logging.WARNING)
    sys.exit(main(sys.argv[1:]))
