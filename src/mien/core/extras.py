"""Optional packages: what to type when one is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from mien.errors import MissingExtraError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turn the import of a missing package in the block into the command that installs it.

    What else goes wrong in an import is left as it is, so that its cause is seen.

    Args:
        extra: Name of the set of packages in pyproject.toml, such as "train"; or several, as in "train,samples".

    Raises:
        MissingExtraError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or __name__).split(".")[0]
        if find_spec(package) is not None:
            raise
        command = f'pip install --editable ".[{extra}]"'
        raise MissingExtraError(f"this needs the package {package}. Type, in the folder of mien: {command}") from error


def require(extra: str, *modules: str) -> None:
    """Make sure that modules can be imported, without importing them.

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
