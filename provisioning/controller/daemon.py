"""The controller's process: wiring of ``hub``, ``web`` and the registry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from aiohttp import web

from appliance.identity.keys import PrivateKey
from appliance.runtime import config as configuration
from appliance.runtime import http
from appliance.runtime.errors import Unreachable
from appliance.runtime.service import Service
from provisioning.controller import boxes_web, content_web, identifiers_web, orders_web, trust
from provisioning.controller.hub import Hub
from provisioning.controller.journals import Journals
from provisioning.controller.orders import Orders
from provisioning.controller.published import Published
from provisioning.controller.registrations import Registrations
from provisioning.controller.rulebook import Rulebook
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store
from provisioning.controller.wanted import Wanted
from provisioning.controller.web import application
from provisioning.controller.witness import Witness
from provisioning.registry.backlinks import Backlinks
from provisioning.registry.looking import Looking
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry
from provisioning.registry.routes import Api, lookup_application

LOOK = 5.0  # seconds between two looks at the origin's folder
log = logging.getLogger("headgate.controller")


def check(config: Path, zone: str | None) -> Controller:
    """Return the settings at ``config``.

    Raises:
        ConfigError: the file is wrong; holds all faults.
    """
    return configuration.load(config, Controller)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve until asked to stop."""
    settings = check(config, zone)
    store = Store(settings.database)
    wanted = Wanted(settings.wanted)
    orders = Orders(store, lambda: [*([settings.orders.keys] if settings.orders.keys else []), *wanted.order_keys()])
    hub = Hub(settings, store, Journals(store, await asyncio.to_thread(_witness, settings)), wanted, orders)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await hub.start()
        more: list[web.RouteDef] = []
        trusted = await asyncio.to_thread(trust.keeper, settings.trust) if settings.trust is not None else None
        hub.trust = trusted
        if trusted is not None:
            more += trust.routes(trusted)
        publication = backlinks = None
        if settings.registry is not None:
            rules = Rulebook(settings, wanted, trusted)
            key = await asyncio.to_thread(PrivateKey.load, settings.registry.key)
            registry = Registry(store.engine, key, settings.registry.folder, rules.read, name=settings.registry.name)
            await registry.open()
            stack.callback(registry.close)
            publication = Publication(registry)
            await publication.open()
            hub.registry = publication
            hub.registrations = Registrations(store, registry, publication, hub.answer_registration)
            api = Api(registry, publication)
            more += api.routes()
            backlinks = Backlinks(registry, publication)
            more += identifiers_web.routes(Looking(registry, publication, backlinks))
            if settings.registry.socket is not None:
                unix = [(settings.registry.socket, 0o660)]
                await stack.enter_async_context(http.serving(lookup_application(api), unix=unix))
        if backlinks is None:
            more += identifiers_web.without()
        more += [*orders_web.routes(hub), *content_web.routes(hub), *boxes_web.routes(hub)]
        address = (settings.listen.address, settings.listen.port)
        await stack.enter_async_context(http.serving(application(hub, more), tcp=[address]))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in (hub.connection.run(), hub.listen(), hub.watch())]
            if publication is not None and settings.registry is not None:
                running.append(tasks.create_task(publication.run(settings.registry.publish)))
            if hub.registrations is not None:
                running.append(tasks.create_task(hub.registrations.run()))
            if backlinks is not None:
                running.append(tasks.create_task(backlinks.run()))
            if trusted is not None:
                running.append(tasks.create_task(trusted.run()))
            if settings.releases is not None:
                running.append(tasks.create_task(_look_at_origin(Published(settings.releases, store))))
            service.ready()
            await service.stopped()
            for task in running:
                task.cancel()


def _witness(settings: Controller) -> Witness:
    path = settings.witness.key
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        PrivateKey.generate().save(path)
    return Witness.named(settings.witness.name, PrivateKey.load(path))


async def _look_at_origin(published: Published) -> None:
    """Keep what the origin has known, for ever."""
    while True:
        try:
            while found := await asyncio.to_thread(published.changed):
                await published.keep(found)
        except Unreachable as error:
            log.error("what the origin has is not stored: %s", error)
            published.forget()
        await asyncio.sleep(LOOK)
