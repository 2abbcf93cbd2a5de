"""The book: imports that go on, decisions that stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.runtime.errors import Corrupt, Refused
from gateway.linking import importing
from gateway.linking.book import Book
from gateway.linking.choosing import Choice
from gateway.linking.proposals import Proposal, Why

HEAD = "id,code,title\n"
ROWS = [f"{n},,title {n}\n" for n in range(10)]


@pytest.fixture
def book(tmp_path: Path):
    kept = Book(tmp_path / "linking.db")
    yield kept
    kept.close()


def proposal(source: str, target: str, score: float = 0.9, kind: str = "same-as") -> Proposal:
    return Proposal(source, kind, target, score, "name", (Why("title-equal"),), f"title of {source}", "b")


def catalogue(tmp_path: Path, rows: list[str]) -> Path:
    path = tmp_path / "books.csv"
    path.write_text(HEAD + "".join(rows))
    return path


def test_an_import_replaces_the_catalogue_of_the_same_name(book: Book, tmp_path: Path):
    """What the new file does not have any more is gone, what it has is as it says now; a number that comes twice is a fault."""
    first = importing.run(book, catalogue(tmp_path, ROWS))
    second = importing.run(book, catalogue(tmp_path, ["1,,other\n", "1,,again\n", ",,\n"]))

    assert (first.rows, first.entries, first.without_code) == (10, 10, 10)
    assert (second.entries, second.gone, second.left_out) == (1, 9, 1)
    assert [(wrong.row, wrong.reason) for wrong in book.faults("books", 9)] == [(2, "twice")]
    assert [thing.entry.title for thing in book.things()] == ["other"]


def test_an_import_goes_on_where_it_was_broken_off(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a batch kept stays; the same file goes on behind it, another one begins anew."""
    monkeypatch.setattr(importing, "BATCH", 4)
    path = catalogue(tmp_path, ROWS)

    def broken(_done: int, _whole: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importing.run(book, path, progress=broken)
    assert (book.count(), book.catalogues()[0].finished) == (4, False)
    again = importing.run(book, path)
    assert (again.again, again.rows, book.count()) == (4, 10, 10)
    assert importing.run(book, path).again == 0  # whole files are read again: a person asked for it


def test_another_institution_s_catalogue_stays_another_s(book: Book, tmp_path: Path):
    """The name of a catalogue belongs to one institution; nothing of another's is our own."""
    path = catalogue(tmp_path, ROWS)
    importing.run(book, path, body="museum")

    assert all(not thing.ours for thing in book.things())
    with pytest.raises(Refused, match="museum") as refused:
        importing.run(book, path)
    assert refused.value.reason == "other-body"


def test_nothing_is_proposed_again_after_a_rejection(book: Book):
    """A rejected link stays rejected when it is found again, also the other way round; accepted ones stay too, with their score."""
    told = book.propose([proposal("a", "b"), proposal("a", "c"), proposal("a", "d")])
    (rejected,) = book.select("target = 'b'", {}, 9)
    (accepted,) = book.select("target = 'c'", {}, 9)
    book.decide(*Choice(number=rejected.id).condition(), "rejected", "li-wei", "now", "another film")
    book.decide(*Choice(number=accepted.id).condition(), "accepted", "li-wei", "now")

    again = book.propose([proposal("b", "a", 0.99), proposal("a", "c", 0.2)])
    assert told == {"new": 3, "known": 0, "decided": 0, "gone": 0}
    assert again == {"new": 0, "known": 0, "decided": 2, "gone": 1}
    after = book.one(rejected.id)
    assert after is not None
    assert (after.state, after.by, after.note, after.proposal.score) == ("rejected", "li-wei", "another film", 0.9)
    assert book.states() == {"proposed": 0, "accepted": 1, "rejected": 1, "registered": 0}


def test_the_surest_of_two_grounds_counts(book: Book):
    """A link that is found twice is one proposal, with the higher score."""
    book.propose([proposal("a", "b", 0.7), proposal("b", "a", 0.8)])

    assert [one.proposal.score for one in book.select("1", {}, 9)] == [0.8]


def test_what_is_registered_is_not_decided_again(book: Book):
    """A decision cannot take back what the registry has."""
    book.propose([proposal("a", "b")])
    (one,) = book.select("1", {}, 9)
    book.registered([one.id], "now")
    assert book.states()["registered"] == 0  # nobody accepted it
    book.decide("1", {}, "accepted", "li-wei", "now")
    book.registered([one.id], "now")

    assert book.decide("1", {}, "rejected", "li-wei", "now") == 0
    assert book.states()["registered"] == 1


def test_a_choice_narrows(book: Book):
    """Filters choose by state, type, score, ground and text; what a person writes is never part of a query."""
    book.propose([proposal("a", "b", 0.9), proposal("c", "d", 0.7, "source")])

    def chosen(**filters: object) -> list[str]:
        return [one.proposal.source for one in book.select(*Choice(**filters).condition(), 9)]  # type: ignore[arg-type]

    assert chosen() == ["a", "c"]
    assert chosen(type="来源") == ["c"]
    assert chosen(least=0.9) == ["a"]
    assert chosen(most=0.9) == ["c"]
    assert chosen(query="title of c") == ["c"]
    assert chosen(query="' OR 1 --") == []
    assert chosen(basis="stated") == []
    for wrong in ({"state": "x"}, {"basis": "x"}, {"least": 2.0}, {"type": "knows"}):
        with pytest.raises(Refused):
            Choice(**wrong)  # type: ignore[arg-type]


def test_what_is_no_book_is_told(tmp_path: Path):
    """A file that is no book is refused in words, and left as it is."""
    path = tmp_path / "linking.db"
    path.write_bytes(b"x" * 5000)

    with pytest.raises(Corrupt, match="cannot be used"):
        Book(path)
    assert path.read_bytes() == b"x" * 5000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_the_daemon(tmp_path: Path):
    """Root's command may come before the page ever ran: the book is the folder's owner's all the same, also what SQLite lays beside it."""
    folder = tmp_path / "linking"
    folder.mkdir()
    os.chown(folder, 4242, 4243)
    book = Book(folder / "linking.db")
    book.propose([proposal("a", "b")])

    assert {(path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()} == {(4242, 4243)}
    book.close()
