"""The kernel's side of isolation: what the zones' namespaces hold, and the actions on them (netlink, /proc/sys, ``nft``)."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, assert_never

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from appliance.runtime import command
from gateway.isolation import listing, netns, rawlink, ruleset, topology
from gateway.isolation.netns import KernelFailed
from gateway.isolation.question import ZONES
from gateway.isolation.reconcile import (
    HOME,
    Action,
    AddAddress,
    AddRoute,
    DropAddress,
    DropRoute,
    LoadRules,
    MakeZone,
    MovePort,
    NamePort,
    RemoveZone,
    Set,
    SetDown,
    SetUp,
)
from gateway.isolation.topology import PORT, Link, Place, Seen

SYSCTL = Path("/proc/sys")
LOCAL_TABLE = 255
PROTO_KERNEL = 2
UNICAST = 1


class Kernel:
    """Namespaces named ``prefix + zone`` and the home namespace in which ports begin (empty: the one we are in)."""

    def __init__(self, prefix: str = "", home: str = "") -> None:
        self.prefix = prefix
        self.home = home
        self._rules: dict[str, tuple[tuple[int, int], ruleset.Ruleset]] = {}

    def name(self, zone: str) -> str:
        """Return the namespace of a zone, or of ``HOME``."""
        return self.home if zone == HOME else self.prefix + zone

    def zones(self) -> list[str]:
        """Return the zones that have a namespace."""
        there = set(netns.names())
        return [zone for zone in ZONES if self.prefix + zone in there]

    def inside(self, zone: str, work: Callable[[], netns.Result]) -> netns.Result:
        """Return ``work()`` run in the namespace of a zone."""
        return netns.inside(self.name(zone), work)

    def observe(self, wanted: Mapping[str, Place], *, fresh: bool = True) -> dict[str, Seen]:
        """Return what the home and each zone's namespace hold now, with the settings that ``wanted`` names.

        Unless ``fresh``, a ruleset whose generation has not moved since it was listed last is not listed again.

        Raises:
            KernelFailed: the kernel does not show it.
        """
        seen = {}
        for zone in [HOME, *self.zones()]:
            place = wanted.get(zone)
            keys = [*place.settings, *place.port_settings] if place else []
            try:
                seen[zone] = self.inside(zone, functools.partial(self._look, zone, keys, fresh=fresh))
            except (NetlinkError, OSError, command.CommandFailed) as error:
                raise KernelFailed(f"{zone or 'home'} cannot be read: {error}") from error
        return seen

    def _look(self, zone: str, keys: Iterable[str], *, fresh: bool) -> Seen:
        # The number comes before the listing: a change between them moves it once more, and the next look lists again.
        mark = (Path("/proc/thread-self/ns/net").stat().st_ino, rawlink.generation())
        known = self._rules.get(zone)
        rules = known[1] if known and known[0] == mark and not fresh else _list_rules()
        self._rules[zone] = (mark, rules)
        return _links_and_routes(keys, rules)

    def pairs(self) -> list[tuple[str, str, str]]:
        """Return (zone, link, other zone) for each link whose other end is in another zone or at home."""
        spaces = [HOME, *self.zones()]
        found = []
        for zone in spaces:
            with contextlib.ExitStack() as stack:
                others = {other: stack.enter_context(_target(self.name(other))) for other in spaces if other != zone}
                ends = self.inside(zone, functools.partial(_paired, others))
                found += [(zone, link, other) for link, other in ends]
        return found

    def act(self, action: Action) -> None:
        """Do one action.

        Raises:
            KernelFailed: the kernel refused it.
        """
        try:
            self._act(action)
        except (NetlinkError, OSError, command.CommandFailed) as error:
            raise KernelFailed(f"{action}: {error}") from error

    def _act(self, action: Action) -> None:
        match action:
            case MakeZone(zone):
                netns.make(self.name(zone))
            case RemoveZone(zone):
                netns.remove(self.name(zone))
            case MovePort(link, mac, source, target):
                self._move(link, mac, source, target)
            case NamePort(zone, mac):
                self.inside(zone, lambda: _rename(mac))
            case SetDown(zone, link):
                self.inside(zone, lambda: _set_state(link, "down"))
            case SetUp(zone, link):
                self.inside(zone, lambda: _set_state(link, "up"))
            case Set(zone, key, value):
                self.inside(zone, lambda: _write(key, value))
            case LoadRules(zone, rules, foreign):
                self.load(zone, ruleset.transaction(rules, foreign))
            case AddAddress(zone, address) | DropAddress(zone, address):
                verb = "add" if isinstance(action, AddAddress) else "del"
                self.inside(zone, lambda: _address(verb, address))
            case AddRoute(zone, route) | DropRoute(zone, route):
                verb = "add" if isinstance(action, AddRoute) else "del"
                self.inside(zone, lambda: _route(verb, route))
            case unknown:
                assert_never(unknown)

    def load(self, zone: str, transaction: str) -> None:
        """Give ``nft`` a transaction in a zone: first dry, then for real; nothing changes where it fails."""
        for argv in (["nft", "-c", "-j", "-f", "-"], ["nft", "-j", "-f", "-"]):
            self.inside(zone, functools.partial(command.run, argv, stdin=transaction))

    def _move(self, link: str, mac: str, source: str, target: str) -> None:
        # The name on the way is the MAC's, so that two ports that change places never meet under one name.
        passing = ("hg" + mac.replace(":", ""))[:15] if mac else link
        with _target(self.name(target)) as descriptor:

            def go() -> None:
                with IPRoute() as netlink:
                    index = _index(netlink, link)
                    netlink.link("set", index=index, state="down")
                    if link != passing:
                        netlink.link("set", index=index, ifname=passing)
                    netlink.link("set", index=index, net_ns_fd=descriptor)

            self.inside(source, go)


class _target:  # noqa: N801 (a context manager used like a function)
    """An open descriptor of a namespace."""

    def __init__(self, name: str) -> None:
        self.path = netns.FOLDER / name if name else Path("/proc/self/ns/net")

    def __enter__(self) -> int:
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return self.descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def _links_and_routes(keys: Iterable[str], rules: ruleset.Ruleset) -> Seen:
    with IPRoute() as netlink:
        links = [_link(message) for message in netlink.get_links()]
        owned: dict[int, list[str]] = {}
        for message in netlink.get_addr():
            if message["scope"] == 253 and message["family"] == socket.AF_INET6:
                continue  # link-local: made by the kernel for each port
            address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            owned.setdefault(message["index"], []).append(f"{address}/{message['prefixlen']}")
        routes = [path for message in netlink.get_routes() if (path := _path(message))]
    return Seen(
        tuple(Link(**told, addresses=tuple(sorted(owned.get(index, ())))) for index, told in links),
        tuple(sorted(routes)),
        {key: value for key in keys if (value := _read(key)) is not None},
        rules,
    )


def _list_rules() -> ruleset.Ruleset:
    listed = listing.parse(command.run(["nft", "-j", "list", "ruleset"]))
    if any(part.get("chain", {}).get("family") == "netdev" for part in listed):
        listed = listing.with_devices(listed, command.run(["nft", "list", "chains", "netdev"]))
    return listed


def _paired(others: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return (link, other zone) by the numbers that this namespace has for ``others`` (RTM_GETNSID)."""
    with IPRoute() as netlink:
        numbers = {rawlink.number_of(descriptor): other for other, descriptor in others.items()}
        ends = [(m.get_attr("IFLA_IFNAME"), m.get_attr("IFLA_LINK_NETNSID")) for m in netlink.get_links()]
    return [
        (name, numbers[number]) for name, number in ends if number is not None and number >= 0 and number in numbers
    ]


def _link(message: Any) -> tuple[int, dict[str, Any]]:
    info = message.get_attr("IFLA_LINKINFO")
    return message["index"], {
        "name": message.get_attr("IFLA_IFNAME"),
        "mac": message.get_attr("IFLA_ADDRESS") or "",
        "kind": (info.get_attr("IFLA_INFO_KIND") or "") if info else "",
        "up": bool(message["flags"] & 1),
        "master": message.get_attr("IFLA_MASTER") is not None,
    }


def _path(message: Any) -> topology.Path | None:
    """Return a route that somebody set; the kernel's own, which follow from the addresses, are left out."""
    table = message.get_attr("RTA_TABLE") or message["table"]
    if table == LOCAL_TABLE or message["proto"] == PROTO_KERNEL or message["type"] != UNICAST:
        return None
    anywhere = "0.0.0.0" if message["family"] == socket.AF_INET else "::"
    to = f"{message.get_attr('RTA_DST') or anywhere}/{message['dst_len']}"
    return topology.Path(to, message.get_attr("RTA_GATEWAY") or "")


def _index(netlink: Any, name: str) -> int:
    found = netlink.link_lookup(ifname=name)
    if not found:
        raise KernelFailed(f"there is no link '{name}'")
    return int(found[0])


def _rename(mac: str) -> None:
    with IPRoute() as netlink:
        for index, told in map(_link, netlink.get_links()):
            if told["mac"] == mac:
                netlink.link("set", index=index, state="down")
                netlink.link("set", index=index, ifname=PORT)
                return
    raise KernelFailed(f"no link has the MAC {mac}")


def _set_state(link: str, state: str) -> None:
    with IPRoute() as netlink:
        netlink.link("set", index=_index(netlink, link), state=state)


def _address(verb: str, address: str) -> None:
    host, _, length = address.partition("/")
    with IPRoute() as netlink:
        netlink.addr(verb, index=_index(netlink, PORT), address=host, prefixlen=int(length))


def _route(verb: str, route: topology.Path) -> None:
    with IPRoute() as netlink:
        gateway = {"gateway": route.via} if route.via else {}
        netlink.route(verb, dst=route.to, **gateway)


def _read(key: str) -> str | None:
    try:
        return (SYSCTL / key).read_text().strip()
    except OSError:
        return None  # not there: it differs from whatever is wanted


def _write(key: str, value: str) -> None:
    (SYSCTL / key).write_text(value)
