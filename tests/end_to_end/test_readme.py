"""The README: its commands and its Python are run as they stand, and its map names every module."""

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mien
from conftest import draw_folder, draw_image
from serve_process import request, served

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")


# What needs a network, a browser or a store is tried in tests of its own.
_ELSEWHERE = {"fetch", "web", "s3://bucket/photos"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the README speaks of it, with images of more than 10 KB."""
    monkeypatch.chdir(tmp_path)
    for class_number, name in enumerate(("happy", "sad")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(50):
            image = draw_image(100 * class_number + number, width=300, height=300)
            image.save(tmp_path / "data" / name / f"{number:02}.jpg", quality=100, subsampling=0)
    shutil.copy(tmp_path / "data/happy/00.jpg", tmp_path / "photo.jpg")
    shutil.copytree(tmp_path / "data/sad", tmp_path / "holiday")
    draw_folder(tmp_path / "other-photos", 10, first_seed=5000)
    shutil.copytree(tmp_path / "other-photos/sad", tmp_path / "unlabelled")
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_the_readme_work_as_they_stand(photos: Path) -> None:
    typed = re.findall(r"^\$ (mien [^#\n]+)", "".join(blocks("console")), re.MULTILINE)
    commands = [command.split() for command in [*typed, *re.findall(r"\[`(mien [^`]+)`\]", README)]]
    words = "check train predict fetch clean review evaluate explain compare next sort serve export export predict"
    assert [command[1] for command in commands] == words.split()
    for command in commands:
        if _ELSEWHERE & {*command}:
            continue
        if command[1] == "compare":
            shutil.copytree(photos / "runs/train", photos / "runs/train2")
        if command[1] in ("serve", "review"):
            # On a free port, and not to the end of time.
            with served(Path(*command[2:]), what=command[1]) as service:
                assert service.ask(request("/healthz" if command[1] == "serve" else "/state"))[0] == 200
            continue
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout


@pytest.mark.slow
def test_the_python_of_the_readme_works_as_it_stands(photos: Path) -> None:
    (code,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "95% interval" in done.stdout


def test_the_map_of_the_readme_names_every_room() -> None:
    (tree,) = re.findall(r"^src/mien/\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"^  (\S+?)/? ", tree, re.MULTILINE))
    within = [path for path in Path(mien.__file__).parent.iterdir() if path.is_dir() or path.suffix == ".py"]
    places = {path.name for path in within if not path.name.startswith("__")}
    assert named == places


def test_every_command_and_every_file_of_the_readme_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (REPOSITORY / link).exists(), link
    for target in re.findall(r"(?:\$ |`)make ([\w-]+)", README):
        assert re.search(rf"^{target}: .*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE), target


def pins(name: str) -> set[str]:
    """Return the packages of a lock with their versions and the systems that they are for."""
    lines = (REPOSITORY / name).read_text().splitlines()
    return {line.removesuffix(" \\") for line in lines if "==" in line and not line.startswith((" ", "#"))}


def test_the_demo_installs_a_part_of_what_is_locked_and_no_training_framework() -> None:
    versions = {pin.split(" ;")[0] for pin in pins("requirements.lock")}
    assert {pin.split(" ;")[0] for pin in pins("requirements-demo.lock")} <= versions
    names = {pin.split("==")[0] for pin in pins("requirements-demo.lock")}
    assert names >= {
        "onnx",
        "scipy",
        "jinja2",
        "threadpoolctl",
        "dicebear-core",
        "resvg-py",
        "hatchling",
        "editables",
    }
    assert not names & {"keras", "tensorflow", "tensorflow-cpu", "tensorboard", "tf2onnx", "pytest", "fastapi"}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-demo.lock", "deploy/requirements.lock"])
def test_the_lock_names_no_index_and_no_path(name: str) -> None:
    lines = (REPOSITORY / name).read_text().splitlines()
    assert not [line for line in lines if re.search(r"https?:|file:|--(extra-)?index|--find-links", line)]
    assert all("==" in line for line in lines if line and not line.startswith((" ", "#")))


def test_what_the_makefile_imports_of_mien_is_there() -> None:
    found = re.findall(r"from (mien[\w.]*) import (\w+)", (REPOSITORY / "Makefile").read_text())
    assert found
    for module, name in found:
        assert hasattr(import_module(module), name), (module, name)
