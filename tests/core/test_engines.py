"""Engines: what is refused before any work, and that who does not ask for Ray never loads it."""

import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from mien.config import EngineConfig
from mien.core.engines import spread, using
from mien.errors import ImageError, MissingExtraError, SettingsError

Mien = Callable[..., tuple[int, str, str]]


def test_the_local_engine_yields_results_in_the_order_of_the_items() -> None:
    with using(EngineConfig()):
        assert list(spread(abs, range(-100, 100))) == [abs(item) for item in range(-100, 100)]


@pytest.mark.medium
def test_the_local_engine_never_loads_ray() -> None:
    code = (
        "import sys; from mien.config import EngineConfig; from mien.core.engines import spread, using\n"
        "with using(EngineConfig()): list(spread(abs, [1]))\n"
        "print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_local_engine_raises_what_the_function_does() -> None:
    def fail(item: int) -> int:
        raise ImageError("empty", f"{item} has no bytes")

    with pytest.raises(ImageError, match="7 has no bytes"):
        list(spread(fail, [7]))


@pytest.mark.parametrize("address", ["nonsense", "ray://10.0.0.1:10001", "10.0.0.1:", "a b:1", "http://10.0.0.1:6379"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(SettingsError, match="expected HOST:PORT"):
        EngineConfig("ray", address)


@pytest.mark.medium
@pytest.mark.parametrize("address", ["localhost:abc", ":", f"{'h' * 300}:1", "héhé..:1"])
def test_an_address_from_the_environment_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(SettingsError, match="no answer from"), using(EngineConfig("ray")):
        pass


@pytest.mark.parametrize("command_name", ["check", "train", "predict"])
def test_an_address_without_ray_is_refused(command: Mien, command_name: str) -> None:
    code, _, err = command(
        command_name, "one", *(["two"] * (command_name == "predict")), "--ray-address", "10.0.0.1:6379"
    )
    assert (code, "add --engine ray" in err) == (2, True), err


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install --editable ".+\[ray\]"'), using(EngineConfig("ray")):
        pass


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
@pytest.mark.extras
def test_where_nobody_listens_it_is_said_at_once() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        refused = pytest.raises(SettingsError, match=rf"no answer from 127\.0\.0\.1:{port}")
        with refused, using(EngineConfig("ray", f"127.0.0.1:{port}")):
            pass
