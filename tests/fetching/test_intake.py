import hashlib
import os
import random
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import pytest

from archive_files import write_tar, write_zip
from conftest import draw_image, encoded, make_pipe
from mien.config import FetchLimits, IntakeLimits
from mien.data.scanning import scan
from mien.errors import OutputError, SettingsError, SourceNotFoundError
from mien.fetching import downloads
from mien.fetching.intake import Intake, sort_out, source_url, take_in
from mien.fetching.source_log import LOG_NAME, SourceRecord, load_sources, write_sources
from mien.jobs.forget import forget
from servers import Gallery, gallery, pour, redirect, reply, say_nothing, serving

HERE = FetchLimits(timeout_s=5, allow_private=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_FIRST_PAUSE_S", 0.01)


def jpeg(seed: int) -> bytes:
    return encoded(draw_image(seed), "JPEG")


def hashes(folder: Path) -> dict[str, str]:
    """Every image in a folder, and its hash; no other file must be there but the log."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() and p.name != LOG_NAME}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(found.items())}


def assert_log_is_true(folder: Path) -> None:
    """Every image is in the log with its hash, and the log has one line per URL."""
    records = load_sources(folder)
    assert {r.path: r.sha256 for r in records if r.path} == hashes(folder)
    assert len((folder / LOG_NAME).read_text().splitlines()) == len(records) + 1


def write_list(path: Path, shown: Gallery, names: list[str]) -> Path:
    path.write_text("".join(f"{shown.url}{name}\n" for name in names))
    return path


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def take(*sources: str | Path, to: Path, limits: IntakeLimits = IntakeLimits()) -> Intake:
    return take_in(sources, to, limits, fetch_limits=HERE)


def test_lists_become_class_folders_with_a_source_for_every_image(tmp_path: Path) -> None:
    png = encoded(draw_image(3), "PNG")
    with gallery({"/My%20smile.jpeg?x=1": jpeg(1), "/b": png, "/c.png": jpeg(2)}) as shown:
        happy = write_list(tmp_path / "happy.txt", shown, ["/My%20smile.jpeg?x=1", "/b"])
        sad = write_list(tmp_path / "sad.txt", shown, ["/c.png"])
        made = take(happy, sad, to=tmp_path / "data")
    assert (dict(made.new), dict(made.there), made.failures, made.is_whole) == ({"happy": 2, "sad": 1}, {}, [], True)
    names = sorted(hashes(tmp_path / "data"))
    assert [name[:-17] + name[-4:] for name in names] == ["happy/My-smile.jpg", "happy/b.png", "sad/c.jpg"]
    assert_log_is_true(tmp_path / "data")
    assert {record.url.removeprefix(shown.url) for record in load_sources(tmp_path / "data")} == set(shown.contents)
    assert sorted(os.listdir(tmp_path / "data")) == ["happy", "sad", LOG_NAME]


def test_a_second_run_fetches_only_what_is_missing_or_failed_in_a_way_that_may_pass(tmp_path: Path) -> None:
    contents = {"/a.jpg": jpeg(1), "/b.jpg": jpeg(2), "/page.jpg": b"<html>no", "/half.jpg": jpeg(3)[:500]}
    with gallery(contents) as shown, serving(reply(b"", "503 Busy")) as busy:
        happy = write_list(tmp_path / "happy.txt", shown, [*contents, "/none.jpg"])
        happy.write_text(happy.read_text() + busy.url)
        made = take(happy, to=tmp_path / "data", limits=IntakeLimits(retries=0))
        assert (made.new["happy"], made.failed["happy"], made.is_whole) == (2, 4, False)
        statuses = {record.url.rpartition("/")[2]: record.status for record in made.failures}
        assert statuses["page.jpg"] == "refused: a web page, not an image"
        assert statuses["half.jpg"].startswith("refused: damaged")
        assert statuses["none.jpg"] == "refused: the server answered 404 Not Found"
        assert "failed: the server answered 503 Busy" in statuses.values()
        shown.asked.clear()
        contents["/b.jpg"] = jpeg(2)
        next((tmp_path / "data/happy").glob("b-*")).unlink()
        made = take(happy, to=tmp_path / "data", limits=IntakeLimits(retries=0))
    assert shown.asked == ["/b.jpg"] and len(busy.requests) == 2
    assert (made.new["happy"], made.there["happy"], made.failed["happy"]) == (1, 1, 4)
    assert_log_is_true(tmp_path / "data")


def test_the_same_image_is_stored_once_in_a_class(tmp_path: Path) -> None:
    with gallery({"/a.jpg": jpeg(1), "/b.jpg": jpeg(1), "/c.jpg": jpeg(1)}) as shown:
        happy = write_list(tmp_path / "happy.txt", shown, ["/a.jpg", "/b.jpg"])
        made = take(happy, write_list(tmp_path / "sad.txt", shown, ["/c.jpg"]), to=tmp_path / "data")
    assert (made.new, made.there) == ({"happy": 1, "sad": 1}, {"happy": 1})
    assert len(hashes(tmp_path / "data")) == 2 and len({r.path for r in load_sources(tmp_path / "data")}) == 2


def test_no_file_is_overwritten_that_was_not_fetched(tmp_path: Path) -> None:
    with gallery({"/a.jpg": jpeg(1)}) as shown:
        happy = write_list(tmp_path / "happy.txt", shown, ["/a.jpg"])
        take(happy, to=tmp_path / "first")
        ((name, _),) = hashes(tmp_path / "first").items()
        (tmp_path / "data/happy").mkdir(parents=True)
        (tmp_path / "data" / name).write_bytes(b"mine")
        (tmp_path / "data/happy/own.jpg").write_bytes(b"mine too")
        made = take(happy, to=tmp_path / "data")
    assert "exists with different content" in made.failures[0].status
    assert (tmp_path / "data" / name).read_bytes() == b"mine"
    assert (tmp_path / "data/happy/own.jpg").read_bytes() == b"mine too"


def test_everything_that_is_wrong_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with gallery({"/a.jpg": jpeg(1)}) as shown:
        happy = write_list(tmp_path / "happy.txt", shown, ["/a.jpg", " nonsense"])
        with pytest.raises(SourceNotFoundError) as caught:
            take(
                happy, tmp_path / "none.txt", "ext::sh -c touch% /tmp/x", "git@github.com:a/b.git", to=tmp_path / "data"
            )
    for words in ("happy.txt, line 2", "none.txt", "'ext::sh", "'git@github.com"):
        assert words in str(caught.value)
    assert shown.asked == [] and not (tmp_path / "data").exists()


def test_an_image_cannot_be_listed_under_another_class_than_it_has(tmp_path: Path) -> None:
    with gallery({"/a.jpg": jpeg(1)}) as shown:
        take(write_list(tmp_path / "happy.txt", shown, ["/a.jpg"]), to=tmp_path / "data")
        with pytest.raises(SourceNotFoundError, match=r"sad.txt, line 1: .*in another class: --forget it first"):
            take(write_list(tmp_path / "sad.txt", shown, ["/a.jpg"]), to=tmp_path / "data")


def test_classes_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data/Happy").mkdir(parents=True)
    (tmp_path / "happy.txt").write_text("http://h/1")
    with pytest.raises(SourceNotFoundError, match="already exists as 'Happy'"):
        take(tmp_path / "happy.txt", to=tmp_path / "data")
    write_zip(tmp_path / "a.zip", {"happy/1.jpg": jpeg(1), "Sad/2.jpg": jpeg(2), "sad/3.jpg": jpeg(3)})
    made = take(tmp_path / "a.zip", to=tmp_path / "data")
    assert (dict(made.new), dict(made.failed)) == ({"Sad": 1}, {"happy": 1, "sad": 1})


def test_lists_beyond_a_limit_are_stopped(tmp_path: Path) -> None:
    with gallery({f"/{number}.jpg": jpeg(number) for number in range(20)}) as shown:
        happy = write_list(tmp_path / "happy.txt", shown, list(shown.contents))
        with pytest.raises(SettingsError, match=r"20 images in the lists exceed the limit of 19 \(see --max-files\)"):
            take(happy, to=tmp_path / "data", limits=IntakeLimits(max_files=19))
        made = take(happy, to=tmp_path / "data", limits=IntakeLimits(max_total_bytes=3000, workers=1))
        assert 1 <= made.new["happy"] < 5 and "Run again to continue" in made.unusable["lists"]
        assert take(happy, to=tmp_path / "data").is_whole
    assert len(hashes(tmp_path / "data")) == len(set(shown.asked)) == 20


def archive_files() -> dict[str, bytes]:
    return {
        "photos/happy/a smile.jpg": jpeg(1),
        "photos/happy/old/b": jpeg(2),
        "photos/sad/c.png": jpeg(3),
        "photos/sad/copy.png": jpeg(3),
        "photos/sad/page.jpg": b"<html>",
        "loose.jpg": jpeg(4),
        "photos/con/x.jpg": jpeg(5),
        "photos/sad/../../evil.jpg": jpeg(6),
        "photos/readme.md": b"hello",
        "__MACOSX/sad/._c.png": b"junk",
        "photos/.git/x.jpg": jpeg(7),
        "photos/inner/more.zip": b"PK\3\4",
    }


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_becomes_class_folders(tmp_path: Path, kind: str) -> None:
    path = (write_zip if kind == "zip" else write_tar)(tmp_path / f"a.{kind}", archive_files())
    made = take(path, to=tmp_path / "data")
    assert (dict(made.new), dict(made.there), made.num_others) == ({"happy": 2, "sad": 1}, {"sad": 1}, 2)
    statuses = {record.url.partition("#")[2]: record.status for record in made.failures}
    assert statuses == {
        "photos/sad/page.jpg": "refused: a web page, not an image",
        "loose.jpg": "refused: it is not in a class folder",
        "photos/con/x.jpg": "failed: the class name 'con' is reserved by Windows",
        "photos/sad/../../evil.jpg": "refused: its name leads out of the archive",
    }
    assert_log_is_true(tmp_path / "data")
    assert sorted(os.listdir(tmp_path)) == [f"a.{kind}", "data"]
    urls = [record.url for record in load_sources(tmp_path / "data")]
    assert f"{source_url(str(path))}#photos/happy/a%20smile.jpg" in urls
    again = take(path, to=tmp_path / "data")
    assert (dict(again.new), dict(again.there)) == ({}, {"happy": 2, "sad": 2})


def test_an_archive_is_taken_from_a_url_and_once(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar.gz", {"./happy/a.jpg": jpeg(1), "./sad/b.jpg": jpeg(2)}, packing="gz")
    with gallery({"/a?x=1": (tmp_path / "a.tar.gz").read_bytes()}) as shown:
        made = take(f"{shown.url}/a?x=1", to=tmp_path / "data")
        assert made.is_whole and dict(made.new) == {"happy": 1, "sad": 1}
        made = take(f"{shown.url}/a?x=1", to=tmp_path / "data")
        assert made.is_whole and dict(made.there) == {"happy": 1, "sad": 1} and len(shown.asked) == 1
        next((tmp_path / "data/sad").iterdir()).unlink()
        made = take(f"{shown.url}/a?x=1", to=tmp_path / "data")
        assert made.is_whole and (dict(made.there), dict(made.new)) == ({"happy": 1}, {"sad": 1})
    assert_log_is_true(tmp_path / "data")


def test_members_of_one_name_are_told_and_not_dropped(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(3):
            archive.writestr("happy/a.jpg", jpeg(seed))
    made = take(tmp_path / "twice.zip", to=tmp_path / "data")
    assert (made.new["happy"], made.failed["happy"]) == (1, 2)
    assert {record.status for record in made.failures} == {"refused: the archive has another file with this name"}


def test_a_member_with_a_very_long_name_does_not_spoil_the_log(tmp_path: Path) -> None:
    files = {f"happy/{'é' * 30_000}.jpg": jpeg(1), "happy/b.jpg": jpeg(2)}
    made = take(write_zip(tmp_path / "long.zip", files), to=tmp_path / "data")
    assert (made.new["happy"], made.failed["happy"]) == (1, 1)
    again = take(tmp_path / "long.zip", to=tmp_path / "data")
    assert (again.there["happy"], again.failed["happy"]) == (1, 1)


def test_no_class_takes_the_place_of_the_log(tmp_path: Path) -> None:
    made = take(write_zip(tmp_path / "a.zip", {"sources.csv/a.jpg": jpeg(1), "b/b.jpg": jpeg(2)}), to=tmp_path / "data")
    assert (made.new["b"], made.failed["sources.csv"]) == (1, 1)
    assert "a file has this name" in made.failures[0].status
    assert_log_is_true(tmp_path / "data")


def test_an_archive_that_was_fetched_is_no_image_of_a_list(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {"happy/a.jpg": jpeg(1)})
    with gallery({"/a.zip": (tmp_path / "a.zip").read_bytes()}) as shown:
        take(f"{shown.url}/a.zip", to=tmp_path / "data")
        listed = write_text(tmp_path / "happy.txt", f"{shown.url}/a.zip")
        with pytest.raises(SourceNotFoundError, match="an archive or repository, not an image"):
            take(listed, to=tmp_path / "data")


def test_a_class_folder_that_leads_elsewhere_is_neither_written_nor_emptied(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    mine = tmp_path / "outside" / "x.jpg"
    mine.write_bytes(jpeg(1))
    sha256 = hashlib.sha256(jpeg(1)).hexdigest()
    data = tmp_path / "data"
    (data / ".mien-fetch").mkdir(parents=True)
    (data / "happy").symlink_to(tmp_path / "outside")
    (data / ".mien-fetch" / sha256).write_bytes(jpeg(1))
    for name in ("x.jpg", "y.jpg"):
        write_sources(data, [SourceRecord(f"happy/{name}", "http://h/x", "2026-01-01", "ok", sha256)])
        with pytest.raises((OutputError, SourceNotFoundError)):
            forget("http://h/x" if name == "x.jpg" else "http://h/z", data)
        assert sorted((tmp_path / "outside").iterdir()) == [mine]


def test_a_class_that_no_archive_has_is_told(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {"happy/a.jpg": jpeg(1)})
    made = take_in([tmp_path / "a.zip"], tmp_path / "data", only=["happy", "sda"])
    assert dict(made.new) == {"happy": 1}
    assert list(made.unusable) == ["--only sda"]


def test_only_some_classes_are_taken_where_the_user_says_so(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"happy/a.jpg": jpeg(1), "docs/b.jpg": jpeg(2)})
    assert dict(take_in([path], tmp_path / "data", only=["happy"]).new) == {"happy": 1}
    assert dict(take_in([path], tmp_path / "data").new) == {"docs": 1}


def test_a_member_beyond_a_limit_is_taken_when_the_limit_is_raised(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"very sad/a.jpg": jpeg(1)})
    made = take_in([path], tmp_path / "data", fetch_limits=FetchLimits(max_bytes=500))
    assert "more than the limit of 500 (see --max-bytes)" in made.failures[0].status
    assert dict(take_in([path], tmp_path / "data").new) == {"very sad": 1}
    assert dict(take_in([path], tmp_path / "data").there) == {"very sad": 1}


@pytest.mark.medium
def test_a_source_that_fails_is_named_and_stops_no_other(tmp_path: Path) -> None:
    good = write_zip(tmp_path / "good.zip", {"happy/a.jpg": jpeg(1)})
    cut = write_tar(tmp_path / "cut.tar", {"sad/a.jpg": jpeg(2), "sad/b.jpg": os.urandom(5000)})
    cut.write_bytes(cut.read_bytes()[:6000])
    with gallery({"/page": b"<html>", "/big.zip": b"PK\3\4" + bytes(10_000)}) as shown:
        urls = [f"{shown.url}/page", f"{shown.url}/none.zip", f"{shown.url}/big.zip"]
        limits = IntakeLimits(max_total_bytes=9_000)
        made = take(cut, *urls, good, "http://127.0.0.1/r.git", to=tmp_path / "data", limits=limits)
    assert (dict(made.new), made.is_whole) == ({"sad": 1, "happy": 1}, False)
    assert "damaged" in made.unusable[str(cut)] or "truncated" in made.unusable[str(cut)]
    assert made.unusable[urls[0]] == "not a zip or tar archive, but a web page"
    assert made.unusable[urls[1]] == "the server answered 404 Not Found"
    assert "more than the limit of 9000 (see --max-total-bytes)" in made.unusable[urls[2]]
    assert "git clone failed" in made.unusable["http://127.0.0.1/r.git"]
    assert_log_is_true(tmp_path / "data")


def test_an_endless_archive_is_stopped_at_the_limit_and_removed(tmp_path: Path) -> None:
    with serving(pour(b"HTTP/1.0 200 OK\r\n\r\n", bytes(65536))) as server:
        limits = IntakeLimits(max_total_bytes=1_000_000, retries=0)
        made = take(f"{server.url}/a.zip", to=tmp_path / "data", limits=limits)
    assert "more than 1000000 bytes (see --max-total-bytes)" in made.unusable[f"{server.url}/a.zip"]
    assert os.listdir(tmp_path / "data") == [LOG_NAME]


def test_an_archive_and_a_repository_are_fetched_from_public_addresses_alone(tmp_path: Path) -> None:
    with serving(redirect("/x")) as server:
        urls = [f"{server.url}/a.zip", f"https://127.0.0.1:{server.port}/r.git"]
        made = take_in(urls, tmp_path / "data")
    assert all("is not a public address" in made.unusable[url] for url in urls)
    assert server.requests == []


def test_two_fetches_into_one_folder_are_kept_apart(tmp_path: Path) -> None:
    from mien.fetching.image_folder import open_folder

    with open_folder(tmp_path / "data"), pytest.raises(OutputError, match="another mien command is using"):
        take(write_zip(tmp_path / "a.zip", {"happy/a.jpg": jpeg(1)}), to=tmp_path / "data")


def start(sources: list[Path], to: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mien", "fetch", *map(str, sources), "--to", str(to), "--allow-private"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_at(process: "subprocess.Popen[bytes]", folder: Path, num_lines: int) -> bool:
    """Kill a fetch when its log has so many lines; say whether it was still at work."""
    log_path = folder / LOG_NAME
    while process.poll() is None and (not log_path.exists() or log_path.read_bytes().count(b"\n") < num_lines):
        time.sleep(0.003)
    process.kill()
    return process.wait() == -9


def assert_kills_do_no_harm(tmp_path: Path, num_kills: int, num_images: int) -> None:
    """Fetch with kills at random moments: at each there is no half image, and the end is that of an uncut run."""
    rng = random.Random(num_kills)
    contents = {f"/{number}.jpg": jpeg(number) for number in range(num_images)}
    archive = write_zip(tmp_path / "a.zip", {f"sad/{n}.jpg": jpeg(1000 + n) for n in range(num_images)})
    whole = {hashlib.sha256(jpeg(first + n)).hexdigest() for first in (0, 1000) for n in range(num_images)}
    with gallery(contents, pause_s=0.01) as shown:
        sources = [write_list(tmp_path / "happy.txt", shown, list(contents)), archive]
        assert start(sources, tmp_path / "uncut").wait(120) == 0
        folder, kills = tmp_path / "data", 0
        for number in range(num_kills):
            if number % 5 == 0:
                folder = tmp_path / f"data{number}"
            there = len(load_sources(folder))
            # An image that a kill cut short is logged again: there may be more lines than images.
            num_lines = there + rng.randrange(1, max((2 * num_images - there) // 2, 0) + 2)
            kills += kill_at(start(sources, folder), folder, num_lines)
            images = {p: p.read_bytes() for p in folder.glob("[!.]*/*")}
            assert {hashlib.sha256(content).hexdigest() for content in images.values()} <= whole
            logged = {record.path for record in load_sources(folder)}
            assert {path.relative_to(folder).as_posix() for path in images} <= logged
            if number % 5 == 4 or number == num_kills - 1:
                shown.asked.clear()
                assert start(sources, folder).wait(120) == 0
                assert hashes(folder) == hashes(tmp_path / "uncut")
                assert_log_is_true(folder)
                assert len(shown.asked) == len(set(shown.asked)) <= num_images
    assert kills > num_kills / 2


@pytest.mark.slow
@pytest.mark.medium
def test_kills_leave_no_half_image_and_the_next_run_goes_on(tmp_path: Path) -> None:
    assert_kills_do_no_harm(tmp_path, 2, 40)


@pytest.mark.slow
def test_twenty_kills_leave_no_half_image_and_the_next_run_goes_on(tmp_path: Path) -> None:
    assert_kills_do_no_harm(tmp_path, 20, 100)


def test_what_was_logged_and_not_yet_in_place_at_a_kill_is_put_there_without_a_fetch(tmp_path: Path) -> None:
    with gallery({"/a.jpg": jpeg(1)}) as shown:
        happy = write_list(tmp_path / "happy.txt", shown, ["/a.jpg"])
        take(happy, to=tmp_path / "data")
        ((name, sha256),) = hashes(tmp_path / "data").items()
        work_dir = tmp_path / "data/.mien-fetch"
        work_dir.mkdir()
        (tmp_path / "data" / name).rename(work_dir / sha256)
        (work_dir / ("0" * 64)).write_bytes(b"half of another")
        (tmp_path / "data/.sources.77.tmp.csv").write_bytes(b"path,u")
        (work_dir / "source").mkdir()
        (work_dir / "source/pack").touch()
        made = take(happy, to=tmp_path / "data")
    assert made.there["happy"] == 1 and len(shown.asked) == 1
    assert hashes(tmp_path / "data") == {name: sha256} and not work_dir.exists()


@pytest.mark.slow
@pytest.mark.medium
def test_ctrl_c_waits_for_no_server_and_the_next_run_goes_on(tmp_path: Path) -> None:
    contents = {f"/{number}.jpg": jpeg(number) for number in range(40)}
    with gallery(contents, pause_s=0.1) as shown, serving(say_nothing) as silent:
        happy = write_list(tmp_path / "happy.txt", shown, list(contents))
        process = start([write_text(tmp_path / "sad.txt", silent.url), happy], tmp_path / "data")
        while len(shown.asked) < 12:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(19) == 130  # a URL has 20 seconds
        assert 1 <= len(hashes(tmp_path / "data")) < 40
        num_asked = len(shown.asked)
        made = take(happy, to=tmp_path / "data")
    assert made.is_whole and made.there["happy"] >= num_asked - 8
    assert len(hashes(tmp_path / "data")) == 40
    assert_log_is_true(tmp_path / "data")


def test_sources_are_told_apart_by_content_and_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "happy.txt").write_text("http://h/1")
    archive = write_zip(tmp_path / "odd.txt", {"a/b.jpg": b"x"})
    wanted, others = sort_out([str(tmp_path / "happy.txt"), str(archive), "https://h/x.zip", "git+https://h/r"] * 2)
    assert [image.url for image in wanted] == ["http://h/1"]
    assert others == [str(archive), "https://h/x.zip", "git+https://h/r"]


def test_a_folder_stands_for_its_lists(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("sad", "happy"):
        (tmp_path / f"lists/{name}.txt").write_text(f"http://h/{name}")
    wanted, others = sort_out([str(tmp_path / "lists")])
    assert ([image.label for image in wanted], others) == (["happy", "sad"], [])
    with pytest.raises(SourceNotFoundError, match="has no URL lists"):
        sort_out([str(tmp_path)])


@pytest.mark.parametrize(
    "source",
    [
        *("ftp://h/a.zip", "file:///etc/passwd", "ssh://h/r.git", "git@h:r.git", "ext::sh", "https://h/\x1b[2J"),
        *("http://h/ü", "nowhere.txt", "a\0b", "x" * 5000),
    ],
)
def test_other_sources_are_refused_by_name(source: str) -> None:
    with pytest.raises(SourceNotFoundError, match="nothing was fetched"):
        sort_out([source])


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(SourceNotFoundError, match="user name or password") as caught:
        sort_out(["https://me:secret@h/x.zip"])
    assert "secret" not in str(caught.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    make_pipe(tmp_path / "happy.txt")
    with pytest.raises(SourceNotFoundError, match="not a file or a folder"):
        sort_out([str(tmp_path / "happy.txt")])


def test_only_the_first_of_very_many_problems_are_named() -> None:
    with pytest.raises(SourceNotFoundError, match="and 15 more"):
        sort_out(f"none{number}" for number in range(25))


def test_the_same_tree_gives_the_same_classes_as_a_folder_and_as_an_archive(tmp_path: Path) -> None:
    tree = {f"set/{name}/2024/{n}.jpg": jpeg(10 * len(name) + n) for name in ("happy", "sad") for n in range(3)}
    made = take(write_zip(tmp_path / "a.zip", tree), to=tmp_path / "data")
    assert dict(made.new) == {"happy": 3, "sad": 3}
    for name, content in tree.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert scan(tmp_path / "tree").counts() == {"happy": 3, "sad": 3}
    level = take_in([tmp_path / "a.zip"], tmp_path / "second", class_level=2)
    assert dict(level.new) == dict(made.new)


def test_what_can_be_read_in_two_ways_is_refused_until_a_level_is_named(tmp_path: Path) -> None:
    tree = {f"{year}/{name}/{n}.jpg": jpeg(n) for n, year in enumerate(("2023", "2024")) for name in ("happy", "sad")}
    path = write_zip(tmp_path / "a.zip", tree)
    (reason,) = take(path, to=tmp_path / "data").unusable.values()
    assert "--class-level 2 uses happy, sad" in reason
    made = take_in([path], tmp_path / "data", class_level=2)
    assert dict(made.new) == {"happy": 2, "sad": 2}


def test_splits_in_an_archive_are_put_together(tmp_path: Path) -> None:
    tree = {
        f"{part}/{name}/{n}.jpg": jpeg(100 * (part == "test") + 10 * len(name) + n)
        for part in ("train", "test")
        for name in ("happy", "sad")
        for n in range(2)
    }
    assert dict(take(write_zip(tmp_path / "a.zip", tree), to=tmp_path / "data").new) == {"happy": 4, "sad": 4}
