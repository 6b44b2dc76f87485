"""Settings of the documentation site, which `make docs` builds with Sphinx; what is made anew for it is made here."""

import os
import shutil
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

DOCS_DIR = Path(__file__).parent
sys.path.insert(0, str(DOCS_DIR))

import console  # noqa: E402  (found by the line above)
import drawings  # noqa: E402
import tables  # noqa: E402
from mien import __version__  # noqa: E402

project, author, release = "mien", "The mien authors", __version__
project_copyright = "The mien authors; Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "console"]
exclude_patterns = ["_build", "_made"]

# Every warning is an error, and every name that is referred to must exist. Types of other packages have no page here.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(numpy|fastapi|keras|pathlib|collections|PIL)\b.*")]
default_role = "code"
# They would make one dash of the two before a flag.
smartquotes = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Source", "notes_style")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_execution_in_temp = True
nb_merge_streams = True
# Nothing is loaded from elsewhere: formulas are MathML, which browsers draw by themselves.
html_math_renderer = "mathml"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}

html_theme = "furo"
html_title = "mien"
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#17619c", "color-brand-content": "#17619c"},
    "dark_css_variables": {"color-brand-primary": "#7fb8e6", "color-brand-content": "#7fb8e6"},
}

MADE_DIR = DOCS_DIR / "_made"
# What mien caches goes there too, and the next page finds it.
os.environ["XDG_CACHE_HOME"] = str(MADE_DIR / "cache")
for notebook in DOCS_DIR.parent.glob("notebooks/*.ipynb"):
    shutil.copy(notebook, DOCS_DIR / "tutorial")
# Notebooks run in another folder, and find the module that one of them explains.
os.environ["PYTHONPATH"] = os.pathsep.join([str(DOCS_DIR.parent / "notebooks"), os.environ.get("PYTHONPATH", "")])
console.prepare(MADE_DIR)
tables.write(MADE_DIR)
myst_substitutions = drawings.draw(MADE_DIR)


def hide_the_colon(_app: Sphinx, what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Let a sentence with a colon that describes a setting not be taken for its type: a comment comes before it."""
    if what == "attribute":
        lines[:0] = ["..", ""]


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
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", hide_the_colon, priority=400)
