"""Makes Markdown of functions and classes: their signatures, their fields, and what their docstrings say."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pydoc import locate

_SECTION = re.compile(r"^(Args|Attributes|Example|Raises|Returns|Source|Yields):\n", re.MULTILINE)


def described(name: str) -> str:
    """Return what a page says of a function or a class, such as `mien.train`."""
    source = textwrap.dedent(inspect.getsource(locate(name)))  # type: ignore[arg-type]
    node = ast.parse(source).body[0]
    if isinstance(node, ast.ClassDef):
        parts = _class(node, source)
    elif isinstance(node, ast.FunctionDef):
        code = f"{name.rpartition('.')[0]}.{_signature(node, source)}"
        parts = [f"```python\n{code}\n```", prose(ast.get_docstring(node))]
    return "\n\n".join([f"### {name}", *(part for part in parts if part)])


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown."""
    summary, *sections = _SECTION.split(docstring or "")
    parts = [summary.strip()]
    for title, text in zip(sections[::2], map(textwrap.dedent, sections[1::2]), strict=True):
        if title == "Example":
            parts.append(f"```pycon\n{text.strip()}\n```")
        elif title in ("Returns", "Source", "Yields"):
            parts.append(f"{title}: {_one_line(text)}")
        else:
            items = [item.partition(": ") for item in re.split(r"\n(?=\S)", text.strip())]
            listed = "\n".join(f"- `{name}`: {_one_line(said)}" for name, _, said in items)
            parts.append(f"Raises:\n\n{listed}" if title == "Raises" else listed)
    return "\n\n".join(parts)


def _class(node: ast.ClassDef, source: str) -> list[str]:
    bases = ", ".join(f"`{ast.unparse(base)}`" for base in node.bases)
    text, more = prose(ast.get_docstring(node)), []
    for name, declared, said in _fields(node, source):
        item = f"- `{declared}`"
        more += [f"{item}: {said}".removesuffix(": ")] if f"- `{name}`: " not in text else []
        text = text.replace(f"- `{name}`: ", f"{item}: ")
    methods = [_method(line, source) for line in node.body if isinstance(line, ast.FunctionDef)]
    return [bases and f"Bases: {bases}", text, "\n".join(more), *methods]


def _fields(node: ast.ClassDef, source: str) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each public field, how it is declared, and its own docstring."""
    for line, following in pairwise([*node.body, ast.Pass()]):
        if isinstance(line, ast.AnnAssign) and not (name := ast.unparse(line.target)).startswith("_"):
            said = ast.literal_eval(following.value) if isinstance(following, ast.Expr) else ""
            yield name, _one_line(str(ast.get_source_segment(source, line))), _one_line(said)


def _method(node: ast.FunctionDef, source: str) -> str:
    """Return what is said of a method or a property that users may use."""
    docstring = ast.get_docstring(node)
    if node.name.startswith("_") or not docstring:
        return ""
    signature = re.sub(r"(?<=\()\s*(self|cls)?,?\s*|,?\s*(?=\))", "", _signature(node, source))
    if any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list):
        signature = signature.replace("() ->", ":")
    return f"- `{_one_line(signature)}`\n\n{textwrap.indent(prose(docstring), '  ')}"


def _signature(node: ast.FunctionDef, source: str) -> str:
    """Return the head of a function as it was written."""
    lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    return textwrap.dedent("\n".join(lines)).removeprefix("def ").rstrip(":")


def _one_line(text: str) -> str:
    return " ".join(text.split())
