"""Provenance: what a classifier was made from and how, as its file carries it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_origin


@dataclass(frozen=True)
class Provenance:
    """What a classifier was made from and how.

    Attributes:
        made_on: The day, in UTC, such as "2026-01-31".
        preset: The settings that its own began as.
        method: How it was fitted.
        settings: Those that differ from the preset's, by name, as JSON values.
        seed: Decided the split.
        split: Number of pictures by class, then by split.
        split_fingerprint: Hash of the content of the pictures with the split of each.
        left_out: Number of files that were not used, by problem code.
        smallest_side: Of all pictures used, in pixels.
        versions: Of Python and of every package that the answers may depend on.
        limits: What must not be expected of it, in sentences.
    """

    made_on: str
    preset: str
    method: str
    settings: dict[str, Any]
    seed: int
    split: dict[str, dict[str, int]]
    split_fingerprint: str
    left_out: dict[str, int]
    smallest_side: int
    versions: dict[str, str]
    limits: tuple[str, ...]


def provenance_from_dict(document: Mapping[str, Any]) -> Provenance:
    """Read what `dataclasses.asdict` gave, as it comes back from JSON.

    Raises:
        KeyError, TypeError, ValueError: It is something else.
    """
    found = Provenance(**{**document, "limits": tuple(document["limits"])})
    for field in fields(Provenance):
        kind: Any = get_origin(field.type) or field.type
        if not isinstance(getattr(found, field.name), kind):
            raise ValueError(f"{field.name} is no {kind.__name__}")
    texts = (*found.limits, *found.versions.values())
    counts = [*found.left_out.values(), *(count for splits in found.split.values() for count in splits.values())]
    if not all(isinstance(text, str) for text in texts) or not all(type(count) is int for count in counts):
        raise ValueError("a limit or a version is no text, or a number of pictures no number")
    return found
