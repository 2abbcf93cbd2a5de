"""What is registered of accepted links, and how they are exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.linking import registering
from gateway.linking.book import Book, Kept
from gateway.linking.cli import commands
from gateway.linking.exporting import address_of, json_ld
from gateway.linking.proposals import Proposal, Why
from gateway.resolver import statement
from gateway.resolver.records import Link, Record
from gateway.resolver.vocabulary import URIS

FILM, BOOK, SONG = "isli:999999-100000000000001-4", "isbn:9780306406157", "isli:999999-123456789012345-8"


def link(source: str, kind: str, target: str, number: int = 1) -> Kept:
    return Kept(
        number, Proposal(source, kind, target, 0.9, "name", (Why("title-equal"),), "刘三姐"), "accepted", "", "", ""
    )


def test_a_record_keeps_what_it_had():
    """Links are added to the record that is there; a code that is not registered gets one; what it has already needs nothing."""
    source = registering.Source(FILM, "刘三姐", (link(FILM, "source", BOOK), link(FILM, "same-as", SONG)))
    before = Record(
        code=FILM,
        title="Liu Sanjie",
        body="library",
        links=[Link(type="source", target=BOOK)],
        metadata={"year": "1961"},
    )

    fresh = registering.amended(None, source, "library")
    assert fresh == Record(code=FILM, title="刘三姐", body="library", links=[
        Link(type="source", target=BOOK), Link(type="same-as", target=SONG)])  # fmt: skip
    after = registering.amended(before, source, "library")
    assert after is not None
    assert (after.title, after.metadata) == ("Liu Sanjie", {"year": "1961"})
    assert [one.target for one in after.links] == [BOOK, SONG]
    assert registering.amended(after, source, "library") is None


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"body": "museum"}, "other-body"), ({"status": "withdrawn"}, "withdrawn")],
)
def test_what_is_another_s_or_withdrawn_gets_no_link(more: dict[str, Any], reason: str):
    """A record of another body, and one that was withdrawn, are left alone."""
    before = Record(**{"code": FILM, "title": "a", "body": "library"} | more)
    source = registering.Source(FILM, "a", (link(FILM, "same-as", SONG),))
    with pytest.raises(Refused) as refused:
        registering.amended(before, source, "library")
    assert refused.value.reason == reason


async def test_accepted_links_are_signed_and_noted(tmp_path: Path):
    """The registry gets records signed by the institution; what it refuses is told and stays accepted, the rest is registered."""
    key, got = PrivateKey.generate(), list[bytes]()
    book = Book(tmp_path / "linking.db")
    why = (Why("title-equal"),)
    book.propose(
        [
            Proposal(FILM, "source", BOOK, 0.9, "name", why, "刘三姐"),
            Proposal(SONG, "related", FILM, 0.9, "name", why, "歌"),
        ]
    )
    book.decide("1", {}, "accepted", "li-wei", "now")

    async def register(request: web.Request) -> web.Response:
        got.append(await request.read())
        codes = [record["code"] for record in json.loads(got[-1])["records"]]
        if SONG in codes:
            fault = {
                "index": codes.index(SONG),
                "path": "code",
                "reason": "outside-identifiers",
                "message": "not yours",
            }
            return web.json_response(
                {"reason": "outside-identifiers", "error": "not yours", "faults": [fault]}, status=422
            )
        return web.json_response({"changed": len(codes)})

    async def one(request: web.Request) -> web.Response:
        raise Refused("unknown-code", "not registered", 404)

    app = http.application()
    app.router.add_post("/api/registry/registrations", register)
    app.router.add_get("/api/registry/records/{code:.+}", one)
    async with http.serving(app, tcp=[("127.0.0.1", 0)]) as [(host, port)]:
        at = f"http://{host}:{port}"
        dry = await registering.register(book, key, "library", at, dry=True)
        assert (dry.links, book.states()["accepted"], got) == (2, 2, [])
        done = await registering.register(book, key, "library", at)
    assert (done.records, done.links, done.refused) == (1, 1, [(SONG, "outside-identifiers", "not yours")])
    assert book.states() == {"proposed": 0, "accepted": 1, "rejected": 0, "registered": 1}
    told = json.loads(got[-1])
    assert statement.open_statement(json.dumps(told["statement"]).encode(), [key.public]).body == "library"
    with pytest.raises(Unreachable):
        await registering.register(book, key, "library", at)
    book.close()


def test_links_are_json_ld():
    """Every link is a term of the vocabulary between URIs; the terms say which common ones they are."""
    told = json.loads(
        "".join(json_ld([link(FILM, "source", BOOK), link(FILM, "same-as", "doi:10.1000/182")], "http://box/"))
    )

    assert told["@graph"][-1] == {
        "@id": f"http://box/id/{FILM}", "code": FILM, "title": "刘三姐",
        "source": ["urn:isbn:9780306406157"], "same-as": ["https://doi.org/10.1000/182"],
    }  # fmt: skip
    terms = {node["@id"]: node["subPropertyOf"] for node in told["@graph"][:-1]}
    assert terms[URIS + "same-as"] == "http://www.w3.org/2002/07/owl#sameAs"
    assert address_of("hdl:20.500.12345/film", "http://box") == "https://hdl.handle.net/20.500.12345/film"


def test_a_curator_s_commands(tmp_path: Path):
    """From a table to a file of links: import, propose, preview, accept, reject, show, export."""
    table, store = tmp_path / "books.csv", str(tmp_path / "linking.db")
    table.write_text(f"id,code,title,isbn,source\n1,{FILM},刘三姐,9780306406157,{SONG}\n2,x,bad,,\n")

    def run(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(
            commands, [*arguments, "--book", store, *(["--json"] if "export" not in arguments else [])]
        )
        if code:
            return done
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "export" not in arguments else done.stdout

    told = run("import", str(table))
    assert (told["entries"], told["left_out"], told["faults"][0]["row"]) == (1, 1, 2)
    assert run("propose")["new"] == 2
    listed = run("list", "--lang", "zh")
    assert [(one["type"], one["target"]) for one in listed["links"]] == [("identification", BOOK), ("source", SONG)]
    assert listed["links"][1]["why"] == "目录的“来源”字段指向它"
    assert run("accept", "--least", "0.98")["would"] == 1
    assert run("list", "--state", "accepted")["count"] == 0
    assert run("accept", "--least", "0.98", "--yes") == {"done": 1, "state": "accepted"}
    number = str(listed["links"][1]["number"])
    assert run("reject", number, "--note", "no", "--by", "li-wei")["done"] == 1
    again = run("propose")
    assert (again["new"], again["decided"]) == (0, 2)
    shown = run("show", number)
    assert (shown["state"], shown["by"], shown["source_entry"]["title"]) == ("rejected", "li-wei", "刘三姐")
    assert run("accept", code=2).exit_code == 2
    assert isinstance(run("show", "99", code=1).exception, Refused)
    assert "1 links" in run("export", "--json-ld", str(tmp_path / "links.jsonld"))
    full = CliRunner().invoke(commands, ["export", "--json-ld", "/dev/full", "--book", store])
    assert isinstance(full.exception, HeadgateError)
    assert "cannot be written: No space left" in str(full.exception)
    assert json.loads((tmp_path / "links.jsonld").read_text())["@graph"][-1]["identification"] == [
        "urn:isbn:9780306406157"
    ]
