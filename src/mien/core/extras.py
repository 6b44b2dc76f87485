"""Optional packages: explain how to install one that is missing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from urllib.parse import urlsplit

from mien.errors import MissingExtraError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turn a failed import in the block into an error with the command that installs the package.

    Other errors during an import pass through unchanged, so that their cause is visible.

    Args:
        extra: Name of the set of packages in pyproject.toml, such as "keras".

    Raises:
        MissingExtraError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or __name__).split(".")[0]
        if find_spec(package) is not None:
            raise
        raise MissingExtraError(
            f"{package} is not installed. To install it: pip install {_installed_from(extra)}"
        ) from error


def require(extra: str, *modules: str) -> None:
    """Check that modules can be imported, without importing them.

    Args:
        extra: As in `needing`.
        modules: Names of packages.

    Raises:
        MissingExtraError: One is not installed.
    """
    with needing(extra):
        for module in modules:
            if find_spec(module) is None:
                raise ModuleNotFoundError(name=module)


def _installed_from(extra: str) -> str:
    """Return what to pass to pip for mien with an extra: the folder or file it was installed from, if there is one.

    Source: https://packaging.python.org/en/latest/specifications/direct-url/
    """
    # Loads ssl.
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("mien").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {}
    url = urlsplit(origin.get("url", ""))
    where = url2pathname(url.path) if url.scheme == "file" else "mien"
    flag = "--editable " if origin.get("dir_info", {}).get("editable") else ""
    return f'{flag}"{where}[{extra}]"'
