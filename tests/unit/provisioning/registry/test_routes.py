"""The registry over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver import delegations
from gateway.resolver.delegations import AskedBlock, AskedService
from gateway.resolver.proof import open_lookup, parse_key, parse_proof, verify_proof
from gateway.resolver.published import lookup_path
from gateway.resolver.statement import Registration
from provisioning.registry.routes import CODE, Api, lookup_application
from provisioning.registry.validating import parse_registration
from tests.unit.provisioning.registry.conftest import Place, code

Client = TestClient[Any, Any]
BASE = "/api/registry"


@pytest.fixture
async def client(place: Place) -> AsyncIterator[Client]:
    """The API as the controller serves it, with the origin's look-ups beside it."""
    api = Api(place.registry, place.publication)
    app = http.application()
    app.add_routes(api.routes())
    app.add_subapp("/origin", lookup_application(api))
    async with TestClient(TestServer(app)) as made:
        yield made


async def test_what_is_registered_is_told_and_proved(place: Place, client: Client) -> None:
    """A registration as JSON or as lines; record, history, proof and look-up of it in any spelling."""
    now = datetime.now(UTC)
    one, two = (
        place.signed(place.record(1), at=now),
        place.signed(place.record(2), place.record(1, title="new"), at=now),
    )
    done = await (await client.post(f"{BASE}/registrations", data=one.dump())).json()
    assert done == {"statement": one.digest, "changed": 1, "unchanged": 0, "first": 1, "again": False, "faults": []}
    lines = b"\n".join([two.envelope, *two.dumps])
    assert (await (await client.post(f"{BASE}/registrations", data=lines)).json())["first"] == 2
    assert (await (await client.get(f"{BASE}/registrations/{one.digest}")).json())["again"]
    standing = await (await client.get(BASE)).json()
    assert (standing["size"], standing["records"], standing["published"]) == (3, 2, 3)

    written = code(1).replace("isli:", "ISLI ")
    assert (await (await client.get(f"{BASE}/records/{written}")).json())["title"] == "new"
    assert [r["code"] for r in await (await client.get(f"{BASE}/records?limit=1&after={code(1)}")).json()] == [code(2)]
    changes = (await (await client.get(f"{BASE}/history/{written}")).json())["changes"]
    assert [(c["number"], c["record"]["title"]) for c in changes] == [(3, "new"), (1, "刘三姐")]
    proof = parse_proof(await (await client.get(f"{BASE}/proof/{written}")).read())
    proven = verify_proof(proof, parse_key(standing["key"]), [place.library.public])
    assert proven.record == place.record(1, title="new")
    assert await (await client.get(f"{BASE}/statements/{one.digest}")).read() == one.envelope

    found = await client.get(f"/origin/registry/lookup/{code(2)}")
    assert (found.status, open_lookup(await found.read(), code(2), [place.key.public]).number) == (200, 2)
    lot = "gs1:01/06901234567892/10/A1?17=261231"
    said = await client.get(f"/origin/registry/{lookup_path(lot)}")
    assert (said.status, open_lookup(await said.read(), lot, [place.key.public]).number) == (200, None)
    none = await client.get(f"/origin/registry/lookup/{code(9)}")
    assert (none.status, open_lookup(await none.read(), code(9), [place.key.public]).number) == (200, None)


async def test_every_fault_is_told_and_nothing_registered(place: Place, client: Client) -> None:
    """A refusal carries each fault with its place; 'good' leaves the faulty ones out, 'dry' changes nothing."""
    now = datetime.now(UTC)
    mixed = place.signed(place.record(1), place.record(2, body="film"), at=now).dump()
    answer = await client.post(f"{BASE}/registrations", data=mixed)
    told = await answer.json()
    assert (answer.status, [(f["index"], f["reason"]) for f in told["faults"]]) == (422, [(1, "other-body")])
    dry = await (await client.post(f"{BASE}/registrations?mode=good&dry=1", data=mixed)).json()
    assert (dry["changed"], place.registry.ledger.size) == (1, 0)
    good = await (await client.post(f"{BASE}/registrations?mode=good", data=mixed)).json()
    assert (good["changed"], [f["reason"] for f in good["faults"]]) == (1, ["other-body"])
    broken = json.loads(mixed) | {"records": [{"code": "x"}, {}]}
    told = await (await client.post(f"{BASE}/registrations", json=broken)).json()
    for path in ("registrations", "services", "blocks"):
        answer = await client.post(f"{BASE}/{path}", data=b"\0")
        assert (answer.status, (await answer.json())["reason"]) == (400, "bad-request")
    assert {(f["index"], f["path"]) for f in told["faults"]} >= {(0, "code"), (0, "title"), (1, "body")}


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"records/{code(9)}", 404, "unknown-code"),
        (f"history/{code(9)}", 404, "unknown-code"),
        (f"records/{code(9)[:-1]}x", 400, "not-a-code"),
        (f"statements/{'0' * 64}", 404, "unknown-statement"),
        ("statements/..%2F..%2Fhead", 404, "unknown-statement"),
        ("records/%0Ax", 400, "not-a-code"),
        (f"registrations/{'0' * 64}", 404, "unknown-statement"),
        (f"proof/{code(9)}?on=2999-01-01T00:00:00Z", 400, "bad-request"),
        (f"proof/{code(9)}?on=2026-01-01T00:00:00", 400, "bad-request"),
        (f"proof/{code(9)}?on=x", 400, "bad-request"),
        ("records?limit=x", 400, "bad-request"),
    ],
)
async def test_a_wrong_question_is_refused(client: Client, path: str, status: int, reason: str) -> None:
    """Each with its status and its word."""
    answer = await client.get(f"{BASE}/{path}")
    assert (answer.status, (await answer.json())["reason"]) == (status, reason)


async def test_services_and_blocks_are_delegated_by_who_may(place: Place, client: Client) -> None:
    """An operator fixes a service's length, a body allots a block to its box; both are in the head, and hold from then on."""
    now = datetime.now(UTC)
    service = AskedService(service="999999", link=15, body="library", name="测试", time=now)
    assert (await client.post(f"{BASE}/services", data=delegations.seal(service, place.library))).status == 403
    assert (await client.post(f"{BASE}/services", data=delegations.seal(service, place.operator))).status == 200
    block = AskedBlock(part="isli:999999-00000000000000", body="library", box="nanning", time=now)
    assert (await client.post(f"{BASE}/blocks", data=delegations.seal(block, place.film))).status == 403
    for _ in range(2):
        assert (await client.post(f"{BASE}/blocks", data=delegations.seal(block, place.library))).status == 200
    head = place.publication.head
    assert head is not None
    assert head.services == {"999999": {"link": 15, "body": "library", "name": "测试"}}
    assert head.blocks == [{"part": block.part, "body": "library", "box": "nanning"}]
    assert await (await client.get(f"{BASE}/blocks?box=nanning")).json() == head.blocks
    assert await (await client.get(f"{BASE}/blocks?box=liuzhou")).json() == []
    told = await (await client.post(f"{BASE}/registrations", data=place.signed(place.record(1), at=now).dump())).json()
    assert told["reason"] == "allotted"
    await place.registry.register(place.signed(place.record(1), at=now), now, box="nanning")
    shorter = service.model_copy(update={"link": 14, "time": now + timedelta(seconds=1)})
    answer = await client.post(f"{BASE}/services", data=delegations.seal(shorter, place.operator))
    assert (answer.status, (await answer.json())["reason"]) == (409, "wrong-link-length")
    older = service.model_copy(update={"name": "old", "time": now - timedelta(seconds=1)})
    answer = await client.post(f"{BASE}/services", data=delegations.seal(older, place.operator))
    assert (await answer.json())["reason"] == "older-statement"

    place.registry.close()
    place.new()
    await place.open()
    assert (len(place.registry.services), len(place.registry.blocks)) == (1, 1)


async def test_the_document_tells_every_route(place: Place, client: Client) -> None:
    """What the API answers to is in its OpenAPI document, and nothing else."""
    told = await (await client.get(f"{BASE}/openapi.json")).json()
    documented = {(method.upper(), path) for path, item in told["paths"].items() for method in item}
    served = set()
    for route in Api(place.registry, place.publication).routes():
        path = route.path.replace(f"{{{CODE}}}", "{code}")
        served.add((route.method, path))
    assert documented == served


@settings(max_examples=100)
@given(
    st.binary(max_size=100)
    | st.recursive(
        st.none() | st.text(max_size=9) | st.floats() | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["statement", "records", "payload", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    ).map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_are_a_registration_or_refused(body: bytes) -> None:
    """Any bytes sent for registration give a registration or a typed refusal."""
    try:
        found: object = parse_registration(body)
    except (Corrupt, Refused) as error:
        found = error
    assert isinstance(found, Registration | Corrupt | Refused)
