"""What a person looks up, as the controller serves it: codes, links by their targets, history, proof."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.runtime import http
from gateway.resolver.records import Link
from provisioning.controller.identifiers_web import routes
from provisioning.registry import backlinks
from provisioning.registry.backlinks import Backlinks
from provisioning.registry.looking import Looking
from tests.unit.provisioning.registry.conftest import Place, code

Client = TestClient[Any, Any]


@pytest.fixture
def followed(place: Place) -> Backlinks:
    """What follows the registry's log."""
    return Backlinks(place.registry, place.publication)


@pytest.fixture
async def client(place: Place, followed: Backlinks) -> AsyncIterator[Client]:
    """The pages and their API."""
    app = http.application()
    app.add_routes(routes(Looking(place.registry, place.publication, followed)))
    async with TestClient(TestServer(app)) as made:
        yield made


def to(*targets: str, kind: str = "related") -> list[Link]:
    return [Link(type=kind, target=target) for target in targets]


async def publish(place: Place, followed: Backlinks) -> None:
    await place.publication.publish(datetime.now(UTC))
    while await followed.follow():
        pass


async def test_links_are_followed_from_the_log(place: Place, followed: Backlinks, monkeypatch: pytest.MonkeyPatch):
    """Who names a code is known in steps, changes replace what was named before, withdrawn records name nothing."""
    monkeypatch.setattr(backlinks, "STEP", 2)
    now = datetime.now(UTC)
    await place.take(
        place.record(1, links=to(code(9), code(8))), place.record(2, links=to(code(9))), place.record(3), at=now
    )
    await place.publication.publish(now)
    assert await followed.follow() == 1
    await publish(place, followed)
    assert await followed.naming([code(9), code(1)], 5) == {
        code(9): (("related", code(1)), ("related", code(2))), code(1): ()}  # fmt: skip
    assert await followed.naming([code(9)], 1) == {code(9): (("related", code(1)),)}
    seen = await followed.seen()
    assert (seen.applied, seen.links, seen.schemes) == (3, 3, {"isli": 3})

    later = now + timedelta(seconds=1)
    await place.take(place.record(1, links=to(code(8), kind="source")), at=later)
    withdrawn = place.record(2, status="withdrawn", reason="error", links=to(code(9)))
    await place.take(withdrawn, act="withdraw", at=later)
    await publish(place, followed)
    assert await followed.naming([code(9), code(8)], 5) == {code(9): (), code(8): (("source", code(1)),)}
    assert (await followed.seen()).links == 1
    assert (await followed.seen()).schemes == {"isli": 3}


async def test_a_code_is_told_with_links_history_and_proof(place: Place, followed: Backlinks, client: Client):
    """Both ways and several steps far, across bodies; each change with what became another; the proof is verified."""
    now = datetime.now(UTC)
    film = f"isli:{'999999-100000000000001-4'}"
    await place.take(place.record(1, links=to(film, kind="multimedia")), at=now - timedelta(seconds=9))
    await place.take(place.record(2, links=to(code(1), kind="cite")), at=now - timedelta(seconds=8))
    await place.take(
        place.record(1, title="new", links=[*to(film, kind="multimedia"), *to(code(7))]), at=now - timedelta(seconds=7)
    )
    await publish(place, followed)

    near = await (await client.get(f"/api/identifiers/{code(1).replace('isli:', 'ISLI ')}")).json()
    assert near["code"] == code(1)
    assert near["record"]["title"] == "new"
    edges = {(edge["source"], edge["type"], edge["target"]) for edge in near["graph"]["edges"]}
    assert edges == {(code(1), "multimedia", film), (code(1), "related", code(7)), (code(2), "cite", code(1))}
    assert [(one["number"], one["first"], one["changes"]) for one in near["history"]] == [
        (3, False, [{"field": "title", "after": "new"}, {"field": "links", "added": 1, "removed": 0}]), (1, True, []),
    ]  # fmt: skip
    assert (near["proof"]["verified"], near["proof"]["number"], near["proof"]["size"]) == (True, 3, 3)

    far = await (await client.get(f"/api/identifiers/{film}?depth=2")).json()
    assert far["record"] is None  # not registered, and yet named
    assert {edge["source"] for edge in far["graph"]["edges"]} == {code(1), code(2)}
    html = await (await client.get(f"/identifiers/{code(1)}?lang=zh&depth=2")).text()
    assert "<svg" in html
    assert "已在透明日志中验证" in html


async def test_what_is_wrong_or_unknown_is_told(place: Place, followed: Backlinks, client: Client):
    """A wrong code answers 400 with the likely ones, the registered first; an unknown one 404; a box that searches is led to the code."""
    now = datetime.now(UTC)
    await place.take(place.record(1), at=now)
    await publish(place, followed)
    wrong = code(1)[:-1] + str((int(code(1)[-1]) + 1) % 10)

    answer = await client.get(f"/api/identifiers/{wrong}")
    likely = (await answer.json())["fault"]["likely"]
    assert (answer.status, likely[0]) == (400, {"code": code(1), "title": "刘三姐"})
    assert (await client.get(f"/identifiers/{code(5)}")).status == 404
    assert (await client.get(f"/identifiers/{code(1)}?depth=9")).status == 400
    found = await client.get("/identifiers", params={"q": " ISLI " + code(1)[5:], "lang": "en"}, allow_redirects=False)
    assert (found.status, found.headers["Location"]) == (303, f"/identifiers/{code(1)}?lang=en")
    slash = await client.get("/identifiers", params={"q": "doi:10.1000/182", "lang": "en"})
    assert slash.status == 404
    assert "10.1000/182" in await slash.text()
    nonsense = await client.get("/identifiers", params={"q": "?#//..\r\n%00", "lang": "en"})
    assert nonsense.status == 400


async def test_the_overview_tells_how_it_stands(place: Place, followed: Backlinks, client: Client):
    """Records, entries, links, schemes, and the last changes, newest first; also where there is nothing yet."""
    assert (await (await client.get("/api/identifiers")).json())["changes"] == []
    await place.take(place.record(1, links=to(code(2))), place.record(3), at=datetime.now(UTC))
    await publish(place, followed)

    told = await (await client.get("/api/identifiers")).json()
    assert (told["records"], told["size"], told["links"], told["behind"]) == (2, 2, 1, 0)
    assert told["schemes"] == [{"scheme": "isli", "count": 2}]
    assert [one["code"] for one in told["changes"]] == [code(3), code(1)]
    assert "刘三姐" in await (await client.get("/identifiers")).text()
