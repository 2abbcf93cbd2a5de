"""Catalogues in each format, and any bytes in the place of one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.linking import reading
from gateway.linking.entries import Raw, RowFault
from gateway.linking.reading import xml
from gateway.linking.reading.lines import LONGEST_LINE

MARC = """<?xml version="1.0"?><collection xmlns="http://www.loc.gov/MARC21/slim">
<record><leader>00000ngm a2200000 a 4500</leader><controlfield tag="001">film-1</controlfield>
 <datafield tag="024" ind1="7" ind2=" "><subfield code="a">999999-100000000000001-4</subfield><subfield code="2">isli</subfield></datafield>
 <datafield tag="024" ind1="0" ind2=" "><subfield code="a">CNA619600001</subfield></datafield>
 <datafield tag="100" ind1="1" ind2=" "><subfield code="a">乔羽,</subfield></datafield>
 <datafield tag="245" ind1="1" ind2="0"><subfield code="a">刘三姐 /</subfield><subfield code="n">第一集</subfield></datafield>
 <datafield tag="264" ind1=" " ind2="1"><subfield code="c">1961</subfield></datafield>
 <datafield tag="773" ind1=" " ind2=" "><subfield code="z">9780306406157</subfield></datafield></record>
<record><leader>00000nam0 2200000   450 </leader><controlfield tag="001">cn-2</controlfield>
 <datafield tag="010" ind1=" " ind2=" "><subfield code="a">978-0-306-40615-7</subfield></datafield>
 <datafield tag="100" ind1=" " ind2=" "><subfield code="a">20200101d1960    em y0chiy0110    ea</subfield></datafield>
 <datafield tag="200" ind1="1" ind2=" "><subfield code="a">劉三姐</subfield><subfield code="e">歌剧</subfield></datafield>
 <datafield tag="701" ind1=" " ind2="0"><subfield code="a">曾</subfield><subfield code="b">昭文</subfield></datafield></record>
</collection>"""
DC = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:t="http://purl.org/dc/terms/"><rdf:Description><dc:title>刘三姐</dc:title><dc:creator>乔羽</dc:creator>
 <dc:identifier>ISLI 999999-100000000000001-4</dc:identifier><dc:identifier>no. 7</dc:identifier><dc:type>MovingImage</dc:type>
 <t:issued>1961</t:issued><t:isPartOf rdf:resource="isbn:9780306406157"/><dc:relation>a song of the year 1961</dc:relation>
 </rdf:Description><rdf:Description><dc:title>b</dc:title></rdf:Description></rdf:RDF>"""
CSV = "编号,标识,题名,责任者,ISBN,来源,架位\n1,x,刘三姐,乔羽；苏里,1;2,isbn:3,A-7\n,,,,,,\n2,,b,,,,\n"


def rows(name: str, text: str | bytes) -> list[tuple[int, Raw | RowFault]]:
    return list(reading.FORMATS[name](io.BytesIO(text.encode() if isinstance(text, str) else text)))


def test_marcxml_of_both_families_is_read():
    """MARC 21 and CNMARC records stand in one file; titles with parts, linking entries and coded dates are found."""
    (_, film), (_, book) = rows("marcxml", MARC)

    assert film == Raw(
        "film-1", "999999-100000000000001-4", "刘三姐 第一集", "film", "1961", ("乔羽",), (("isrc", "CNA619600001"),),
        (("belong-to", "isbn:9780306406157"),),
    )  # fmt: skip
    assert book == Raw("cn-2", "", "劉三姐 歌剧", "text", "1960", ("曾昭文",), (("isbn", "978-0-306-40615-7"),))


def test_dublin_core_is_read_wherever_it_stands():
    """Elements of Dublin Core make a record of what holds them; a relation in words is no link."""
    (_, film), (_, other) = rows("dc", DC)

    assert film == Raw(
        "ISLI 999999-100000000000001-4", "ISLI 999999-100000000000001-4", "刘三姐", "MovingImage", "1961", ("乔羽",),
        (("?", "no. 7"),), (("belong-to", "isbn:9780306406157"),),
    )  # fmt: skip
    assert isinstance(other, Raw)
    assert other.title == "b"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_is_read_as_spreadsheets_write_it(encoding: str):
    """Columns go by Chinese or English names, cells may hold several values, and GB 18030 is found out."""
    (one, first), (two, second) = rows("csv", CSV.encode(encoding))

    assert (one, two) == (1, 2)
    assert first == Raw(
        "1", "x", "刘三姐", "", "", ("乔羽", "苏里"), (("isbn", "1"), ("isbn", "2")), (("source", "isbn:3"),)
    )
    assert second == Raw("2", "", "b")


def test_json_lines_are_read():
    """Keys are as columns; a record of a registry's snapshot is such a line too; a wrong line costs itself."""
    text = '{"code":"c","title":"t","links":[{"type":"same-as","target":"d"}],"metadata":{"creator":"x","isbn":["1"]}}\n[]\n{\n'

    (one, found), (two, no_object), (_, no_json) = rows("jsonl", text)
    assert (one, found) == (1, Raw("", "c", "t", "", "", ("x",), (("isbn", "1"),), (("same-as", "d"),)))
    assert (two, no_object) == (2, RowFault(2, "malformed", "the line is no object"))
    assert isinstance(no_json, RowFault)


def test_what_breaks_off_keeps_what_came_before():
    """XML that ends in the middle gives its whole records, and says where it broke."""
    cut = MARC[: MARC.index("<record><leader>00000nam0") + 90]
    found = rows("marcxml", cut)

    assert isinstance(found[0][1], Raw)
    assert isinstance(found[1][1], RowFault)
    assert (found[1][0], found[1][1].reason) == (2, "malformed")


@pytest.mark.parametrize("name", ["marcxml", "dc"])
def test_no_entities_are_expanded(name: str):
    """A document that defines entities is refused before it can grow, or read a file."""
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY f SYSTEM "file:///etc/passwd">]><a>&x;&f;</a>'

    assert [wrong.reason for _, wrong in rows(name, bomb) if isinstance(wrong, RowFault)] == ["malformed"]


def test_what_is_too_long_costs_itself():
    """A line or record without end is told as too long; the next one is read."""
    long = "x" * (LONGEST_LINE + 10)
    csv = rows("csv", f"title\n{long}\nb\n")
    lines = rows("jsonl", '{"title":"%s"}\n{"title":"b"}\n' % long)  # noqa: UP031
    first = "x" * (xml.LONGEST_RECORD + 9)
    titles = f"<a><d:title>{first}</d:title></a><a><d:title>b</d:title></a>"
    text = f"<r xmlns:d='http://purl.org/dc/elements/1.1/'>{titles}</r>"

    for found in (csv, lines, rows("dc", text)):
        assert isinstance(found[0][1], RowFault)
        assert found[0][1].reason == "too-long"
        assert found[1][1] == Raw(title="b")


def test_a_format_is_found_out():
    """Endings and beginnings tell the format; what tells nothing is asked for."""
    assert reading.format_of(Path("a.csv"), b"") == "csv"
    assert reading.format_of(Path("a.xml"), MARC.encode()) == "marcxml"
    assert reading.format_of(Path("a.xml"), DC.encode()) == "dc"
    assert reading.format_of(Path("a"), b'{"title"') == "jsonl"
    with pytest.raises(Refused, match="--format"):
        reading.format_of(Path("a"), b"x")


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(reading.FORMATS)),
    st.one_of(
        st.binary(max_size=300),
        st.tuples(
            st.sampled_from([MARC, DC, CSV]), st.integers(0, 1900), st.binary(max_size=6), st.integers(0, 20)
        ).map(lambda t: t[0].encode()[: t[1]] + t[2] + t[0].encode()[t[1] + t[3] :]),
    ),
)
def test_any_bytes_are_rows_or_refused(name: str, data: bytes):
    """Whatever is in a file, it gives rows, faults or a typed refusal; rows count upwards."""
    try:
        found = rows(name, data)
    except Refused:
        return
    assert [row for row, _ in found] == sorted(row for row, _ in found)
