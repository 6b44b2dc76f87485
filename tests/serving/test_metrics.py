import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import draw_image, encoded
from mien.errors import OutputError
from mien.serving.metrics import FOLDER_VARIABLE, ServiceMetrics, counted_together
from serve_process import request, served

if TYPE_CHECKING:
    from mien.runs.run import Run

Samples = dict[tuple[str, ...], float]

# What a worker counts: a request, an image, and one that is still in work. Then it waits, or dies on the spot.
WORKER = """
import os, sys
from mien.serving.metrics import ServiceMetrics
metrics = ServiceMetrics(["happy", "sad"])
metrics.count_request("/predict", 200, 0.02)
metrics.count_answer("happy", out_of_distribution=True)
metrics.num_waiting.inc(3)
if sys.argv[1] == "dies":
    os._exit(9)
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.buffer.write(metrics.text())
"""


def samples(text: bytes) -> Samples:
    """Return each value by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def counted(metrics: ServiceMetrics) -> Samples:
    return samples(metrics.text())


def test_requests_are_counted_by_route_and_status() -> None:
    metrics = ServiceMetrics(["happy", "sad"])
    for duration_s in (0.004, 0.02, 99.0):
        metrics.count_request("/predict", 200, duration_s)
    metrics.count_request(None, 404, 0.001)
    metrics.count_request("/predict", None, 0.001)
    found = counted(metrics)
    assert found["mien_requests_total", "/predict", "200"] == 3
    assert found["mien_requests_total", "none", "404"] == found["mien_requests_total", "/predict", "none"] == 1
    assert found["mien_request_duration_seconds_bucket", "0.025", "/predict"] == 3
    assert found["mien_request_duration_seconds_count", "/predict"] == 4
    assert found["mien_request_duration_seconds_sum", "/predict"] == pytest.approx(99.025)


def test_classes_whose_names_look_alike_are_counted_apart() -> None:
    names = ["\u202e", "\\u202e", "\\\\u202e"]
    metrics = ServiceMetrics(names)
    for name in names:
        metrics.count_answer(name)
    found = {key[1]: value for key, value in counted(metrics).items() if key[0] == "mien_images_total" and key[1]}
    assert list(found.values()) == [1, 1, 1] and all(name.isprintable() for name in found)


def test_images_are_counted_by_what_was_said_of_them_and_every_label_is_there_from_the_start() -> None:
    metrics = ServiceMetrics(["happy", "sad"])
    before = {key: value for key, value in counted(metrics).items() if key[0] == "mien_images_total"}
    assert {key[1:]: value for key, value in before.items()} == {
        ("happy", "class"): 0,
        ("sad", "class"): 0,
        ("", "unsure"): 0,
        ("", "error"): 0,
    }
    for label in ("happy", "happy", "sad", "unsure", None):
        metrics.count_answer(label)
    metrics.count_answer("sad", out_of_distribution=True)
    after = {key: value for key, value in counted(metrics).items() if key[0] == "mien_images_total"}
    assert after.keys() == before.keys()
    assert [after[key] for key in before] == [2, 2, 1, 1]
    assert counted(metrics)["mien_out_of_distribution_images_total",] == 1


def test_classes_called_unsure_and_error_are_not_mistaken_for_answers_that_are_none() -> None:
    metrics = ServiceMetrics(["unsure", "error"])
    for label in ("unsure", "error", "error", None):
        metrics.count_answer(label)
    found = counted(metrics)
    assert found["mien_images_total", "unsure", "class"] == 1
    assert found["mien_images_total", "error", "class"] == 2
    assert (found["mien_images_total", "", "unsure"], found["mien_images_total", "", "error"]) == (0, 1)


def test_a_hostile_class_name_can_be_read_back() -> None:
    names = ['"} 1\nmien_hacked 1', "\\", "\udcff", "пример", "x" * 500]
    metrics = ServiceMetrics(names)
    for name in names:
        metrics.count_answer(name)
    found = counted(metrics)
    assert len([key for key, value in found.items() if key[0] == "mien_images_total" and value == 1]) == 5
    assert not [key for key in found if key[0] == "mien_hacked"]


def test_a_thread_is_busy_while_its_time_is_taken_also_when_it_fails() -> None:
    metrics = ServiceMetrics(["happy", "sad"])
    with metrics.timed("decoding"), metrics.timed("inference"):
        assert counted(metrics)["mien_threads_busy",] == 2
    with pytest.raises(OSError, match="broken"), metrics.timed("heat_map"):
        raise OSError("broken")
    found = counted(metrics)
    assert found["mien_threads_busy",] == 0
    assert all(found["mien_work_seconds_total", stage] > 0 for stage in ("decoding", "inference", "heat_map"))


def test_two_servers_in_a_process_count_apart() -> None:
    first, second = ServiceMetrics(["happy", "sad"]), ServiceMetrics(["happy", "sad"])
    first.num_waiting.inc(5)
    assert (counted(first)["mien_images_waiting",], counted(second)["mien_images_waiting",]) == (5, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
def test_the_memory_of_the_process_is_told() -> None:
    assert counted(ServiceMetrics(["happy", "sad"]))["process_resident_memory_bytes",] > 10_000_000


def worker(fate: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", WORKER, fate], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.medium
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of other processes")
def test_several_processes_count_together_and_what_a_dead_one_had_in_work_is_forgotten() -> None:
    with counted_together() as folder:
        assert os.environ[FOLDER_VARIABLE] == str(folder)
        with worker("dies") as dying:
            assert dying.wait(30) == 9
        # Its place on the disk is taken before it is written to.
        if sys.platform != "win32":
            assert all(path.stat().st_blocks * 512 >= path.stat().st_size > 0 for path in folder.glob("*.db"))
        workers = [worker("lives") for _ in range(2)]
        assert [w.stdout and w.stdout.readline() for w in workers] == [b"ready\n"] * 2
        # While both are there, either tells of both.
        found, *_ = [samples(w.communicate(b"tell\n", 30)[0]) for w in workers]
    assert not folder.exists()
    assert FOLDER_VARIABLE not in os.environ
    assert (
        found["mien_requests_total", "/predict", "200"] == found["mien_request_duration_seconds_count", "/predict"] == 3
    )
    assert found["mien_images_total", "happy", "class"] == found["mien_out_of_distribution_images_total",] == 3
    assert found["mien_images_waiting",] == 6
    memory = [value for key, value in found.items() if key[0] == "process_resident_memory_bytes"]
    assert len(memory) == 2 and min(memory) > 10_000_000


def test_a_folder_that_others_chose_is_theirs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, "theirs")
    with counted_together():
        assert os.environ[FOLDER_VARIABLE] != "theirs"
    assert os.environ[FOLDER_VARIABLE] == "theirs"


def test_a_folder_for_counting_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="Set TMPDIR"), counted_together():
        pass


@pytest.mark.slow
def test_the_workers_of_a_server_count_together(run: "Run") -> None:
    with served(run.path, "--workers", 2) as service:
        for _ in range(20):
            assert service.ask(request("/predict", encoded(draw_image(1), "JPEG")))[0] == 200
        found = samples(httpx.get(f"http://127.0.0.1:{service.port}/metrics").content)
        assert found["mien_requests_total", "/predict", "200"] == 20
        assert found["mien_images_total", "happy", "class"] + found["mien_images_total", "sad", "class"] == 20
        assert service.stop() == 0
