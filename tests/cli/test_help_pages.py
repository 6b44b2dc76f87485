"""Help: what --help and --help-all show of each command, and what the Tab key offers."""

import os
import re
import subprocess

import pytest

from conftest import Mien
from mien.cli.help_pages import MAIN_FLAGS
from mien.cli.main import app

pytestmark = pytest.mark.medium


def flags_in(text: str) -> list[str]:
    return re.findall(r"^[│|] (?:[* ]  )?(--[a-z0-9-]+)", text, re.MULTILINE)


@pytest.mark.parametrize("name", MAIN_FLAGS)
def test_the_help_of_a_command_shows_its_main_flags_and_how_to_see_the_others(command: Mien, name: str) -> None:
    code, out, err = command(name, "--help")
    assert (code, err) == (0, "")
    shown = flags_in(out)
    assert shown == [f"--{flag}" for flag in MAIN_FLAGS[name].split()]
    assert len(shown) <= 8
    assert out.startswith(f"Usage: mien {name} ") and "ARGS" not in out
    assert out.endswith(f"More options: mien {name} --help-all\n")
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", MAIN_FLAGS)
def test_all_flags_are_in_the_help_of_all(command: Mien, name: str) -> None:
    code, out, _ = command(name, "--help-all")
    arguments = app[name].assemble_argument_collection()
    flags = {argument.names[0] for argument in arguments if argument.names[0].startswith("--")}
    assert code == 0
    assert flags <= set(flags_in(out))
    assert "More options" not in out


@pytest.mark.parametrize("name", ["demo", "report", "compare"])
def test_a_command_with_few_flags_shows_them_all(command: Mien, name: str) -> None:
    assert command(name, "--help")[1] == command(name, "--help-all")[1]


def test_the_list_of_commands_names_every_command_once(command: Mien) -> None:
    _, out, _ = command("--help")
    names = re.findall(r"^[│|] ([a-z]+)  ", out, re.MULTILINE)
    assert sorted(names) == sorted({*MAIN_FLAGS, "demo", "report", "compare"})
    assert max(map(len, out.splitlines())) <= 80


def test_the_tab_key_completes_values(tmp_path: os.PathLike[str]) -> None:
    script = app.generate_completion(shell="bash")
    asked = 'COMP_WORDS=(mien train data --preset ""); COMP_CWORD=4; _mien; echo "${COMPREPLY[@]}"'
    bash = ["bash", "--norc", "-c", f"{script}\n{asked}"]
    done = subprocess.run(bash, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.split() == ["fast", "best", "classic"], done.stderr
