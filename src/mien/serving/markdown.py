"""Markdown, as model cards have it -> HTML for the page; no markup that stands in it becomes any."""

from markdown_it import MarkdownIt

# The titles of the page itself are of the first two levels.
_LEVELS_BELOW = 2
# What may be wider than the screen scrolls by itself, by the keyboard too.
_WIDE = {
    "<table>": '<div class="scroll" tabindex="0"><table>',
    "</table>": "</table></div>",
    "<pre>": '<pre tabindex="0">',
}


def to_html(markdown: str) -> str:
    """Return a text as HTML, its titles two levels down.

    Source: https://spec.commonmark.org, with tables
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1:]) + _LEVELS_BELOW}"
        # The page takes styles from its own files alone.
        token.attrs.pop("style", None)
    html: str = parser.renderer.render(tokens, parser.options, {})
    # What stands in the text itself is escaped.
    for plain, wide in _WIDE.items():
        html = html.replace(plain, wide)
    return html
