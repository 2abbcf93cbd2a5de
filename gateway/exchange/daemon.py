"""``headgate run exchange``: a socket for each peer that the enforced policy names; no network at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from appliance.journal.group import Group
from appliance.journal.opening import open_or_begin
from appliance.runtime import http, metrics
from appliance.runtime.errors import Corrupt
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from appliance.telemetry.spool import Spool
from appliance.telemetry.witnessing import Outlet
from gateway.exchange import decide
from gateway.exchange import metrics as counted
from gateway.exchange.api import Exchange
from gateway.exchange.carried import Carried, OriginsAndDisk
from gateway.exchange.decide import Peer
from gateway.exchange.holding_back import HoldingBack
from gateway.exchange.holdings import Holdings, Told
from gateway.exchange.identifiers import Identifiers
from gateway.exchange.journal import Journal
from gateway.exchange.judge import Judge
from gateway.exchange.listings import Listings
from gateway.exchange.listings_api import ListingsApi
from gateway.exchange.live import Channels
from gateway.exchange.live_filters import LiveFilters
from gateway.exchange.metadata import Metadata
from gateway.exchange.objects import Fills
from gateway.exchange.register import Register
from gateway.exchange.registering import Registering
from gateway.exchange.releases import Releases
from gateway.exchange.removal import Removal
from gateway.exchange.suspects import Suspects
from gateway.exchange.takes import Takes
from gateway.exchange.taking_in import TakingIn
from gateway.exchange.tending import Tending
from gateway.exchange.waiting import Waiting
from gateway.exchange.webs import Webs
from gateway.exchange.withdrawn import Withdrawals
from gateway.filters.client import Admission, Inspection
from gateway.filters.inspection import RULES
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.release import manifest, signed
from gateway.replica.client import Replica
from gateway.store.incoming import Incoming
from gateway.store.keeper import Keeper
from gateway.store.live import Incoming as LiveIncoming
from gateway.store.live import LiveObjects
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects
from gateway.store.passed import Passed
from gateway.store.registry import Mirror
from gateway.web.purging import Purges
from gateway.web.wire import Web

SOCKET_MODE = 0o666  # its folder, which only the peer's unit sees and its group may enter, is the gate
LOOK = 1.0  # seconds between two looks at the journal's checkpoint
log = logging.getLogger("headgate.exchange")


def check(config: Path, zone: str | None) -> None:
    """Read the policy as the start does.

    Raises:
        ConfigError: it is wrong.
    """
    policies.load(config)


class Sockets:
    """The peers' sockets that are open: follows the policy."""

    def __init__(self, folder: Path, exchange: Exchange) -> None:
        self._folder, self._exchange = folder, exchange
        self._open: dict[Peer, contextlib.AsyncExitStack] = {}
        self._one_at_a_time = asyncio.Lock()

    async def follow(self, policy: Policy) -> None:
        """Open the sockets of new peers and close those of peers that are gone."""
        async with self._one_at_a_time:
            await self._follow(decide.peers(policy))

    async def _follow(self, wanted: frozenset[Peer]) -> None:
        for peer in set(self._open) - wanted:
            await self._close(peer)
        for peer in sorted(wanted - set(self._open), key=lambda peer: peer.name):
            folder = self._folder / peer.name
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)  # never made anew: units hold a mount of it
            stack = contextlib.AsyncExitStack()
            await stack.enter_async_context(
                http.serving(self._exchange.application(peer), unix=[(folder / "exchange.sock", SOCKET_MODE)])
            )
            self._open[peer] = stack
            log.info("listening for %s", peer.name)

    async def _close(self, peer: Peer) -> None:
        await self._open.pop(peer).aclose()
        (self._folder / peer.name / "exchange.sock").unlink(missing_ok=True)
        log.info("no longer listening for %s", peer.name)

    async def close(self) -> None:
        """Close all."""
        for peer in tuple(self._open):
            await self._close(peer)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve the peers until told to stop."""
    policy = policies.load(config)
    mirror = Mirror(STATE / "store")
    store, kept = Objects(STATE / "store"), Manifests(STATE / "store")
    incoming, passing, coming = (
        Incoming(STATE / "store", policy.store.quarantine),
        LiveObjects(STATE / "store"),
        LiveIncoming(STATE / "store"),
    )
    _prepare(mirror, store, incoming, kept, passing, coming)
    for folder in (STATE / "spool", RUN / "metrics" / "exchange"):
        folder.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(STATE / "store", policy.store)
    spool = Spool(STATE / "spool" / "spool.db")
    crossings = await asyncio.to_thread(
        open_or_begin, STATE / "journal" / "exchange", STATE / "exchange" / "journal.key", f"{policy.site}/exchange"
    )
    carried = Carried(STATE / "store" / "carried")
    passed = await asyncio.to_thread(Passed, STATE / "store", RULES)
    filters = RUN / "filter"
    async with (
        OriginsAndDisk(RUN / "fetch" / "fetch.sock", carried) as origins,
        Admission(filters / "admission" / "filter.sock") as admission,
        Inspection(filters / "inspection" / "filter.sock") as inspection,
        Replica(RUN / "replica" / "replica.sock") as replica,
        Web(RUN / "fetch" / "fetch.sock") as way,
    ):
        clock = time.monotonic
        journal = Journal(spool, clock, Group(crossings, service.tasks))
        admission.failed = inspection.failed = journal.failed
        register = Register(STATE / "exchange" / "orders.db")
        await asyncio.to_thread(_learn_kept, register, kept)
        withdrawals = Withdrawals(
            register, Removal(register, store, keeper), journal, lambda: decide.deliveries(exchange.policy)
        )
        identifiers = Identifiers(service.tasks, origins, replica, incoming, mirror, journal, clock)
        metadata = Metadata(origins, admission, incoming, clock)
        judge = Judge(admission, incoming, kept, metadata)
        listings = Listings(judge)
        releases = Releases(service.tasks, origins, kept, judge, journal, clock, withdrawals)
        fills = Fills(service.tasks, origins, store, incoming, keeper, passed, judge, inspection, journal, withdrawals)
        holdings = Holdings(Told(STATE / "exchange" / "holdings.db"), register, kept, keeper.disk, journal.append)
        kept.told = holdings.touch

        def moved(digests: list[str], here: bool) -> None:
            holdings.note(digests)
            if not here:
                passed.forget(digests)

        keeper.told = moved
        takes = Takes(judge, releases, fills, keeper, journal, listings)
        live = LiveFilters(judge, inspection, coming)
        holding = HoldingBack(incoming.quarantine)
        channels = Channels(service.tasks, origins, passing, coming, live, journal, holding, withdrawals.check)
        suspects = Suspects()
        withdrawals.channels = channels.forget
        webs = Webs(lambda: exchange.policy, way, journal, Purges())
        withdrawals.purge = webs.purging.order
        exchange = Exchange(
            policy,
            judge,
            releases,
            fills,
            keeper,
            Waiting(service.tasks, channels),
            suspects,
            identifiers,
            journal,
            takes,
            STATE / "drop",
            withdrawals,
            ListingsApi(lambda: exchange.policy, listings, metadata),
            Registering(lambda: exchange.policy, judge, replica, journal),
            webs,
        )
        tending = Tending(
            lambda: exchange.policy, keeper, kept, judge, releases, fills, journal, suspects, incoming.quarantine
        )
        sockets = Sockets(RUN / "exchange", exchange)

        counted.prepare(policy)

        async def reload() -> None:
            exchange.policy = policies.load(config)
            await asyncio.to_thread(keeper.follow, exchange.policy.store)
            incoming.quarantine.most = exchange.policy.store.quarantine
            tending.follow()
            counted.prepare(exchange.policy)
            await sockets.follow(exchange.policy)
            counted.RELOADS.inc()

        service.reload = reload  # before anything is waited for: a policy enforced meanwhile must not be missed
        try:
            await sockets.follow(policy)
            await withdrawals.finish()
            service.tasks.create_task(identifiers.keep_fresh(lambda: exchange.policy))
            tending.start(service.tasks)
            service.tasks.create_task(holdings.run())
            service.tasks.create_task(TakingIn(lambda: exchange.policy, carried, releases, fills).run())
            service.tasks.create_task(channels.sweep())
            service.tasks.create_task(_let_out(Outlet(crossings, "exchange", RUN)))
            service.tasks.create_task(_tell_floods(journal))
            service.tasks.create_task(
                metrics.keep_written(counted.REGISTRY, RUN / "metrics" / "exchange" / "exchange.prom")
            )
            service.ready(f"serving {len(decide.peers(policy))} peers")
            await service.stopped()
        finally:
            await withdrawals.leave()
            await sockets.close()
            await journal.tell_floods()
            register.close()
            await asyncio.to_thread(crossings.close)
            await asyncio.to_thread(keeper.close)
            spool.close()
            passed.close()


def _learn_kept(register: Register, kept: Manifests) -> None:
    """Learn the releases that were kept before there was a register."""
    known = register.codes()
    for code in kept.codes():
        if code not in known and (data := kept.get(code)) is not None:
            with contextlib.suppress(
                Corrupt
            ):  # damaged, as if it were not there; it is verified again before it passes
                release = signed.claimed(data)
                register.learn(release, manifest.digest(release))


async def _let_out(outlet: Outlet) -> None:
    """Let the journal's checkpoints out and the witnesses' word in, for ever."""
    while True:
        await asyncio.to_thread(outlet.look)
        await asyncio.sleep(LOOK)


async def _tell_floods(journal: Journal) -> None:
    """Record what was counted, for ever."""
    while True:
        await asyncio.sleep(LOOK)
        await journal.tell_floods()


def _prepare(
    mirror: Mirror, store: Objects, incoming: Incoming, kept: Manifests, passing: LiveObjects, coming: LiveIncoming
) -> None:
    """Make the folders and throw leftovers away; a disk that takes nothing in still serves what it has."""
    for prepare in (mirror.prepare, incoming.prepare, store.prepare, kept.prepare, passing.prepare, coming.prepare):
        try:
            if leftovers := prepare():
                log.warning("threw away %d objects that were not finished", leftovers)
        except OSError as error:
            log.error("the store's disk takes nothing in; what is there is served: %s", error)
