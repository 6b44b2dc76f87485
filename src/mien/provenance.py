"""Provenance: what a classifier was made from and how, as its file carries it."""

from dataclasses import dataclass
from typing import Any


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
        split_fingerprint: Hash of the pictures with the split of each (see `mien.dataset.split_fingerprint`).
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
