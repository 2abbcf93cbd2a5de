"""The exchange's audit: every refusal is counted, and a flood of the same one does not fill the spool."""

from appliance.telemetry.spool import Spool
from gateway.exchange import journal
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.journal import Journal

PEER = Peer("delivery", "bigscreen")
REFUSAL = Refuse("no-lane", "no lane lets a release into bigscreen")


async def test_same_refusal_is_recorded_once_a_minute(tmp_path):
    """The same refusal of the same zone is recorded again only after a minute; another one at once."""
    now = [0.0]
    spool = Spool(tmp_path / "spool.db")
    told = Journal(spool, lambda: now[0])
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


async def test_a_flood_of_different_refusals_is_bounded(tmp_path, monkeypatch):
    """An attacker who asks for ever new codes gets no more than so many records a minute."""
    monkeypatch.setattr(journal, "MOST_REFUSALS", 5)
    spool = Spool(tmp_path / "spool.db")
    told = Journal(spool, lambda: 0.0)
    for index in range(50):
        await told.refused(REFUSAL, PEER, release=str(index))
    assert spool.depth() == 5
    spool.close()


async def test_refusing_goes_on_with_a_full_spool(tmp_path):
    """A refusal that cannot be recorded is still a refusal, not a failure."""
    spool = Spool(tmp_path / "spool.db", most_records=0)
    await Journal(spool, lambda: 0.0).refused(REFUSAL, PEER, release="a")
    assert spool.depth() == 0
    spool.close()
