"""Object stores: s3://, gs:// and az:// -> what lies there, listed, read and written, with patience for what may pass.

The libraries of fsspec find the credentials by themselves; nothing of these is kept or shown here.
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
# Each library has its own name for when an object was written.
_MODIFIED = ("LastModified", "mtime", "last_modified")
# And its own errors for credentials that are missing, or have run out.
_OF_CREDENTIALS = re.compile("Credential|Authentication|Token|Profile|RefreshError")
_HELP = "See docs/how-to/object-stores.md for where credentials are looked for."
Result = TypeVar("Result")


class StoredObject(NamedTuple):
    """An object in a store.

    Attributes:
        address: Such as "s3://bucket/photos/a.jpg"; hostile text.
        num_bytes: Its size.
        modified_s: When it was written, in seconds since 1970; 0 where the store does not say.
    """

    address: str
    num_bytes: int
    modified_s: float


def is_address(name: str) -> bool:
    """Say whether a name is the address of something in an object store."""
    return name.startswith(tuple(f"{scheme}://" for scheme in _LIBRARIES))


def parts_of(address: str) -> tuple[str, str]:
    """Return the scheme of an address, and the bucket with the path in it.

    Raises:
        SettingsError: It is none.
    """
    found = _ADDRESS.fullmatch(address)
    if not found:
        # What is not understood may hold a password.
        raise SettingsError("an address in a store is as s3://BUCKET/FOLDER, without user, password or port")
    return found[1], found[2].rstrip("/")


def objects_below(address: str, progress: Progress = SILENCE) -> Iterator[StoredObject]:
    """Yield every object below an address, folder by folder, sorted; or the one that is called so.

    Hidden ones, and what systems leave, are passed over. Only the listing of one folder is in memory at a time.

    Args:
        address: A bucket, a folder in it, or an object.
        progress: Told how many were listed.

    Raises:
        SourceNotFoundError: There is nothing there, it may not be read, or the store cannot be reached.
    """
    store, top = _opened(address)
    num_listed = 0
    waiting: list[str | StoredObject] = [top]
    while waiting:
        item = waiting.pop()
        if isinstance(item, StoredObject):
            yield item
            continue
        progress.step("Listing", num_listed, num_listed + 1)
        found = _listing(store, address, item)
        num_listed += len(found)
        waiting += found
    progress.step("Listing", 1, 1)


def names_in(address: str) -> set[str]:
    """Return the names of what lies in a folder of a store, not in those within; none where there is no such folder.

    Raises:
        SourceNotFoundError: It may not be read, or the store cannot be reached.
    """
    store, path = _opened(address)
    try:
        found = _trying(address, partial(store.ls, path, detail=False))
    except SourceNotFoundError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return set()
        raise
    return {name.rpartition("/")[2] for name in found}


def read(address: str) -> bytes:
    """Return the content of an object, whatever it is.

    Raises:
        ImageError: It is not there any more, or enormous.
        SourceNotFoundError: It may not be read, or the store cannot be reached: so may be all others.
    """
    store, path = _opened(address)
    try:
        content = _trying(address, partial(_content, store, path))
    except SourceNotFoundError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ImageError("unreadable", "cannot be opened: there is no such object") from error
        raise
    if len(content) > MAX_FILE_BYTES:
        raise ImageError("unreadable", f"cannot be opened: it has more than {MAX_FILE_BYTES} bytes")
    return content


def write(address: str, content: bytes) -> None:
    """Write an object in one piece, in the place of what is called so.

    Raises:
        OutputError: It may not be written, or the store cannot be reached.
    """
    store, path = _opened(address)
    try:
        _trying(address, partial(store.pipe_file, path, content))
    except SourceNotFoundError as error:
        raise OutputError(f"cannot write: {error}") from error


def _opened(address: str) -> tuple[Any, str]:
    """Return the store of an address, and the path in it."""
    scheme, path = parts_of(address)
    require("cloud", "fsspec", _LIBRARIES[scheme])
    with needing("cloud"):
        import fsspec
    # A listing may be of millions, and is asked for once.
    return _trying(address, partial(fsspec.filesystem, scheme, use_listings_cache=False)), path


def _content(store: Any, path: str) -> bytes:
    try:
        # No more than that, however large it has become since it was listed.
        content: bytes = store.cat_file(path, start=0, end=MAX_FILE_BYTES + 1)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception:
        # Of an empty object no range can be asked for.
        if store.info(path)["size"] == 0:
            return b""
        raise
    return content


def _trying(address: str, function: Callable[[], Result]) -> Result:
    """Call what asks a store, and again after a pause where it fails in a way that may pass.

    Raises:
        SourceNotFoundError: It does not pass, or not soon enough.
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
                problem = f"the store cannot be reached, or does not answer as it should: {reason_of(error)}"
            if problem:
                raise SourceNotFoundError(f"{address!r}: {problem}") from error
        time.sleep(pause_s)
        pause_s *= 2


def _lasting_problem(error: Exception) -> str:
    """Say why a store refuses; an empty text where the same may go well a little later."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    if isinstance(error, FileNotFoundError):
        return f"there is nothing there: {reason_of(error)}"
    if isinstance(error, PermissionError) or status in (401, 403) or str(error).startswith("Forbidden"):
        return f"access is refused: {reason_of(error)}. {_HELP}"
    if isinstance(error, ValueError) or _OF_CREDENTIALS.search(type(error).__name__):
        return f"the store cannot be opened: {reason_of(error)}. {_HELP}"
    return reason_of(error) if isinstance(error, OSError) and error.errno == errno.EINVAL else ""


def _listing(store: Any, address: str, folder: str) -> list[str | StoredObject]:
    """Return what is directly in a folder, the last first; what an address itself names, where that is an object.

    Names that no folder has are passed over.
    """
    scheme, top = parts_of(address)
    found = _trying(address, partial(store.ls, folder, detail=True))
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
