import os
import subprocess
from pathlib import Path

import pytest

from mien.core.fonts import load_font
from mien.core.text import (
    as_typed,
    class_name_problem,
    first_few,
    fitting,
    folded,
    in_points,
    one_line,
    safe_name,
    safe_stem,
    short_names,
    shorten,
    signed,
    visible,
)


@pytest.mark.parametrize(
    "name", ["happy", "Very sad", "=1+1", "-1", "traurig-ä", "嬉しい", "con-fused", "a.b", "x" * 100]
)
def test_a_class_may_have_any_ordinary_name(name: str) -> None:
    assert class_name_problem(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".git", "a/b", "a\\b", "/etc", "C:", "a\0b", "a\nb", "\u202egnp", "a ", " a", "a.", "x" * 101),
        *(
            "CON",
            "con.x",
            "nul",
            "COM1",
            "lpt9.txt",
            "a:b",
            "a*",
            "a?",
            'a"',
            "a|b",
            "a;b",
            "\udcff",
            "\U0001f600" * 51,
        ),
    ],
)
def test_a_class_may_not_have_a_name_that_some_system_minds(name: str) -> None:
    assert class_name_problem(name).isprintable() and class_name_problem(name)


def test_names_that_some_systems_take_for_one_fold_to_one() -> None:
    assert folded("Happy") == folded("hAPPY") and folded("\u00e9") == folded("e\u0301") != folded("e")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("photos/Big smile (2).JPG", "Big-smile-2"),
        ("..\\..\\windows\\evil.exe", "evil"),
        ("/", "image"),
        ("", "image"),
        (".jpg", "jpg"),
        ("=cmd|' /C calc'!A0.png", "C-calc-A0"),
        ("嬉しい.png", "image"),
        ("a\n\x1b[2J.jpg", "a-2J"),
        ("CON.jpg", "CON"),
        ("x" * 500, "x" * 40),
    ],
)
def test_a_stem_has_letters_digits_and_dashes_alone(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


@pytest.mark.parametrize(
    ("most", "listed"),
    [(4, ["a", "b", "3"]), (3, ["a", "b", "3"]), (2, ["a", "b", "and 1 more"]), (0, ["and 3 more"])],
)
def test_a_long_list_says_how_many_it_leaves_out(most: int, listed: list[str]) -> None:
    assert first_few(["a", "b", 3], most) == listed
    assert first_few((), most) == []


def test_what_a_list_leaves_out_may_have_a_name() -> None:
    assert first_few(["a", "b", "c"], 1, rest="other reasons") == ["a", "and 2 other reasons"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("smile \U0001f600.jpg", "smile \U0001f600.jpg"),
        ("a\n\x1b[31m", "a\\n\\x1b[31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_cannot_be_seen_is_written_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown and shown.isprintable()
    assert visible(text, kept=text) == text


def test_one_line_has_no_sign_that_cannot_be_seen() -> None:
    assert one_line("a\r\nb\x1b\udcff", 10) == "a  b  "
    assert one_line("abc" * 100, 5) == "abcab"


@pytest.mark.parametrize(("most", "end"), [(1, 0), (2, 1), (8, 0), (8, 3), (8, 7)])
def test_a_long_text_is_cut_to_the_letters_asked_for(most: int, end: int) -> None:
    text = "0123456789"
    short = shorten(text, most, end=end)
    assert len(short) == most
    start, _, rest = short.partition("…")
    assert text.startswith(start) and text.endswith(rest) and len(rest) == end


def test_a_text_that_is_short_enough_stays_as_it_is() -> None:
    assert shorten("abc", 3) == "abc" and shorten("", 3, end=2) == ""


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.05, "+5 points"),
        (-0.01, "-1 point"),
        (0.004, "+0.4 points"),
        (-0.00002, "-0.002 points"),
        (0.0, "no difference"),
        (-0.0, "no difference"),
        (1e-12, "no difference"),
    ],
)
def test_a_difference_in_points_is_never_a_rounded_zero(share: float, told: str) -> None:
    assert in_points(share) == told


def test_a_gain_keeps_its_decimals() -> None:
    assert (in_points(0.0451, 1), in_points(-0.0001, 1)) == ("+4.5 points", "-0.01 points")


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert [signed(number, 1) for number in (0.04, -0.04, 0.06, -0.06)] == ["0.0", "0.0", "+0.1", "-0.1"]


@pytest.mark.parametrize("width", [0, 9, 20, 55, 120, 10_000])
def test_a_line_is_shortened_in_its_middle_as_little_as_can_be(width: int) -> None:
    font, line = load_font(12), "holiday/Wide and narrow.jpg"
    shown = fitting(line, width, font.getlength)
    begin, mark, end = shown.partition("…")
    assert line.startswith(begin) and line.endswith(end)
    if mark and (begin or end):
        assert font.getlength(shown) <= width
        wider = f"{line[: len(begin) + 1]}…{end}"
        assert font.getlength(wider) > width - 12
    assert shown == line or width < font.getlength(line)


@pytest.mark.parametrize("width", range(8, 36))
def test_a_name_is_shortened_between_words(width: int) -> None:
    name = "Hairline crack_from the glazing-kiln"
    begin, _, end = fitting(name, width, len, words=True).partition("…")
    assert len(f"{begin}…{end}") <= width
    if " " in begin:
        assert not name[len(begin)].isalpha()
    if " " in end:
        assert not name[-len(end) - 1].isalpha()


@pytest.mark.parametrize("width", [8, 12, 20, 60])
def test_no_two_names_read_the_same(width: int) -> None:
    names = [*(f"a crack of kind {number:02} in the glaze" for number in range(30)), "\u202e", r"\u202e", "嬉しい" * 9]
    shown = short_names(names, width)
    assert list(shown) == names and len({*shown.values()}) == len(names)
    assert all(text.isprintable() and len(text) <= width for text in list(shown.values())[:30])


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Große Freude (1)", "Große Freude (1)"),
        ("..", "image"),
        ("a/b\\c:d", "a-b-c-d"),
        ("nul", "nul-"),
        ("\udce9\n", "--"),
        ("悲" * 100, "悲" * 66),
    ],
)
def test_a_safe_name_stays_as_it_is_as_far_as_file_systems_allow(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.medium
@pytest.mark.skipif(os.name == "nt", reason="there is no such shell")
@pytest.mark.parametrize(
    "name", ["a b", "it's", "-x", "line\nbreak", "tab\t", "\u202eturned", "\udce9", "back\\\n", "悲"]
)
def test_a_path_that_is_printed_to_be_typed_names_the_same_file(name: str) -> None:
    typed = as_typed(Path(name))
    said = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, check=True).stdout
    assert typed.isprintable() and os.path.normpath(os.fsdecode(said)) == name
    assert not said.startswith(b"-")
