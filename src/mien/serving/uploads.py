"""Uploads: the body of a request as it arrives -> the images in it, held in memory only."""

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

# Other fields in a form, such as a key or a check box, which some programs send. They are ignored.
_MAX_OTHER_FIELDS = 32
# No longer meant for forms, but some programs still send non-ASCII names like this.
# https://www.rfc-editor.org/rfc/rfc7578#section-4.2
_EXTENDED_NAME = re.compile(rb""";\s*filename\*\s*=\s*utf-8'[^';]*'([^;\s"]*)""", re.IGNORECASE)
# Types sent by programs that do not know the content. curl labels any body as a form; a real form is not an image.
_KIND_OF_CURL = b"application/x-www-form-urlencoded"
_KINDS_OF_ANYTHING = (b"", b"application/octet-stream", _KIND_OF_CURL)
_MAX_URL_BYTES = 2048
# A URL in JSON, where each character may be written as \uXXXX.
_MAX_QUOTED_URL_BYTES = 6 * _MAX_URL_BYTES + 16


@dataclass(frozen=True)
class Upload:
    """An uploaded file.

    Attributes:
        name: The file name, or "-" if there is none.
        content: Its bytes, unchecked.
    """

    name: str
    content: bytes


async def read_uploads(request: "Request", share: Share, config: ServeConfig) -> list[Upload]:
    """Return the images in a request, in the order sent.

    Args:
        request: A request with a multipart/form-data body or a single image.
        share: The memory to take from.
        config: Limits.

    Raises:
        WrongMediaTypeError: The Content-Type is not that of images.
        TooLargeError: A file is too large, or there are too many.
        RequestError: The multipart body is malformed or incomplete, or contains no file.
        SlowRequestError: It took too long to arrive.
        BusyError: There is no memory for it.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    async with _in_time(config):
        if kind == b"multipart/form-data":
            return await _read_form(options.get(b"boundary", b""), _chunks(request, share), config)
        if kind.startswith(b"image/") or kind in _KINDS_OF_ANYTHING:
            told = f"an image is larger than {config.max_file_mb:g} MiB"
            return [Upload("-", await _read_whole(request, share, config.max_file_bytes, told))]
    told = "send images as multipart/form-data, or a single one with Content-Type: image/jpeg"
    raise WrongMediaTypeError(f"{told}. Send URLs to /predict/url" if kind == b"application/json" else told)


def advice_on(request: "Request", content: bytes) -> str:
    """Return how to resend an image that `curl -d` damaged, or "" if that is not the cause.

    `curl -d` removes carriage returns, line feeds and zero bytes, and every image contains some of them.

    Args:
        request: A request whose body is a single image.
        content: The content that `read_uploads` returned for it.

    Source:
        https://curl.se/docs/manpage.html#-d
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data" or any(byte in content for byte in b"\r\n\0"):
        return ""
    if content.isascii() and kind != _KIND_OF_CURL:
        return ""
    return (
        "it has no line breaks or zero bytes, which curl -d removes. Send it with curl --data-binary @photo.jpg "
        "or curl -F file=@photo.jpg"
    )


async def read_urls(request: "Request", share: Share, config: ServeConfig) -> list[str]:
    """Return the URLs in a request, in the order sent, unchecked.

    Args:
        request: A request with a JSON body: {"urls": ["https://..."]}.
        share: The memory to take from.
        config: Limits.

    Raises:
        WrongMediaTypeError: The Content-Type is not that of JSON.
        RequestError: The body is not JSON of this form.
        TooLargeError: There are too many, or one is too long.
        SlowRequestError: It took too long to arrive.
        BusyError: There is no memory for it.
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"application/json":
        raise WrongMediaTypeError("send URLs as JSON, with Content-Type: application/json")
    max_bytes = config.max_files * _MAX_QUOTED_URL_BYTES + 1024
    async with _in_time(config):
        content = await _read_whole(request, share, max_bytes, "the list of URLs is too long")
    return _checked_urls(content, config)


def _checked_urls(content: bytes, config: ServeConfig) -> list[str]:
    try:
        document = json.loads(content)
        # JSON can contain lone surrogates, which cannot be encoded again.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not valid JSON") from error
    urls = document.get("urls") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) and url for url in urls):
        raise RequestError('expected {"urls": [...]} with at least one URL and no other fields')
    if len(urls) > config.max_files:
        raise TooLargeError(f"too many URLs: send at most {config.max_files} in a request")
    if max(map(len, urls)) > _MAX_URL_BYTES:
        raise TooLargeError(f"a URL is longer than {_MAX_URL_BYTES} characters")
    return urls


@asynccontextmanager
async def _in_time(config: ServeConfig) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(config.upload_timeout_s):
            yield
    except TimeoutError as error:
        raise SlowRequestError(f"the request took longer than {config.upload_timeout_s:g} s to arrive") from error


async def _chunks(request: "Request", share: Share) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, as long as there is memory. Refuse unread what cannot succeed."""
    encodings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if any(encoding.strip() not in ("", "identity") for encoding in encodings):
        raise WrongMediaTypeError("send the body without a Content-Encoding")
    share.check(_length(request))
    async for chunk in request.stream():
        share.take(len(chunk))
        yield chunk


async def _read_whole(request: "Request", share: Share, max_bytes: int, told: str) -> bytes:
    """Return a body of at most `max_bytes`, or raise TooLargeError with the message `told`."""
    if _length(request) > max_bytes:
        raise TooLargeError(told)
    content = bytearray()
    async for chunk in _chunks(request, share):
        content += chunk
        if len(content) > max_bytes:
            raise TooLargeError(told)
    return bytes(content)


def _length(request: "Request") -> int:
    """Return the Content-Length of a request, or 0 if there is none."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


async def _read_form(boundary: bytes, chunks: AsyncIterator[bytes], config: ServeConfig) -> list[Upload]:
    form = _Form(config)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
    except FormParserError as error:
        raise RequestError("the multipart body is malformed") from error
    if not form.is_whole:
        raise RequestError("the multipart body is incomplete")
    if not form.uploads:
        raise RequestError("the form contains no file")
    return form.uploads


def _file_name(disposition: bytes) -> str | None:
    """Return the name of the file in a part of a form, or None if the part is not a file."""
    if extended := _EXTENDED_NAME.search(disposition):
        return unquote(extended[1].decode("latin-1"), errors="replace")
    _, options = parse_options_header(disposition)
    return options[b"filename"].decode("utf-8", "replace") if b"filename" in options else None


class _Form:
    """The files that a multipart parser has found so far.

    Starlette's own form would read an oversized file to its end, onto the disk, before it is refused.
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
        """Return the parser's callbacks."""
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
            raise TooLargeError(f"too many images: send at most {self._config.max_files} in a request")
        self._num_others += self._name is None
        if self._num_others > _MAX_OTHER_FIELDS:
            raise TooLargeError(f"too many form fields that are not files: send at most {_MAX_OTHER_FIELDS}")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            return
        if len(self._content) + end - start > self._config.max_file_bytes:
            raise TooLargeError(f"an image is larger than {self._config.max_file_mb:g} MiB")
        self._content += data[start:end]

    def _end(self) -> None:
        # A file field in which nothing was chosen arrives without a name and without content.
        if self._name or self._content:
            self.uploads.append(Upload(self._name or "-", bytes(self._content)))
        self._content = bytearray()

    def _end_form(self) -> None:
        self.is_whole = True
