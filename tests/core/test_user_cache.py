"""The user's cache: where it is, and that a user without a home folder has none."""

import os
from pathlib import Path

import platformdirs
import pytest

from mien.core.user_cache import user_cache_dir
from mien.errors import OutputError


def test_it_lies_below_what_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_dir() == tmp_path / "mien"


def test_a_user_without_a_home_folder_has_none(homeless: None) -> None:
    with pytest.raises(OutputError, match="no home folder"):
        user_cache_dir()


def test_a_home_that_is_not_found_is_no_folder_of_the_name_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: Path("~/.cache/mien"))
    with pytest.raises(OutputError, match="no home folder"):
        user_cache_dir()


def test_a_folder_that_cannot_be_is_left_to_whoever_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", os.devnull)
    assert user_cache_dir() == Path(os.devnull, ".cache", "mien")
