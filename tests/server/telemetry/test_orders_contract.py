"""Orders and releases in the controller's database: the same contract on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal.log import Journal
from appliance.runtime import config
from appliance.runtime.errors import Refused
from appliance.telemetry.records import Numbered, Record
from gateway.release import orders as signed
from gateway.release.orders import Order, What
from provisioning.controller.ingest import Delivery
from provisioning.controller.orders import Orders, Report, parse_report
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store

pytestmark = [pytest.mark.server]
NOW = datetime(2026, 11, 28, 8, tzinfo=UTC)
STAMP = "2026-11-28T08:00:00.000000Z"
KEY = PrivateKey.generate()
CODE = "999999-100000000000001-4"


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    text = f"database: {database}\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    made = Store(config.parse(text, Controller).database)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def orders(store: Store) -> Orders:
    made = Orders(store, lambda: [{"regulator": KEY.public}])
    await made.open()
    return made


def order(serial: int, act: str = "withdraw", until: datetime | None = None, **what: str) -> Order:
    told = {
        "serial": serial,
        "act": act,
        "what": What(**(what or {"release": CODE})),
        "reason": "版权争议",
        "by": "regulator",
        "time": NOW,
        "until": until,
    }
    return Order.model_validate(told)


def give(serial: int, act: str = "withdraw", until: datetime | None = None, **what: str) -> bytes:
    return signed.seal(order(serial, act, until, **what), KEY)


class Box:
    """A box's journal that proves orders."""

    def __init__(self, base: Path, site: str = "headend") -> None:
        self.journal = Journal(base / site, PrivateKey.generate(), f"{site}/exchange")

    def prove(self, made: Order) -> str:
        entry = {"decision": made.act, "serial": made.serial, "order": made.digest, "objects": 1, "unconfirmed": []}
        return self.journal.prove(entry, self.journal.append(entry)).decode()


async def pin(store: Store, box: Box, site: str = "headend") -> None:
    from provisioning.controller.tables import journals

    texts = dict.fromkeys(
        ("origin", "root", "checkpoint", "recent", "cosigned", "heard", "waiting", "fault", "told", "since"), ""
    )
    async with store.begin() as connection:
        row = {"box": site, "name": "exchange", "key": box.journal.verifier, "size": 1, **texts}
        await connection.execute(journals.insert().values(row))


async def test_orders_have_serials_without_gaps(orders: Orders, store: Store):
    """The next serial is taken once; another one, a gap and a stranger's order are refused, and change nothing."""
    await orders.give(give(1), NOW)
    for data, reason in (
        (give(1), "order-old"),
        (give(3), "order-gap"),
        (signed.seal(order(2), PrivateKey.generate()), "order-forged"),
    ):
        with pytest.raises(Refused) as caught:
            await orders.give(data, NOW)
        assert caught.value.reason == reason
    assert orders.head == 1
    again = Orders(store, list)
    await again.open()
    assert again.head == 1
    assert (await again.after(0))[1] == 1


async def test_a_proof_counts_when_the_boxes_own_journal_signed_it(orders: Orders, store: Store, tmp_path: Path):
    """A proof of another journal, of another order, or of no journal that is known is told apart from a good one."""
    box, stranger = Box(tmp_path), Box(tmp_path, "stranger")
    for serial in (1, 2, 3):
        await orders.give(give(serial, label=f"l{serial}"), NOW)
    one, two, three = (order(n, label=f"l{n}") for n in (1, 2, 3))
    assert await orders.report("headend", Report(1, {1: box.prove(one)}), NOW) == [1]
    assert (await orders.one(1))["proofs"][0]["verified"] == "unknown-key"
    await pin(store, box)
    assert (await orders.one(1))["proofs"][0]["verified"] == "yes"
    assert await orders.report("headend", Report(3, {2: stranger.prove(two), 3: box.prove(one)}), NOW) == [2, 3]
    assert [(await orders.one(n))["proofs"][0]["verified"] for n in (2, 3)] == ["wrong", "wrong"]
    assert (
        await orders.report("headend", Report(3, {3: box.prove(three)}), NOW) == []
    )  # the first word stays, as evidence
    assert orders.proved == {"headend": 3}


async def test_what_a_box_lacks_is_known_after_a_start(orders: Orders, store: Store, tmp_path: Path):
    """A proof that was lost in between is asked for again, also by a controller that was started anew."""
    box = Box(tmp_path)
    for serial in (1, 2, 3):
        await orders.give(give(serial, label="x"), NOW)
    await orders.report(
        "headend", Report(3, {1: box.prove(order(1, label="x")), 3: box.prove(order(3, label="x"))}), NOW
    )
    again = Orders(store, list)
    await again.open()
    assert orders.proved == again.proved == {"headend": 1}
    await orders.report("headend", Report(3, {}, "order-forged", "no"), NOW)
    await again.open()
    assert orders.faults == again.faults == {"headend": "order-forged"}
    await orders.report("headend", Report(3, {2: box.prove(order(2, label="x"))}), NOW)
    assert (orders.proved, orders.faults) == ({"headend": 3}, {})


def admit(seq: int, code: str = CODE, version: int = 1, **more: object) -> Numbered:
    body = {
        "decision": "admit", "release": code, "version": version, "body": "library", "title": "刘三姐",
        "labels": ["drama", "film"], "zones": ["bigscreen"], "files": 2, "bytes": 9,
    }  # fmt: skip
    return Numbered(seq, Record.new("audit", "exchange", body | more))


def refuse(seq: int, code: str = CODE, reason: str = "zone-not-granted", **more: object) -> Numbered:
    return Numbered(
        seq,
        Record.new(
            "audit", "exchange", {"decision": "refuse", "reason": reason, "sentence": "no", "release": code} | more
        ),
    )


async def rows(store: Store) -> dict[str, tuple[str, int, int]]:
    from sqlalchemy import select

    from provisioning.controller.content_tables import releases

    async with store.begin() as connection:
        found = await connection.execute(select(releases))
        return {row.code: (row.title, row.version, row.withdrawn) for row in found}


async def test_releases_follow_what_boxes_say(store: Store):
    """The newest version that any box admitted is shown; an older one heard later does not replace it."""
    await store.save(
        [Delivery("headend", (admit(1, version=2, title="新"),)), Delivery("edge", (admit(1), refuse(2, "x")))], STAMP
    )
    assert await rows(store) == {CODE: ("新", 2, 0), "x": ("", 0, 0)}


@pytest.mark.parametrize("what", [{"release": CODE}, {"body": "library"}, {"label": "drama"}])
async def test_what_is_withdrawn_is_marked(store: Store, orders: Orders, what: dict[str, str]):
    """An order marks the releases it covers, and one that is admitted after it; reinstating takes the mark away."""
    await store.save([Delivery("headend", (admit(1), admit(2, "other", body="museum", labels=["dramas"])))], STAMP)
    await orders.give(give(1, **what), NOW)
    later = admit(3, "later", labels=["drama"])
    await store.save([Delivery("headend", (later, admit(4, CODE, 2)))], STAMP)
    marked = {code: row[2] for code, row in (await rows(store)).items()}
    assert marked == {CODE: 1, "other": 0, "later": 0 if "release" in what else 1}
    await orders.give(give(2, "reinstate", **what), NOW)
    assert {row[2] for row in (await rows(store)).values()} == {0}


TOKENS = [
    {"token": "portal:ab12"},
    {"subject": f"portal:{'刘' * signed.LONGEST_TOKEN}"},
    {"issuer": "portal"},
    {"signer": str(KEY.public)},
]


async def test_withdrawals_of_tokens_are_kept_and_touch_no_release(store: Store, orders: Orders, tmp_path: Path):
    """They are shown with what they are about and when they end, handed on and proved as any order."""
    await store.save([Delivery("headend", (admit(1),))], STAMP)
    box, end = Box(tmp_path), NOW + timedelta(days=1)
    await pin(store, box)
    east = end.astimezone(timezone(timedelta(hours=8)))
    for serial, what in enumerate(TOKENS, 1):
        await orders.give(give(serial, until=east, **what), NOW)
        made = order(serial, until=east, **what)
        assert await orders.report("headend", Report(serial, {serial: box.prove(made)}), NOW) == [serial]
        told = await orders.one(serial)
        assert (told["what"], told["until"], told["proofs"][0]["verified"]) == (
            what,
            "2026-11-29T08:00:00.000000Z",
            "yes",
        )
    await orders.give(give(5, label="drama"), NOW)
    listed = await orders.some(None, 10)
    assert [one["what"] for one in listed] == [{"label": "drama"}, *reversed(TOKENS)]
    assert (listed[0]["until"], listed[0]["proved"], listed[1]["proved"]) == (None, 0, 1)
    assert await rows(store) == {CODE: ("刘三姐", 1, 5)}
    assert len((await orders.after(0))[0]) == 5


async def test_withdrawals_of_tokens_are_bounded(orders: Orders, monkeypatch: pytest.MonkeyPatch):
    """One too many is refused with what mends it; what ended or was taken back counts no more, nor what was given twice."""
    from provisioning.controller import orders as module

    monkeypatch.setattr(module, "MOST_TOKENS", 3)
    end = NOW + timedelta(days=1)
    for serial, (name, until) in enumerate((("a", end), ("a", end), ("b", None), ("c", end)), 1):
        await orders.give(give(serial, until=until, token=f"portal:{name}"), NOW)
    with pytest.raises(Refused) as caught:
        await orders.give(give(5, token="portal:d"), NOW)
    assert (caught.value.reason, orders.head) == ("too-many-tokens", 4)
    await orders.give(give(5, label="drama"), NOW)
    await orders.give(give(6, "reinstate", token="portal:b"), NOW)
    await orders.give(give(7, token="portal:d"), NOW)
    with pytest.raises(Refused, match="--until"):
        await orders.give(give(8, issuer="portal"), NOW)
    await orders.give(give(8, issuer="portal"), end)


async def test_hostile_records_are_stored_all_the_same(store: Store):
    """Whatever a box writes into an audit record neither fails the transaction nor is believed."""
    hostile = [
        admit(1, "a", title=["x"], labels=["a b", 1, "x" * 3000], version=1 << 80, files=-1, bytes=True),
        refuse(2, "b", quarantine="../" * 100, path=7, sentence=["x"]),
        admit(3, "c" * 5000, zones={"a": 1}, body=None),
    ]
    assert await store.save([Delivery("headend", tuple(hostile))], STAMP) == 3
    assert {"a", "b", "c" * 256} == set(await rows(store))


def test_a_report_of_any_form_is_one_or_none():
    """What is no report of proofs is Corrupt."""
    from appliance.runtime.errors import Corrupt

    assert parse_report(json.dumps({"serial": 1, "proofs": [], "refused": None}).encode()) == Report(1, {})
    for wrong in (
        "",
        "[]",
        '{"serial":1}',
        '{"serial":true,"proofs":[],"refused":null}',
        '{"serial":1,"proofs":[{"serial":1,"proof":2}],"refused":null}',
    ):
        with pytest.raises(Corrupt):
            parse_report(wrong.encode())


async def test_what_pages_tell_of_releases(store: Store, orders: Orders, tmp_path: Path):
    """Published, admitted, stored, withdrawn and refused are told apart, searched, counted and paged; a body has its own view."""
    from gateway.release import folder as folders
    from gateway.release import paths
    from gateway.release import signed as releases
    from gateway.release.manifest import Release, Rights
    from provisioning.controller import content_views as views
    from provisioning.controller.published import Published

    source = tmp_path / "origin" / CODE
    source.mkdir(parents=True)
    (source / "a.ts").write_bytes(b"a" * 9)
    files = folders.gather(source, folders.survey(source))
    made = Release(
        identifier=f"isli:{CODE}",
        version=3,
        body="library",
        title="发布",
        rights=Rights(zones=("bigscreen",)),
        entry="a.ts",
        files=files,
    )
    (source / paths.MANIFEST).write_bytes(releases.seal(made, KEY))
    (tmp_path / "origin" / "junk").mkdir()
    (tmp_path / "origin" / "junk" / paths.MANIFEST).write_bytes(b"{}")
    published = Published(tmp_path / "origin", store)
    await published.keep(published.changed())
    assert published.changed() == []
    used = Numbered(
        9,
        Record.new(
            "usage",
            "delivery/bigscreen",
            {"release": "stored", "bytes": 10, "cache": "hit", "body": "library", "screen": "big"},
        ),
    )
    quarantined = refuse(6, "bad", "active-content", path="a.pdf", quarantine="5f3a")
    held = Record.new(
        "event", "exchange", {"event": "stored", "releases": [["stored", 1, 2, 2, 9, 9], ["idle", 1, 1, 2, 4, 9]]}
    )
    told = (
        Numbered(10, held),
        admit(1, "stored"),
        admit(2, "idle", body="museum"),
        refuse(3, "stored_not"),
        admit(4, "gone", labels=["news"]),
        used,
        quarantined,
    )
    await store.save([Delivery("headend", told)], STAMP)
    await orders.give(give(1, label="news"), NOW)

    found = await views.some(store)
    states = {one["release"]: one["state"] for one in found["releases"]}
    assert states == {
        CODE: "published",
        "stored": "stored",
        "idle": "part",
        "stored_not": "refused",
        "gone": "withdrawn",
        "bad": "refused",
    }
    assert found["counts"] == {"all": 6, "published": 1, "admitted": 2, "stored": 1, "withdrawn": 1, "refused": 2}
    assert [one["release"] for one in (await views.some(store, views.Wanted(query="stored_")))["releases"]] == [
        "stored_not"
    ]
    assert [one["release"] for one in (await views.some(store, views.Wanted(state="withdrawn")))["releases"]] == [
        "gone"
    ]
    assert len((await views.some(store, page=2, limit=4))["releases"]) == 2
    one = await views.one(store, "stored")
    assert (one["where"][0]["state"], one["usage"]) == ("stored", {"requests": 1, "bytes": 10})
    assert one["where"][0]["held"] == {"objects": 2, "of": 2, "bytes": 9, "of_bytes": 9}
    assert [one["release"] for one in (await views.some(store, views.Wanted(label="news")))["releases"]] == ["gone"]
    assert [one["release"] for one in (await views.some(store, views.Wanted(body="museum")))["releases"]] == ["idle"]
    gone = await views.one(store, "gone")
    assert (gone["where"][0]["state"], gone["orders"][0]["serial"]) == ("ordered", 1)
    assert (await views.one(store, "stored_not"))["where"][0]["reason"] == "zone-not-granted"
    mine = await views.body(store, "library")
    assert (mine["counts"]["all"], mine["usage"]["bytes"], mine["boxes"][0]["box"]) == (3, 10, "headend")
    assert mine["screens"] == [{"screen": "big", "requests": 1, "bytes": 10}]
    assert [day["bytes"] for day in mine["days"]] == [10]
    assert await views.body(store, "nobody") is None
    assert await views.one(store, "nobody") is None
    (aside,) = (await views.quarantine(store, "headend", None, 10))["quarantined"]
    assert (aside["name"], aside["path"], aside["reason"]) == ("5f3a", "a.pdf", "active-content")
    told = {"decision": "refuse", "reason": "corrupt", "sentence": "changed", "quarantine": "77aa"}  # of no release
    changed = Numbered(20, Record.new("audit", "exchange", told))
    again = refuse(21, "bad", "malformed", path="b.pdf", quarantine="5f3a")
    failed = Record.new("event", "exchange", {"event": "filter-failed", "filter": "inspection", "sentence": "it hung"})
    strange = Record.new("event", "delivery/bigscreen", {"event": "anything"})
    events = (Numbered(22, failed), Numbered(23, strange))
    await store.save([Delivery("headend", (changed, again, *events))], STAMP)
    held = (await views.quarantine(store, "headend", None, 10))["quarantined"]
    assert [(one["name"], one["reason"]) for one in held] == [("5f3a", "malformed"), ("77aa", "corrupt")]
    assert await store.events() == {("headend", "filter-failed"): 1}
    await store.save(
        [Delivery("edge", (refuse(30, "stored", "not-listed"), refuse(31, "new", "waiting-for-listing")))], STAMP
    )
    lines = {one["release"]: one for one in (await views.some(store))["releases"]}
    both = lines["stored"]
    assert (both["state"], both["refusals"]) == ("stored", [{"box": "edge", "reason": "not-listed"}])
    assert both["boxes"] == {"admitted": 1, "stored": 1, "part": 0, "refused": 1}
    assert lines["new"]["state"] == "waiting"
    await store.save([Delivery("edge", (admit(32, "new", decision="take-in"),))], STAMP)
    assert {one["release"]: one["state"] for one in (await views.some(store))["releases"]}["new"] == "admitted"
