"""Makes the parts of the reference that are no docstrings: commands, presets, problem codes, files of a run."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from inspect import getdoc
from textwrap import indent

from pydantic import BaseModel

import api
from mien import errors
from mien.cli.main import app
from mien.cli.show_run import RUN_FILES
from mien.config import PRESETS
from mien.data.dataset import PROBLEMS
from mien.jobs.check import GATES
from mien.serving.openapi import REFUSED_FOR, ModelDocument, PredictionDocument

DEMO_FILES = {
    "data/": "drawn people, including some bad files: `mien check mien-demo/data` lists them",
    "unseen/": "more drawn people, some in a style not used in training",
    "fast/": "the run with the preset fast: start with fast/report.html",
    "classic/": "the run with the tutorial's network: classic/report.html",
}


def part(name: str) -> str:
    """Return what a page shows between `<!-- made: name -->` and `<!-- end -->`."""
    return api.described(name) if "." in name else _parts()[name].strip()


@cache
def _parts() -> dict[str, str]:
    return {
        "commands": commands(),
        "errors": error_tree(),
        "presets": presets(),
        "problems": table(("code", "what it means"), ((f"`{code}`", meaning) for code, meaning in PROBLEMS.items())),
        "gates": table(("gate", "problem codes"), ((f"`{gate}`", _codes(codes)) for gate, codes in GATES.items())),
        "run-files": table(("file", "what it holds"), ((f"`{name}`", meaning) for name, meaning in RUN_FILES.items())),
        "statuses": table(("status", "what it means"), ((f"`{code}`", text) for code, text in REFUSED_FOR.items())),
        "prediction": fields(PredictionDocument),
        "model": fields(ModelDocument),
        "demo-files": table(("file", "what it is"), ((f"`{name}`", meaning) for name, meaning in DEMO_FILES.items())),
    }


def commands() -> str:
    """Return what `--help` says of every command, without the list of commands, which the page's own is."""
    text = app.generate_docs(output_format="markdown", usage_name="mien")
    # cyclopts puts the name of a command before a usage of our own, which begins with it.
    text = re.sub(r"^mien (\w+) \1 ", r"mien \1 ", text, flags=re.MULTILINE)
    return re.sub(r"(?<=Example: )mien .+?(?=\n\n)", _examples, text[text.index("## mien ") :], flags=re.DOTALL)


def _examples(found: re.Match[str]) -> str:
    """Mark the commands in the words behind "Example:" as code; what is between them is divided off by ", "."""
    return re.sub(r"mien .+?(?=, |$)", r"`\g<0>`", " ".join(found[0].split()))


def error_tree() -> str:
    """Return the tree of errors as `mien.errors` draws it, and then each with what its docstring says."""
    _, tree = str(errors.__doc__).split("\n\n")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    described = (f"- `{kind.__name__}`: {indent(api.prose(getdoc(kind)), '  ').strip()}" for kind in kinds)
    return f"```text\n{tree}```\n\n" + "\n".join(described)


def presets() -> str:
    """Return the settings in which presets differ: a row for each, a column for each preset."""
    columns = [preset.flat() for preset in PRESETS.values()]
    names = [name for name in columns[0] if name != "preset" and len({str(column[name]) for column in columns}) > 1]
    rows = ((f"`{name}`", *(f"`{column[name]}`" for column in columns)) for name in names)
    return table(("setting", *(f"`{name}`" for name in PRESETS)), rows)


def fields(document: type[BaseModel]) -> str:
    """Return the fields of a document of the API, and what they say."""
    rows = ((f"`{name}`", field.description or "") for name, field in document.model_fields.items())
    return table(("field", "what it says"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(codes)) or "(of the folder as a whole)"
