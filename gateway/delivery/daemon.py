"""``headgate run delivery --zone ZONE``: serves the screens of one zone at the address that the enforced policy names."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from pathlib import Path

from appliance.runtime import metrics
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.listening import Listening, Place
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from gateway.caching.disk import Disk
from gateway.caching.filling import MOST_AT_ONCE, Filling
from gateway.caching.kept import Kept
from gateway.caching.shelf import Shelf
from gateway.delivery import metrics as counted
from gateway.delivery.ahead import Ahead
from gateway.delivery.ahead_live import AheadLive
from gateway.delivery.beyond import Beyond
from gateway.delivery.front import configuration, places
from gateway.delivery.front.accounts import Accounts
from gateway.delivery.front.asked import Front
from gateway.delivery.front.cutting import Guard
from gateway.delivery.front.doubts import Doubts
from gateway.delivery.front.transfers import Transfers
from gateway.delivery.front.trees import Trees
from gateway.delivery.ladder import Shown, limits_of
from gateway.delivery.live import Channels
from gateway.delivery.metering.meter import Meter
from gateway.delivery.quality import Quality
from gateway.delivery.screens import Screens
from gateway.delivery.web import Origin, WebCache
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.permission.door import Door
from gateway.permission.judge import Here
from gateway.permission.pseudonym import Pseudonyms
from gateway.permission.withdrawn import Withdrawn
from gateway.playlists.ladder import Limits
from gateway.playlists.screens import screen_of
from gateway.serving import purges
from gateway.serving.exchange import Exchange
from gateway.serving.web import Web
from gateway.store.live import LiveObjects
from gateway.store.objects import Objects

MINUTE = 60.0  # seconds between two looks whether it is another day
LAST = 2.0  # seconds given to records of use when the daemon stops
log = logging.getLogger("headgate.delivery")


def check(config: Path, zone: str | None) -> None:
    """Read the policy as the start does.

    Raises:
        ConfigError: it is wrong, or names no delivery in ``zone``.
    """
    _listen(policies.load(config), config, zone)


def _listen(policy: Policy, config: Path, zone: str | None) -> Place:
    service = policy.service_of(zone, "delivery") if zone else None
    if service is None:
        raise ConfigError(
            [Fault(str(config), 1, 1, "services", f"no service with 'run: delivery' in the zone '{zone}'")]
        )
    return (service.address, service.port) if service.front is None else places.socket(service.zone)


def door_of(policy: Policy, zone: str, withdrawn: Withdrawn, pseudonyms: Pseudonyms | None = None) -> Door | None:
    """Return the door of a zone whose screens must show tokens, or None."""
    permission = policy.permission
    if permission is None or zone not in permission.zones:
        return None
    here = Here(("headgate", policy.site, zone), policy.territory, permission.skew)
    return Door({name: issuer.keys for name, issuer in permission.issuers.items()}, here, withdrawn, pseudonyms)


def origin_of(policy: Policy, zone: str, host: str) -> Origin | None:
    """Return the origin that screens of ``zone`` may ask by plain HTTP as ``host``, or None."""
    name, origin = policy.web_of(host) or ("", None)
    return None if origin is None or (origin.zones and zone not in origin.zones) else Origin(name, origin.body or "")


async def _turn(pseudonyms: Pseudonyms) -> None:
    """Let no secret outlive its day, whether screens come or not, for ever."""
    while True:
        await asyncio.to_thread(pseudonyms.turn, time.time())
        await asyncio.sleep(MINUTE)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve the screens until told to stop."""
    policy = policies.load(config)
    listening = Listening(_listen(policy, config, zone))
    zone = str(zone)
    unit = f"delivery-{zone}"
    (RUN / "metrics" / unit).mkdir(parents=True, exist_ok=True)
    socket = RUN / "exchange" / unit / "exchange.sock"
    async with Exchange(socket, service.tasks) as exchange, Web(socket, MOST_AT_ONCE) as asking:
        # Before anything else: the survivor that it starts is a process that shares what is opened from now on.
        meter = Meter(STATE / unit, zone, screen_of(zone), exchange.records, counted.LOST.inc)
        counted.WAITING.set_function(lambda: meter.waiting)
        channels = Channels(LiveObjects(STATE / "store"), exchange, service.tasks)
        incoming, quality = STATE / "store" / "incoming", Quality(zone, counted.REGISTRY)
        screens = Screens(policy.site, zone, Objects(STATE / "store"), incoming, channels, exchange, meter, quality)

        pseudonyms = Pseudonyms(STATE / unit / "pseudonyms")
        screens.door = door_of(policy, zone, screens.withdrawn, pseudonyms)
        screens.line.capacity = policy.lines.get(zone, 0)

        def keep_to(limits: Limits) -> None:
            screens.ladder = Shown(limits)
            store = Objects(STATE / "store")
            screens.beyond = Beyond(limits, store, incoming, exchange, channels, service.tasks) if limits else None

        keep_to(limits_of(policy, zone))
        screens.ahead = Ahead(zone, Objects(STATE / "store"), exchange, service.tasks)
        screens.ahead_live = AheadLive(screens.ahead, channels, service.tasks)

        kept = Kept(Disk(STATE / unit / "web"), Shelf(policy.store.web), service.tasks)
        filling = Filling(kept, asking, service.tasks)
        cache = WebCache(zone, partial(origin_of, policy, zone), kept, filling, meter, service.tasks)
        screens.plain, cache.may_begin = cache.middleware, screens.may_begin

        guard = Guard(RUN / "cut" / unit / "cut.sock")

        def in_front() -> Front:
            """Return what answers the nginx in front of this zone's delivery."""
            places.trees(zone).mkdir(parents=True, exist_ok=True)
            places.log(zone).touch()
            places.log(zone).chmod(0o660)  # nginx, whose group the folder has, writes it
            if screens.transfers is None:
                screens.doubts = Doubts(Objects(STATE / "store"), exchange, service.tasks)
                accounts = Accounts(places.folder(zone), 2 * (os.cpu_count() or 1))
                screens.transfers = Transfers(
                    places.log(zone), accounts, meter, guard, screens.heard, turned=screens.turned
                )
                service.tasks.create_task(screens.transfers.run())
            trees = Trees(places.trees(zone), STATE / "store", exchange)
            service.tasks.create_task(trees.watch())
            front = Front(Objects(STATE / "store"), channels, exchange, trees, screens)
            service.tasks.create_task(front.lend())
            return front

        def take_front(policy: Policy) -> None:
            listens = _listen(policy, config, zone)
            if isinstance(listens, Path):
                screens.front = screens.front or in_front()
                screens.front.take(configuration.generation(policy), screens.door)
            elif screens.front is not None:
                screens.front.take("", None)
                screens.front = None
            listening.move(listens)

        take_front(policy)

        async def reload() -> None:
            policy = policies.load(config)
            cache.origin_of = partial(origin_of, policy, zone)
            kept.shelf.most_bytes = policy.store.web
            screens.site, screens.door = policy.site, door_of(policy, zone, screens.withdrawn, pseudonyms)
            keep_to(limits_of(policy, zone))
            screens.line.capacity = policy.lines.get(zone, 0)
            take_front(policy)
            exchange.forget()
            channels.forget()

        service.reload = reload
        service.tasks.create_task(meter.run())
        service.tasks.create_task(_turn(pseudonyms))
        service.tasks.create_task(exchange.follow(screens.withdraw))
        service.tasks.create_task(
            purges.follow(socket, lambda one: cache.purge(tags=one.tags, url=one.url, prefix=one.prefix, soft=one.soft))
        )
        service.tasks.create_task(metrics.keep_written(counted.REGISTRY, RUN / "metrics" / unit / f"{unit}.prom"))
        await exchange.listen_first()  # or its first word would make what screens asked for meanwhile unknown again
        await listening.serve(service, screens.application, f"serving {zone}")
        if screens.transfers is not None:
            await screens.transfers.drain()
        guard.close()
        if left := await meter.drain(LAST):
            log.warning("%d records of use wait on the disk for the next start", left)
