from pathlib import Path

import pytest

from mien.fetching.url_lists import Wanted, read_lists


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_list_is_of_the_class_that_it_is_named_after(tmp_path: Path) -> None:
    wanted, problems = read_lists([write(tmp_path / "happy.txt", "# smiles\n\nhttp://h/a,b.jpg\r\n  https://h/c  \n")])
    assert problems == []
    assert wanted == [
        Wanted("http://h/a,b.jpg", "happy", "happy.txt, line 3"),
        Wanted("https://h/c", "happy", "happy.txt, line 4"),
    ]


def test_a_line_may_name_the_class_itself(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfclass,url\nsad,http://h/1\n"very sad", "http://h/2?a=1,2"\nhttp://h/3\n'
    wanted, problems = read_lists([write(tmp_path / "all.csv", text)])
    assert problems == []
    assert [(image.label, image.url) for image in wanted] == [
        ("sad", "http://h/1"),
        ("very sad", "http://h/2?a=1,2"),
        ("all", "http://h/3"),
    ]


def test_a_url_is_taken_once_and_without_what_no_server_sees(tmp_path: Path) -> None:
    wanted, problems = read_lists([write(tmp_path / "happy.txt", "http://h/1#top\nhttp://h/1\n")])
    assert [image.url for image in wanted] == ["http://h/1"] and problems == []


def test_every_wrong_line_of_every_list_is_named(tmp_path: Path) -> None:
    first = write(tmp_path / "happy.txt", "http://h/1\nftp://h/2\nhello\n../x,http://h/3\nhttp://h/a b\n,http://h/4\n")
    second = write(tmp_path / "sad.txt", "http://h/1\nhttp://h/\x1b[2J\nhttp://h/" + "x" * 5000)
    _, problems = read_lists([first, second, write(tmp_path / "odd.txt", b"http://h/\xff"), tmp_path / "none.txt"])
    assert [problem.split(":")[0] for problem in problems] == [
        *(f"happy.txt, line {number}" for number in (2, 3, 4, 5, 6)),
        *(f"sad.txt, line {number}" for number in (1, 2, 3)),
        "odd.txt",
        "none.txt",
    ]
    assert "has class 'sad' here, but 'happy' in happy.txt, line 1" in problems[5]
    assert all(problem.isprintable() for problem in problems)


def test_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    _, problems = read_lists([write(tmp_path / "happy.txt", "https://me:secret@h/1\n")])
    assert "password" in problems[0] and "secret" not in problems[0]


def test_a_list_whose_name_is_no_class_needs_classes_in_its_lines(tmp_path: Path) -> None:
    wanted, problems = read_lists([write(tmp_path / "con.txt", "happy,http://h/1\nhttp://h/2\n")])
    assert [image.label for image in wanted] == ["happy"]
    assert problems == ["con.txt, line 2: the class name 'con' is reserved by Windows"]


@pytest.mark.parametrize(
    "text",
    [
        "http://h/1,happy\nhttp://h/2,sad\n",
        "happy;http://h/1\nsad;http://h/2\n",
        "http://h/1\thappy\nhttp://h/2\tsad\n",
        '"label";"url"\n"happy";"http://h/1"\n"sad";"http://h/2"\n',
        "url,width,category\nhttp://h/1,640,happy\nhttp://h/2,480,sad\n",
        '"class","url"\n"happy","http://h/1"\n"sad","http://h/2"\n',
        "Class,URL\nhappy,http://h/1\nsad,http://h/2\n",
    ],
)
def test_class_and_url_stand_in_either_order_with_any_usual_mark_between(tmp_path: Path, text: str) -> None:
    wanted, problems = read_lists([write(tmp_path / "all.csv", text)])
    assert problems == []
    assert [(image.label, image.url) for image in wanted] == [("happy", "http://h/1"), ("sad", "http://h/2")]


def test_marks_in_urls_make_no_classes(tmp_path: Path) -> None:
    text = "http://h/a,b.jpg\nhttp://h/?w=1,h=2\nhttp://h/x;y.jpg\n"
    wanted, problems = read_lists([write(tmp_path / "happy.txt", text)])
    assert problems == [] and {image.label for image in wanted} == {"happy"} and len(wanted) == 3


def test_lines_of_several_forms_are_refused_by_number(tmp_path: Path) -> None:
    _, problems = read_lists([write(tmp_path / "all.csv", "http://h/1;happy\nhttp://h/2\nsad;http://h/3\n")])
    assert [problem.split(":")[0] for problem in problems] == ["all.csv, line 3"]
