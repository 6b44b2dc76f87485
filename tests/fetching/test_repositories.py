import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import draw_image, encoded
from mien.config import FetchLimits, IntakeLimits
from mien.errors import FetchError, IntakeError
from mien.fetching import repositories
from mien.fetching.intake import take_in
from mien.fetching.repositories import clone, is_repository, repository_members
from mien.fetching.source_log import LOG_NAME
from servers import git_serving, redirect, reply, say_nothing, serving

HERE = FetchLimits(timeout_s=5, allow_private=True)
LIMITS = IntakeLimits(source_timeout_s=20)

pytestmark = [pytest.mark.medium, pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")]


def git(folder: Path, *arguments: str) -> None:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a repository with images, and with what a hostile one may have."""
    root = tmp_path_factory.mktemp("site")
    tree = root / "tree"
    (tree / "faces/happy").mkdir(parents=True)
    (tree / "faces/sad").mkdir()
    (tree / "faces/happy/a b.jpg").write_bytes(encoded(draw_image(1), "JPEG"))
    (tree / "faces/sad/b.jpg").write_bytes(encoded(draw_image(2), "JPEG"))
    (tree / "faces/sad/large.jpg").write_bytes(bytes(300_000))
    (tree / "faces/sad/lfs.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    (tree / "faces/sad/link.jpg").symlink_to("/etc/passwd")
    (tree / "README.md").write_text("faces")
    # A filter that would run a command at a checkout, if anything were checked out.
    (tree / ".gitattributes").write_text("*.jpg filter=lfs\n")
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "faces")
    git(root, "clone", "--quiet", "--bare", "tree", "faces.git")
    (root / "empty.git").mkdir()
    git(root / "empty.git", "init", "--quiet", "--bare")
    with git_serving(root) as url:
        yield url


def refusal(url: str, folder: Path, limits: IntakeLimits = LIMITS, *, fetch_limits: FetchLimits = HERE) -> str:
    with pytest.raises((IntakeError, FetchError)) as caught:
        clone(url, folder / "clone", limits, fetch_limits)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://github.com/a/faces", True),
        ("https://gitlab.com/a/faces/", True),
        ("https://h.example/x/faces.git", True),
        ("git+https://h.example/faces", True),
        ("https://github.com/a/faces/archive/refs/heads/main.zip", False),
        ("https://github.com/a", False),
        ("https://h.example/faces.zip", False),
    ],
)
def test_a_repository_is_known_by_its_url(url: str, is_one: bool) -> None:
    assert is_repository(url) is is_one


def test_a_clone_is_read_without_checking_anything_out(tmp_path: Path, site: str) -> None:
    folder = clone(f"git+{site}/faces.git", tmp_path / "clone", LIMITS, HERE)
    found = {m.name: m.problem or m.read() for m in repository_members(folder, LIMITS, max_bytes=100_000)}
    assert found["faces/happy/a b.jpg"] == encoded(draw_image(1), "JPEG")
    assert found["faces/sad/link.jpg"] == "a link or a submodule, not a file"
    assert "300000 bytes, more than the limit of 100000" in str(found["faces/sad/large.jpg"])
    assert found["README.md"] == b"faces" and len(found) == 7
    assert not any(path.suffix in (".jpg", ".sample") for path in folder.rglob("*"))


def test_a_repository_becomes_class_folders(tmp_path: Path, site: str) -> None:
    made = take_in([f"{site}/faces.git"], tmp_path / "data", LIMITS, fetch_limits=HERE)
    assert dict(made.new) == {"happy": 1, "sad": 1}
    statuses = {record.url.rpartition("/")[2]: record.status for record in made.failures}
    assert statuses["lfs.jpg"] == "refused: a Git LFS pointer, not an image: download the real file with git lfs pull"
    assert statuses["link.jpg"] == "refused: a link or a submodule, not a file"
    assert sorted(os.listdir(tmp_path / "data")) == ["happy", "sad", LOG_NAME]
    again = take_in([f"{site}/faces.git"], tmp_path / "data", LIMITS, fetch_limits=HERE)
    assert (dict(again.new), dict(again.there)) == ({}, {"happy": 1, "sad": 1})


def test_a_repository_with_too_much_in_it_is_stopped(tmp_path: Path, site: str) -> None:
    folder = clone(f"{site}/faces.git", tmp_path / "clone", LIMITS, HERE)
    for limits, words in [
        (IntakeLimits(max_files=3), "7 files, more than the limit of 3"),
        (IntakeLimits(max_total_bytes=9), "9 bytes"),
    ]:
        with pytest.raises(IntakeError, match=words):
            list(repository_members(folder, limits, max_bytes=10**6))


def test_a_clone_that_grows_too_large_is_ended(tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repositories, "_PULSE_S", 0.001)
    assert "more than 10 bytes (see --max-total-bytes)" in refusal(
        f"{site}/faces.git", tmp_path, IntakeLimits(max_total_bytes=10)
    )


def test_a_server_that_says_nothing_is_left_in_time(tmp_path: Path) -> None:
    with serving(say_nothing) as server:
        assert "timed out after 0.5 s" in refusal(f"{server.url}/r.git", tmp_path, IntakeLimits(source_timeout_s=0.5))


@pytest.mark.parametrize(
    "url",
    [
        *("ssh://h/r.git", "file:///tmp/r.git", "git://h/r.git", "ext::sh -c x", "-uhttp://h/r.git", "https:///r.git"),
        *("https://me:secret@127.0.0.1/r.git", "https://h/\n.git"),
    ],
)
def test_other_addresses_than_https_are_refused(tmp_path: Path, url: str) -> None:
    message = refusal(url, tmp_path)
    assert ("https://" in message or "password" in message) and "secret" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_repository_on_a_private_address_is_refused(tmp_path: Path, site: str) -> None:
    strict = FetchLimits()
    assert "is not a public address" in refusal("https://127.0.0.1/r.git", tmp_path, fetch_limits=strict)
    assert "starts with https://" in refusal(f"{site}/faces.git", tmp_path, fetch_limits=strict)


def test_git_connects_to_the_address_that_was_checked(
    tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.fetching.repositories.public_addresses", lambda host, limits: ["127.0.0.1"])
    # No name server knows images.test: what is cloned can only come from the address given above.
    port = site.rpartition(":")[2]
    assert clone(f"http://images.test:{port}/faces.git", tmp_path / "clone", LIMITS, HERE).is_dir()


def test_git_follows_no_redirect(tmp_path: Path, site: str) -> None:
    with serving(redirect(f"{site}/faces.git/info/refs?service=git-upload-pack")) as server:
        assert "git clone failed" in refusal(f"{server.url}/r.git", tmp_path)


@pytest.mark.parametrize("answer", [reply(b"<html>"), reply(b"", "401 X", 'WWW-Authenticate: Basic realm="x"'), b""])
def test_a_server_without_a_repository_is_refused_without_asking_for_a_password(tmp_path: Path, answer: bytes) -> None:
    with serving(answer) as server, pytest.raises(IntakeError, match=r"git clone failed|git cannot"):
        # To a page without any reference, git says nothing: then it is an empty repository.
        list(repository_members(clone(f"{server.url}/r.git", tmp_path / "clone", LIMITS, HERE), LIMITS, max_bytes=9))


def test_an_empty_repository_is_refused(tmp_path: Path, site: str) -> None:
    folder = clone(f"{site}/empty.git", tmp_path / "clone", LIMITS, HERE)
    with pytest.raises(IntakeError, match="git cannot read it"):
        list(repository_members(folder, LIMITS, max_bytes=100))


def test_settings_of_the_user_play_no_part(tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text('[url "http://127.0.0.1:9/"]\n\tinsteadOf = http://127.0.0.1\n')
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    assert clone(f"{site}/faces.git", tmp_path / "clone", LIMITS, HERE).is_dir()


def test_an_old_git_or_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "git is not installed" in refusal("http://127.0.0.1/r.git", tmp_path)
    script = tmp_path / "bin/git"
    script.write_text("#!/bin/sh\necho git version 2.30.2\n")
    script.chmod(0o755)
    assert "too old. Version 2.37 or later" in refusal("http://127.0.0.1/r.git", tmp_path)
