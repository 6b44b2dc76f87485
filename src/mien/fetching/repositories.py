"""Repositories: read the files of a remote git repository one by one, within limits, without checking anything out."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import IO
from urllib.parse import urlsplit

from mien.config import FetchLimits, IntakeLimits
from mien.core import files
from mien.errors import IntakeError
from mien.fetching.addresses import public_addresses
from mien.fetching.archives import Member, name_problem

# Repository pages on these hosts lack the .git ending, and people copy their addresses.
_HOSTS = {"github.com", "gitlab.com", "codeberg.org", "bitbucket.org"}
_FILE_MODES = (b"100644", b"100755")
_PULSE_S = 0.1
# The first version that can be pinned to an address: http.curloptResolve.
_GIT_VERSION = (2, 37)


def is_repository(url: str) -> bool:
    """Return whether a URL is a git repository: it ends with .git, starts with git+, or is on a well-known host."""
    parts = urlsplit(url)
    is_page = parts.hostname in _HOSTS and re.fullmatch(r"/[^/]+/[^/]+/?", parts.path) is not None
    return url.startswith("git+http") or parts.path.rstrip("/").endswith(".git") or (is_page and not parts.query)


def clone(url: str, folder: Path, limits: IntakeLimits, fetch_limits: FetchLimits) -> Path:
    """Clone the latest state of a repository, without a working tree, from a checked host.

    Git runs without the user's configuration, hooks, templates, credentials and prompts, and follows no redirects.

    Args:
        url: Starts with https:// or git+https://; http:// is accepted only if private addresses are allowed.
        folder: Where to clone to. It must not exist, and its disk must have room.
        limits: Limits of time and size.
        fetch_limits: Whether private addresses are allowed.

    Returns:
        The folder.

    Raises:
        OutputError: The folder cannot be created.
        IntakeError: git is missing, failed, or exceeded a limit, or the URL is not valid.
        FetchError: The host is unknown or forbidden.
    """
    url = _checked(url.removeprefix("git+"), fetch_limits)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = public_addresses(str(parts.hostname), fetch_limits)
    pinned = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    _refuse_old_git()
    with files.writing(folder):
        folder.mkdir()
    flags = {
        "http.followRedirects": "false",
        "http.curloptResolve": f"{host}:{port}:{pinned}",
        "core.hooksPath": os.devnull,
        "core.symlinks": "false",
        "protocol.allow": "never",
        f"protocol.{parts.scheme}.allow": "always",
        "credential.helper": "",
        "gc.auto": "0",
    }
    command = ["git", *(part for item in flags.items() for part in ("-c", "=".join(item))), "clone", "--quiet"]
    command += ["--depth=1", "--no-tags", "--single-branch", "--bare", "--template=", "--", url, str(folder / "git")]
    _run(command, folder, limits)
    return folder


def repository_members(folder: Path, limits: IntakeLimits, *, max_bytes: int) -> Iterator[Member]:
    """Yield the files of a clone.

    Args:
        folder: Result of `clone`.
        limits: Limits for the whole repository.
        max_bytes: Files with more bytes get a problem.

    Raises:
        IntakeError: It has too many files, or git cannot read them.
    """
    listed = _output(["ls-tree", "-r", "-z", "--long", "HEAD"], folder)
    lines = listed.split(b"\0")[:-1]
    if len(lines) > limits.max_files:
        raise IntakeError(f"it has {len(lines)} files, more than the limit of {limits.max_files} (see --max-files)")
    total = 0
    with _contents(folder) as (requests, answers):
        for line in lines:
            facts, _, raw_name = line.partition(b"\t")
            mode, _, object_id, size = facts.split()
            name = raw_name.decode("utf-8", "surrogateescape")
            problem = name_problem(name) if mode in _FILE_MODES else "a link or a submodule, not a file"
            num_bytes = int(size) if size.isdigit() else 0
            if num_bytes > max_bytes:
                problem = problem or f"it has {num_bytes} bytes, more than the limit of {max_bytes} (see --max-bytes)"
            total += num_bytes
            if total > limits.max_total_bytes:
                raise IntakeError(f"it has more than {limits.max_total_bytes} bytes (see --max-total-bytes)")
            yield Member(name, problem, partial(_ask, requests, answers, object_id, num_bytes))


def _checked(url: str, limits: FetchLimits) -> str:
    parts = urlsplit(url)
    schemes = ("https", "http") if limits.allow_private else ("https",)
    if parts.scheme not in schemes or not parts.hostname or not re.fullmatch(r"[!-~]+", url):
        raise IntakeError("expected a repository URL that starts with https://")
    if parts.username or parts.password:
        raise IntakeError("it contains a user name or password. Remove them")
    if parts.hostname in _HOSTS and not parts.path.rstrip("/").endswith(".git"):
        # Without it, some hosts answer with a redirect.
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}.git"
    return url


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment that hides the user's git settings, passwords and proxies."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "TEMP", "TMP")}
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    return {**kept, **nothing, "HOME": str(folder), "GIT_ASKPASS": "true", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}


def _refuse_old_git() -> None:
    if not shutil.which("git"):
        raise IntakeError("git is not installed. Install it, or download the repository as a zip archive")
    answer = subprocess.run(["git", "--version"], capture_output=True, check=False, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)", answer)
    if not found or (int(found[1]), int(found[2])) < _GIT_VERSION:
        raise IntakeError(f"{answer.strip()!r} is too old. Version 2.37 or later can be limited to public addresses")


def _run(command: list[str], folder: Path, limits: IntakeLimits) -> None:
    """Run git, and kill it with all its child processes if it exceeds a limit."""
    deadline = monotonic() + limits.source_timeout_s
    with open(folder / "messages", "w+b") as messages:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            env=_environment(folder),
            start_new_session=True,
        )
        try:
            while not _has_ended(process):
                if monotonic() > deadline:
                    raise IntakeError(f"timed out after {limits.source_timeout_s:g} s (see --source-timeout-s)")
                if _size_of(folder) > limits.max_total_bytes:
                    raise IntakeError(f"it has more than {limits.max_total_bytes} bytes (see --max-total-bytes)")
        finally:
            _end(process)
        messages.seek(0)
        if process.returncode:
            lines = messages.read(4000).decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
            raise IntakeError(f"git clone failed: {files.reason_of(ValueError(lines[-1]))}")


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_PULSE_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                # git renames files while we look.
                continue
    return total


def _git(arguments: list[str], folder: Path) -> list[str]:
    return ["git", "--no-replace-objects", "--git-dir", str(folder / "git"), *arguments]


def _output(arguments: list[str], folder: Path) -> bytes:
    done = subprocess.run(
        _git(arguments, folder), env=_environment(folder), capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise IntakeError(f"git cannot read it: {files.reason_of(ValueError(done.stderr.decode('utf-8', 'replace')))}")
    return done.stdout


@contextmanager
def _contents(folder: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Start the git process that serves file contents, and yield its input and output streams."""
    command, pipe = _git(["cat-file", "--batch"], folder), subprocess.PIPE
    with subprocess.Popen(
        command, env=_environment(folder), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise IntakeError("cannot communicate with git")
        try:
            yield process.stdin, process.stdout
        finally:
            process.kill()


def _ask(requests: IO[bytes], answers: IO[bytes], object_id: bytes, num_bytes: int) -> bytes:
    """Return the content of one object: https://git-scm.com/docs/git-cat-file#_batch_output."""
    try:
        requests.write(object_id + b"\n")
        requests.flush()
        head = answers.readline().split()
        content = answers.read(num_bytes + 1)[:-1] if head[1:] == [b"blob", str(num_bytes).encode()] else b""
    except OSError as error:
        raise IntakeError(f"git cannot read it: {files.reason_of(error)}") from error
    if len(content) != num_bytes:
        raise IntakeError("git cannot read it: damaged")
    return content
