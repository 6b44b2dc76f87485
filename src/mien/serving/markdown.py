"""Markdown of model cards -> HTML for the page. Any HTML in the text is escaped."""

from markdown_it import MarkdownIt

# The page's own headings use the first two levels.
_LEVELS_BELOW = 2
# Elements that may be wider than the screen scroll on their own, also by keyboard.
_WIDE = {
    "<table>": '<div class="scroll" tabindex="0"><table>',
    "</table>": "</table></div>",
    "<pre>": '<pre tabindex="0">',
}


def to_html(markdown: str) -> str:
    """Convert Markdown to HTML, with headings two levels down.

    Source: https://spec.commonmark.org, with tables
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1:]) + _LEVELS_BELOW}"
        # The page's policy forbids inline styles.
        token.attrs.pop("style", None)
    html: str = parser.renderer.render(tokens, parser.options, {})
    # Tags in the text itself are escaped, so these are the renderer's own.
    for plain, wide in _WIDE.items():
        html = html.replace(plain, wide)
    return html
