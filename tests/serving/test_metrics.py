import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mien.serving.metrics import ServiceMetrics

if TYPE_CHECKING:
    pass

Samples = dict[tuple[str, ...], float]


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
