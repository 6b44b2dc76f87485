"""Run notebooks from top to bottom, in a folder: python tools/execute_notebooks.py FOLDER NOTEBOOK..."""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

_TIMEOUT_S = 600


def execute(path: Path, folder: Path) -> float:
    """Run a notebook in a folder, and write it there with its outputs; return how many seconds it took.

    Raises:
        CellExecutionError: A cell raised an error.
    """
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as connection_dir:
        kernel = AsyncKernelManager(
            # This very Python, whatever others the user has; and a way to it that is open to nobody else.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            transport="tcp" if sys.platform == "win32" else "ipc",
            connection_file=str(Path(connection_dir) / "kernel.json"),
        )
        client = NotebookClient(notebook, km=kernel, timeout=_TIMEOUT_S, resources={"metadata": {"path": str(folder)}})
        try:
            # Otherwise a kernel lives as long as this process, which runs others.
            client.execute(cleanup_kc=True)
        finally:
            nbformat.write(notebook, folder / path.name)  # type: ignore[no-untyped-call]
    return time.monotonic() - started


if __name__ == "__main__":
    executed_dir = Path(sys.argv[1])
    executed_dir.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:]:
        # Its modules come along: Python looks for them beside it.
        for module in Path(name).parent.glob("*.py"):
            shutil.copy(module, executed_dir)
        print(f"{name}: {execute(Path(name), executed_dir):.0f} s", flush=True)
