"""A live file that is on its way while its channel is withdrawn is not kept, and what fails on its way is held back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Refused
from gateway.exchange.holding_back import HoldingBack
from gateway.exchange.live import Channels
from gateway.release.live.signing import Claim
from gateway.release.manifest import Live
from gateway.store.live import Incoming, LiveObjects
from gateway.store.quarantine import Quarantine, items

CODE, DATA, NOW = "999999-100000000000001-4", b"segment", 1000.0
CLAIM = Claim(hashlib.sha256(DATA).hexdigest(), len(DATA), 1, int(NOW), int(NOW) + 60)
LIVE = Live(key=f"ed25519:{'A' * 43}=", segment=1.0, window=5)
HELD = SimpleNamespace(
    admitted=SimpleNamespace(release=SimpleNamespace(code=CODE)),
    policy=SimpleNamespace(origins={"centre": SimpleNamespace(role="origin")}),
)


class Origins:
    """One origin, whose every file is the same."""

    @contextlib.asynccontextmanager
    async def ask(self, *_):
        async def chunks():
            yield DATA

        yield SimpleNamespace(unchanged=False, etag="", chunks=chunks)


class Box:
    """Passes what comes; ``then`` happens before the verdict."""

    def __init__(self):
        self.withdrawn, self.then, self.refusals = False, lambda: None, []

    async def pass_live(self, *_):
        self.then()
        return CLAIM

    def allowed(self, _):
        if self.withdrawn:
            raise Refused("withdrawn", "withdrawn", 451)

    async def refused(self, refusal, _, **__):
        self.refusals.append(refusal)


@pytest.fixture
async def told(tmp_path):
    box, store, incoming, quarantine = Box(), LiveObjects(tmp_path), Incoming(tmp_path), Quarantine(tmp_path, 1 << 20)
    for each in (store, incoming, quarantine):
        each.prepare()
    async with asyncio.TaskGroup() as tasks:
        channels = Channels(
            tasks, Origins(), store, incoming, box, box, HoldingBack(quarantine), box.allowed, lambda: NOW
        )
        yield SimpleNamespace(box=box, channels=channels, store=store, quarantine=quarantine, incoming=incoming)


async def test_what_comes_while_its_channel_is_withdrawn_goes_again(told):
    """The order came between the question and the verdict: refused, and not a byte stays."""

    def withdraw():
        told.box.withdrawn = True
        assert told.channels.forget(CODE) == (0, 0)

    told.box.then = withdraw
    with pytest.raises(Refused, match="withdrawn"):
        await told.channels.get(HELD, LIVE, "1.ts")
    assert not told.store.has(CLAIM.sha256, CLAIM.size)
    assert not list(told.incoming.folder.iterdir())


async def test_what_is_here_of_a_channel_goes_when_it_is_withdrawn(told):
    """It is counted for the proof."""
    assert (await told.channels.get(HELD, LIVE, "1.ts")).came == "origin"
    assert told.store.has(CLAIM.sha256, CLAIM.size)
    assert told.channels.forget(CODE) == (1, len(DATA))
    assert not told.store.has(CLAIM.sha256, CLAIM.size)


async def test_a_file_whose_two_halves_never_fit_is_held_back_once(told):
    """Only when nothing is left to be hoped for from asking again; the refusal names filter and item."""

    def mismatch():
        refused = Refused("digest-mismatch", "other bytes", 502)
        refused.about["filter"] = "admission"
        raise refused

    told.box.then = mismatch
    with pytest.raises(Refused, match="other bytes"):
        await told.channels.get(HELD, LIVE, "1.ts")
    (item,) = items(told.quarantine.folder)
    assert (item["times"], item["path"], item["live"], item["filter"]) == (1, "live/1.ts", True, "admission")
    (refusal,) = told.box.refusals
    assert refusal.told["quarantine"] == item["name"]
