"""What is written into the pages of the documentation: what their commands print, and what the code says of itself."""

from pathlib import Path

import pytest

import api
import written

PAGE = """# Find copies

<!-- run
$ rm -r runs
-->

<!-- run exit=3 lines=2 -->
```console
$ mien train data
old
$ python -c "
> print(1)"
```

```console
$ mien serve runs/train
```

<!-- made: gates -->
old
<!-- end -->

That is all.
"""


class Shell:
    """Notes what it is told to run, and prints the same each time."""

    def __init__(self, printed: str = "one\ntwo\nthree\n") -> None:
        self.printed, self.asked = printed, list[tuple[str, int]]()

    def __call__(self, command: str, code: int) -> str:
        self.asked.append((command, code))
        return self.printed


def printed(text: str) -> str:
    return (
        written.filled("<!-- run -->\n```console\n$ mien\n```\n", Shell(text)).split("\n", 3)[3].removesuffix("```\n")
    )


def test_commands_are_run_in_order_and_the_last_ends_with_the_code_that_was_announced() -> None:
    shell = Shell()
    written.filled(PAGE, shell)
    assert shell.asked == [("rm -r runs", 0), ("mien train data", 0), ('python -c "\nprint(1)"', 3)]


def test_what_commands_print_stands_below_them_and_all_else_stays() -> None:
    text = written.filled(PAGE, Shell())
    shown = '$ mien train data\none\ntwo\n...\n$ python -c "\n> print(1)"\none\ntwo\n...\n```\n'
    before, _, after = text.partition(shown)
    assert before == PAGE[: PAGE.index("$ mien train")]
    assert after.startswith("\n```console\n$ mien serve runs/train\n```\n")
    assert after.endswith("<!-- end -->\n\nThat is all.\n")


def test_a_part_of_the_reference_stands_between_its_marks() -> None:
    text = written.filled(PAGE, Shell())
    assert "<!-- made: gates -->\n\n| gate | problem codes |\n| --- | --- |\n" in text
    assert "\nold\n" not in text


def test_to_write_a_page_again_changes_nothing() -> None:
    text = written.filled(PAGE, Shell())
    assert written.filled(text, Shell()) == text


def test_lines_are_broken_as_a_terminal_does_and_have_no_byte_order_mark() -> None:
    assert printed("\ufeffpath,label\r\n" + "word " * 20) == f"path,label\n{'word ' * 16}word\nword word word\n"


def test_how_far_a_command_is_is_not_kept() -> None:
    assert printed("Reading 98/612  51 s left\n98 of 612 are read\nFitting 1/7\n") == "98 of 612 are read\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("91% (83% to 95%) in 1.2 s", "9% (8.3% to 95%) in 12 s"),
        ("a line that is\nbroken", "a line\nthat is broken"),
        ("happy/micah-02.jpg 5f3c9a", "happy/dylan-13.jpg 77aa01"),
    ],
)
def test_figures_and_line_ends_may_differ_in_what_is_printed(one: str, other: str) -> None:
    pages = [written.filled(PAGE.replace(" lines=2", ""), Shell(text)) for text in (one, other)]
    assert pages[0] != pages[1]
    assert written.masked(pages[0]) == written.masked(pages[1])


def test_words_may_not_differ_nor_anything_that_no_command_prints() -> None:
    text = written.masked(written.filled(PAGE, Shell()))
    assert written.masked(written.filled(PAGE, Shell("one\nother\n"))) != text
    assert written.masked(written.filled(PAGE + "In 2 s.", Shell())) != written.masked(
        written.filled(PAGE + "In 3 s.", Shell())
    )


def test_a_page_that_lacks_a_figure_of_its_picture_is_named() -> None:
    page = written.DOCS_DIR / "ideas/leaks.md"
    pages = {page: "![Copies](../pictures/copies.svg) 67%", written.DOCS_DIR / "index.md": "no picture"}
    assert written.missing_figures(pages, {"copies.svg": ("67%", "50%"), "best.svg": ("72%",)}) == [
        f"{Path('docs/ideas/leaks.md')} shows copies.svg, but does not say 50%"
    ]


@pytest.mark.medium
def test_a_command_that_ends_otherwise_is_an_error_that_shows_what_it_printed(tmp_path: Path) -> None:
    assert written.output("echo $PWD; exit 3", 3, folder=tmp_path) == "/home/you\n"
    with pytest.raises(RuntimeError, match=r"(?s)'echo .*; exit 3' ended with 3, not 0:.*no such run"):
        written.output("echo no such run; exit 3", 0, folder=tmp_path)


def test_a_function_is_described_by_its_head_and_its_docstring() -> None:
    text = api.described("mien.load")
    assert "### mien.load\n\n```python\nmien.load(path: str | Path) -> Classifier\n```\n" in text
    assert "\n- `path`: " in text
    assert "\nRaises:\n\n- `SourceNotFoundError`: " in text
    assert "\n```pycon\n>>> import mien\n" in text


def test_a_class_is_described_by_its_fields_and_methods() -> None:
    assert "\n- `image_size: tuple[int, int] = (224, 224)`: " in api.described("mien.ScanConfig")
    assert "\nBases: `DecodeConfig`\n" in api.described("mien.ScanConfig")
    text = api.described("mien.Score")
    assert "\n- `value: float | None`: " in text
    assert "\n- `basis: str`\n\n  " in text
    assert "_" not in {line[3] for line in text.splitlines() if line.startswith("- `")}
