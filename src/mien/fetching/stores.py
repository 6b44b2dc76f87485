"""Object stores: list, read and write objects at s3://, gs:// and az:// addresses, with retries.

The fsspec libraries find the credentials; mien never stores or shows them.
"""

import errno
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from mien.core.extras import needing, require
from mien.core.files import reason_of
from mien.core.formats import MAX_FILE_BYTES
from mien.core.progress import SILENCE, Progress
from mien.errors import ImageError, MienError, OutputError, SettingsError, SourceNotFoundError
from mien.layouts.tree import is_system_name

_LIBRARIES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
SCHEMES = "s3://, gs:// or az://"
_ADDRESS = re.compile(r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]*(?:/.*)?)", re.DOTALL)
_PATIENCE_S, _FIRST_PAUSE_S = 30.0, 0.5
# A request without an answer would otherwise block for many minutes: the libraries try again themselves.
_CALL_S = 300.0
# Each library has its own name for the modification time.
_MODIFIED = ("LastModified", "mtime", "last_modified")
# And its own errors for missing or expired credentials.
_OF_CREDENTIALS = re.compile("Credential|Authentication|Token|Profile|RefreshError")
_HELP = "For how to set up credentials, see docs/how-to/object-stores.md."
Result = TypeVar("Result")


class StoredObject(NamedTuple):
    """An object in a store.

    Attributes:
        address: E.g. "s3://bucket/photos/a.jpg"; untrusted text.
        num_bytes: Its size.
        modified_s: Modification time in seconds since 1970; 0 if the store does not give it.
    """

    address: str
    num_bytes: int
    modified_s: float


def is_address(name: str) -> bool:
    """Return whether a name is an address in an object store."""
    return name.startswith(tuple(f"{scheme}://" for scheme in _LIBRARIES))


def parts_of(address: str) -> tuple[str, str]:
    """Return the scheme of an address, and its bucket and path.

    Raises:
        SettingsError: It is not a valid address.
    """
    found = _ADDRESS.fullmatch(address)
    if not found:
        # Do not echo it: it may contain a password.
        raise SettingsError("store addresses look like s3://BUCKET/FOLDER, without user, password or port")
    return found[1], found[2].rstrip("/")


def objects_below(address: str, progress: Progress = SILENCE) -> Iterator[StoredObject]:
    """Yield every object below an address, folder by folder, sorted, or the single object at the address.

    Hidden files and system files are skipped. Only the listing of one folder is in memory at a time.

    Args:
        address: A bucket, a folder in it, or an object.
        progress: Receives the number of listed objects.

    Raises:
        SourceNotFoundError: There is nothing at the address, access is denied, or the store cannot be reached.
    """
    store, top = _opened(address)
    num_listed = 0
    waiting: list[str | StoredObject] = [top]
    while waiting:
        item = waiting.pop()
        if isinstance(item, StoredObject):
            yield item
            continue
        progress.step("Listing", num_listed, None)
        found = _listing(store, address, item)
        num_listed += len(found)
        waiting += found
    progress.step("Listing", 1, 1)


def names_in(address: str) -> set[str]:
    """Return the names directly in a folder of a store; an empty set if it does not exist.

    Raises:
        SourceNotFoundError: Access is denied, or the store cannot be reached.
    """
    store, path = _opened(address)
    try:
        found = _trying(address, partial(store.ls, path, detail=False, timeout=_CALL_S))
    except SourceNotFoundError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return set()
        raise
    return {name.rpartition("/")[2] for name in found}


def read(address: str) -> bytes:
    """Return the content of an object.

    Raises:
        ImageError: It no longer exists, or is too large.
        SourceNotFoundError: Access is denied, or the store cannot be reached, so others will probably fail too.
    """
    store, path = _opened(address)
    try:
        content = _trying(address, partial(_content, store, path))
    except SourceNotFoundError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ImageError("unreadable", "cannot be opened: the object does not exist") from error
        raise
    if len(content) > MAX_FILE_BYTES:
        raise ImageError("unreadable", f"cannot be opened: it is larger than {MAX_FILE_BYTES} bytes")
    return content


def write(address: str, content: bytes) -> None:
    """Write an object atomically, replacing an existing one.

    Raises:
        OutputError: Access is denied, or the store cannot be reached.
    """
    store, path = _opened(address)
    try:
        _trying(address, partial(store.pipe_file, path, content, timeout=_CALL_S))
    except SourceNotFoundError as error:
        raise OutputError(f"cannot write: {error}") from error


def _opened(address: str) -> tuple[Any, str]:
    """Return the store of an address, and its path in it."""
    scheme, path = parts_of(address)
    require("cloud", "fsspec", _LIBRARIES[scheme])
    with needing("cloud"):
        import fsspec
    # Listings may have millions of entries and are needed only once.
    return _trying(address, partial(fsspec.filesystem, scheme, use_listings_cache=False)), path


def _content(store: Any, path: str) -> bytes:
    try:
        # Limit the size, in case it has grown since it was listed.
        content: bytes = store.cat_file(path, start=0, end=MAX_FILE_BYTES + 1, timeout=_CALL_S)
    except (FileNotFoundError, PermissionError, TimeoutError):
        raise
    except Exception:
        # Empty objects do not support ranges.
        if store.info(path, timeout=_CALL_S)["size"] == 0:
            return b""
        raise
    return content


def _trying(address: str, function: Callable[[], Result]) -> Result:
    """Call a function that uses a store, retrying after a pause if the error may be temporary.

    Raises:
        SourceNotFoundError: The error is permanent or lasts too long.
    """
    pause_s, until_s = _FIRST_PAUSE_S, time.monotonic() + _PATIENCE_S
    while True:
        try:
            return function()
        except MienError:
            raise
        except Exception as error:
            problem = _lasting_problem(error)
            if not problem and time.monotonic() + pause_s > until_s:
                reason = f"no answer within {_CALL_S:.0f} s" if isinstance(error, TimeoutError) else reason_of(error)
                problem = f"the store cannot be reached or does not respond correctly: {reason}"
            if problem:
                raise SourceNotFoundError(f"{address!r}: {problem}") from error
        time.sleep(pause_s)
        pause_s *= 2


def _lasting_problem(error: Exception) -> str:
    """Return why a store refuses a request, or "" if trying again may help."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    reason = reason_of(error).rstrip(".")
    if isinstance(error, FileNotFoundError):
        return f"it does not exist: {reason}"
    if isinstance(error, PermissionError) or status in (401, 403) or str(error).startswith("Forbidden"):
        return f"access denied: {reason}. {_HELP}"
    if isinstance(error, ValueError) or _OF_CREDENTIALS.search(type(error).__name__):
        return f"cannot open the store: {reason}. {_HELP}"
    return reason if isinstance(error, OSError) and error.errno == errno.EINVAL else ""


def _listing(store: Any, address: str, folder: str) -> list[str | StoredObject]:
    """Return the content of a folder in reverse order, or the object itself if the address is one.

    Names that a folder cannot have are skipped.
    """
    scheme, top = parts_of(address)
    found = _trying(address, partial(store.ls, folder, detail=True, timeout=_CALL_S))
    if folder == top and (own := [info for info in found if info["type"] == "file" and info["name"] == top]):
        return [_stored(info, scheme) for info in own]
    inside = [info for info in found if _is_inside(info["name"], folder)]
    inside.sort(key=lambda info: (info["name"], info["type"]), reverse=True)
    return [_stored(info, scheme) if info["type"] == "file" else str(info["name"]) for info in inside]


def _is_inside(path: str, folder: str) -> bool:
    parent, _, name = path.rpartition("/")
    return parent == folder and name != "" and not is_system_name(name)


def _stored(info: dict[str, Any], scheme: str) -> StoredObject:
    modified = next((info[name] for name in _MODIFIED if isinstance(info.get(name), datetime)), None)
    return StoredObject(f"{scheme}://{info['name']}", info["size"] or 0, modified.timestamp() if modified else 0.0)
