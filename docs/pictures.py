"""Draws the pictures of the ideas, and works out the numbers that their pages name: both by running code."""

from pathlib import Path


def draw(folder: Path) -> dict[str, str]:
    """Draw every picture as an SVG file; return the numbers that the text names, by their names there."""
    return {}
