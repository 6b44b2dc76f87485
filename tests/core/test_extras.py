"""Optional packages: a missing one is an error that says what to type."""

import pytest

from mien.core.extras import needing, require
from mien.errors import MissingExtraError


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r'needs the package nowhere_to_be_found.*pip install "\.\[train\]"'):
        require("train", "json", "nowhere_to_be_found")
    with pytest.raises(MissingExtraError, match="nowhere_to_be_found"), needing("train"):
        __import__("nowhere_to_be_found.inside")


@pytest.mark.parametrize(
    "statement", ["import mien.nowhere", "from mien.core.extras import nothing", "import keras.nowhere"]
)
def test_an_import_that_fails_in_what_is_installed_keeps_its_cause(statement: str) -> None:
    with pytest.raises(ImportError, match=r"nowhere|nothing") as caught, needing("train"):
        exec(statement)
    assert not isinstance(caught.value, MissingExtraError)


def test_what_is_installed_is_not_loaded() -> None:
    require("train", "keras", "tensorboard")
