"""The tiers of the tests: what a quick one may not do, nor one that is not slow.

A test without a marker is quick. One that asks for a trained run is medium.
"""

import multiprocessing.process
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

QUICK = "not (medium or slow or proxy or browser or site or extras)"
_OTHERS = ("medium", "slow", "proxy", "browser", "site", "extras")
_OF_ANOTHER_TIER = re.compile(rf"^pytestmark = .*pytest\.mark\.({'|'.join(_OTHERS)})\b", re.MULTILINE)
# Fixtures that train a run.
_RUNS = {"run", "copied", "small_run"}
_FRAMEWORKS = ("keras", "tensorflow")
_STARTS = [
    (subprocess.Popen, "__init__"),
    (multiprocessing.process.BaseProcess, "start"),
    *((os, name) for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system") if hasattr(os, name)),
]
_at_work: list[pytest.Item] = []


class Lazy:
    """A module that is loaded when something of it is first used: for test files that hold quick tests, too."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        # While tests are collected, whatever stands in a file is looked at.
        if not _at_work:
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)


class _Watch:
    """Looks on while modules are imported; finds none."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        # To ask whether a module is installed is not to load it.
        if name in _FRAMEWORKS and sys._getframe(2).f_code.co_name.startswith("_find_and_load"):
            _refuse(f"import {name}", "slow", "browser", "site")
        return None


def pytest_configure() -> None:
    for owner, name in _STARTS:
        setattr(owner, name, _watched(getattr(owner, name)))
    sys.meta_path.insert(0, _Watch())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For the quick tests alone, do not even import the files that have none: what they import takes seconds."""
    if config.option.markexpr != QUICK or collection_path.suffix != ".py":
        return None
    return bool(_OF_ANOTHER_TIER.search(collection_path.read_text("utf-8"))) or None


def pytest_itemcollected(item: pytest.Item) -> None:
    if _RUNS & {*getattr(item, "fixturenames", ())}:
        item.add_marker(pytest.mark.medium)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left to work alone."""
    items.sort(key=_rank)


def pytest_collection_finish() -> None:
    """Let no file load a framework while tests are collected: every process would, for seconds and a GB."""
    if loaded := {*_FRAMEWORKS} & {*sys.modules}:
        raise pytest.UsageError(f"a test file imports {', '.join(sorted(loaded))}: see Lazy in tests/tiers.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _at_work.append(item)
    try:
        return (yield)
    finally:
        _at_work.pop()


def _rank(item: pytest.Item) -> bool:
    return not {marker.name for marker in item.iter_markers()} & {*_OTHERS}


def _watched(start: Callable[..., Any]) -> Callable[..., Any]:
    def started(*arguments: Any, **options: Any) -> Any:
        _refuse("start a process", *_OTHERS)
        return start(*arguments, **options)

    return started


def _refuse(what: str, *markers: str) -> None:
    """Fail the test at work, unless it has one of some markers; the first of them is what it needs."""
    if _at_work and not any(_at_work[-1].get_closest_marker(name) for name in markers):
        pytest.fail(f"this test may not {what}: mark it with pytest.mark.{markers[0]}")
