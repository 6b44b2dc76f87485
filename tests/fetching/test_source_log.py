import codecs
import csv
from dataclasses import replace
from pathlib import Path

import pytest

from mien.errors import SourceNotFoundError
from mien.fetching.source_log import LOG_NAME, SourceRecord, add_source, load_sources, write_sources

MARK = codecs.BOM_UTF8
SHA256 = "0a" * 32
OK = SourceRecord("happy/a-0a0a.jpg", "http://h/a", "2026-01-01T00:00:00+00:00", "ok", SHA256)
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "'=1",
    "''",
    "'",
    "a;=1+1;'-2",
    ";;=1",
    "\t=1",
    "＝1",
    'a"b,c',
    "ä嬉",
    "",
]


def test_a_log_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    refused = SourceRecord("", "http://h/b", OK.date, "refused: a web page, not an image", "")
    write_sources(tmp_path, [OK])
    add_source(tmp_path, refused)
    assert load_sources(tmp_path) == [OK, refused]
    assert (OK.is_ok, OK.is_refused, refused.is_ok, refused.is_refused) == (True, False, False, True)


def test_the_mark_of_a_table_stands_at_its_start_alone_and_need_not_be_there(tmp_path: Path) -> None:
    write_sources(tmp_path, [OK])
    add_source(tmp_path, replace(OK, url="http://h/c"))
    content = (tmp_path / LOG_NAME).read_bytes()
    assert content.startswith(MARK) and content.count(MARK) == 1
    (tmp_path / LOG_NAME).write_bytes(content.removeprefix(MARK))
    add_source(tmp_path, replace(OK, url="http://h/d"))
    assert [record.url for record in load_sources(tmp_path)] == [OK.url, "http://h/c", "http://h/d"]
    assert MARK not in (tmp_path / LOG_NAME).read_bytes()


def test_there_are_no_records_where_there_is_no_log(tmp_path: Path) -> None:
    assert load_sources(tmp_path) == []


def test_hostile_text_is_no_formula_in_a_spreadsheet_and_is_read_back_exactly(tmp_path: Path) -> None:
    records = [SourceRecord("", f"{number}", OK.date, text, "") for number, text in enumerate(HOSTILE)]
    records += [SourceRecord("", text, OK.date, "", "") for text in HOSTILE]
    records.append(SourceRecord("=1/a.jpg", "u", OK.date, "ok", SHA256))
    write_sources(tmp_path, records)
    assert load_sources(tmp_path) == records
    text = (tmp_path / LOG_NAME).read_text("utf-8")
    for delimiter in ",;\t":
        cells = [cell for row in csv.reader(text.splitlines(), delimiter=delimiter) for cell in row]
        assert [cell for cell in cells if cell.startswith(tuple("=+-@＝＋－＠"))] == []


def test_the_last_record_of_a_url_counts(tmp_path: Path) -> None:
    write_sources(tmp_path, [SourceRecord("", OK.url, OK.date, "failed: busy", "")])
    add_source(tmp_path, OK)
    assert load_sources(tmp_path) == [OK]


def test_a_last_line_without_its_end_counts_where_it_is_whole(tmp_path: Path) -> None:
    write_sources(tmp_path, [OK])
    path = tmp_path / LOG_NAME
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert load_sources(tmp_path) == [OK]


def test_a_line_with_too_few_fields_is_told(tmp_path: Path) -> None:
    write_sources(tmp_path, [OK])
    with open(tmp_path / LOG_NAME, "a") as file:
        file.write("happy/a.jpg,http://h/a\n")
    with pytest.raises(SourceNotFoundError, match="a line has 2 fields instead of 5"):
        load_sources(tmp_path)


def test_a_line_that_a_kill_cut_short_is_passed_over_wherever_it_was_cut(tmp_path: Path) -> None:
    write_sources(tmp_path, [OK])
    whole = (tmp_path / LOG_NAME).read_bytes()
    add_source(tmp_path, SourceRecord("", "http://h/b", OK.date, 'failed: "x", y', ""))
    longer = (tmp_path / LOG_NAME).read_bytes()
    for length in range(len(whole), len(longer) - len("\r\n")):
        (tmp_path / LOG_NAME).write_bytes(longer[:length])
        assert load_sources(tmp_path) == [OK]


@pytest.mark.parametrize(
    "content",
    [
        b"name,age\nme,3\n",
        b"path",
        b"\xff\xfe\n",
        b"path,url,date,status,sha256\na,b\n",
        b"path,url,date,status,sha256\n../../x.jpg,u,d,ok," + SHA256.encode() + b"\n",
        b"path,url,date,status,sha256\n/etc/passwd,u,d,ok," + SHA256.encode() + b"\n",
        b"path,url,date,status,sha256\nhappy/../x,u,d,ok," + SHA256.encode() + b"\n",
        b"path,url,date,status,sha256\nhappy/..,u,d,ok," + SHA256.encode() + b"\n",
        b"path,url,date,status,sha256\nhappy/x.jpg,u,d,ok,\n",
        b"path,url,date,status,sha256\n,u,d,ok,../../x\n",
        b'path,url,date,status,sha256\n"a\n',
    ],
)
def test_what_is_no_such_log_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOG_NAME).write_bytes(content)
    with pytest.raises(SourceNotFoundError, match="Move it away"):
        load_sources(tmp_path)
