"""How two entries are linked, how surely, and which pairs are looked at."""

from __future__ import annotations

import pytest

from gateway.linking import blocks, reasons
from gateway.linking.entries import Entry
from gateway.linking.judging import Thing, by_identifier, by_name, own_identifiers
from gateway.linking.proposals import Proposal, Why, statement
from gateway.linking.proposing import Tally, propose

ISBN = "isbn:9780306406157"


def thing(number: int, title: str, *, body: str = "", code: str | None = "", **more: object) -> Thing:
    own = f"isli:{number}" if code == "" else code
    return Thing(number, Entry(str(number), own, title, **more), body)  # type: ignore[arg-type]


def test_a_shared_identifier_is_a_sure_link():
    """Two entries with one ISBN are the same, the more so if their titles agree; where titles differ a person must look."""
    sure = by_identifier(thing(1, "刘三姐", identifiers=(ISBN,)), thing(2, "劉三姐", identifiers=(ISBN,)), ISBN)
    doubtful = by_identifier(thing(1, "刘三姐", identifiers=(ISBN,)), thing(2, "山水歌", identifiers=(ISBN,)), ISBN)

    assert sure == Proposal(
        "isli:1", "is-equivalent-to", "isli:2", 0.98, "identifier", (Why("shared", (ISBN,)), Why("title-equal")), "刘三姐", "劉三姐"
    )  # fmt: skip
    assert doubtful is not None
    assert doubtful.score == 0.65
    assert Why("title-differs") in doubtful.why


def test_a_serial_or_a_person_is_not_the_thing():
    """One ISSN means one serial; one ISNI, that one person had to do with both."""
    series = by_identifier(thing(1, "a"), thing(2, "b"), "issn:03178471")

    assert series is not None
    assert (series.type, series.score) == ("related", 0.7)
    assert by_identifier(thing(1, "a"), thing(2, "a"), "isni:1") is None


@pytest.mark.parametrize(
    ("more", "other", "least", "most"),
    [
        ({"names": ("乔羽",), "year": 1961}, {"names": ("喬羽",), "year": 1961}, 0.95, 0.95),
        ({}, {}, 0.7, 0.85),
        ({"names": ("乔羽",)}, {"names": ("苏里",)}, 0.6, 0.65),
        ({"names": ("乔羽",), "year": 1961}, {"names": ("苏里",), "year": 1999}, 0.5, 0.56),
    ],
)
def test_names_are_weighed_with_makers_and_years(more: dict, other: dict, least: float, most: float):
    """One title is the surer the same thing if its makers and year agree."""
    found = by_name(thing(1, "广西民歌选", **more), thing(2, "广西民歌選", **other))

    assert found is not None
    assert least <= found.score <= most


def test_parts_of_a_series_are_not_the_same():
    """Titles that differ in a number alone are siblings."""
    assert by_name(thing(1, "刘三姐 第一集"), thing(2, "刘三姐 第二集")) is None
    assert by_name(thing(1, "广西年鉴2019"), thing(2, "广西年鉴2020")) is None


def test_a_film_of_a_book_is_its_multimedia():
    """Of different kinds, the link leads from the text to the film, whichever comes first; films do not register for books of others."""
    book, film = thing(1, "广西民歌选", kind="text"), thing(2, "广西民歌选", kind="film")
    theirs = thing(1, "广西民歌选", kind="text", body="museum")

    for found in (by_name(book, film), by_name(film, book)):
        assert found is not None
        assert (found.source, found.type, found.target) == ("isli:1", "multimedia", "isli:2")
    other = by_name(theirs, film)
    assert other is not None
    assert (other.source, other.type, other.target, other.target_body) == ("isli:2", "related", "isli:1", "museum")


def test_only_what_is_ours_and_has_a_code_is_a_source():
    """Nothing is registered from another institution's entry, nor from one without a code; one with an ISBN alone may be a target."""
    bare = thing(2, "广西民歌选", code=None, identifiers=(ISBN,))

    assert by_name(thing(1, "广西民歌选", body="a"), thing(2, "广西民歌选", body="b")) is None
    assert by_name(bare, thing(3, "广西民歌选", code=None)) is None
    found = by_name(bare, thing(1, "广西民歌选"))
    assert found is not None
    assert (found.source, found.target) == ("isli:1", ISBN)
    assert own_identifiers(bare) == []
    assert own_identifiers(thing(1, "a", identifiers=(ISBN,)))[0].type == "identification"


def test_every_reason_has_its_words():
    """What a proposal is grounded on reads in both languages."""
    found = by_name(
        thing(1, "歌", kind="text", year=1961, names=("a",)), thing(2, "歌", kind="film", year=1960, names=("b",)), 9
    )

    assert found is not None
    assert reasons.told(found.why, "zh") == (
        "题名相同；但责任者不同；但年份不同：1961 与 1960；题名很短，容易重名；同名者有 9 个；类型不同：图书文献 与 影视"
    )
    assert "the titles are the same" in reasons.told(found.why, "en")
    assert reasons.load(reasons.dump(found.why)) == found.why


def test_a_statement_is_one_however_it_is_put():
    """Symmetric types and inverses read from the other end say the same; others do not."""
    assert statement("a", "same-as", "b") == statement("b", "same-as", "a")
    assert statement("a", "contain", "b") == statement("b", "belong-to", "a")
    assert statement("a", "source", "b") != statement("b", "source", "a")


def test_blocks_find_near_titles_without_comparing_all():
    """Among many titles the near ones meet, and most pairs are never looked at."""
    words = ["山水", "民歌", "铜鼓", "壮锦", "岩画", "歌圩", "桂剧", "渔鼓", "石刻", "舆图"]
    things = [thing(n, words[n % 10] + words[n // 10 % 10] + words[n // 100] + "考") for n in range(300)]
    things += [
        thing(900, "广西壮族民间故事集成"),
        thing(901, "广西壮族民间故事集成稿"),
        thing(902, "廣西壯族民間故事集成"),
    ]
    common: dict[str, int] = {}

    pairs = {(a.number, b.number) for a, b in blocks.by_name(things, common.__setitem__)}
    assert {(900, 901), (900, 902)} <= pairs or {(900, 901), (902, 901)} <= pairs
    assert (900, 902) in pairs
    assert len(pairs) < 300 * 299 / 8


def test_what_too_many_share_is_told_and_not_compared():
    """A title that hundreds have makes no pairs."""
    things = [thing(n, "年鉴") for n in range(blocks.MOST_OF_ONE + 1)]
    tally = Tally()

    assert list(propose(things, tally=tally)) == []
    assert tally.common == {"年鉴": blocks.MOST_OF_ONE + 1}


def test_all_grounds_come_together():
    """Identifiers, the catalogue's own statements and names each propose; what an identifier says, names need not say again."""
    things = [
        thing(1, "刘三姐", identifiers=(ISBN,), links=(("source", "isli:3"),)),
        thing(2, "劉三姐", identifiers=(ISBN,)),
        thing(3, "壮族歌谣集", body="museum"),
    ]
    tally = Tally()

    found = {(p.source, p.type, p.target): p for p in propose(things, tally=tally)}
    assert set(found) == {
        ("isli:1", "identification", ISBN), ("isli:2", "identification", ISBN), ("isli:1", "source", "isli:3"),
        ("isli:1", "is-equivalent-to", "isli:2"),
    }  # fmt: skip
    assert found["isli:1", "source", "isli:3"].target_body == "museum"
    assert found["isli:1", "is-equivalent-to", "isli:2"].basis == "identifier"
