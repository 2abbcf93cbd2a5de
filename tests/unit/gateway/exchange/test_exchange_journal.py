"""The exchange's journal: nothing crosses that is not written down, and a flood of the same refusal does not fill the disk."""

import asyncio
import hashlib

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import tiles
from appliance.journal.group import Group
from appliance.journal.log import Journal as Signed
from appliance.journal.verify import verify_folder
from appliance.runtime.errors import Refused
from appliance.telemetry.spool import Spool
from gateway.exchange import attempts, journal
from gateway.exchange.decide import Admitted, Peer, Refuse
from gateway.exchange.journal import Journal
from gateway.release.manifest import File, Release
from gateway.replica.client import Verified


class Ledger:
    """Takes entries in order, or refuses as a full disk does."""

    def __init__(self, *, full: bool = False) -> None:
        self.entries: list[dict] = []
        self.full = full

    async def append(self, entry) -> int:
        if self.full:
            raise Refused("journal-full", "no room", 507)
        self.entries.append(dict(entry))
        return len(self.entries)


DIGEST = "d" * 64
PEER = Peer("delivery", "bigscreen")
REFUSAL = Refuse("no-lane", "no lane lets a release into bigscreen")


async def test_same_refusal_is_recorded_once_a_minute(tmp_path):
    """The same refusal of the same zone is recorded again only after a minute; another one at once."""
    now = [0.0]
    spool = Spool(tmp_path / "spool.db")
    told = Journal(spool, lambda: now[0], Ledger())
    for _ in range(10):
        await told.refused(REFUSAL, PEER, release="a")
    assert spool.depth() == 1
    await told.refused(REFUSAL, PEER, release="b")
    await told.refused(REFUSAL, Peer("delivery", "smallscreen"), release="a")
    assert spool.depth() == 3
    now[0] = journal.SAME + 1
    await told.refused(REFUSAL, PEER, release="a")
    assert spool.depth() == 4
    record = spool.pending()[0].record
    assert (record.kind, record.source) == ("audit", "exchange")
    assert record.body == {
        "decision": "refuse", "reason": "no-lane", "sentence": REFUSAL.sentence, "zone": "bigscreen", "release": "a",
    }  # fmt: skip
    spool.close()


async def test_a_filter_that_fails_is_an_event(tmp_path):
    """The controller hears of each object that a filter did not survive; of one that stays away, once a minute."""
    now = [0.0]
    spool = Spool(tmp_path / "spool.db")
    told = Journal(spool, lambda: now[0], Ledger())
    for sentence in ("'a.pdf' took longer than 20 seconds", "is away", "is away"):
        await told.failed("inspection", sentence)
    now[0] = journal.SAME + 1
    await told.failed("inspection", "is away")
    records = [item.record for item in spool.pending()]
    assert [record.kind for record in records] == ["event"] * 3
    assert records[0].body == {
        "event": "filter-failed", "filter": "inspection", "sentence": "'a.pdf' took longer than 20 seconds",
    }  # fmt: skip
    spool.close()
    full = Spool(tmp_path / "full.db", most_records=0)
    await Journal(full, lambda: 0.0, Ledger()).failed("inspection", "is away")
    assert full.depth() == 0
    full.close()


async def test_a_refusal_tells_what_its_filter_and_the_quarantine_add(tmp_path):
    """Which filter it was, and which item holds the bytes."""
    spool = Spool(tmp_path / "spool.db")
    refusal = Refuse("malware", "a virus", {"filter": "inspection", "quarantine": "5f3a", "path": "a.txt"})
    await Journal(spool, lambda: 0.0, Ledger()).refused(refusal, None, release="a")
    body = spool.pending()[0].record.body
    assert {name: body[name] for name in ("filter", "quarantine", "path", "release")} == {
        "filter": "inspection", "quarantine": "5f3a", "path": "a.txt", "release": "a",
    }  # fmt: skip
    spool.close()


async def test_a_flood_of_different_refusals_is_bounded(tmp_path, monkeypatch):
    """An attacker who asks for ever new codes gets no more than so many records a minute."""
    monkeypatch.setattr(journal, "MOST_REFUSALS", 5)
    spool = Spool(tmp_path / "spool.db")
    told = Journal(spool, lambda: 0.0, Ledger())
    for index in range(50):
        await told.refused(REFUSAL, PEER, release=str(index))
    assert spool.depth() == 5
    spool.close()


async def test_refusing_goes_on_with_a_full_spool(tmp_path):
    """A refusal that cannot be recorded is still a refusal, not a failure."""
    spool = Spool(tmp_path / "spool.db", most_records=0)
    await Journal(spool, lambda: 0.0, Ledger()).refused(REFUSAL, PEER, release="a")
    assert spool.depth() == 0
    spool.close()


def release(version: int = 1) -> Release:
    return Release(
        identifier="isli:999999-100000000000001-4", version=version, title="影片", body="library", entry="a.m4s", files={"a.m4s": FILE},
        rights={"zones": ["bigscreen"]},
    )  # fmt: skip


FILE = File(sha256=hashlib.sha256(b"film").hexdigest(), size=4, type="video/mp4")
KEY = PrivateKey.generate()


async def test_what_is_admitted_stands_in_journal_and_spool_alike(tmp_path):
    """Both bear the same id, and the journal what the controller is told."""
    spool, ledger = Spool(tmp_path / "spool.db"), Ledger()
    await Journal(spool, lambda: 0.0, ledger).admitted(Admitted(release(), DIGEST, str(KEY.public)), "centre")
    (entry,), record = ledger.entries, spool.pending()[0].record
    assert entry == {"id": record.id, "time": record.time.isoformat(), **record.body}
    assert (entry["decision"], entry["version"], entry["origin"]) == ("admit", 1, "centre")
    spool.close()


async def test_what_goes_into_a_zone_is_written_down_once(tmp_path):
    """A release and each of its objects for each zone; again what came from an origin again, and a new version."""
    spool, ledger = Spool(tmp_path / "spool.db"), Ledger()
    told = Journal(spool, lambda: 0.0, ledger)
    small = Peer("delivery", "smallscreen")
    for came in ("origin", "store", "store", "origin"):
        await told.passed(PEER, release(), "a.m4s", FILE, came)
        await told.passed(small, release(), "a.m4s", FILE, "store")
    for version in (1, 1, 2):
        await told.passed_manifest(PEER, release(version))
    assert [(e["zone"], e.get("path"), e.get("from"), e["version"]) for e in ledger.entries] == [
        ("bigscreen", "a.m4s", "origin", 1),
        ("smallscreen", "a.m4s", "store", 1),
        ("bigscreen", "a.m4s", "origin", 1),
        ("bigscreen", None, None, 1),
        ("bigscreen", None, None, 2),
    ]
    assert ledger.entries[0] | {"time": ""} == {
        "time": "", "decision": "pass", "reason": "verified", "zone": "bigscreen", "run": "delivery", "release": release().code,
        "version": 1, "path": "a.m4s", "sha256": FILE.sha256, "bytes": 4, "from": "origin",
    }  # fmt: skip
    assert spool.depth() == 0
    spool.close()


async def test_what_is_kept_in_mind_is_bounded(tmp_path, monkeypatch):
    """Ever new objects do not fill the memory."""
    monkeypatch.setattr(journal, "MOST_PASSES", 5)
    spool = Spool(tmp_path / "spool.db")
    told = Journal(spool, lambda: 0.0, Ledger())
    for index in range(50):
        file = File(sha256=hashlib.sha256(b"%d" % index).hexdigest(), size=4, type="video/mp4")
        await told.passed(PEER, release(), "a.m4s", file, "store")
    assert len(told._passed) == 5
    spool.close()


async def test_with_a_full_disk_nothing_crosses_and_refusing_goes_on(tmp_path):
    """Neither release nor object nor table is let through unwritten; the refusal still reaches the spool."""
    spool, ledger = Spool(tmp_path / "spool.db"), Ledger(full=True)
    told = Journal(spool, lambda: 0.0, ledger)
    for crossing in (
        told.admitted(Admitted(release(), DIGEST, str(KEY.public)), "centre"),
        told.passed(PEER, release(), "a.m4s", FILE, "store"),
        told.admitted_table(Verified("centre", 7, "ab" * 32, str(KEY.public)), "centre"),
    ):
        with pytest.raises(Refused) as refused:
            await crossing
        assert (refused.value.reason, refused.value.status) == ("journal-full", 507)
    assert spool.depth() == 0
    await told.refused(REFUSAL, PEER, release="a")
    assert spool.depth() == 1
    ledger.full = False
    await told.passed(PEER, release(), "a.m4s", FILE, "store")  # it was not taken for written
    assert len(ledger.entries) == 1
    spool.close()


async def test_crossings_are_in_a_journal_that_verifies(tmp_path):
    """Many at once, with the real journal: signed, in order, each there."""
    spool, signed = Spool(tmp_path / "spool.db"), Signed(tmp_path / "j", KEY, "headend/exchange")
    async with asyncio.TaskGroup() as tasks:
        told = Journal(spool, lambda: 0.0, Group(signed, tasks))
        files = [File(sha256=hashlib.sha256(b"%d" % n).hexdigest(), size=4, type="video/mp4") for n in range(100)]
        await asyncio.gather(*(told.passed(PEER, release(), "a.m4s", file, "store") for file in files))
        await told.admitted_table(Verified("centre", 7, "ab" * 32, str(KEY.public)), "centre")
    signed.close()
    entries = tiles.told(tmp_path / "j")
    assert {entry.get("sha256") for entry in entries[:-1]} == {file.sha256 for file in files}
    assert entries[-1]["object"] == "identifiers"
    assert verify_folder(tmp_path / "j", str(KEY.public)).signed == 101
    spool.close()


async def test_every_attempt_at_important_data_is_recorded(tmp_path):
    """The same attempt is recorded each time; a flood beyond that as one entry with its number."""
    spool = Spool(tmp_path / "spool.db")
    ledger = Ledger()
    told = Journal(spool, lambda: 0.0, ledger)
    for _ in range(attempts.BURST + 7):
        await told.refused(Refuse("important-data", "it is important"), PEER, release="a")
    assert len(ledger.entries) == spool.depth() == attempts.BURST
    assert ledger.entries[0]["run"] == "delivery"
    await told.tell_floods()
    await told.tell_floods()

    assert len(ledger.entries) == spool.depth() == attempts.BURST + 1
    last = ledger.entries[-1]
    assert (last["reason"], last["zone"], last["run"]) == ("important-data", "bigscreen", "delivery")
    assert (last["times"], last["asked"]) == (7, [{"release": "a"}])
    spool.close()
