"""What is wrong with a row is told whole, and what is right of it stays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.linking.entries import PERHAPS, Entry, Raw, Reader, kind

FILM = "isli:999999-100000000000001-4"


def test_a_row_becomes_an_entry():
    """Codes are canonical, the year is found in its text, kinds in two languages are one."""
    raw = Raw(
        key="7", code="ISLI 999999-100000000000001-4", title=" 刘三姐\n", kind="电影", year="1961年", names=("乔羽", "乔羽"),
        identifiers=(("isbn", "978-0-306-40615-7 (平装) : CNY 35.00"), ("", FILM)), links=(("来源", "isbn:9780471117094"),),
    )  # fmt: skip
    reader = Reader()

    assert reader.entry(1, raw) == Entry(
        "7", FILM, "刘三姐", "film", 1961, ("乔羽",), ("isbn:9780306406157",), (("source", "isbn:9780471117094"),)
    )
    assert reader.wrong == []


def test_every_fault_of_a_row_is_told():
    """A wrong identifier costs itself, a wrong code of its own or a missing title the row; all of them are told."""
    reader = Reader()
    raw = Raw(code="999999-1", title="", identifiers=(("isbn", "9780306406158"),), links=(("knows", FILM),))

    assert reader.entry(3, raw) is None
    assert [(w.row, w.reason, w.whole) for w in reader.wrong] == [
        (3, "no-title", True), (3, "not-a-code", True), (3, "wrong-check-digit", False), (3, "unknown-link-type", False),
    ]  # fmt: skip
    assert reader.entry(4, Raw(title="刘三姐", identifiers=(("isbn", "9780306406158"),))) == Entry("#4", None, "刘三姐")
    assert [w.reason for w in reader.wrong] == ["wrong-check-digit"]


def test_a_number_of_the_catalogue_is_no_wrong_identifier():
    """What may be an identifier and is not one is no fault; one with a wrong check digit is."""
    reader = Reader()

    assert reader.entry(1, Raw(title="a", identifiers=((PERHAPS, "oai:x:12"), (PERHAPS, FILM)))) is not None
    assert reader.wrong == []
    reader.entry(1, Raw(title="a", identifiers=((PERHAPS, FILM[:-1] + "5"),)))
    assert [w.reason for w in reader.wrong] == ["wrong-check-digit"]


def test_kinds_are_few():
    """What catalogues call a kind is one of a few, or nothing."""
    assert (kind("Moving Image"), kind("圖書"), kind("年画"), kind("x")) == ("film", "text", "image", "")


texts = st.text(max_size=40)
pairs = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)


@settings(max_examples=60)
@given(st.builds(Raw, texts, texts, texts, texts, texts, st.lists(texts, max_size=3).map(tuple), pairs, pairs))
def test_any_row_is_an_entry_or_has_faults(raw: Raw):
    """Whatever is written in a row, it is taken or something is told."""
    reader = Reader()

    assert reader.entry(1, raw) is not None or any(wrong.whole for wrong in reader.wrong)
