"""The settings of the server: what makes no sense is refused before it starts, in words of what was given."""

from typing import Any

import pytest

from mien.config import ServeConfig
from mien.errors import SettingsError


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"port": 65536}, "port is 65536; expected 0 to 65535"),
        ({"workers": 0}, "workers is 0; expected 1 or more"),
        ({"max_file_mb": 1e-9}, "max_file_mb is 1e-09; expected 0.001 to a million"),
        ({"max_file_mb": float("nan")}, "max_file_mb is nan"),
        ({"max_memory_mb": 1e7}, "max_memory_mb is 10000000.0; expected 0.001 to a million"),
        ({"answer_timeout_s": 0}, "answer_timeout_s is 0; expected above 0"),
        (
            {"max_memory_mb": 64, "workers": 3},
            "max_file_mb is 32, more than the max_memory_mb of 64 in each of 3 workers",
        ),
        ({"max_files": 300}, "max_files is 300, more than the 256 that may wait"),
        ({"threshold": 90}, "threshold is 90; expected 0 to 1"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ServeConfig(**settings)
    assert told in str(caught.value)


def test_the_least_values_are_taken() -> None:
    config = ServeConfig(max_file_mb=0.001, max_memory_mb=0.001, threshold=0, answer_timeout_s=1e-6)
    assert config.max_file_bytes == config.max_memory_bytes == 1048
