"""The feature cache: an aid that no fault of its own can make a danger."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mien.learning.feature_cache
from conftest import without_permission
from mien.errors import OutputError
from mien.learning.feature_cache import FeatureCache


def rows(*numbers: int) -> dict[str, NDArray[np.float32]]:
    return {f"image {number}": np.full(4, number, np.float32) for number in numbers}


def test_rows_come_back_as_they_were_and_only_to_their_maker(tmp_path: Path) -> None:
    FeatureCache(tmp_path / "new" / "folder").put("lite0", rows(1, 2))
    cache = FeatureCache(tmp_path / "new" / "folder")
    found = cache.get("lite0", ["image 2", "image 3"])
    assert list(found) == ["image 2"]
    np.testing.assert_array_equal(found["image 2"], [2, 2, 2, 2])
    assert cache.get("other", ["image 2"]) == {}


def test_a_row_can_be_put_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("lite0", rows(1))
    cache.put("lite0", {"image 1": np.zeros(4, np.float32)})
    np.testing.assert_array_equal(cache.get("lite0", ["image 1"])["image 1"], np.zeros(4))


def test_what_was_made_of_an_image_can_be_dropped(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    cache.drop(["image 1"])
    assert not (tmp_path / "cache").exists()
    cache.put("lite0", rows(1, 2))
    cache.put("other", rows(1))
    cache.drop(["image 1"])
    assert list(cache.get("lite0", ["image 1", "image 2"])) == ["image 2"]
    assert cache.get("other", ["image 1"]) == {}


def test_it_says_of_which_images_it_has_rows(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    assert cache.kept(["image 1"]) == set() and not (tmp_path / "cache").exists()
    cache.put("lite0", rows(1, 2))
    cache.put("other", rows(1))
    assert cache.kept(["image 1", "image 3"]) == {"image 1"}


def test_a_cache_that_nobody_may_write_to_is_read_all_the_same(open_path: Path) -> None:
    FeatureCache(open_path / "cache").put("lite0", rows(1))
    cache = FeatureCache(open_path / "cache")
    with without_permission(open_path / "cache", 0o555):
        assert list(cache.get("lite0", ["image 1"])) == ["image 1"] and cache.kept(["image 1"]) == {"image 1"}
        with pytest.raises(OutputError, match="cannot use the feature cache"):
            cache.put("lite0", rows(2))
        assert not cache.is_usable and cache.get("lite0", ["image 1"]) == {}
        cache.put("lite0", rows(2))


def test_a_folder_that_nobody_may_enter_is_an_error_in_words(open_path: Path) -> None:
    FeatureCache(open_path / "cache").put("lite0", rows(1))
    with (
        without_permission(open_path / "cache"),
        pytest.raises(OutputError, match=r"cannot use the feature cache .*: Permission denied"),
    ):
        FeatureCache(open_path / "cache").kept(["image 1"])


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0 but not really" * 100, None])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes | None) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("lite0", rows(*range(500)))
    (path,) = tmp_path.glob("*.sqlite")
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 20000 if damage is None else damage)
    with pytest.raises(OutputError, match="has been reset"):
        cache.get("lite0", ["image 1"])
    cache.put("lite0", rows(1))
    assert list(cache.get("lite0", ["image 1"])) == ["image 1"]


def test_a_folder_that_may_not_be_written_to_is_an_error_in_words(open_path: Path) -> None:
    with without_permission(open_path, 0o555), pytest.raises(OutputError, match="cannot use the feature cache"):
        FeatureCache(open_path / "below").put("lite0", rows(1))


def test_something_else_in_its_place_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "features.sqlite").mkdir()
    with pytest.raises(OutputError, match="cannot use the feature cache"):
        FeatureCache(tmp_path).get("lite0", ["image 1"])


@pytest.mark.slow
@pytest.mark.medium
def test_the_older_half_goes_when_it_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mien.learning.feature_cache, "_MAX_BYTES", 50_000)
    cache = FeatureCache(tmp_path)
    for number in range(1000):
        cache.put("lite0", {f"image {number}": np.zeros(100, np.float32)})
    kept = cache.get("lite0", [f"image {number}" for number in range(1000)])
    assert "image 999" in kept
    assert "image 0" not in kept
    assert len(kept) < 200
    (path,) = tmp_path.glob("*.sqlite")
    assert path.stat().st_size < 100_000


def test_what_is_in_the_file_is_never_run(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("lite0", rows(1))
    (path,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE features SET row = ?", (b"cos\nsystem\n(S'exit 1'\ntR.".ljust(28),))
    assert cache.get("lite0", ["image 1"])["image 1"].dtype == np.float32


@pytest.mark.medium
def test_several_processes_can_use_it_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from mien.learning.feature_cache import FeatureCache\n"
        "cache = FeatureCache(Path(sys.argv[1]))\n"
        "for n in range(30): cache.put(sys.argv[2], {str(n): np.zeros(4, np.float32)})"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b", "c")]
    assert [process.wait() for process in started] == [0, 0, 0]
    for name in ("a", "b", "c"):
        assert len(FeatureCache(tmp_path).get(name, map(str, range(30)))) == 30
