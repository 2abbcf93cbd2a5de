"""Policy -> the nftables ruleset of each zone, as libnftables JSON (libnftables-json(5)); everything that nothing allows is dropped.

Two tables a zone. ``netdev``, at the port before anything looks at a frame: only ARP for the box's own addresses and whole IP packets
from hosts of the zone to the box get in. ``inet``: only replies, the zone's services and what the box may reach. Rules are
written in the form in which the kernel lists them again, so that ``differences`` can compare (``listing.py``).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import Any

from gateway.isolation.policy import Policy
from gateway.isolation.words import Network

TABLE = "headgate"
Object = dict[str, Any]
Ruleset = tuple[Object, ...]

ACCEPT: Object = {"accept": None}
COUNT: Object = {"counter": {"packets": 0, "bytes": 0}}
DROP: Object = {"drop": None}
EARLY = -500  # before conntrack's defragmentation and all else
# Only the packet that opens a connection, or scans with other flags would make "new" connections (split handshakes, ACK and FIN scans).
OPENING: Object = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn", "rst", "ack"]]},
        "right": "syn",
    }
}
NEIGHBOURS = ["nd-neighbor-solicit", "nd-neighbor-advert"]
MOST_HOPS: Object = {"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "hoplimit"}}, "right": 255}}


def compile_zone(policy: Policy, zone: str, device: str | None) -> Ruleset:
    """Return the ruleset of ``zone`` whose port is ``device``; without a port there is nothing to guard at it."""
    return (*(_port(policy, zone, device) if device else ()), *_inet(policy, zone))


def compile_lock() -> Ruleset:
    """Return the ruleset of a namespace that has no business with any network: loopback and nothing else."""
    return (
        _table("inet"),
        _chain("inet", "input", type="filter", hook="input", prio=0, policy="drop"),
        _chain("inet", "output", type="filter", hook="output", prio=0, policy="drop"),
        _chain("inet", "forward", type="filter", hook="forward", prio=0, policy="drop"),
        _rule("inet", "input", "loopback", _meta("iifname", "lo"), ACCEPT),
        _rule("inet", "input", "default", COUNT, DROP),
        _rule("inet", "output", "loopback", _meta("oifname", "lo"), ACCEPT),
        _rule("inet", "output", "default", COUNT, DROP),
        _rule("inet", "forward", "default", COUNT, DROP),
    )


def transaction(ruleset: Ruleset, foreign: Iterable[tuple[str, str]] = ()) -> str:
    """Return what ``nft -j -f -`` is given to put ``ruleset`` in place of what is there, and ``foreign`` tables out, in one step."""
    commands: list[Object] = []
    for part in ruleset:
        if "table" in part:
            # Adding first makes the deletion good whether or not the table is there.
            commands += [{"add": part}, {"delete": part}]
    commands += [{"delete": {"table": {"family": family, "name": name}}} for family, name in foreign]
    commands += [{"add": part} for part in ruleset]
    return json.dumps({"nftables": commands})


def _port(policy: Policy, zone: str, device: str) -> Ruleset:
    inside, outside = policy.senders_of(zone)
    own = [ipaddress.ip_network(a.ip) for a in policy.zones[zone].addresses]
    parts: list[Object] = [
        _table("netdev"),
        _chain("netdev", "ingress", type="filter", hook="ingress", dev=device, prio=EARLY, policy="drop"),
    ]

    def add(comment: str, *expressions: Object) -> None:
        parts.append(_rule("netdev", "ingress", comment, *expressions))

    if any(n.version == 4 for n in own):
        add(
            "arp for the box",
            _field("arp", "htype", 1),
            _field("arp", "ptype", "ip"),
            *_among("arp", "saddr ip", inside, 4),
            *_among("arp", "saddr ip", outside, 4, op="!="),
            *_among("arp", "daddr ip", own, 4),
            ACCEPT,
        )
        add("options", _field("ip", "hdrlength", 5, "!="), COUNT, DROP)
        fragment = {"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 0x3FFF]}
        add("fragments", {"match": {"op": "!=", "left": fragment, "right": 0}}, COUNT, DROP)
        add("false sender", *_among("ip", "saddr", outside, 4), COUNT, DROP)
        if _some(inside, 4):
            add("false sender", *_among("ip", "saddr", inside, 4, op="!="), COUNT, DROP)
        add("not for the box", *_among("ip", "daddr", own, 4, op="!="), COUNT, DROP)
        add("whole packets", _field("ip", "protocol", {"set": ["icmp", "tcp", "udp"]}), ACCEPT)
    if any(n.version == 6 for n in own):
        link = [*inside, ipaddress.ip_network("fe80::/10")] if _some(inside, 6) else []
        add(
            "neighbours",
            _field("icmpv6", "type", {"set": NEIGHBOURS}),
            MOST_HOPS,
            *_among("ip6", "saddr", link, 6),
            ACCEPT,
        )
        add("false sender", *_among("ip6", "saddr", outside, 6), COUNT, DROP)
        if _some(inside, 6):
            add("false sender", *_among("ip6", "saddr", inside, 6, op="!="), COUNT, DROP)
        add("not for the box", *_among("ip6", "daddr", own, 6, op="!="), COUNT, DROP)
        add("whole packets", _field("ip6", "nexthdr", {"set": ["ipv6-icmp", "tcp", "udp"]}), ACCEPT)
    add("default", COUNT, DROP)
    return tuple(parts)


def _inet(policy: Policy, zone: str) -> Ruleset:
    six = any(a.version == 6 for a in policy.zones[zone].addresses)
    incoming = [_rule("inet", "input", "loopback", _meta("iifname", "lo"), ACCEPT)]
    outgoing = [_rule("inet", "output", "loopback", _meta("oifname", "lo"), ACCEPT)]
    incoming += [
        _rule("inet", "input", "invalid", _state("invalid"), COUNT, DROP),
        _rule("inet", "input", "replies", _state("established"), ACCEPT),
        _rule("inet", "input", "errors", _state("related"), _field("icmp", "type", "destination-unreachable"), ACCEPT),
    ]
    outgoing.append(_rule("inet", "output", "replies", _state("established"), ACCEPT))
    if six:
        errors = {"set": ["destination-unreachable", "packet-too-big"]}
        neighbours = _field("icmpv6", "type", {"set": NEIGHBOURS})
        incoming.append(_rule("inet", "input", "errors", _state("related"), _field("icmpv6", "type", errors), ACCEPT))
        incoming.append(_rule("inet", "input", "neighbours", neighbours, MOST_HOPS, ACCEPT))
        outgoing.append(_rule("inet", "output", "neighbours", neighbours, MOST_HOPS, ACCEPT))
    for name, service in policy.services.items():
        if service.zone == zone:
            opening = _opening(service.listen.protocol, service.listen.port)
            incoming += _rules("input", f"services.{name}", "saddr", policy.networks_of(service.sources), opening)
    for name, reach in policy.reach.items():
        if reach.zone == zone:
            outgoing += _rules(
                "output",
                f"reach.{name}",
                "daddr",
                policy.networks_of(reach.to),
                _opening(reach.port.protocol, reach.port.port),
            )
    return (
        _table("inet"),
        _chain("inet", "input", type="filter", hook="input", prio=0, policy="drop"),
        _chain("inet", "output", type="filter", hook="output", prio=0, policy="drop"),
        _chain("inet", "forward", type="filter", hook="forward", prio=0, policy="drop"),
        *incoming,
        _rule("inet", "input", "default", COUNT, DROP),
        *outgoing,
        _rule("inet", "output", "default", COUNT, DROP),
        _rule("inet", "forward", "default", COUNT, DROP),
    )


def _rules(chain: str, comment: str, field: str, networks: Iterable[Network], opening: list[Object]) -> list[Object]:
    networks = tuple(networks)
    return [
        _rule("inet", chain, comment, *_among(header, field, networks, version), *opening, ACCEPT)
        for header, version in (("ip", 4), ("ip6", 6))
        if any(n.version == version for n in networks)
    ]


def _opening(protocol: str, port: int) -> list[Object]:
    flags = [OPENING] if protocol == "tcp" else []
    return [_field(protocol, "dport", port), *flags, _state("new")]


def _some(networks: Iterable[Network], version: int) -> bool:
    """Return whether ``networks`` of an IP version leave anything out."""
    chosen = [n for n in networks if n.version == version]
    return bool(chosen) and all(n.prefixlen for n in chosen)


def _among(protocol: str, field: str, networks: Iterable[Network], version: int, op: str = "==") -> list[Object]:
    """Return the match of an address field with the ``networks`` of one IP version; none where they are everything."""
    chosen = list(ipaddress.collapse_addresses(n for n in networks if n.version == version))  # type: ignore[type-var]
    if not chosen or not all(n.prefixlen for n in chosen):
        return []
    words = [_word(n) for n in sorted(chosen)]
    return [_field(protocol, field, words[0] if len(words) == 1 else {"set": words}, op)]


def _word(network: Network) -> Any:
    if network.num_addresses == 1:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def _table(family: str) -> Object:
    return {"table": {"family": family, "name": TABLE}}


def _chain(family: str, name: str, **hook: Any) -> Object:
    return {"chain": {"family": family, "table": TABLE, "name": name, **hook}}


def _rule(family: str, chain: str, comment: str, *expressions: Object) -> Object:
    return {"rule": {"family": family, "table": TABLE, "chain": chain, "comment": comment, "expr": list(expressions)}}


def _field(protocol: str, field: str, right: Any, op: str = "==") -> Object:
    return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": field}}, "right": right}}


def _meta(key: str, right: str) -> Object:
    return {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": right}}


def _state(state: str) -> Object:
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": state}}
