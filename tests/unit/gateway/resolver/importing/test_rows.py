"""Rows of a bulk file -> records, or every fault by its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver.importing import reading
from gateway.resolver.importing.reading import BulkFile
from gateway.resolver.importing.rows import Converted, Row, convert

ONE, TWO = "isli:999999-100000000000001-4", "isli:999999-000000000000001-5"
HEADER = [
    *("code", "title", "status", "superseded_by", "ttl", "release", "entry", "url"),
    *("link.multimedia", "metadata.creator", "zones", "until"),
]


def test_a_row_of_a_table_becomes_a_record() -> None:
    """Each column finds its place; codes may be spelt as people spell them; empty cells say nothing."""
    cells = ["ISLI 999999-100000000000001-4", "刘三姐", "superseded", TWO[5:], "60", ONE[5:], "master.m3u8"]
    cells += [
        "http://a/1; http://a/2",
        f"{TWO[5:]};{TWO}",
        "苏里",
        "bigscreen; institution",
        "2027-01-01T00:00:00+08:00",
    ]
    found = convert(HEADER, [Row(2, cells)], "library")
    assert found.faults == []
    assert (found.lines, found.codes) == ([2], [ONE])
    assert json.loads(found.dumps[0]) == {
        "code": ONE,
        "title": "刘三姐",
        "body": "library",
        "status": "superseded",
        "superseded_by": TWO,
        "ttl": 60,
        "locations": [{"release": ONE, "entry": "master.m3u8"}, {"url": "http://a/1"}, {"url": "http://a/2"}],
        "links": [{"type": "multimedia", "target": TWO}] * 2,
        "metadata": {"creator": "苏里"},
        "rights": {"zones": ["bigscreen", "institution"], "until": "2027-01-01T00:00:00+08:00"},
    }
    plain = convert(["code", "title", "url"], [Row(2, [ONE, "x", ""])], "library")
    assert json.loads(plain.dumps[0]) == {"code": ONE, "title": "x", "body": "library", "status": "registered"}


@pytest.mark.parametrize(
    ("row", "path", "reason", "words"),
    [
        ([ONE[:-1] + "5", "x", ""], "code", "wrong-check-digit", "should be 4"),
        (["", "x", ""], "code", "bad-request", ""),
        ([ONE, "", ""], "title", "bad-request", ""),
        ([ONE, "x", "soon"], "ttl", "bad-request", "'soon' is no number"),
        ([ONE, "x", "0"], "ttl", "bad-request", "greater than"),
        ([ONE, "x"], "", "bad-request", "2 columns"),
        (b"[1]", "", "bad-request", "JSON object"),
        (b"{", "", "bad-request", "no record"),
        (b'{"code": 7, "title": "x"}', "code", "bad-request", ""),
        (b'{"code": "%s", "title": "x", "surprise": 1}' % ONE.encode(), "surprise", "bad-request", "not permitted"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(row: list[str] | bytes, path: str, reason: str, words: str) -> None:
    """The fault names line, place and reason, and the others are converted all the same."""
    header = ["code", "title", "ttl"] if isinstance(row, list) else []
    good: list[str] | bytes = [TWO, "x", ""] if header else json.dumps({"code": TWO, "title": "x"}).encode()
    found = convert(header, [Row(2, row), Row(3, good)], "library")
    assert [(f.line, f.path, f.reason) for f in found.faults] == [(2, path, reason)]
    assert words in found.faults[0].message
    assert found.codes == [TWO]


def test_a_file_is_read_in_batches_with_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quoted line breaks, a mark of byte order, empty lines: a row's line is where it ends."""
    monkeypatch.setattr(reading, "MOST", 2)
    table = tmp_path / "x.csv"
    table.write_bytes('\ufeffcode,title\n1,"a\nb"\n\n2,c\n3,刘\n'.encode())
    bulk = BulkFile(table)
    assert bulk.header == ["code", "title"]
    assert [[(row.line, row.cells[1]) for row in batch] for batch in bulk.batches()] == [
        [(3, "a\nb"), (5, "c")],
        [(6, "刘")],
    ]
    assert bulk.read == bulk.size
    lines = tmp_path / "x.jsonl"
    lines.write_bytes(b"{}\n\n{}\n{}")
    assert [[row.line for row in batch] for batch in BulkFile(lines).batches()] == [[1, 3], [4]]
    old = tmp_path / "old.csv"
    old.write_bytes("code,title\n1,刘三姐\n".encode("gb18030"))
    assert [row.cells for batch in BulkFile(old, "gb18030").batches() for row in batch] == [["1", "刘三姐"]]
    with pytest.raises(Corrupt, match="line 2"):
        list(BulkFile(old).batches())


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.txt", "", "neither"),
        ("x.csv", "", "missing"),
        ("x.csv", "code,title,colour\n", "'colour' is no column"),
        ("x.csv", "code,title,code\n", "twice"),
        ("x.csv", "code,title,link.nonsense\n", "is no type of link of GB/T 38378: is-equivalent-to, "),
    ],
)
def test_a_wrong_file_is_refused_before_a_row_is_read(tmp_path: Path, name: str, text: str, words: str) -> None:
    """An unknown kind of file or column is told at once."""
    (tmp_path / name).write_text(text)
    with pytest.raises(Refused, match=words):
        BulkFile(tmp_path / name)


CELLS = st.text(max_size=40) | st.sampled_from([ONE, TWO, "60", "registered", "x;y"])


@settings(max_examples=60)
@given(st.lists(CELLS, min_size=len(HEADER), max_size=len(HEADER)), st.binary(max_size=200))
def test_any_row_is_a_record_or_has_faults(cells: list[str], data: bytes) -> None:
    """Whatever stands in a row, it is one record or at least one fault."""
    for found in (convert(HEADER, [Row(1, cells)], "library"), convert([], [Row(1, data)], "library")):
        assert isinstance(found, Converted)
        assert bool(found.dumps) != bool(found.faults)


@settings(max_examples=40)
@given(data=st.binary(max_size=300), name=st.sampled_from(["x.csv", "x.jsonl"]))
def test_any_file_is_rows_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    """Any bytes give batches of rows, or a typed refusal."""
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    try:
        rows: object = [row for batch in BulkFile(path).batches() for row in batch]
    except (Corrupt, Refused) as error:
        rows = error
    assert isinstance(rows, list | Corrupt | Refused)


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("link.source", "9787020008729", "'9787020008729': the check digit of this ISBN should be 8"),
        ("superseded_by", "hello", "'hello': its form"),
        ("release", "hello", "'hello': its form"),
        ("ttl", "abc", "'abc' is no number"),
    ],
)
def test_a_wrong_cell_is_told_with_its_column(column: str, cell: str, words: str) -> None:
    """A cataloguer finds the cell: the row's code, the column and what stands there."""
    found = convert(["code", "title", column], [Row(2, [ONE, "x", cell])], "library")
    assert [(fault.code, fault.path) for fault in found.faults] == [(ONE, column)]
    assert words in found.faults[0].message


def test_types_of_links_may_be_written_in_chinese() -> None:
    """As everywhere else."""
    found = convert(["code", "title", "link.来源"], [Row(2, [ONE, "x", TWO])], "library")
    assert b'"type":"source"' in found.dumps[0]
