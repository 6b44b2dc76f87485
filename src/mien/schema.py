"""JSON values -> frozen dataclasses, checked against the types of their fields: what is read back may be anything."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_TOO_LARGE = 1e300


def built(kind: type[T], value: Any) -> T:
    """Return a JSON value as a dataclass, or as what one has in its fields.

    Args:
        kind: A dataclass of strings, numbers, dictionaries, tuples, and other such dataclasses.
        value: What `dataclasses.asdict` gave, as it comes back from JSON. Fields with a default may be missing.

    Raises:
        ValueError: It is something else.
    """
    found: T = value_of(kind, value, kind.__name__)
    return found


def value_of(kind: Any, value: Any, name: str) -> Any:
    """Return a JSON value as a type of those that `built` knows.

    Raises:
        ValueError: It is of another; the message calls it by `name`.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _any_built(parts, value, name)
    if origin is tuple and isinstance(value, list):
        kinds = [parts[0]] * len(value) if parts[-1] is ... else list(parts)
        if len(kinds) == len(value):
            return tuple(value_of(part, item, name) for part, item in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {key: value_of(parts[1], item, name) for key, item in value.items()}
    if is_dataclass(kind) and isinstance(value, dict):
        return _fields_built(kind, value, name)
    if origin is Literal and isinstance(value, str) and value in parts:
        return value
    # Not a number, or too large for one: JSON as Python reads it has such.
    if kind is float and type(value) in (int, float) and abs(value) < _TOO_LARGE:
        return float(value)
    if kind is Any or (kind in (str, int, bool, NoneType) and type(value) is kind):
        return value
    raise ValueError(f"{name} is {str(value)[:100]!r}")


def _any_built(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    """Return a value as the first of several types that it is of; the last says why it is of none."""
    for kind in kinds[:-1]:
        with suppress(ValueError):
            return value_of(kind, value, name)
    return value_of(kinds[-1], value, name)


def _fields_built(kind: Any, document: Mapping[str, Any], name: str) -> Any:
    hints = get_type_hints(kind)
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    odd = sorted((needed - set(document)) | (set(document) - set(hints)))
    if odd:
        raise ValueError(f"{name} has too much or too little: {', '.join(odd)[:200]}")
    return kind(**{key: value_of(hints[key], item, key) for key, item in document.items()})
