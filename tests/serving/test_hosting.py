"""Where the server listens, and what it says when it starts, or why it cannot."""

import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mien.serving
from conftest import Mien, classifier_of
from mien.config import ServeConfig
from mien.errors import SettingsError
from mien.serving.hosting import greeting, listen

if TYPE_CHECKING:
    from mien.runs.run import Run

HAPPY_OR_SAD = classifier_of(("happy", "sad"))


@pytest.fixture(autouse=True)
def _the_network_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mien.serving.hosting._ELSEWHERE", {4: (socket.AF_INET, "127.0.0.1"), 6: (socket.AF_INET6, "::1")}
    )


def test_a_free_port_is_found() -> None:
    with listen(ServeConfig(port=0)) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        socket.create_connection((host, port)).close()


def test_a_port_that_is_taken_is_one_clear_line(run: "Run", command: Mien) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = command("serve", run.path, "--port", taken.getsockname()[1])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "another program is using it. Choose another --port" in err


@pytest.mark.parametrize(
    ("host", "words"),
    [("a..b", "unknown host 'a..b'"), ("192.0.2.1", "not an address of this machine"), ("x\n" * 99, "x")],
)
def test_a_host_that_is_none_is_told(host: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        listen(ServeConfig(host=host, port=0))


def test_a_port_that_needs_rights_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.create_server", forbid)
    with pytest.raises(SettingsError, match="permission denied"):
        listen(ServeConfig(port=80))


def test_a_run_that_is_none_is_one_clear_line(tmp_path: Path, command: Mien) -> None:
    code, out, err = command("serve", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    code, out, err = command("serve", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_package_that_is_missing_is_named(run: "Run", command: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("process", "connections"):
        monkeypatch.delitem(sys.modules, f"mien.serving.{name}", raising=False)
        monkeypatch.delattr(mien.serving, name, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, err = command("serve", run.path)
    assert code == 2
    assert re.search(r'pip install --editable ".+\[serve\]"', err)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("127.0.0.1", 8000), "http://127.0.0.1:8000 "),
        (("::1", 8000, 0, 0), "http://[::1]:8000 "),
        (("0.0.0.0", 80), "http://localhost:80 "),
        (("fe80::1%lo", 8000, 0, 2), "http://[fe80::1]:8000 "),
    ],
)
def test_the_greeting_says_where_and_what(address: tuple[str, int], url: str) -> None:
    text = greeting(HAPPY_OR_SAD, address, has_key=False)
    assert url in text
    assert "(classes: happy, sad). The API is at /docs. Press Ctrl-C to stop." in text


def test_the_greeting_names_the_address_in_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    text = greeting(HAPPY_OR_SAD, ("0.0.0.0", 80), has_key=True)
    assert text.startswith("Serving at http://localhost:80 and http://127.0.0.1:80 (classes: happy, sad).")
    monkeypatch.setattr("mien.serving.hosting._ELSEWHERE", {4: (socket.AF_INET, "::1")})
    assert greeting(HAPPY_OR_SAD, ("0.0.0.0", 80), has_key=True).startswith("Serving at http://localhost:80 (classes")


@pytest.mark.parametrize(("host", "is_open"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("::", True)])
def test_who_opens_it_to_all_without_a_key_is_warned(host: str, is_open: bool) -> None:
    words = "anyone who can reach this machine"
    assert (words in greeting(HAPPY_OR_SAD, (host, 80), has_key=False)) == is_open
    assert words not in greeting(HAPPY_OR_SAD, (host, 80), has_key=True)


def test_class_names_cannot_play_tricks_on_the_terminal_or_fill_it() -> None:
    text = greeting(classifier_of(("\x1b[2J", *map(str, range(999)))), ("127.0.0.1", 80), has_key=False)
    assert "\x1b" not in text
    assert "and 990 more" in text
    assert len(text) < 240
