"""The model card in the page: what it has is shown, and nothing in a name becomes markup."""

import pytest

from mien.serving.markdown import to_html


def test_a_card_becomes_titles_lists_tables_and_code() -> None:
    html = to_html(
        "# Title\n\ntwo  \nlines\n\n- one\n\n| a | b |\n| --- | ---: |\n| 1 | `2` |\n\n```console\n$ mien\n```\n"
    )
    assert "<h3>Title</h3>" in html and "<li>one</li>" in html and "two<br />\nlines" in html
    assert '<div class="scroll" tabindex="0"><table>' in html and "<td><code>2</code></td>" in html
    assert '<pre tabindex="0"><code class="language-console">$ mien\n</code></pre>' in html
    assert "style=" not in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=y>",
        "[a](javascript:alert(1))",
        "`<b>`",
        "| <b> |\n| --- |\n| <i> |",
    ],
)
def test_no_markup_in_it_becomes_any(text: str) -> None:
    html = to_html(text)
    assert "<script" not in html and "<img" not in html and "<b>" not in html and "<i>" not in html
    assert "href" not in html
