"""Folders whose class and file names try to be something else: markup, formulas, flags, commands, escape sequences."""

import os
from collections.abc import Sequence
from pathlib import Path

from conftest import draw_image, save_image

NAMES = [
    "<script>alert(1)<",
    "<img src=x onerror=alert(1)>",
    "\"quoted\" & 'single'",
    "' onload='alert(1)",
    "=cmd|' calc'!A1",
    "@SUM(1+1)",
    "-rf",
    "smile \U0001f600",
    "שלום",
    "\u202egpj.exe",
    "\u2066hidden\u2069",
    "long " + "ä" * 125,
    "$x_1^2$",
    "[red]bold[not red]",
    "{{ 7*7 }}",
    "two\nlines",
    "\x1b[31mred\x07",
    "con",
    "'=1",
    "![a](javascript:alert(1))",
    os.fsdecode(b"\xff\xfe"),
]


def draw_hostile_folder(folder: Path, class_names: Sequence[str] = NAMES, *, num_images: int = 10) -> Path:
    """Draw distinct JPEGs in a folder for each class; each file is named as hostilely as the classes are."""
    for place, name in enumerate(class_names):
        for number in range(num_images):
            file_name = NAMES[number % len(NAMES)]
            # 255 bytes are all that a name may have.
            short = os.fsdecode(os.fsencode(file_name)[:240]).rstrip("\udcc3")
            save_image(folder / name / f"{short}{number}.jpg", draw_image(1000 * place + number), quality=90)
    return folder
