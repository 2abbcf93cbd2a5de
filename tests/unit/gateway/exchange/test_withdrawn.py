"""The box's way with orders: keep, refuse, stop, remove, prove; and what holds when it is killed in between."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.exchange import withdrawn
from gateway.exchange.decide import Peer
from gateway.exchange.register import Register
from gateway.exchange.removal import Removal
from gateway.exchange.withdrawn import Withdrawals
from gateway.release import manifest, orders
from gateway.release.manifest import File, Release, Rights
from gateway.release.orders import Order, What
from gateway.store.objects import Objects

KEY = PrivateKey.generate()
KEYS = {"regulator": KEY.public}
CODES = ["999999-100000000000001-4", "999999-100000000000002-3", "999999-100000000000003-2"]
SCREENS = Peer("delivery", "bigscreen")


class Ledger:
    """A journal that keeps what is ordered and refused, and may be full."""

    def __init__(self) -> None:
        self.entries: list[dict[str, object]] = []
        self.full = False
        self.refusals: list[str] = []

    async def ordered(self, body):
        if self.full:
            raise Refused("journal-full", "full", 507)
        self.entries.append(dict(body))
        return f"proof {len(self.entries)}".encode()

    async def refused(self, refusal, peer, **what):
        self.refusals.append(refusal.reason)


class Box:
    """A store and a register in a folder; ``open`` starts a process on them."""

    def __init__(self, base: Path) -> None:
        self.base, self.ledger = base, Ledger()
        self.store = Objects(base / "store")
        self.store.prepare()
        self.open()

    def open(self) -> Withdrawals:
        self.register = Register(self.base / "orders.db")
        expected = frozenset({SCREENS}) if getattr(self, "following", False) else frozenset()
        self.held = Withdrawals(self.register, Removal(self.register, self.store), self.ledger, lambda: expected)
        return self.held

    def stored(self) -> set[bytes]:
        return {path.read_bytes() for path in (self.base / "store" / "objects").glob("*/*")}

    def release(
        self, number: int, *contents: bytes, body: str = "library", labels: tuple[str, ...] = (), version: int = 1
    ) -> Release:
        files = {
            f"{i}.ts": File(sha256=hashlib.sha256(c).hexdigest(), size=len(c), type="video/mp2t")
            for i, c in enumerate(contents)
        }
        made = Release(
            identifier=f"isli:{CODES[number]}", version=version, body=body, title="刘三姐", labels=labels,
            rights=Rights(zones=("bigscreen",)), entry="0.ts", files=files,
        )  # fmt: skip
        self.held.learn(made)
        for content in contents:
            path = self.store.path(hashlib.sha256(content).hexdigest())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return made


def order(serial: int, act: str | PrivateKey = "withdraw", until: datetime | None = None, **what: str) -> bytes:
    act, key = ("withdraw", act) if isinstance(act, PrivateKey) else (act, KEY)
    told = {
        "serial": serial,
        "act": act,
        "what": What(**what),
        "reason": "版权争议",
        "by": "regulator",
        "time": datetime.now(UTC),
        "until": until,
    }
    return orders.seal(Order.model_validate(told), key)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


async def test_a_release_goes_and_what_others_name_stays(box: Box):
    """Objects of the release are removed, one that another release names stays, and the entry says how many."""
    one, other = box.release(0, b"mine", b"shared"), box.release(1, b"shared", b"other")
    outcome = await box.held.take([order(1, release=one.code)], KEYS)
    assert (outcome.serial, dict(outcome.proofs), outcome.refused) == (1, {1: "proof 1"}, None)
    assert box.stored() == {b"shared", b"other"}
    entry = box.ledger.entries[0]
    assert (entry["objects"], entry["bytes"], entry["kept"], entry["releases"]) == (1, 4, 1, [one.code])
    with pytest.raises(Refused, match="版权争议"):
        box.held.check(one)
    box.held.check(other)


async def test_the_second_of_two_that_share_takes_the_rest(box: Box):
    """What only withdrawn releases name is removed with the last of them."""
    one, other = box.release(0, b"shared"), box.release(1, b"shared")
    await box.held.take([order(1, release=one.code)], KEYS)
    assert box.stored() == {b"shared"}
    await box.held.take([order(2, release=other.code)], KEYS)
    assert box.stored() == set()


async def test_all_versions_of_a_release_go(box: Box):
    """Objects of a version before the newest one are removed too."""
    box.release(0, b"old")
    newest = box.release(0, b"new", version=2)
    await box.held.take([order(1, release=newest.code)], KEYS)
    assert box.stored() == set()


@pytest.mark.parametrize(("what", "left"), [({"body": "library"}, {b"c"}), ({"label": "drama"}, {b"a"})])
async def test_a_body_or_a_label_covers_all_that_is_known(box: Box, what, left):
    """All releases of a body, or with a label, go at once, also those that come later."""
    box.release(0, b"a")
    box.release(1, b"b", labels=("drama",))
    museum = box.release(2, b"c", body="museum", labels=("drama",))
    await box.held.take([order(1, **what)], KEYS)
    assert box.stored() == left
    later = museum.model_copy(update={"body": "library", "labels": ("drama",), "version": 9})
    with pytest.raises(Refused):
        box.held.check(later)


async def test_reinstating_lets_it_come_again(box: Box):
    """A reinstated release passes; its bytes are fetched anew, and the decision has an entry of its own."""
    one = box.release(0, b"mine")
    await box.held.take([order(1, release=one.code), order(2, "reinstate", release=one.code)], KEYS)
    box.held.check(one)
    assert [entry["decision"] for entry in box.ledger.entries] == ["withdraw", "reinstate"]


async def test_serials_go_on_without_gaps(box: Box):
    """A gap, a forgery and another order of the same serial are refused and told; what came before them is carried out."""
    one, two = box.release(0, b"a"), box.release(1, b"b")
    outcome = await box.held.take([order(1, release=one.code), order(3, release=two.code)], KEYS)
    assert (outcome.serial, outcome.refused.reason) == (1, "order-gap")
    forged = await box.held.take([order(2, PrivateKey.generate(), body="library")], KEYS)
    assert (forged.serial, forged.refused.reason) == (1, "order-forged")
    same = await box.held.take([order(1, release=two.code)], KEYS)
    assert (same.serial, same.refused.reason) == (1, "order-old")
    assert box.stored() == {b"b"}
    assert box.ledger.refusals == ["order-gap", "order-forged", "order-old"]


async def test_what_is_known_is_proved_again_and_not_done_again(box: Box):
    """An order that comes twice has one entry, and gives the same proof: a proof that was lost is asked for again."""
    one = box.release(0, b"a")
    data = order(1, release=one.code)
    first = await box.held.take([data], KEYS)
    again = await box.held.take([data], KEYS)
    assert first.proofs == again.proofs
    assert again.refused is None
    assert len(box.ledger.entries) == 1


async def test_an_order_that_was_cut_short_is_carried_out_at_the_next_start(box: Box):
    """Killed after the order was kept and before its entry: the release is refused from the first moment, and the rest follows."""
    one = box.release(0, b"a")
    box.ledger.full = True
    with pytest.raises(Refused, match="full"):
        await box.held.take([order(1, release=one.code)], KEYS)
    box.register.close()
    box.ledger.full = False
    held = box.open()
    with pytest.raises(Refused):
        held.check(one)
    await held.finish()
    assert box.stored() == set()
    assert [entry["serial"] for entry in box.ledger.entries] == [1]
    assert (await held.take([], KEYS)).serial == 1


async def test_a_delivery_breaks_off_and_confirms(box: Box):
    """A follower is told the codes at once; its confirmation with what it broke off stands in the entry."""
    box.following = True
    held = box.open()
    one = box.release(0, b"a")

    async def follow() -> list[str]:
        serial, codes, _ = await held.follow(SCREENS, 0, 0)
        async with asyncio.timeout(5):
            return [codes, (await held.follow(SCREENS, serial, 3))[1]] if codes else []

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        await held.take([order(1, release=one.code)], KEYS)
        await held.leave()
    assert following.result()[0] == [one.code]
    entry = box.ledger.entries[0]
    assert (entry["stopped"], entry["confirmed"], entry["unconfirmed"]) == (3, ["delivery-bigscreen"], [])


async def test_a_delivery_that_is_silent_is_named(box: Box, monkeypatch: pytest.MonkeyPatch):
    """A delivery that does not say that it broke off does not hold the order up, and the proof names it."""
    monkeypatch.setattr(withdrawn, "CONFIRM", 0.01)
    box.following = True
    held = box.open()
    one = box.release(0, b"a")
    await held.take([order(1, release=one.code)], KEYS)
    assert box.ledger.entries[0]["unconfirmed"] == ["delivery-bigscreen"]
    assert box.stored() == set()


async def test_a_start_waits_for_the_centres_word(box: Box):
    """Nothing passes before telemetry says which order is the last, or that the line is down."""
    one = box.release(0, b"a")
    await box.held.finish()
    waiting = asyncio.ensure_future(box.held.settled(ordered=True))
    await box.held.hear(head=None, online=True)  # connected, and no word yet
    await asyncio.sleep(0)
    assert not waiting.done()
    await box.held.hear(head=1, online=True)  # behind
    await asyncio.sleep(0)
    assert not waiting.done()
    await box.held.take([order(1, release=one.code)], KEYS)
    await box.held.hear(head=1, online=True)
    await waiting
    with pytest.raises(Refused):
        box.held.check(one)
    other = box.open()
    await other.finish()
    await other.hear(head=None, online=False)
    await other.settled(ordered=True)


async def test_waiting_for_a_word_is_bounded(box: Box, monkeypatch: pytest.MonkeyPatch):
    """A centre that never says its word, or announces orders it does not send, stops nobody for longer than the bound, and once only."""
    monkeypatch.setattr(withdrawn, "WORD", 0.01)
    held = box.open()
    await held.finish()
    await held.settled(ordered=True)
    await held.hear(head=1 << 50, online=True)
    await held.settled(ordered=True)
    assert held.standing.serial == 0


async def test_where_nobody_may_order_nothing_is_waited_for(box: Box):
    """A policy without ``orders:`` serves at once after a start."""
    await box.held.finish()
    async with asyncio.timeout(1):
        await box.held.settled(ordered=False)


async def test_an_object_that_comes_too_late_goes_again(box: Box):
    """A fill that ends after its release was withdrawn leaves nothing in the store."""
    one = box.release(0, b"a")
    await box.held.take([order(1, release=one.code)], KEYS)
    box.release(0, b"a")  # the fill that was under way
    with pytest.raises(Refused):
        await box.held.withheld(one, hashlib.sha256(b"a").hexdigest())
    assert box.stored() == set()


def test_a_manifest_is_learned_once_and_keeps_what_came_before(box: Box):
    """Learning is by the manifest's digest; what an earlier version named stays known."""
    first = box.release(0, b"a")
    second = box.release(0, b"b", version=2)
    assert box.register.knows(second.code, manifest.digest(second))
    assert not box.register.knows(first.code, manifest.digest(first))
    assert len(box.register.objects(first.code)) == 2


def test_all_that_went_is_told_at_once(tmp_path: Path) -> None:
    """However many objects an order removes, the index is written once."""
    store, register = Objects(tmp_path / "store"), Register(tmp_path / "orders.db")
    store.prepare()
    digests = [hashlib.sha256(bytes([n])).hexdigest() for n in range(5)]
    for digest in digests[:4]:
        store.path(digest).parent.mkdir(parents=True, exist_ok=True)
        store.path(digest).write_bytes(b"x")
    told = list[list[str]]()

    class Counts:
        def gone(self, digests):
            told.append(list(digests))

    done = Removal(register, store, Counts()).remove_objects(digests, lambda code: True)
    assert (done.objects, told) == (4, [digests[:4]])
    register.close()


async def test_withdrawn_tokens_are_told_whole(box: Box, monkeypatch: pytest.MonkeyPatch):
    """Whoever asks anew is told all that stand, with serial, name and end; a restart remembers, the end and a reinstatement forget."""
    monkeypatch.setattr(withdrawn, "POLL", 0.01)
    soon = datetime.now(UTC) + timedelta(hours=1)
    one = box.release(0, b"a")
    given = [
        order(1, token="portal:ab12", until=soon),
        order(2, release=one.code),
        order(3, subject="portal:viewer"),
        order(4, issuer="gone"),
        order(5, "reinstate", issuer="gone"),
    ]
    outcome = await box.held.take(given, KEYS)
    assert (outcome.serial, outcome.refused, len(outcome.proofs)) == (5, None, 5)
    entry = box.ledger.entries[0]
    assert (entry["decision"], entry["token"], entry["until"]) == ("withdraw", "portal:ab12", soon.isoformat())
    assert (entry["releases"], entry["objects"]) == ([], 0)

    listed = [("token", "portal:ab12", 1, soon.timestamp()), ("subject", "portal:viewer", 3, None)]
    for held in (box.held, box.open()):
        for after in (-1, 1, 4, 6):
            serial, codes, tokens = await held.follow(SCREENS, after, 0)
            assert serial == 5
            assert codes == ([one.code] if after == 1 else [])
            assert [(told.kind, told.name, told.serial, told.until) for told in tokens] == listed
        assert await held.follow(SCREENS, 5, 0) == (5, [], None)
    await held.take([order(6, release=one.code)], KEYS)
    assert await held.follow(SCREENS, 5, 0) == (6, [one.code], None)

    class Later(datetime):
        @classmethod
        def now(cls, zone=None):
            return soon.astimezone(zone)

    monkeypatch.setattr(withdrawn, "datetime", Later)
    assert [told.kind for told in (await box.open().follow(SCREENS, -1, 0))[2]] == ["subject"]
