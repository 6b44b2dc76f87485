"""Object stores, as a real S3 server on this machine shows them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Heard, Mien, draw_folder, draw_image, encoded
from mien.errors import ImageError, MissingExtraError, OutputError, SettingsError, SourceNotFoundError
from mien.fetching import stored_folders, stores
from mien.fetching.sources import expand, read_each
from mien.fetching.stored_folders import address_of, brought, place_of
from store_servers import BUCKET, SECRET, Store, address

pytestmark = pytest.mark.extras
JPEG = encoded(draw_image(1), "JPEG")


def names_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_objects_are_listed_folder_by_folder_in_a_fixed_order(store: Store) -> None:
    for key in ("b.jpg", "a/2.jpg", "a/1.jpg", "c/d/e.jpg", "other.jpg"):
        store.put(f"x/{key}", b"12345")
    found = list(stores.objects_below(address("x")))
    assert [each.address.removeprefix(address("x/")) for each in found] == [
        "a/1.jpg",
        "a/2.jpg",
        "b.jpg",
        "c/d/e.jpg",
        "other.jpg",
    ]
    assert {each.num_bytes for each in found} == {5} and all(each.modified_s > 1e9 for each in found)


def test_names_that_no_folder_has_lead_nowhere(store: Store) -> None:
    good = ["good.jpg", "in/good.jpg"]
    for key in ("../up.jpg", "/double.jpg", "in//double.jpg", "./here.jpg", ".hidden/a.jpg", "in/", *good):
        store.put(f"x/{key}", b"1")
    assert [each.address for each in stores.objects_below(address("x"))] == [address(f"x/{key}") for key in good]


def test_names_that_no_disk_takes_are_left_out_and_counted(store: Store) -> None:
    hostile = ["a" * 300 + ".jpg", "clash", "clash/a.jpg", "a #?&%+é.jpg"]
    for key in ("happy/a.jpg", *hostile):
        store.put(f"x/{key}", JPEG)
    heard = Heard()
    place = brought(address("x"), progress=heard)
    assert len(names_below(place)) == 3 and {"happy/a.jpg", "a #?&%+é.jpg"} <= set(names_below(place))
    assert [line for line in heard.lines if "2 objects not copied" in line]


def test_a_copy_is_made_once_and_follows_its_original(store: Store) -> None:
    store.put_folder(draw_folder(Path(os.environ["XDG_CACHE_HOME"]).parent / "drawn", 3), "x")
    place = brought(address("x"))
    assert len(names_below(place)) == 6 and store.num_read("x/happy") == 3
    assert brought(f"{address('x')}/") == place and store.num_read("x/happy") == 3
    store.put("x/happy/00.jpg", JPEG)
    store.client.delete_object(Bucket=BUCKET, Key="x/happy/01.jpg")
    for number in range(3):
        store.client.delete_object(Bucket=BUCKET, Key=f"x/sad/{number:02}.jpg")
    brought(address("x"))
    assert store.num_read("x/happy") == 4 and (place / "happy/00.jpg").read_bytes() == JPEG
    assert names_below(place) == ["happy/00.jpg", "happy/02.jpg"] and not (place / "sad").exists()


@pytest.mark.skipif(os.name == "nt", reason="modes are others")
def test_copies_are_for_their_owner_alone(store: Store) -> None:
    store.put("x/a.jpg", JPEG)
    brought(address("x"))
    assert place_of(address()).parents[1].stat().st_mode & 0o077 == 0


def test_the_path_of_a_copy_says_its_address(store: Store) -> None:
    assert address_of(place_of("s3://bucket/some/photos")) == "s3://bucket/some/photos"
    assert address_of(place_of("gs://bucket")) == "gs://bucket"
    assert address_of(Path("data")) == str(Path("data").resolve()) and place_of("data") == Path("data")


@pytest.mark.parametrize("wrong", ["s3://", "s3:///x", "s3://key:secret@bucket/x", "s3://bucket:80/x", "gs://-"])
def test_what_is_no_address_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(SettingsError, match="s3://BUCKET/FOLDER") as caught:
        brought(wrong)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["s3://bucket/../x", "s3://bucket/a//b", "s3://bucket/\0"])
def test_an_address_that_would_lead_out_of_the_cache_is_refused(wrong: str, store: Store) -> None:
    with pytest.raises(SettingsError, match="is not a valid file name"):
        brought(wrong)


def test_another_scheme_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"s4://bucket/x.*s3://, gs:// or az://"):
        brought("s4://bucket/x")


def test_a_bucket_that_is_not_there_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(SourceNotFoundError, match=r"it does not exist: .*bucket does not exist"):
        brought("s3://no-such-bucket/x")
    with pytest.raises(SourceNotFoundError, match="it does not exist"):
        expand(address("no/such/folder"))
    with pytest.raises(OutputError, match="bucket does not exist"):
        stores.write("s3://no-such-bucket/x", b"1")


def test_a_refusal_is_told_at_once_and_without_the_key(store: Store) -> None:
    store.put("x/a.jpg", JPEG)
    store.refused = lambda method, path: path.endswith("a.jpg")
    for call in (lambda: brought(address("x")), lambda: stores.read(address("x/a.jpg"))):
        with pytest.raises(SourceNotFoundError, match="access denied: Access Denied") as caught:
            call()
        assert SECRET not in str(caught.value)
    with pytest.raises(OutputError, match="access denied"):
        stores.write(address("x/a.jpg"), b"1")
    assert store.num_read("x/a.jpg") == 2


def test_missing_credentials_are_told_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceNotFoundError, match=r"Unable to locate credentials.*object-stores.md"):
        brought(address("x"))


def test_a_store_that_cannot_be_reached_is_given_up_on_after_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(stores, "_PATIENCE_S", 1.0)
    S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceNotFoundError, match=r"the store cannot be reached.*Could not connect"):
        stores.read(address("x"))


def test_a_store_that_never_answers_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("photos/a.jpg", b"x")
    monkeypatch.setattr(stores, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(stores, "_CALL_S", 1.0)
    waiting = store.hold("photos/a.jpg")
    try:
        with pytest.raises(SourceNotFoundError, match=r"the store cannot be reached.*: no answer within 1 s"):
            stores.read(address("photos/a.jpg"))
    finally:
        waiting.set()


def test_the_library_of_a_store_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stores._LIBRARIES, "s3", "not_installed")
    with pytest.raises(MissingExtraError, match=r'not_installed.*pip install --editable ".+\[cloud\]"'):
        brought("s3://bucket/x")


def test_an_object_that_vanishes_after_it_was_listed_is_no_image(store: Store) -> None:
    for number in range(3):
        store.put(f"x/{number}.jpg", JPEG)
    names = expand(address("x"))
    store.client.delete_object(Bucket=BUCKET, Key="x/1.jpg")

    def seen(_place: int, content: Callable[[], bytes]) -> str:
        try:
            return str(len(content()))
        except ImageError as error:
            return str(error)

    assert sorted(read_each(names, seen)) == sorted(
        [str(len(JPEG))] * 2 + ["cannot be opened: the object does not exist"]
    )


def test_an_object_that_vanishes_is_left_out_of_a_copy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        store.put(f"x/{number}.jpg", JPEG)
    listed = list(stores.objects_below(address("x")))
    store.client.delete_object(Bucket=BUCKET, Key="x/1.jpg")
    monkeypatch.setattr(stored_folders, "objects_below", lambda *_: iter(listed))
    heard = Heard()
    assert names_below(brought(address("x"), progress=heard)) == ["0.jpg", "2.jpg"]
    assert "WARNING: 1 object not copied: cannot be opened: the object does not exist" in heard.lines


def test_an_enormous_object_is_neither_copied_nor_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("x/large.jpg", bytes(1000))
    store.put("x/empty.jpg", b"")
    for module in (stores, stored_folders):
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 999)
    with pytest.raises(ImageError, match="it is larger than 999 bytes"):
        stores.read(address("x/large.jpg"))
    assert stores.read(address("x/empty.jpg")) == b""
    store.requests.clear()
    assert names_below(brought(address("x"))) == ["empty.jpg"] and store.num_read("x/large") == 0


def test_of_a_folder_in_a_store_the_names_tell_what_is_no_image(store: Store) -> None:
    for key in ("a.jpg", "b", "notes.txt", "more.txt", "Thumbs.db"):
        store.put(f"x/{key}", JPEG)
    heard = Heard()
    assert expand([address("x"), address("x/notes.txt")], heard) == [
        address(f"x/{key}") for key in ("a.jpg", "b", "notes.txt")
    ]
    assert heard.lines == ["skipped 2 files that mien cannot read (.txt: 2 (more.txt))"]


def test_a_server_that_fails_at_random_is_read_and_written_all_the_same(store: Store, tmp_path: Path) -> None:
    store.put_folder(drawn := draw_folder(tmp_path / "drawn", 12), "x")
    store.failing = 0.3
    place = brought(address("x"))
    assert {name: (place / name).read_bytes() for name in names_below(place)} == {
        name: (drawn / name).read_bytes() for name in names_below(drawn)
    }
    names = expand(address("x"))
    contents = dict(read_each(names, lambda place, content: (names[place], content())))
    assert contents[address("x/sad/03.jpg")] == (drawn / "sad/03.jpg").read_bytes() and len(contents) == 24
    for number in range(12):
        stores.write(address(f"y/{number}"), bytes([number]) * 100_000)
    assert [store.content(f"y/{number}") for number in range(12)] == [bytes([n]) * 100_000 for n in range(12)]


def test_a_typed_address_is_said_to_be_none(command: Mien) -> None:
    code, _, err = command("check", "s3:/bucket/x")
    assert code == 2 and "s3:/bucket/x" in err
