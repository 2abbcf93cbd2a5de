"""The kernel's side of isolation: what the zones' namespaces hold, and the actions on them (netlink, /proc/sys, libnftables)."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import assert_never

from pyroute2.netlink.exceptions import NetlinkError

from appliance.runtime import command
from gateway.isolation import edits, netns, rawlink
from gateway.isolation.holder import Holder, Known
from gateway.isolation.netns import KernelFailed
from gateway.isolation.nfnl.messages import Damaged
from gateway.isolation.nfnl.netlink import Changed
from gateway.isolation.question import ZONES
from gateway.isolation.rawlink import Rtnetlink
from gateway.isolation.reconcile import (
    HOME,
    Action,
    AddAddress,
    AddLookup,
    AddRoute,
    ChangeElements,
    DropAddress,
    DropLookup,
    DropRoute,
    LoadRules,
    MakeZone,
    MovePort,
    NamePort,
    OwnTables,
    Pin,
    RemoveZone,
    Set,
    SetDown,
    SetUp,
    Unpin,
)
from gateway.isolation.topology import Place, Seen

FAILURES = (NetlinkError, OSError, command.CommandFailed, Damaged, Changed)


class Kernel:
    """Namespaces named ``prefix + zone`` and the home namespace in which ports begin (empty: the one we are in).

    With ``own`` (and a kernel since 6.9) the tables that it loads are its own: no other process may change or flush them while it lives.
    """

    def __init__(self, prefix: str = "", home: str = "", *, own: bool = True) -> None:
        self.prefix = prefix
        self.home = home
        self.own = own
        self._holders: dict[str, Holder] = {}
        self._lock = threading.RLock()  # of the holders

    def name(self, zone: str) -> str:
        """Return the namespace of a zone, or of ``HOME``."""
        return self.home if zone == HOME else self.prefix + zone

    def zones(self) -> list[str]:
        """Return the zones that have a namespace."""
        there = set(netns.names())
        return [zone for zone in ZONES if self.prefix + zone in there]

    def inode(self, zone: str) -> int:
        """Return the number of a zone's namespace: another one once it was made anew.

        Raises:
            OSError: it has none.
        """
        return (netns.FOLDER / self.name(zone)).stat().st_ino

    def inside(self, zone: str, work: Callable[[], netns.Result]) -> netns.Result:
        """Return ``work()`` run in the namespace of a zone."""
        return netns.inside(self.name(zone), work)

    def close(self) -> None:
        """Let go of all namespaces; what is owned there stays and may be taken over by the next guard."""
        self._keep(())

    def observe(self, wanted: Mapping[str, Place], *, fresh: bool = True) -> dict[str, Seen]:
        """Return what the home and each zone's namespace hold now, with the settings that ``wanted`` names.

        Unless ``fresh``, a ruleset whose generation has not moved since it was listed last, but by us, is not listed again.

        Raises:
            KernelFailed: the kernel does not show it.
        """
        seen = {}
        zones = [HOME, *self.zones()]
        self._keep(zones)
        for zone in zones:
            place = wanted.get(zone)
            keys = [*place.settings, *place.port_settings] if place else []
            seen[zone] = self._within(zone, functools.partial(self._look, zone, keys, fresh=fresh), "cannot be read")
        return seen

    def rules(self, zone: str, *, fresh: bool = False) -> Known:
        """Return the ruleset of a zone with its tables and generation; unless ``fresh``, as it is known if it has not changed.

        Raises:
            KernelFailed: the kernel does not show it.
        """
        return self._within(zone, lambda: self._held(zone, lambda holder: holder.read(fresh=fresh)), "cannot be read")

    def owning(self, zone: str) -> bool:
        """Return whether nobody but us may change our tables in a zone.

        Raises:
            KernelFailed: the kernel does not say.
        """
        return self._within(zone, lambda: self._held(zone, lambda holder: holder.owning), "cannot be read")

    def denied(self, zone: str) -> dict[str, int]:
        """Return reason -> packets dropped for it since the ruleset was loaded; the reasons are those of the samples' prefixes.

        Raises:
            KernelFailed: the kernel does not say.
        """
        found: dict[str, int] = {}
        for counter in self._within(zone, lambda: self._held(zone, Holder.counters), "cannot be read"):
            if counter.drops:
                reason = f"{counter.chain} {counter.comment}"
                found[reason] = found.get(reason, 0) + counter.packets
        return found

    def _look(self, zone: str, keys: Iterable[str], *, fresh: bool) -> Seen:
        known, can_own = self._held(zone, lambda holder: (holder.read(fresh=fresh), holder.can_own))
        with Rtnetlink() as rtnetlink:
            links = rtnetlink.links()
            routes = [path for path, _ in rtnetlink.routes(tuple(rawlink.each_own(links)))]
            neighbours = [entry for entry, _ in rtnetlink.neighbours(links)]
            lookups = [lookup for lookup, _ in rtnetlink.lookups()]
        return Seen(
            tuple(links.values()),
            tuple(sorted(routes)),
            {key: value for key in keys if (value := edits.read(key)) is not None},
            known.rules,
            tuple(sorted(neighbours)),
            tuple(sorted(lookups)),
            known.tables,
            known.generation,
            can_own,
        )

    def _held(self, zone: str, work: Callable[[Holder], netns.Result]) -> netns.Result:
        """Return ``work`` done with what holds the ruleset of the namespace in which this is called, by one thread at a time."""
        holder = self._holder(zone)
        with holder.lock:
            return work(holder)

    def _holder(self, zone: str) -> Holder:
        """Return what holds the ruleset of the namespace in which this is called; another one of that name is let go."""
        inode = Path("/proc/thread-self/ns/net").stat().st_ino
        with self._lock:
            holder = self._holders.get(zone)
            if holder is not None and holder.inode == inode:
                return holder
            self._keep([other for other in self._holders if other != zone])
            self._holders[zone] = Holder(own=self.own)
            return self._holders[zone]

    def _keep(self, zones: Iterable[str]) -> None:
        """Let go of all other namespaces: a socket there would keep one alive whose name is gone, and its port with it."""
        with self._lock:
            for zone in set(self._holders) - set(zones):
                holder = self._holders.pop(zone)
                with holder.lock:
                    holder.close()

    def _within(self, zone: str, work: Callable[[], netns.Result], what: str) -> netns.Result:
        try:
            return self.inside(zone, work)
        except FAILURES as error:
            raise KernelFailed(f"{zone or 'home'} {what}: {error}") from error

    def act(self, action: Action) -> None:
        """Do one action.

        Raises:
            KernelFailed: the kernel refused it.
        """
        try:
            self._act(action)
        except FAILURES as error:
            raise KernelFailed(f"{action}: {error or 'somebody else changes the ruleset at the same time'}") from error

    def _act(self, action: Action) -> None:
        match action:
            case MakeZone(zone):
                netns.make(self.name(zone))
            case RemoveZone(zone):
                self._keep([other for other in self._holders if other != zone])
                netns.remove(self.name(zone))
            case MovePort(link, mac, source, target):
                self._move(link, mac, source, target)
            case NamePort(zone, mac):
                self.inside(zone, lambda: edits.rename(mac))
            case SetDown(zone, link):
                self.inside(zone, lambda: edits.set_state(link, "down"))
            case SetUp(zone, link):
                self.inside(zone, lambda: edits.set_state(link, "up"))
            case Set(zone, key, value):
                self.inside(zone, lambda: edits.write(key, value))
            case LoadRules(zone, rules, foreign):
                self.inside(zone, lambda: self._held(zone, lambda holder: holder.load(rules, foreign)))
            case ChangeElements(zone, changes):
                self.inside(zone, lambda: self._held(zone, lambda holder: holder.change(changes)))
            case OwnTables(zone):
                self.inside(zone, lambda: self._held(zone, Holder.adopt))
            case AddAddress(zone, address):
                self.inside(zone, lambda: edits.add_address(address))
            case DropAddress(zone, address, link):
                self.inside(zone, lambda: edits.drop_address(address, link))
            case AddRoute(zone, route):
                self.inside(zone, lambda: edits.add_route(route))
            case DropRoute(zone, route):
                self.inside(zone, lambda: edits.drop_route(route))
            case Pin(zone, neighbour):
                self.inside(zone, lambda: edits.pin(neighbour))
            case Unpin(zone, neighbour):
                self.inside(zone, lambda: edits.unpin(neighbour))
            case AddLookup(zone, lookup):
                self.inside(zone, lambda: edits.add_lookup(lookup))
            case DropLookup(zone, lookup):
                self.inside(zone, lambda: edits.drop_lookup(lookup))
            case unknown:
                assert_never(unknown)

    def _move(self, link: str, mac: str, source: str, target: str) -> None:
        # The name on the way is the MAC's, so that two ports that change places never meet under one name.
        passing = ("hg" + mac.replace(":", ""))[:15] if mac else link
        with _target(self.name(target)) as descriptor:
            self.inside(source, lambda: edits.move(link, passing, descriptor))


class _target:  # noqa: N801 (a context manager used like a function)
    """An open descriptor of a namespace."""

    def __init__(self, name: str) -> None:
        self.path = netns.FOLDER / name if name else Path("/proc/self/ns/net")

    def __enter__(self) -> int:
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return self.descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
