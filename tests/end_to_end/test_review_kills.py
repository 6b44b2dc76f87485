"""`mien review` as a process of its own: twenty kills in the middle of the work lose no decision."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from mien.data.decisions import load_decisions
from serve_process import served

NUM_KILLS = 20


@contextmanager
def reviewed(run: Path) -> Iterator[tuple["subprocess.Popen[str]", HTTPConnection]]:
    """Run the command, and connect to it."""
    with (
        served(run, what="review") as service,
        closing(HTTPConnection("127.0.0.1", service.port, timeout=20)) as connection,
    ):
        yield service.process, connection


def ask(connection: HTTPConnection, method: str, path: str, document: Any = None) -> Any:
    body = None if document is None else json.dumps(document)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())


@pytest.mark.slow
def test_twenty_kills_lose_no_decision(copied: Path) -> None:
    said: dict[str, str] = {}
    numbers, asked = count(), ""
    for kill in range(NUM_KILLS):
        with reviewed(copied) as (process, connection):
            images = ask(connection, "GET", "/images?queue=class-0")["images"]
            shown = {image["path"]: image["decision"] for image in images if image["decision"]}
            # Of the one that a kill cut off nobody was told.
            assert {**shown, asked: ""} == {**said, asked: ""}
            said = shown
            Timer(0.05 + 0.02 * kill, process.kill).start()
            try:
                while True:
                    number = next(numbers)
                    image, decision = (
                        images[number % len(images)],
                        ("sad", "keep", "leave-out")[number // len(images) % 3],
                    )
                    asked = image["path"]
                    ask(connection, "POST", "/decide", {"ids": [image["id"]], "decision": decision})
                    said[asked] = decision
            except (OSError, HTTPException):
                process.wait()
    assert next(numbers) > NUM_KILLS
    kept = load_decisions(copied / "decisions.csv")
    assert {**kept, asked: ""} == {**{path: d for path, d in said.items() if d != "keep"}, asked: ""}


@pytest.mark.slow
def test_ctrl_c_stops_it_and_says_where_the_decisions_are(copied: Path) -> None:
    with reviewed(copied) as (process, connection):
        image = ask(connection, "GET", "/images?queue=class-0&count=1")["images"][0]
        ask(connection, "POST", "/decide", {"ids": [image["id"]], "decision": "sad"})
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "stopped: 1 image decided" in process.stderr.read()
    assert len(load_decisions(copied / "decisions.csv")) == 1
