"""Uploads: images come out as they went in, however they are cut; what is hostile is refused, within its limits."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from http_asking import BOUNDARY, FORM, form, part
from mien.config import ServeConfig
from mien.errors import BusyError, RequestError, ServiceError, SlowRequestError, TooLargeError, WrongMediaTypeError
from mien.serving.limits import MemoryBudget
from mien.serving.uploads import Upload, advice_on, read_uploads, read_urls

SMALL = ServeConfig(max_files=3, max_file_mb=0.001, max_memory_mb=0.01)


def request_of(headers: dict[str, str], chunks: list[bytes], *, pause_s: float = 0) -> Any:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            await asyncio.sleep(pause_s)
            yield chunk

    return SimpleNamespace(headers=Headers(headers), stream=stream)


def read(
    body: bytes, headers: dict[str, str] = FORM, *, config: ServeConfig = ServeConfig(), size: int = 1 << 16
) -> list[Upload]:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    with MemoryBudget(config.max_memory_bytes).share() as share:
        return asyncio.run(read_uploads(request_of(headers, chunks), share, config))


def urls_of(body: bytes, config: ServeConfig = ServeConfig(), kind: str = "application/json") -> list[str]:
    with MemoryBudget(config.max_memory_bytes).share() as share:
        return asyncio.run(read_urls(request_of({"Content-Type": kind}, [body]), share, config))


@pytest.mark.medium
@given(st.lists(st.tuples(st.text("abc é", min_size=1), st.binary(max_size=300)), min_size=1), st.integers(1, 400))
@settings(max_examples=50, deadline=None)
def test_files_come_out_as_they_went_in_however_the_body_is_cut(files: list[tuple[str, bytes]], size: int) -> None:
    body = form(*(part(content, name) for name, content in files[:64]))
    assert read(body, size=size) == [Upload(name, content) for name, content in files[:64]]


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", "IMAGE/PNG; x=y"]
)
def test_a_body_that_is_an_image_has_no_name(kind: str) -> None:
    assert read(b"image", {"Content-Type": kind}, size=2) == [Upload("-", b"image")]
    assert read(b"image", {}) == [Upload("-", b"image")]


@pytest.mark.parametrize(
    ("kind", "content", "spoilt"),
    [
        ("application/x-www-form-urlencoded", b"a=b", True),
        ("text/plain", b"a=b", False),
        ("", b"\xff\xd8 cut", True),
        ("image/jpeg", b"\xff\xd8\0 cut", False),
        ("image/jpeg", b"\xff\xd8\n cut", False),
        ("image/jpeg", b"\xff\xd8\r cut", False),
        ("multipart/form-data; boundary=x", b"\xff\xd8 cut", False),
    ],
)
def test_what_curl_spoilt_is_told_by_what_it_takes_out(kind: str, content: bytes, spoilt: bool) -> None:
    assert ("--data-binary" in advice_on(request_of({"Content-Type": kind}, []), content)) == spoilt


@pytest.mark.parametrize("kind", ["text/html", "application/json", "video/mp4", "multipart/mixed", "\x00", "é"])
def test_other_kinds_of_content_are_refused(kind: str) -> None:
    with pytest.raises(WrongMediaTypeError, match="send images as multipart/form-data"):
        read(b"image", {"Content-Type": kind})


def test_a_packed_body_is_not_unpacked() -> None:
    for pairs in (["gzip"], ["identity", "gzip"], ["identity, br"], ["GZIP"]):
        with pytest.raises(WrongMediaTypeError, match="without a Content-Encoding"):
            read_encoded(*pairs)
    for pairs in (["identity"], ["Identity"], [""], ["identity", "IDENTITY"], []):
        assert read_encoded(*pairs) == [Upload("-", b"image")]


def read_encoded(*encodings: str) -> list[Upload]:
    request = request_of({"Content-Type": "image/png"}, [b"image"])
    request.headers = Headers(raw=[*request.headers.raw, *((b"content-encoding", e.encode()) for e in encodings)])
    with MemoryBudget(1000).share() as share:
        return asyncio.run(read_uploads(request, share, ServeConfig()))


def test_a_media_type_that_is_refused_says_what_to_send() -> None:
    for kind, told in (
        ("text/plain", "with Content-Type: image/jpeg$"),
        ("application/json", "Send URLs to /predict/url"),
    ):
        with pytest.raises(WrongMediaTypeError, match=told):
            read(b"image", {"Content-Type": kind})


def test_fields_that_are_no_files_are_passed_over_and_so_is_an_empty_choice() -> None:
    body = form(part(b"secret", None), part(b"", ""), part(b"image", "a.png"), part(b"unnamed", ""))
    assert read(body) == [Upload("a.png", b"image"), Upload("-", b"unnamed")]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("filename=x.jpg", "x.jpg"),
        ('filename="a;b\\"c.jpg"', 'a;b"c.jpg'),
        ("filename*=utf-8''Jos%C3%A9%20%27.jpg", "José '.jpg"),
        ("FileName*=UTF-8'es'%FF.jpg; x=y", "\ufffd.jpg"),
    ],
)
def test_names_are_read_in_every_way_in_which_programs_write_them(sent: str, name: str) -> None:
    body = form(f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=f; {sent}\r\n\r\nx\r\n".encode())
    assert read(body) == [Upload(name, b"x")]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "incomplete"),
        (b"no form at all", "malformed"),
        (part(b"image"), "incomplete"),
        (form(part(b"image"))[:-8], "incomplete"),
        (part(b"image")[:40], "incomplete"),
        (form(part(b"secret", None)), "the form contains no file"),
        (form(part(b"", "")), "the form contains no file"),
        (form(), "the form contains no file"),
        (f"--{BOUNDARY}\r\nno colon\r\n\r\n".encode(), "malformed"),
        (f"--{BOUNDARY}\r\nA: {'a' * 100_000}\r\n\r\n".encode(), "malformed"),
        (f"--{BOUNDARY}\r\n".encode() + b"A: a\r\n" * 1000, "malformed"),
    ],
)
def test_a_form_that_is_none_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        read(body)
    with pytest.raises(RequestError):
        read(body, {"Content-Type": "multipart/form-data"})
    with pytest.raises(RequestError):
        read(body, {"Content-Type": f"multipart/form-data; boundary={'x' * 1000}"})


def test_a_file_goes_in_up_to_the_very_limit() -> None:
    content = bytes(SMALL.max_file_bytes)
    assert read(form(part(content)), config=SMALL)[0].content == content
    assert read(content, {"Content-Type": "image/png"}, config=SMALL)[0].content == content
    for size in (100, 10_000):
        with pytest.raises(TooLargeError, match=r"an image is larger than 0\.001 MiB"):
            read(form(part(content + b"x")), config=SMALL, size=size)
        with pytest.raises(TooLargeError, match=r"an image is larger than 0\.001 MiB"):
            read(content + b"x", {"Content-Type": "image/png"}, config=SMALL, size=size)


def test_there_is_a_limit_to_the_number_of_files_and_of_other_parts() -> None:
    assert len(read(form(*[part(b"p")] * 3), config=SMALL)) == 3
    with pytest.raises(TooLargeError, match="too many images: send at most 3 in a request"):
        read(form(*[part(b"p")] * 4), config=SMALL)
    with pytest.raises(TooLargeError, match="too many form fields that are not files: send at most 32"):
        read(b"".join([part(b"", None)] * 100_000))


def test_what_is_passed_over_counts_too() -> None:
    for body in (form(part(bytes(20_000), None)), form(part(b"p")) + bytes(20_000)):
        with pytest.raises(TooLargeError, match=r"the request is larger than 0\.0099"):
            read(body, config=SMALL, size=100)


@pytest.mark.parametrize("length", ["999999999999", "9" * 18])
def test_what_announces_too_much_is_refused_unread(length: str) -> None:
    def stream() -> Iterator[bytes]:
        raise AssertionError("it was read")

    for kind in (FORM["Content-Type"], "image/png"):
        request: Any = SimpleNamespace(headers=Headers({"content-type": kind, "content-length": length}), stream=stream)
        with MemoryBudget(10**6).share() as share, pytest.raises(TooLargeError):
            asyncio.run(read_uploads(request, share, ServeConfig()))


@pytest.mark.parametrize("length", ["", "-1", "1e3", "²", "9" * 5000])
def test_a_length_that_is_no_number_says_nothing(length: str) -> None:
    assert read(b"image", {"Content-Length": length}) == [Upload("-", b"image")]


def test_a_body_that_dribbles_in_is_given_up() -> None:
    # What is not given up is at last no form.
    request = request_of(FORM, [b"-"] * 2000, pause_s=0.01)
    with MemoryBudget(10**6).share() as share, pytest.raises(SlowRequestError, match=r"longer than 0\.1 s"):
        asyncio.run(read_uploads(request, share, ServeConfig(upload_timeout_s=0.1)))


def test_memory_that_others_hold_is_not_there() -> None:
    budget = MemoryBudget(1000)
    with budget.share() as first:
        first.take(600)
        with pytest.raises(BusyError), budget.share() as second:
            asyncio.run(read_uploads(request_of({}, [bytes(300), bytes(300)]), second, ServeConfig()))
        assert budget.num_taken == 600
    assert budget.num_taken == 0


@pytest.mark.medium
@given(st.binary(max_size=200), st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_any_bytes_in_a_form_are_read_or_refused(noise: bytes, size: int) -> None:
    for body in (noise, form(part(noise)), part(b"p")[:-2] + noise, f"--{BOUNDARY}\r\n".encode() + noise):
        with suppress(ServiceError):
            assert read(body, config=SMALL, size=size)


@pytest.mark.medium
@given(st.text(st.characters(max_codepoint=255), max_size=100))
@settings(max_examples=200, deadline=None)
def test_any_content_type_is_known_or_refused(kind: str) -> None:
    for value in (kind, f"multipart/form-data; {kind}", f"multipart/form-data; boundary={kind}"):
        with suppress(ServiceError):
            assert read(b"p", {"Content-Type": value})


def test_urls_come_out_as_they_went_in() -> None:
    assert urls_of('{"urls": ["https://example.org/é", "x"]}'.encode()) == ["https://example.org/é", "x"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"urls": []}',
        b'{"urls": [1]}',
        b'{"urls": [""]}',
        b'{"urls": "https://example.org"}',
        b'{"urls": ["x"], "other": 1}',
        b'{"urls": ["\\ud800"]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_json_that_is_no_list_of_urls_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        urls_of(body)


def test_urls_have_limits() -> None:
    with pytest.raises(TooLargeError, match="too many URLs: send at most 3 in a request"):
        urls_of(b'{"urls": ["x", "x", "x", "x"]}', SMALL)
    with pytest.raises(TooLargeError, match="longer than 2048 characters"):
        urls_of(b'{"urls": ["' + b"x" * 2049 + b'"]}')
    with pytest.raises(TooLargeError, match="the list of URLs is too long"):
        urls_of(b" " * 10_000_000)
    with pytest.raises(WrongMediaTypeError, match="application/json"):
        urls_of(b'{"urls": ["x"]}', kind="text/plain")
