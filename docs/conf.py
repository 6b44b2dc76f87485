"""Settings of the documentation site, which `make docs` builds with Sphinx from the pages as they are."""

import re
import shutil
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from mien import __version__

DOCS_DIR = Path(__file__).parent

project, author, release = "mien", "The mien authors", __version__
project_copyright = "The mien authors; Apache-2.0"
extensions = ["myst_nb"]
exclude_patterns = ["_build"]
# They would make one dash of the two before a flag.
smartquotes = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True
# Nothing is loaded from elsewhere: formulas are MathML, which browsers draw by themselves.
html_math_renderer = "mathml"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}

html_theme = "furo"
html_title = "mien"
html_copy_source = False
html_static_path = html_css_files = ["scheme.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#17619c", "color-brand-content": "#17619c"},
    "dark_css_variables": {"color-brand-primary": "#7fb8e6", "color-brand-content": "#7fb8e6"},
}

# As they were executed, beside their page.
for notebook in (DOCS_DIR / "_build" / "notebooks").glob("*.ipynb"):
    shutil.copy(notebook, DOCS_DIR / "tutorial")


def add_table_of_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Let the lists of links on an index page be the table of contents that Sphinx asks for."""
    if not name.endswith("index"):
        return
    source[0] = source[0].replace("](../../notebooks/", "](")
    lines = re.findall(r"^(?:- \[|\|).*", source[0], re.MULTILINE)
    pages = [page for line in lines for page in re.findall(r"\]\(([\w/.-]+)\.(?:md|ipynb)\)", line)]
    source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *pages, "```", ""])


def draw_formula(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula that stands in a line."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def draw_formula_apart(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula that stands apart."""
    translator.body.append(f"<p>{tex2mathml(node.astext(), as_block=True)}</p>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Register what is defined above."""
    app.add_html_math_renderer("mathml", (draw_formula, None), (draw_formula_apart, None))
    app.connect("source-read", add_table_of_contents)
