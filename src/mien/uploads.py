"""Uploads: the body of a request, as it comes in -> the pictures in it, held in memory alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from mien.errors import RequestError, TooLargeError, WrongMediaTypeError
from mien.serve_config import ServeConfig

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


@dataclass(frozen=True)
class Upload:
    """A file as it was sent.

    Attributes:
        name: What the sender calls it; "-" where it has no name.
        content: Its bytes, whatever they are.
    """

    name: str
    content: bytes


async def read_uploads(content_type: str, chunks: AsyncIterator[bytes], config: ServeConfig) -> list[Upload]:
    """Return the files in a request, in the order sent.

    Args:
        content_type: The header of that name: multipart/form-data, or that of a single picture.
        chunks: The body, as it comes in.
        config: The limits.

    Raises:
        WrongMediaTypeError: The content type is of something else than pictures.
        TooLargeError: A file is too large, or there are too many.
        RequestError: It is not a whole multipart body, or there is no file in it.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        uploads = await _files_in_form(options.get(b"boundary", b""), chunks, config)
    elif kind.startswith(b"image/") or kind in (b"", b"application/octet-stream"):
        content = bytearray()
        async for chunk in chunks:
            _add(content, chunk, config)
        uploads = [Upload("-", bytes(content))]
    else:
        raise WrongMediaTypeError("send pictures as multipart/form-data, or one as image/jpeg or the like")
    return uploads


async def _files_in_form(boundary: bytes, chunks: AsyncIterator[bytes], config: ServeConfig) -> list[Upload]:
    form = _Form(config)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except MultipartParseError as error:
        raise RequestError("the multipart body is damaged") from error
    if not form.uploads:
        raise RequestError("there is no file in the form")
    return form.uploads


def _add(content: bytearray, chunk: bytes, config: ServeConfig) -> None:
    if len(content) + len(chunk) > config.max_file_bytes:
        raise TooLargeError(f"a picture has more than {config.max_file_mb:g} MiB")
    content += chunk


class _Form:
    """What a multipart parser has found so far."""

    def __init__(self, config: ServeConfig) -> None:
        self.uploads: list[Upload] = []
        self._config = config
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._content = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: _add(self._content, data[start:end], self._config),
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._headers, self._content = {}, bytearray()

    def _end_header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"filename" not in options:
            return
        if len(self.uploads) == self._config.max_files:
            raise TooLargeError(f"more than {self._config.max_files} pictures in one request")
        self.uploads.append(Upload(options[b"filename"].decode("utf-8", "replace"), bytes(self._content)))
