"""The documentation, on a code host and as a site: it leaves nothing out, and its links lead somewhere."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import cyclopts.exceptions
import pytest
from myst_parser.slugs import github_slugify

import mien
from mien.cli.main import app

DOCS_DIR = Path(__file__).parents[2] / "docs"
SITE_DIR = DOCS_DIR / "_build" / "html"
PAGES = {
    path.relative_to(DOCS_DIR).as_posix(): path.read_text("utf-8")
    for path in DOCS_DIR.rglob("*.md")
    if not path.relative_to(DOCS_DIR).parts[0].startswith("_")
}
COMMANDS = [name for name in app if not name.startswith("-")]
QUOTED = [
    quoted
    for heading in re.findall(r"^### (.+)$", PAGES["troubleshooting.md"], re.MULTILINE)
    for quoted in re.findall(r'"([^"]+)"', heading)
]


class Page(HTMLParser):
    """What a page of HTML refers to, and what can be referred to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids, self.links, self.loaded = set[str](), set[str](), set[str]()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids.add(values.get("id", ""))
        if tag == "a":
            self.links.add(values.get("href", ""))
        elif values.get("rel") not in ("canonical", "next", "prev", "index", "search"):
            self.loaded |= {values[name] for name in ("src", "href") if name in values}


def flags(command: str) -> set[str]:
    arguments = app[command].assemble_argument_collection()
    return {name for argument in arguments for name in argument.names if name.startswith("--")} | {"--help"}


def anchors(path: Path) -> set[str]:
    return {github_slugify(heading) for heading in re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)}


def test_the_reference_describes_every_public_name() -> None:
    reference = "".join(text for page, text in PAGES.items() if page.startswith("reference/"))
    described = re.findall(r"^(?:### mien\.|mien\.(?=PRESETS: )|- `(?=MienError`))(\w+)", reference, re.MULTILINE)
    assert set(mien.__all__) - {"__version__"} == {name for name in described if name in dir(mien)}


@pytest.mark.parametrize("page", PAGES)
def test_a_code_host_shows_all_of_a_page(page: str) -> None:
    assert re.findall(r"^ *(?:`{3,}|:{3,})\{.*|\{\{.*|\{\w+\}`.*|^: .*|^\([\w-]+\)=$", PAGES[page], re.MULTILINE) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere_on_a_code_host(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        name, _, anchor = link.partition("#")
        if re.match(r"\w+:", name):
            continue
        target = (DOCS_DIR / page).parent / name if name else DOCS_DIR / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_that_says_what_it_is_good_for(command: str) -> None:
    pages = [page for page, text in PAGES.items() if f"../reference/commands.md#mien-{command})" in text]
    assert [page for page in pages if page.startswith("how-to/")]


def test_the_commands_of_the_pages_have_flags_that_exist() -> None:
    lines = [line for text in PAGES.values() for line in re.findall(r"^\$ mien (.+)$", text, re.MULTILINE)]
    used = {(line.split()[0], flag) for line in lines for flag in re.findall(r"(?<!\S)--[a-z0-9-]+", line)}
    assert len(used) > 20
    assert [(command, flag) for command, flag in used if command in COMMANDS and flag not in flags(command)] == []


def texts_in(module: Path) -> set[str]:
    """Return the texts in a module except its docstrings; "..." is where a value is filled in."""
    nodes = list(ast.walk(ast.parse(module.read_text("utf-8"))))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings}
    filled = [
        [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
        for node in nodes
        if isinstance(node, ast.JoinedStr)
    ]
    return {text for text in texts if isinstance(text, str)} | {"".join(map(str, parts)) for parts in filled}


@pytest.fixture(scope="module")
def printed() -> set[str]:
    """All that mien can print, and what the parser of its arguments can."""
    modules = [*Path(mien.__file__).parent.rglob("*.py"), Path(cyclopts.exceptions.__file__)]
    return set().union(*map(texts_in, modules))


@pytest.mark.parametrize("quoted", QUOTED)
def test_troubleshooting_quotes_the_words_that_are_printed(quoted: str, printed: set[str]) -> None:
    words = re.compile(".*".join(map(re.escape, quoted.split("..."))), re.DOTALL)
    assert any(map(words.search, printed))


@pytest.mark.site
def test_the_site_names_every_command_every_flag_and_every_error() -> None:
    text = (SITE_DIR / "reference/commands.html").read_text("utf-8")
    for command in COMMANDS:
        section = text[text.index(f'id="mien-{command}"') :].split("</section>")[0]
        assert {flag for flag in flags(command) - {"--help"} if f">{flag}" not in section.replace(" ", ">")} == set()
    text = (SITE_DIR / "reference/errors.html").read_text("utf-8")
    assert [name for name in vars(mien.errors) if name.endswith("Error") and f">{name}<" not in text] == []


@pytest.mark.site
def test_every_link_of_the_site_leads_somewhere() -> None:
    pages = {path: Page(path) for path in SITE_DIR.rglob("*.html")}
    assert len(pages) > len(PAGES)
    for path, page in pages.items():
        for link in page.links:
            name, _, anchor = link.partition("#")
            if re.match(r"\w+:", name):
                continue
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), (path, link)
            assert not anchor or target not in pages or anchor in pages[target].ids, (path, link)


@pytest.mark.site
def test_the_site_loads_nothing_from_elsewhere() -> None:
    loaded = {address for path in SITE_DIR.rglob("*.html") for address in Page(path).loaded}
    assert len(loaded) > 5
    assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []
