"""Writes the parts of the reference that no docstring holds: commands, presets, problem codes, files of a run."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from mien import errors
from mien.cli.main import app
from mien.cli.show_run import DEMO_FILES, RUN_FILES
from mien.config import PRESETS
from mien.data.dataset import PROBLEMS
from mien.jobs.check import GATES
from mien.serving.openapi import REFUSED_FOR, ModelDocument, PredictionDocument


def write(folder: Path) -> None:
    """Write every part as Markdown that a page includes."""
    folder.mkdir(exist_ok=True)
    parts = {
        "commands": commands(),
        "errors": error_tree(),
        "presets": presets(),
        "problems": table(("code", "what it means"), ((f"`{code}`", meaning) for code, meaning in PROBLEMS.items())),
        "gates": table(("gate", "problem codes"), ((f"`{gate}`", _codes(codes)) for gate, codes in GATES.items())),
        "run-files": table(("file", "what it holds"), ((f"`{name}`", meaning) for name, meaning in RUN_FILES.items())),
        "statuses": table(("status", "what it means"), ((f"`{code}`", text) for code, text in REFUSED_FOR.items())),
        "prediction": described(PredictionDocument),
        "model": described(ModelDocument),
        "demo-files": table(("file", "what it is"), ((f"`{name}`", meaning) for name, meaning in DEMO_FILES.items())),
    }
    for name, text in parts.items():
        (folder / f"{name}.md").write_text(text, "utf-8")


def commands() -> str:
    """Return what `--help` says of every command, without the list of commands, which the page's own is."""
    text = app.generate_docs(output_format="markdown", usage_name="mien")
    return re.sub(r"(?<=Example: )mien .+?(?=\n\n)", _examples, text[text.index("## mien ") :], flags=re.DOTALL)


def _examples(found: re.Match[str]) -> str:
    """Mark the commands in the words behind "Example:" as code; what is between them is divided off by ", "."""
    return re.sub(r"mien .+?(?=, |$)", r"`\g<0>`", " ".join(found[0].split()))


def error_tree() -> str:
    """Return the tree of errors as `mien.errors` draws it, and then each with what its docstring says."""
    _, tree = str(errors.__doc__).split("\n\n")
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    described = "".join(f".. autoexception:: mien.errors.{kind.__name__}\n" for kind in classes)
    return f"```text\n{tree}```\n\n```{{eval-rst}}\n{described}```\n"


def presets() -> str:
    """Return the settings in which presets differ: a row for each, a column for each preset."""
    columns = [preset.flat() for preset in PRESETS.values()]
    names = [name for name in columns[0] if name != "preset" and len({str(column[name]) for column in columns}) > 1]
    rows = ((f"`{name}`", *(f"`{column[name]}`" for column in columns)) for name in names)
    return table(("setting", *(f"`{name}`" for name in PRESETS)), rows)


def described(document: type[BaseModel]) -> str:
    """Return the fields of a document of the API, and what they say."""
    fields = document.model_fields.items()
    return table(("field", "what it says"), ((f"`{name}`", field.description or "") for name, field in fields))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(codes)) or "(of the folder as a whole)"
