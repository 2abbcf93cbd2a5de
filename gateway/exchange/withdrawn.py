"""What was withdrawn, and how the box goes about an order: keep it, refuse, stop what runs, remove the bytes, prove it.

Each step is done again until the next one is durable: a box that is killed in between carries the order out at its next start, before
anything passes. The proof is a journal entry with the signed checkpoint it is under: anybody can verify it without the box.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import HeadgateError, Refused
from gateway.exchange import metrics
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.register import Register
from gateway.exchange.removal import Removal, Removed
from gateway.permission.withdrawn import Withdrawal
from gateway.release import manifest, orders
from gateway.release.manifest import Release
from gateway.release.orders import Order, Standing
from gateway.web.purging import Gone

CONFIRM = 1.0  # seconds that deliveries have to break off what is withdrawn; a proof names those that did not say so
WORD = 10.0  # seconds that a start, or an order still to come, holds releases back at most: then the orders known last count
POLL = 20.0  # seconds after which a question that waits is answered all the same
MOST = 256  # orders in one message
LISTED = 200  # codes named in one journal entry; the count is always whole

log = logging.getLogger("headgate.exchange")


@dataclass
class Follower:
    """A peer that breaks off what is withdrawn: the serial that it carried out last, and how much it broke off since."""

    serial: int = -1
    stopped: int = 0
    asking: int = 0  # questions of it that wait


@dataclass(frozen=True)
class Outcome:
    """What became of orders: proofs by serial, and why the first one that was not taken was not."""

    serial: int
    proofs: Mapping[int, str] = field(default_factory=dict)
    refused: Refused | None = None

    def told(self) -> dict[str, Any]:
        """Return the outcome as a JSON value."""
        refused = {"reason": self.refused.reason, "error": str(self.refused)} if self.refused else None
        proofs = [{"serial": serial, "proof": proof} for serial, proof in sorted(self.proofs.items())]
        return {"serial": self.serial, "proofs": proofs, "refused": refused}


class Withdrawals:
    """The orders of the box, and who follows them."""

    def __init__(
        self, register: Register, removal: Removal, journal: Journal, expected: Callable[[], frozenset[Peer]]
    ) -> None:
        """``expected`` tells the peers that must confirm, if they follow or not."""
        self._register, self._removal, self._journal, self._expected = register, removal, journal, expected
        # Removes what is kept of a live channel: how many objects of how many bytes.
        self.channels: Callable[[str], tuple[int, int]] = lambda code: (0, 0)
        self.purge: Callable[[Order], Awaitable[Gone]] = _nothing_kept
        self.standing = Standing().after(register.orders())
        self.instance = secrets.token_hex(8)  # so that telemetry notices another start
        self._followers: dict[Peer, Follower] = {}
        self._one = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._finished = self._current = False
        self._leaving = False
        self._gave_up = (
            -1
        )  # the serial at which the centre's word was waited for in vain: not again before the next order
        self._open_at = time.monotonic() + WORD
        metrics.ORDERS.set_function(lambda: self.standing.serial)

    def check(self, release: Release) -> None:
        """Pass a release that is not withdrawn.

        Raises:
            Refused: it is (``withdrawn``).
        """
        order = self.standing.withdrawn(release.code, release.body, release.labels)
        if order is not None:
            raise orders.refusal(order)

    def learn(self, release: Release) -> None:
        """Note durably which objects a verified release names, before the first of them comes.

        Raises:
            Refused: the disk is full (``store-full``).
        """
        digest = manifest.digest(release)
        if not self._register.knows(release.code, digest):
            self._register.learn(release, digest)

    async def settled(self, *, ordered: bool) -> None:
        """Wait until every order that the box knows is carried out, and for a while until it knows those of the centre.

        Where nobody may give orders (not ``ordered``) no word is waited for.
        """
        if self._finished and (self._current or not ordered):
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._finished)
            if not ordered:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._open_at - time.monotonic()):
                    await self._changed.wait_for(lambda: self._current)
        if not self._current:
            log.warning("no word on the newest orders came in time: by order %d it is served", self.standing.serial)
            self._current, self._gave_up = True, self.standing.serial

    async def hear(self, *, head: int | None, online: bool) -> None:
        """Take note of the serial that the centre's last order has, or that nobody can be asked."""
        current = not online or (head is not None and head <= self.standing.serial)
        if (head is None and online) or (not current and self._gave_up == self.standing.serial):
            return
        if self._current and not current:
            self._open_at = time.monotonic() + WORD
        self._current = current
        await self._tell()

    async def finish(self) -> None:
        """Carry out what an earlier process left undone; nothing passes before."""
        async with self._one:
            if undone := await asyncio.to_thread(self._register.unproved):
                log.warning("orders %s were not carried out to the end: now", [order.serial for order in undone])
                await self._carry_out(undone)
            self._finished = True
            await self._tell()

    async def take(self, envelopes: Sequence[bytes], keys: Mapping[str, PublicKey]) -> Outcome:
        """Carry out orders in envelopes, as far as they go on from those that are here; what is known already is proved again.

        Raises:
            Refused: disk or journal are full; the orders stand, and are carried out to the end later.
        """
        async with self._one:
            given: dict[int, tuple[Order, bytes]] = {}
            refused: Refused | None = None
            try:
                for data in envelopes[:MOST]:
                    order = orders.open_signed(data, keys)
                    given[order.serial] = (order, data)
                fresh = orders.next_ones(self.standing.serial, [order for order, _ in given.values()])
            except Refused as error:
                refused = error
                before = [order for order, _ in sorted(given.values(), key=lambda one: one[0].serial)]
                fresh = _row(self.standing.serial, before)
            if fresh:
                await asyncio.to_thread(self._register.take, [given[order.serial] for order in fresh])
                self.standing = self.standing.after(fresh)  # from here on nothing of it passes
            if undone := await asyncio.to_thread(self._register.unproved):
                await self._carry_out(undone)
            proofs, other = await asyncio.to_thread(self._proofs, [order for order, _ in given.values()])
            refused = refused or other
            if refused is not None:
                await self._journal.refused(Refuse(refused.reason, str(refused)), None, object="order")
            return Outcome(self.standing.serial, proofs, refused)

    async def follow(self, peer: Peer, after: int, stopped: int) -> tuple[int, list[str], list[Withdrawal] | None]:
        """Tell a peer that carried out the orders up to ``after`` what came since: the serial, and the codes now withdrawn.

        It waits for something new, at most ``POLL`` seconds; -1 is a peer that just started. Of tokens it is told all that stand, or
        None where they are what it was told before: it judges tokens by itself, and has nothing else to know them from.
        """
        follower = self._followers.setdefault(peer, Follower())
        follower.serial, follower.asking = after, follower.asking + 1
        follower.stopped += stopped
        await self._tell()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL), self._changed:
                    await self._changed.wait_for(lambda: self._leaving or self.standing.serial != after)
        finally:
            follower.asking -= 1
        serial = self.standing.serial
        codes = await asyncio.to_thread(self._withdrawn_since, after) if 0 <= after < serial else []
        if self.standing.on_tokens <= after <= serial:
            return serial, codes, None
        return serial, codes, [Withdrawal.of(order) for order in self.standing.tokens_at(datetime.now(UTC))]

    async def leave(self) -> None:
        """Answer everybody who waits: the daemon stops."""
        self._leaving = True
        await self._tell()

    async def next_start(self, instance: str, serial: int) -> tuple[str, int]:
        """Wait until another process than ``instance`` answers, or the serial is another one; return what is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL if instance == self.instance else 0.001), self._changed:
                await self._changed.wait_for(lambda: self._leaving or self.standing.serial != serial)
        return self.instance, self.standing.serial

    async def _carry_out(self, undone: Sequence[Order]) -> None:
        began = time.monotonic()
        before = {peer: follower.stopped for peer, follower in self._followers.items()}
        confirmed, silent = await self._confirmed(undone[-1].serial)
        stopped = sum(self._followers[peer].stopped - before.get(peer, 0) for peer in confirmed)
        done: list[tuple[Order, Mapping[str, Any]]] = []
        for order in (one for one in undone if one.act != "purge"):
            codes, removed = await asyncio.to_thread(self._remove, order)
            for code in codes if order.act == "withdraw" else ():
                objects, size = self.channels(code)
                removed = Removed(removed.objects + objects, removed.bytes + size, removed.kept)
            done.append((order, _entry(order, codes, removed)))
        purged = {order.serial: await self.purge(order) for order in undone if order.act == "purge"}
        done += [
            (order, _entry(order, [], Removed(purged[order.serial].count, 0, 0)))
            for order in undone
            if order.serial in purged
        ]
        for order, told in sorted(done, key=lambda one: one[0].serial):
            if (gone := purged.get(order.serial)) is not None:
                more = {
                    "stopped": 0,
                    "soft": bool(order.soft),
                    "confirmed": gone.confirmed,
                    "unconfirmed": gone.unconfirmed,
                }
                await self._prove(order, {**told, **more}, began)
                continue
            more = {
                "stopped": stopped if order is undone[-1] else 0,  # of a row of orders taken at once: together
                "confirmed": [peer.name for peer in confirmed],
                "unconfirmed": [peer.name for peer in silent],
            }
            await self._prove(order, {**told, **more}, began)
        await self._tell()

    async def _prove(self, order: Order, told: Mapping[str, Any], began: float) -> None:
        """Record durably that the order was carried out, and keep the proof."""
        proof = await self._journal.ordered(told)
        await asyncio.to_thread(self._register.proved, order.serial, proof)
        metrics.ORDERED.labels(order.act).inc()
        metrics.ORDER_SECONDS.observe(time.monotonic() - began)
        log.warning("order %d is carried out: %s %s (%s)", order.serial, order.act, order.what, order.reason)

    async def _confirmed(self, serial: int) -> tuple[list[Peer], list[Peer]]:
        """Wait until the peers broke off what is withdrawn; return those that did, and those that did not say so in time."""
        await self._tell()
        wanted = self._expected() | {peer for peer, follower in self._followers.items() if follower.asking}

        def lacking() -> list[Peer]:
            known = self._followers
            return [peer for peer in wanted if peer not in known or known[peer].serial < serial]

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM), self._changed:
                await self._changed.wait_for(lambda: not lacking())
        silent = sorted(lacking(), key=lambda peer: peer.name)
        return sorted(wanted - set(silent), key=lambda peer: peer.name), silent

    def _remove(self, order: Order) -> tuple[list[str], Removed]:
        codes = self._register.covered(order.what.target)
        gone = [code for code in codes if self._order_on(code) is not None]
        return codes, self._removal.remove(gone, lambda code: self._order_on(code) is not None)

    def _order_on(self, code: str) -> Order | None:
        return self.standing.withdrawn(code, *self._register.about(code))

    def _withdrawn_since(self, after: int) -> list[str]:
        new = [order for order in self.standing.last.values() if order.serial > after and order.act == "withdraw"]
        codes = dict.fromkeys(code for order in new for code in self._register.covered(order.what.target))
        return [code for code in codes if self._order_on(code) is not None]

    def _proofs(self, given: Sequence[Order]) -> tuple[dict[int, str], Refused | None]:
        found, refused = {}, None
        for order in given:
            taken = self._register.taken(order.serial)
            if taken is None:
                continue
            if taken.order != order:
                told = f"another order {order.serial} was taken here: {taken.order.act} {taken.order.what}"
                refused = Refused("order-old", told, 409)
            elif taken.proof:
                found[order.serial] = taken.proof
        return found, refused

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def withheld(self, release: Release, sha256: str) -> None:
        """Pass an object that just came, unless its release was withdrawn meanwhile: then it goes again.

        Raises:
            Refused: it was (``withdrawn``).
        """
        try:
            self.check(release)
        except HeadgateError:
            gone = lambda code: self._order_on(code) is not None  # noqa: E731 (said once, beside its use)
            await asyncio.to_thread(self._removal.remove_objects, [sha256], gone)
            raise


async def _nothing_kept(order: Order) -> Gone:
    return Gone(0, [], [])


def _row(head: int, given: Sequence[Order]) -> list[Order]:
    """Return as many of the orders as go on from ``head``."""
    found: list[Order] = []
    for order in given:
        if order.serial == head + 1 + len(found):
            found.append(order)
    return found


def _entry(order: Order, codes: Sequence[str], removed: Removed) -> dict[str, Any]:
    """Return what the journal keeps of an order that was carried out."""
    kind, name = order.what.target
    return {
        "decision": order.act,
        "reason": "ordered",
        "sentence": order.reason,
        "serial": order.serial,
        "order": order.digest,
        "by": order.by,
        kind: name,
        **({"until": order.until.isoformat()} if order.until else {}),
        "releases": list(codes[:LISTED]),
        "count": len(codes),
        "objects": removed.objects,
        "bytes": removed.bytes,
        "kept": removed.kept,
    }
