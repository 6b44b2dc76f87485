"""A cluster of Ray with one node or two, on this machine alone: for a benchmark and for tests."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

# Addresses of this machine alone, on Linux. For 127.0.0.1 Ray takes one that others reach, too.
HOSTS = ("127.0.0.2", "127.0.0.3")
_START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]


@contextmanager
def cluster(*options: str, num_cores: Sequence[int] = (1, 1)) -> Iterator[str]:
    """Run a node, or two; yield the address of their cluster.

    Args:
        options: Of `ray start`, for each.
        num_cores: How many cores each offers.
    """
    with ExitStack() as stack:
        head = (f"--node-ip-address={HOSTS[0]}", f"--num-cpus={num_cores[0]}", "--port=0", "--include-dashboard=false")
        said = _started(stack, *head, "--head", *options)
        address = said.partition("--address='")[2].partition("'")[0]
        for host, number in zip(HOSTS[1:], num_cores[1:], strict=False):
            _started(stack, f"--node-ip-address={host}", f"--num-cpus={number}", f"--address={address}", *options)
        yield address


def _started(stack: ExitStack, *words: str) -> str:
    """Start a node, which ends with the block; return what it says until it is ready."""
    # Otherwise it asks for a token where the user's home folder has one.
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    node = stack.enter_context(
        subprocess.Popen(
            [*_START, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
    )
    stack.callback(node.terminate)
    said = ""
    for line in node.stdout or ():
        said += line
        if line.rstrip().endswith("--block"):
            return said
    raise OSError(said)
