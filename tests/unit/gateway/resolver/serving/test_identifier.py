"""What is answered the moment it is read says what the long way says."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.runtime import http
from gateway.resolver.answer.here import Here
from gateway.resolver.finding import Finder
from gateway.resolver.levels import Head
from gateway.resolver.metrics import Numbers
from gateway.resolver.pending import FILE
from gateway.resolver.records import Link, Location, Record, Rights
from gateway.resolver.serving.application import application
from gateway.resolver.serving.resolver import Resolver
from gateway.resolver.table import Table
from gateway.resolver.writing import Writer

FILM, BOOK = "isli:999999-100000000000001-4", "isbn:9780471117094"
HERE = Here("box", "bigscreen", "http://10.20.0.11")


class Asked:
    """Answers of a resolver over one connection."""

    def __init__(self, client: aiohttp.ClientSession, at: str, writer: Writer, folder: Path) -> None:
        self._client, self._at, self._writer, self._size = client, at, writer, 0
        self.folder = folder

    def put(self, *records: Record) -> None:
        """Put records before what is there."""
        self._size += 1
        head = Head("centre", self._size, f"{self._size:064x}", datetime.now(UTC))
        items = [(record.code.encode(), record.dump()) for record in sorted(records, key=lambda one: one.code)]
        if self._writer.info() is None:
            self._writer.replace(head, items)
        else:
            self._writer.add(head, items)

    def wait(self, record: Record) -> None:
        """Let a record wait for the registry."""
        told = {record.code: [record.dump().decode(), None, 0.0, "0" * 64, 0]}
        (self.folder / FILE).write_text(json.dumps(told))

    async def json(self, asked: str) -> dict[str, Any]:
        async with self._client.get(
            f"{self._at}{'' if asked.startswith('/') else '/id/'}{asked}", headers={"Accept": "application/json"}
        ) as told:
            return dict(await told.json())


@pytest.fixture
async def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asked]:
    """Serve a table, which is empty yet."""
    monkeypatch.setattr(Resolver, "take", lambda self, _: setattr(self, "here", HERE))
    writer = Writer(tmp_path)
    writer.prepare()
    numbers = Numbers("bigscreen")
    finder = Finder(Table(tmp_path), None, None, numbers)  # type: ignore[arg-type]
    resolver = Resolver(None, "bigscreen", finder, numbers)  # type: ignore[arg-type]
    async with (
        http.serving(application(resolver), tcp=[("127.0.0.1", 0)]) as addresses,
        aiohttp.ClientSession() as client,
    ):
        yield Asked(client, f"http://127.0.0.1:{addresses[0][1]}", writer, tmp_path)


def film(**more: Any) -> Record:
    told = {"code": FILM, "title": "刘三姐", "body": "film", "links": [Link(type="source", target=BOOK)]}
    return Record(**told, locations=[Location(release=FILM, entry="a.mp4")], **more)


BOOKS = [
    Record(code=BOOK, title="壮族山歌", body="library"),
    Record(code=BOOK, title="壮族山歌", body="library", rights=Rights(zones=("culture",))),
    Record(code=BOOK, title="壮族山歌", body="library", status="reserved"),
    Record(code=BOOK, title="壮族山歌", body="library"),
]


async def test_a_link_is_told_while_its_target_may_be_seen(box: Asked) -> None:
    """To what was not registered, then to what everybody sees, not to what is limited or reserved, and to what is seen again."""
    box.put(film())
    links = film().model_dump()["links"]
    assert (await box.json(FILM))["links"] == links
    for book, told in zip(BOOKS, (links, [], [], links), strict=True):
        box.put(book)
        quick = await box.json(FILM)
        assert quick["links"] == told
        assert quick == await box.json(f"{FILM}?format=json")


@pytest.mark.parametrize(
    "code", [FILM, BOOK, "doi:10.1000/182", "hdl:20.500/a,b", "isni:0000000121032683", "oid:1.2.156"]
)
async def test_each_scheme_is_told_as_the_long_way_tells_it(box: Asked, code: str) -> None:
    """How it is shown to people, and where the world knows it."""
    box.put(Record(code=code, title="t", body="library", locations=[Location(release=FILM, entry="a.mp4")]))
    quick = await box.json(code)
    assert quick == await box.json(f"{code}?format=json")
    assert quick["code"] == code


async def test_links_of_what_waits_for_the_registry_are_walked(box: Asked) -> None:
    """What a body registered at this box is linked at once, though the table does not have it yet, and its title is told."""
    box.put(Record(code=BOOK, title="壮族山歌", body="library"))
    box.wait(film())
    told = await box.json(f"{FILM}/links")
    assert told["edges"] == [{"source": FILM, "type": "source", "target": BOOK, "across": True}]
    assert [node["title"] for node in told["nodes"]] == ["刘三姐", "壮族山歌"]


async def test_a_handle_without_a_name_is_none(box: Asked) -> None:
    """A client of a Handle proxy is told so in its own terms."""
    assert (await box.json("/api/handles/20.500/"))["responseCode"] == 102
