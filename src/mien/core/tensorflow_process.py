"""Keras with TensorFlow in a separate process: it exports what other backends cannot, and it prints a lot."""

import os
import subprocess
import sys
from pathlib import Path

# Ends the process when the main process has ended, however it did: then nobody holds the other end of the pipe.
_END_WITH_MAIN = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
"""


def run_with_tensorflow(code: str, *paths: Path) -> str:
    """Run Python code on paths, which it finds in sys.argv. Its process ends with the main process at the latest.

    Returns:
        The end of its error messages, or an empty string if it succeeded.
    """
    settings = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", _END_WITH_MAIN + code, *map(str, paths)]
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            command, env=settings, stdin=reading, capture_output=True, text=True, errors="replace", check=False
        )
    finally:
        os.close(reading)
        os.close(writing)
    if not done.returncode:
        return ""
    return done.stderr.strip()[-2000:] or f"its process ended with code {done.returncode}"
