import sqlite3
from pathlib import Path

import numpy as np
import pytest

from archive_files import write_zip
from conftest import Heard, draw_image, encoded
from mien.config import FetchLimits
from mien.errors import OutputError, SourceNotFoundError
from mien.fetching.intake import take_in
from mien.fetching.source_log import LOG_NAME, load_sources
from mien.jobs.forget import forget
from mien.learning.feature_cache import FeatureCache
from servers import gallery

_connect = sqlite3.connect
HERE = FetchLimits(timeout_s=5, allow_private=True)


@pytest.fixture
def fetched(tmp_path: Path) -> tuple[Path, str]:
    """A folder that was fetched: an image, the same again, a near copy of it in another class, and another one."""
    image = draw_image(1)
    contents = {"/a.jpg": encoded(image, "JPEG"), "/same.jpg": encoded(image, "JPEG")}
    contents |= {"/near.jpg": encoded(image, "JPEG", quality=60), "/other.jpg": encoded(draw_image(2), "JPEG")}
    with gallery(contents) as shown:
        lines = [f"{'sad' if name == '/near.jpg' else 'happy'},{shown.url}{name}\n" for name in contents]
        (tmp_path / "all.txt").write_text("".join(lines))
        take_in([tmp_path / "all.txt"], tmp_path / "data", fetch_limits=HERE)
        return tmp_path / "data", shown.url


def test_an_image_is_forgotten_with_its_line(fetched: tuple[Path, str]) -> None:
    folder, url = fetched
    forgotten = forget(f"{url}/other.jpg", folder)
    assert len(forgotten.removed) == 1 and not (folder / forgotten.removed[0]).exists()
    assert (forgotten.urls, forgotten.copies, forgotten.shared) == ((f"{url}/other.jpg",), (), {})
    assert "/other.jpg" not in (folder / LOG_NAME).read_text()
    assert len(load_sources(folder)) == 3 and all((folder / r.path).exists() for r in load_sources(folder))


def test_what_was_made_of_an_image_is_forgotten_too(fetched: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = fetched
    hashes = {record.url.rpartition("/")[2]: record.sha256 for record in load_sources(folder)}
    cache = FeatureCache(tmp_path / "cache")
    cache.put("lite0", {sha256: np.ones(4, np.float32) for sha256 in hashes.values()})
    forget(f"{url}/other.jpg", folder, cache_dir=tmp_path / "cache")
    forget(f"{url}/a.jpg", folder, cache_dir=tmp_path / "cache")
    assert set(cache.get("lite0", hashes.values())) == set(hashes.values()) - {hashes["other.jpg"]}


def test_an_image_is_forgotten_where_the_cache_cannot_be_read(fetched: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = fetched
    (tmp_path / "cache" / "features.sqlite").mkdir(parents=True)
    heard = Heard()
    assert len(forget(f"{url}/other.jpg", folder, cache_dir=tmp_path / "cache", progress=heard).removed) == 1
    (line,) = heard.lines
    assert line.startswith("WARNING: cannot use the feature cache")


def test_nothing_is_removed_where_the_features_cannot_be(
    fetched: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = fetched
    hashes = {record.url.rpartition("/")[2]: record.sha256 for record in load_sources(folder)}
    FeatureCache(tmp_path / "cache").put("lite0", {hashes["other.jpg"]: np.ones(4, np.float32)})
    # As on a disk that can only be read.
    monkeypatch.setattr(sqlite3, "connect", _connect_to_read)
    with pytest.raises(OutputError, match=r"nothing was deleted: cannot use the feature cache .*readonly database"):
        forget(f"{url}/other.jpg", folder, cache_dir=tmp_path / "cache")
    assert len(load_sources(folder)) == 4 and all((folder / record.path).exists() for record in load_sources(folder))
    assert len(forget(f"{url}/same.jpg", folder, cache_dir=tmp_path / "cache").urls) == 1


def _connect_to_read(path: Path, timeout: float) -> sqlite3.Connection:
    return _connect(f"{path.as_uri()}?mode=ro", timeout=timeout, uri=True)


def test_an_image_that_came_from_another_url_too_stays_and_is_named(fetched: tuple[Path, str]) -> None:
    folder, url = fetched
    first = forget(f"{url}/a.jpg", folder)
    ((path, others),) = first.shared.items()
    assert (first.removed, others) == ((), (f"{url}/same.jpg",)) and (folder / path).exists()
    second = forget(f"{url}/same.jpg", folder)
    assert second.removed == (path,) and not (folder / path).exists()
    assert [copy.split("/")[0] for copy in second.copies] == ["sad"]


def test_an_archive_is_forgotten_as_a_whole_or_by_member(tmp_path: Path) -> None:
    images = {f"happy/{n}.jpg": encoded(draw_image(n), "JPEG") for n in range(3)}
    path = write_zip(tmp_path / "a.zip", images)
    take_in([path], tmp_path / "data")
    assert len(forget(f"{path.as_uri()}#happy/1.jpg", tmp_path / "data").removed) == 1
    forgotten = forget(str(path), tmp_path / "data")
    assert len(forgotten.removed) == 2 and forgotten.to_dict()["removed"] == list(forgotten.removed)
    assert load_sources(tmp_path / "data") == [] and list((tmp_path / "data/happy").iterdir()) == []


def test_an_image_that_was_changed_is_not_removed(fetched: tuple[Path, str]) -> None:
    folder, url = fetched
    path = next(folder / r.path for r in load_sources(folder) if r.url.endswith("/other.jpg"))
    path.write_bytes(b"drawn over")
    with pytest.raises(OutputError, match="1 image changed since the fetch"):
        forget(f"{url}/other.jpg", folder)
    assert path.read_bytes() == b"drawn over" and len(load_sources(folder)) == 4
    path.unlink()
    assert forget(f"{url}/other.jpg", folder).removed == () and len(load_sources(folder)) == 3


def test_an_unknown_url_or_folder_is_refused(fetched: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"is not in '.*'$"):
        forget("http://h/none.jpg", fetched[0])
    with pytest.raises(SourceNotFoundError, match=r"has no sources\.csv"):
        forget("http://h/none.jpg", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_log_that_leads_out_of_the_folder_removes_nothing(fetched: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = fetched
    (tmp_path / "mine.jpg").write_bytes((folder / load_sources(folder)[0].path).read_bytes())
    text = (folder / LOG_NAME).read_text()
    (folder / LOG_NAME).write_text(text.replace(load_sources(folder)[0].path, "../mine.jpg"))
    with pytest.raises(SourceNotFoundError, match="not the path of an image"):
        forget(f"{url}/a.jpg", folder)
    assert (tmp_path / "mine.jpg").exists()
