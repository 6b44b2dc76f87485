"""Schema: convert JSON values to frozen dataclasses, checked against the types of their fields."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

# cattrs accepts 1 for "1" and None for "None", and its errors say less; pydantic takes half a second to import.
T = TypeVar("T")
_TOO_LARGE = 1e300


def built(kind: type[T], value: Any, *, name: str = "") -> T:
    """Convert a JSON value to a dataclass, or to any type that its fields may have.

    Args:
        kind: A dataclass of strings, numbers, dictionaries, tuples and such dataclasses.
        value: The result of `dataclasses.asdict` after a round trip through JSON. Fields with a default may be missing.
        name: Its name in messages; by default the name of the dataclass.

    Raises:
        ValueError: It does not match.
    """
    found: T = value_of(kind, value, name or kind.__name__)
    return found


def value_of(kind: Any, value: Any, name: str) -> Any:
    """Convert a JSON value to any type that `built` supports.

    Raises:
        ValueError: It does not match; the message calls it `name`.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _any_built(kind, value, name)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [parts[0]] * len(value) if parts[-1] is ... else list(parts)
        if len(kinds) == len(value):
            return tuple(value_of(part, item, name) for part, item in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {key: value_of(parts[1], item, name) for key, item in value.items()}
    if is_dataclass(kind) and isinstance(value, dict):
        return _fields_built(kind, value, name)
    if origin is Literal and isinstance(value, str) and value in parts:
        return value
    # Python's JSON parser accepts NaN and infinity.
    if kind is float and type(value) in (int, float) and abs(value) < _TOO_LARGE:
        return float(value)
    if kind is Any or (kind in (str, int, bool, NoneType) and type(value) is kind):
        return value
    raise _unexpected(kind, value, name)


def _any_built(kind: Any, value: Any, name: str) -> Any:
    """Convert a value to the first of several types that it matches."""
    for part in get_args(kind):
        with suppress(ValueError):
            return value_of(part, value, name)
    raise _unexpected(kind, value, name)


def _unexpected(kind: Any, value: Any, name: str) -> ValueError:
    return ValueError(f"{name} is {repr(value)[:100]}; expected {_described(kind)}")


def _described(kind: Any) -> str:
    """Name a type for a message."""
    if is_dataclass(kind) or get_origin(kind) is dict:
        return "a JSON object"
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_described, get_args(kind)))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if kind is NoneType:
        return "null"
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _fields_built(kind: Any, document: Mapping[str, Any], name: str) -> Any:
    hints = get_type_hints(kind)
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(needed - set(document)):
        raise ValueError(f"{name}: missing {', '.join(map(repr, missing))}")
    if unknown := sorted(set(document) - set(hints)):
        listed = ", ".join(map(repr, unknown))[:200]
        raise ValueError(f"unknown field in {name}: {listed}. Known: {', '.join(sorted(hints))}")
    return kind(**{key: value_of(hints[key], item, key) for key, item in document.items()})
