"""Uploads: the body of a request, as it comes in -> the images in it, held in memory alone."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mien.config import ServeConfig
from mien.errors import RequestError, SlowRequestError, TooLargeError, WrongMediaTypeError
from mien.serving.limits import Share

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks
    from starlette.requests import Request

# Of a form, beside its files: a key or a check box, as other programs send them along. They are passed over.
_MAX_OTHER_FIELDS = 32
# Not for forms any more, but some programs still send names so that are not ASCII.
# https://www.rfc-editor.org/rfc/rfc7578#section-4.2
_EXTENDED_NAME = re.compile(rb""";\s*filename\*\s*=\s*utf-8'[^';]*'([^;\s"]*)""", re.IGNORECASE)
# What programs name that do not know what they send; curl takes any body for a form. A form is then no image.
_KIND_OF_CURL = b"application/x-www-form-urlencoded"
_KINDS_OF_ANYTHING = (b"", b"application/octet-stream", _KIND_OF_CURL)
_MAX_URL_BYTES = 2048
# A URL in JSON, where each letter may be written as \uXXXX.
_MAX_QUOTED_URL_BYTES = 6 * _MAX_URL_BYTES + 16


@dataclass(frozen=True)
class Upload:
    """A file as it was sent.

    Attributes:
        name: What the sender calls it; "-" where it has no name.
        content: Its bytes, whatever they are.
    """

    name: str
    content: bytes


async def read_uploads(request: "Request", share: Share, config: ServeConfig) -> list[Upload]:
    """Return the images in a request, in the order sent.

    Args:
        request: Its body is multipart/form-data, or a single image.
        share: What it holds is taken from here.
        config: The limits.

    Raises:
        WrongMediaTypeError: The content type is of something else than images.
        TooLargeError: A file is too large, or there are too many.
        RequestError: It is not a whole multipart body, or there is no file in it.
        SlowRequestError: It did not come in whole in time.
        BusyError: There is no memory for it.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    async with _in_time(config):
        if kind == b"multipart/form-data":
            return await _read_form(options.get(b"boundary", b""), _chunks(request, share), config)
        if kind.startswith(b"image/") or kind in _KINDS_OF_ANYTHING:
            told = f"an image has more than {config.max_file_mb:g} MiB"
            return [Upload("-", await _read_whole(request, share, config.max_file_bytes, told))]
    told = "send images as multipart/form-data, or a single one with the header Content-Type: image/jpeg"
    raise WrongMediaTypeError(f"{told}; URLs go to /predict/url" if kind == b"application/json" else told)


def advice_on(request: "Request", content: bytes) -> str:
    """Return how to send an image that cannot be used, where `curl -d` spoilt it; an empty text where it did not.

    It takes carriage returns, line feeds and zero bytes out of a file, and there is no image without any of them.

    Args:
        request: Its body is a single image.
        content: What `read_uploads` returned of it.

    Source:
        https://curl.se/docs/manpage.html#-d
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data" or any(byte in content for byte in b"\r\n\0"):
        return ""
    if content.isascii() and kind != _KIND_OF_CURL:
        return ""
    return (
        "it came without line ends and zero bytes, which curl -d takes out of a file: send it with curl --data-binary "
        "@photo.jpg, or with -F file=@photo.jpg"
    )


async def read_urls(request: "Request", share: Share, config: ServeConfig) -> list[str]:
    """Return the URLs in a request, in the order sent; they are not looked at.

    Args:
        request: Its body is JSON: {"urls": ["https://..."]}.
        share: What it holds is taken from here.
        config: The limits.

    Raises:
        WrongMediaTypeError: The content type is not that of JSON.
        RequestError: It is other JSON, or none.
        TooLargeError: There are too many, or one is too long.
        SlowRequestError: It did not come in whole in time.
        BusyError: There is no memory for it.
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"application/json":
        raise WrongMediaTypeError("send URLs as application/json")
    max_bytes = config.max_files * _MAX_QUOTED_URL_BYTES + 1024
    async with _in_time(config):
        content = await _read_whole(request, share, max_bytes, "the list of URLs is too long")
    return _checked_urls(content, config)


def _checked_urls(content: bytes, config: ServeConfig) -> list[str]:
    try:
        document = json.loads(content)
        # Half a letter can be read from JSON, but not be written.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not JSON") from error
    urls = document.get("urls") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) and url for url in urls):
        raise RequestError('expected {"urls": [...]} with one URL or more, and nothing else')
    if len(urls) > config.max_files:
        raise TooLargeError(f"more than {config.max_files} URLs in one request")
    if max(map(len, urls)) > _MAX_URL_BYTES:
        raise TooLargeError(f"a URL has more than {_MAX_URL_BYTES} letters")
    return urls


@asynccontextmanager
async def _in_time(config: ServeConfig) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(config.upload_timeout_s):
            yield
    except TimeoutError as error:
        raise SlowRequestError(f"the request did not come in whole within {config.upload_timeout_s:g} s") from error


async def _chunks(request: "Request", share: Share) -> AsyncIterator[bytes]:
    """Yield the body as it comes in, for as long as there is memory; what cannot go well is refused unread."""
    encodings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if any(encoding.strip() not in ("", "identity") for encoding in encodings):
        raise WrongMediaTypeError("send it as it is, without a content encoding")
    share.check(_length(request))
    async for chunk in request.stream():
        share.take(len(chunk))
        yield chunk


async def _read_whole(request: "Request", share: Share, max_bytes: int, told: str) -> bytes:
    """Return a body of at most so many bytes; a larger one is refused in these words."""
    if _length(request) > max_bytes:
        raise TooLargeError(told)
    content = bytearray()
    async for chunk in _chunks(request, share):
        content += chunk
        if len(content) > max_bytes:
            raise TooLargeError(told)
    return bytes(content)


def _length(request: "Request") -> int:
    """Return how many bytes a request announces; 0 where it does not."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


async def _read_form(boundary: bytes, chunks: AsyncIterator[bytes], config: ServeConfig) -> list[Upload]:
    form = _Form(config)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
    except FormParserError as error:
        raise RequestError("the multipart body is damaged") from error
    if not form.is_whole:
        raise RequestError("the multipart body has no end")
    if not form.uploads:
        raise RequestError("there is no file in the form")
    return form.uploads


def _file_name(disposition: bytes) -> str | None:
    """Return the name of the file in a part of a form; None where it is no file."""
    if extended := _EXTENDED_NAME.search(disposition):
        return unquote(extended[1].decode("latin-1"), errors="replace")
    _, options = parse_options_header(disposition)
    return options[b"filename"].decode("utf-8", "replace") if b"filename" in options else None


class _Form:
    """What a multipart parser has found so far.

    Starlette's form would read a file that is too large to its end before it is refused, and put it on the disk.
    """

    def __init__(self, config: ServeConfig) -> None:
        self.uploads: list[Upload] = []
        self.is_whole = False
        self._config = config
        self._num_others = 0
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        self._content = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_end": self._end_form,
        }

    def _begin(self) -> None:
        self._headers, self._name, self._content = {}, None, bytearray()

    def _end_header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        self._name = _file_name(self._headers.get(b"content-disposition", b""))
        if self._name is not None and len(self.uploads) == self._config.max_files:
            raise TooLargeError(f"more than {self._config.max_files} images in one request")
        self._num_others += self._name is None
        if self._num_others > _MAX_OTHER_FIELDS:
            raise TooLargeError(f"more than {_MAX_OTHER_FIELDS} parts that are no files in one request")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            return
        if len(self._content) + end - start > self._config.max_file_bytes:
            raise TooLargeError(f"an image has more than {self._config.max_file_mb:g} MiB")
        self._content += data[start:end]

    def _end(self) -> None:
        # A field for a file in which none was chosen comes as one without a name and without content.
        if self._name or self._content:
            self.uploads.append(Upload(self._name or "-", bytes(self._content)))
        self._content = bytearray()

    def _end_form(self) -> None:
        self.is_whole = True
