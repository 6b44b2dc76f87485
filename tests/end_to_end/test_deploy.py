"""What `deploy/` holds: it is well formed and safe, installs what the server needs and no more, and it answers."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mien
from conftest import draw_image, encoded
from serve_process import request, served

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = pytest.mark.medium

REPOSITORY = Path(__file__).parents[2]
DEPLOY_DIR = REPOSITORY / "deploy"
CONTAINERFILE = (DEPLOY_DIR / "Containerfile").read_text("utf-8")
SERVICE = (DEPLOY_DIR / "mien@.service").read_text("utf-8")
MOST_EXPOSURE = 2.0


def pins(lock: Path) -> dict[str, set[str]]:
    """Return what a lock says of each package: its versions with their conditions, and its hashes."""
    blocks = re.split(r"^(?=[a-z0-9])", lock.read_text("utf-8"), flags=re.MULTILINE)[1:]
    said: dict[str, set[str]] = {}
    for block in blocks:
        head = block.split(" \\\n")[0]
        said.setdefault(head.split("==")[0], set()).update([head.split(" ;")[0], *re.findall(r"sha256:\w+", block)])
    return said


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The service, with a Python that is here."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    path = tmp_path / "mien@8000.service"
    path.write_text(SERVICE.replace("/opt/mien/bin/python", str(Path(sys.executable).resolve())))
    return path


def test_the_lock_of_the_server_holds_what_the_tests_run_with() -> None:
    ours, all_of_it = pins(DEPLOY_DIR / "requirements.lock"), pins(REPOSITORY / "requirements.lock")
    assert len(ours) > 20
    assert {name: all_of_it[name] for name in ours} == ours


def test_the_lock_of_the_server_leaves_training_out() -> None:
    names = set(pins(DEPLOY_DIR / "requirements.lock"))
    assert {"fastapi", "uvicorn", "onnxruntime", "pillow"} <= names
    assert names & {"keras", "tensorflow", "tensorflow-cpu", "matplotlib", "scikit-learn", "pytest"} == set()


def test_the_lock_of_the_server_names_no_index_and_no_path() -> None:
    lines = (DEPLOY_DIR / "requirements.lock").read_text("utf-8").splitlines()
    assert not [line for line in lines if re.search(r"https?:|file:|--(extra-)?index|--find-links", line)]


def test_the_container_file_is_as_hadolint_would_have_it() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if not hadolint:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, DEPLOY_DIR / "Containerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_build_takes_nothing_that_is_not_copied() -> None:
    copied = {
        path for line in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE) for path in line.split()
    }
    lines = (DEPLOY_DIR / "Containerfile.dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    assert copied == {line[1:] for line in lines if line.startswith("!")}
    assert all((REPOSITORY / path).exists() for path in copied)


def test_the_service_is_as_systemd_would_have_it(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_may_do_little(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={10 * MOST_EXPOSURE:.0f}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("text", [CONTAINERFILE, SERVICE])
def test_the_commands_have_flags_that_exist(text: str) -> None:
    from mien.cli.main import app

    arguments = app["serve"].assemble_argument_collection()
    used = set(
        re.findall(r"(?<=[ \"])--[a-z-]+", " ".join(re.findall(r"^(?:ENTRYPOINT|ExecStart).*", text, re.MULTILINE)))
    )
    assert used
    assert used <= {name for argument in arguments for name in argument.names}


@pytest.mark.slow
def test_the_steps_of_the_container_file_give_a_server_that_answers(
    run: "Run", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    opt = tmp_path / "opt"
    python = str(opt / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", opt], check=True)
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(opt),
        "install",
        "--quiet",
        "--no-cache-dir",
        "--require-hashes",
    ]
    lock = DEPLOY_DIR / "requirements.lock"
    subprocess.run([*install, "--only-binary", ":all:", "--requirement", str(lock)], check=True, timeout=400)
    (site,) = opt.glob("lib/python*/site-packages")
    shutil.copytree(Path(mien.__file__).parent, site / "mien", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([python, "-m", "compileall", "-q", site / "mien"], check=True)

    code = (
        "from importlib.util import find_spec as f\nprint([n for n in ('keras', 'tensorflow', 'ray', 'pip') if f(n)])"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with served(run.path, python=python) as service:
        status, document = service.ask(request("/predict", encoded(draw_image(1), "JPEG")))
        assert (status, document["predictions"][0]["error"]) == (200, None)
        # As the container says whether it is well.
        check = re.search(r'"(from urllib[^"]+)"', CONTAINERFILE)
        assert check
        command = [python, "-c", check[1].replace("8000", str(service.port))]
        assert subprocess.run(command, check=False).returncode == 0
        assert service.stop() == 0
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 1
