"""What nftables is asked and told: tables and who owns them, base chains, sets, counters (<linux/netfilter/nf_tables.h>). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.isolation.nfnl.messages import (
    CREATE,
    Damaged,
    attributes,
    each_attribute,
    integer,
    nested,
    number,
    text,
    word,
)

NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, GETCHAIN, GETRULE, NEWSET, GETSET = 0, 1, 2, 3, 4, 7, 9, 10
NEWSETELEM, GETSETELEM, DELSETELEM, NEWGEN, GETGEN, GETOBJ, GETFLOWTABLE = 12, 13, 14, 15, 16, 19, 23
FAMILIES = {"unspec": 0, "inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
FAMILY_NAMES = {number_of: name for name, number_of in FAMILIES.items()}
OWNER, PERSIST = 2, 4  # NFT_TABLE_F_*: nobody else may change it; it stays when its owner is gone
ANONYMOUS = 1  # NFT_SET_ANONYMOUS: part of a rule
KEY_TYPES = {"ipv4_addr": (7, 4), "ipv6_addr": (8, 16)}  # nft's number of the type, bytes
HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
HOOKS_NETDEV = {"ingress": 0, "egress": 1}
POLICIES = {"drop": 0, "accept": 1}  # NF_DROP, NF_ACCEPT
SET_EXTRAS = {6, 7, 11, 12, 15, 17, 18}  # of a set: data, timeout, interval of collecting garbage, objects, expressions
COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT
Part = tuple[int, int, int, bytes]  # kind, flags, family, body: of a transaction


@dataclass(frozen=True, order=True)
class Table:
    """A table as the kernel tells it; ``owner`` is the netlink port of who alone may change it, 0 if anybody may."""

    family: str
    name: str
    owner: int = 0
    flags: int = 0

    @property
    def persists(self) -> bool:
        """Whether it was made to be owned, and to outlive its owner."""
        return bool(self.flags & PERSIST)


@dataclass(frozen=True, order=True)
class Named:
    """Something in a table: a chain (with the devices that it is at), a set, or another object."""

    kind: str
    family: str
    table: str
    name: str
    devices: tuple[str, ...] = ()
    type: str = ""  # of a plain hash set of addresses what is in it; of all other sets empty
    room: int = 0  # of a set: for how many elements it was made, 0 if it grows


@dataclass(frozen=True)
class Counter:
    """What one rule with a counter has counted, and whether it drops."""

    chain: str
    comment: str
    packets: int
    drops: bool


def new_table(family: str, name: str, flags: int) -> Part:
    """Return what makes a table, or takes over an orphaned one with the same flags."""
    return NEWTABLE, CREATE, FAMILIES[family], text(1, name) + number(2, flags)


def delete_table(family: str, name: str) -> Part:
    """Return what removes a table."""
    return DELTABLE, 0, FAMILIES[family], text(1, name)


def new_chain(chain: dict[str, Any]) -> Part:
    """Return what makes a base chain, given as in libnftables' JSON."""
    family = chain["family"]
    hooks = HOOKS_NETDEV if family == "netdev" else HOOKS
    hook = [number(1, hooks[chain["hook"]]), number(2, chain["prio"])]
    if "dev" in chain:
        hook.append(text(3, chain["dev"]))
    body = text(1, chain["table"]) + text(3, chain["name"]) + nested(4, *hook)
    return NEWCHAIN, CREATE, FAMILIES[family], body + number(5, POLICIES[chain["policy"]]) + text(7, chain["type"])


def new_set(described: dict[str, Any], number_in_batch: int, capacity: int) -> Part:
    """Return what makes a plain hash set, given as in libnftables' JSON.

    With its capacity told the kernel takes a hash of fixed size, which is smaller and faster than one that grows, and whose dump is whole:
    while a growing one is rehashed, a dump tells some elements twice and others not at all (seen on 6.18).
    """
    kind, size = KEY_TYPES[described["type"]]
    body = text(1, described["table"]) + text(2, described["name"]) + number(3, 0) + number(4, kind) + number(5, size)
    return (
        NEWSET,
        CREATE,
        FAMILIES[described["family"]],
        body + number(10, number_in_batch) + nested(9, number(1, capacity)),
    )


def named_set(table: str, name: str) -> bytes:
    """Return the body that asks for one set."""
    return text(1, table) + text(2, name)


def table_of(body: memoryview) -> Table:
    """Return the table that a NEWTABLE message tells.

    Raises:
        Damaged: it tells none.
    """
    if len(body) < 4:
        raise Damaged("a table without its family")
    told = attributes(body[4:])
    family = FAMILY_NAMES.get(body[0], str(body[0]))
    return Table(family, word(told.get(1)), integer(told.get(7)), integer(told.get(2)))


def chain_of(body: memoryview) -> Named:
    """Return the chain that a NEWCHAIN message tells.

    Raises:
        Damaged: it tells none.
    """
    told = _in_table(body)
    hook = attributes(told[4]) if 4 in told else {}
    devices = [word(hook[3])] if 3 in hook else [word(name) for _, name in each_attribute(hook.get(4, memoryview(b"")))]
    return Named("chain", FAMILY_NAMES.get(body[0], str(body[0])), word(told.get(1)), word(told.get(3)), tuple(devices))


def set_of(body: memoryview) -> Named | None:
    """Return the set that a NEWSET message tells, None for one that is part of a rule.

    Raises:
        Damaged: it tells none.
    """
    told = _in_table(body)
    flags = integer(told.get(3))
    if flags & ANONYMOUS:
        return None
    size = attributes(told[9]).get(1) if 9 in told else None
    plain = {(number_of, length): name for name, (number_of, length) in KEY_TYPES.items()}
    more = flags or set(told) & SET_EXTRAS
    kind = "" if more else plain.get((integer(told.get(4)), integer(told.get(5))), "")
    family = FAMILY_NAMES.get(body[0], str(body[0]))
    return Named("set", family, word(told.get(1)), word(told.get(2)), (), kind, integer(size))


def other_of(body: memoryview) -> Named:
    """Return the object or flow table that a message tells.

    Raises:
        Damaged: it tells none.
    """
    told = _in_table(body)
    return Named("object", FAMILY_NAMES.get(body[0], str(body[0])), word(told.get(1)), word(told.get(2)))


def _in_table(body: memoryview) -> dict[int, memoryview]:
    if len(body) < 4:
        raise Damaged("an object without its family")
    return attributes(body[4:])


def generation_of(body: memoryview) -> tuple[int, int, str]:
    """Return (number, pid, command) that a NEWGEN message tells: who changed the ruleset.

    Raises:
        Damaged: it tells no number.
    """
    told = attributes(body[4:])
    if 1 not in told:
        raise Damaged("a generation without its number")
    return integer(told[1]), integer(told.get(2)), word(told.get(3))


def count_of(body: memoryview) -> int | None:
    """Return how many elements a NEWSET message says there are, or None: only kernels since 6.16 say it."""
    told = attributes(body[4:])
    return integer(told[20]) if 20 in told else None


def counters_of(body: memoryview) -> Iterator[Counter]:
    """Yield the counter of the rule that a NEWRULE message tells, if it has one.

    Raises:
        Damaged: the message is none.
    """
    rule = attributes(body[4:])
    packets, drops = None, False
    for _, element in each_attribute(rule.get(4, memoryview(b""))):
        expression = attributes(element)
        data = attributes(expression.get(2, memoryview(b"")))
        if word(expression.get(1)) == "counter":
            packets = integer(data.get(2))
        elif word(expression.get(1)) == "immediate" and 2 in data:
            verdict = attributes(attributes(data[2]).get(2, memoryview(b"")))
            drops = 1 in verdict and integer(verdict[1]) == POLICIES["drop"]
    if packets is not None:
        yield Counter(word(rule.get(2)), comment_of(bytes(rule.get(7, b""))), packets, drops)


def comment_of(userdata: bytes) -> str:
    """Return the comment in a rule's user data (libnftnl's type, length, value); empty where there is none."""
    place = 0
    while place + 2 <= len(userdata):
        kind, length = struct.unpack_from("BB", userdata, place)
        if kind == COMMENT:
            return userdata[place + 2 : place + 2 + length].rstrip(b"\0").decode(errors="replace")
        place += 2 + length
    return ""
