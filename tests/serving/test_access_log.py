import json
import os
import re
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from mien.serving.access_log import AccessLog, Exchange, line_of
from serve_process import request, served

if TYPE_CHECKING:
    from mien.runs.run import Run

ASKED = Exchange("127.0.0.1", "POST", "/predict", 200, 0.0123456, 40_000, 167, 1)


def test_a_line_says_who_asked_what_for_how_long_and_how_much() -> None:
    line = json.loads(line_of(ASKED))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "client": "127.0.0.1",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "duration_ms": 12.35,
        "bytes_in": 40_000,
        "bytes_out": 167,
        "num_images": 1,
    }


def test_hostile_text_stays_on_one_short_line() -> None:
    line = line_of(Exchange("\n\x1b[2J\udcff" * 1000, "GET\n" * 1000))
    assert line.isascii() and line.count(b"\n") == 1 and len(line) < 1000
    assert json.loads(line)["method"] == "other"


def test_lines_are_written_in_their_order_and_all_of_them_when_it_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as file:
        log = AccessLog(file)
        for number in range(500):
            log.write(Exchange("", "GET", num_images=number))
        log.close()
        lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["num_images"] for line in lines] == list(range(500))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_holds_up_nothing() -> None:
    with Path("/dev/full").open("w") as file:
        log = AccessLog(file)
        for _ in range(100):
            log.write(ASKED)
        log.close()
        assert log.num_lost == 100


def test_a_reader_that_went_away_holds_up_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as file:
        log = AccessLog(file)
        log.write(ASKED)
        log.close()
        assert log.num_lost == 1


def test_a_reader_that_stalls_holds_up_nothing_and_is_told_later_what_it_missed() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, ThreadPoolExecutor(1) as pool:
        with os.fdopen(writing, "w") as file:
            log = AccessLog(file)
            # In a thread that can be given up: a line that waited for the reader would do so for ever.
            asking = Thread(target=lambda: deque(map(log.write, 15_000 * [ASKED]), maxlen=0), daemon=True)
            asking.start()
            asking.join(60)
            assert not asking.is_alive()
            read = pool.submit(pipe.read)
            log.close()
        lines = [json.loads(line) for line in read.result().splitlines()]
    told = [line["num_lines_lost"] for line in lines if "num_lines_lost" in line]
    assert sum(told) == log.num_lost > 1000
    assert len(lines) - len(told) == 15_000 - log.num_lost


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("place", ["full", "stalled", "gone"])
def test_wherever_standard_output_goes_the_server_answers_and_stops_in_order(run: "Run", place: str) -> None:
    reading, writing = os.pipe()
    if place == "full":
        os.close(writing)
        writing = os.open("/dev/full", os.O_WRONLY)
    with served(run.path, stdout=writing) as service:
        os.close(writing)
        if place == "gone":
            os.close(reading)
        for _ in range(1_000):
            assert service.ask(request("/healthz")) == (200, {"status": "alive"})
        assert service.stop() == 0
        assert service.process.stderr is not None and service.process.stderr.read() == ""
    if place != "gone":
        os.close(reading)


@pytest.mark.parametrize("stream", ["none", "closed", "captured"])
def test_what_is_no_open_file_takes_no_lines(stream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if stream == "none":
        log = AccessLog(None)
    elif stream == "closed":
        file = (tmp_path / "log").open("w")
        file.close()
        log = AccessLog(file)
    else:
        log = AccessLog(sys.stdout)
    log.write(ASKED)
    log.close()
    assert capsys.readouterr().out == ""
